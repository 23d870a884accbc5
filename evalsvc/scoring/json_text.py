"""What the scorers of structured answers share: one JSON value, read to the letter of RFC 8259."""

from __future__ import annotations

import re
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from evalsvc.core.records import Case, Score
from evalsvc.scoring.text import TextScorer, limit

_LONGEST = 2**20
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"')
_FENCE = re.compile(r"```(?:json|JSON)?[ \t]*\r?\n(?P<body>.*)\r?\n[ \t]*```", re.DOTALL)


class NotJson(ValueError):
    """A text is not one JSON value; says where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A JSON value, the number of values in it, itself included, and of levels (1 for a number)."""

    value: Any
    nodes: int
    levels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonScorer(TextScorer):
    """A scorer of an answer that is one JSON value.

    JSON is RFC 8259 to the letter: no NaN, no comments, nothing before or after the value, at most 1,024 levels, no
    number beyond a double. Anything else scores 0, and the explanation says what was found where.

    Options:
        fenced: allow one Markdown fence (```json) around the value.
        duplicate_keys: "reject" an object that names a key twice (readers differ on what it means), or take the "last".
    """

    fenced: bool = False
    duplicate_keys: Literal["reject", "last"] = "reject"

    def compare(self, text: str, case: Case) -> Score:
        """Parses, then judges. Raises ScoringError beyond 1,048,576 characters."""
        limit(text, "JSON is read up to", _LONGEST)
        try:
            document = read(_unfenced(text) if self.fenced else text, unique_keys=self.duplicate_keys == "reject")
        except NotJson as error:
            return Score(value=0.0, explanation=str(error))
        return self.judge(document, case)

    @abstractmethod
    def judge(self, document: Document, case: Case) -> Score:
        """The score of the value. Raises ScoringError."""


def read(text: str, *, unique_keys: bool = True) -> Document:
    """The one JSON value of a text. Raises NotJson."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise NotJson(f"not JSON: {error.msg} at character {error.pos}") from None
    keys, nodes, levels = _count(value)
    # Outside strings, JSON spends one colon on each key it names.
    if unique_keys and _STRING.sub("", text).count(":") != keys:
        raise NotJson("an object names a key twice")
    return Document(value=value, nodes=nodes, levels=levels)


def _unfenced(text: str) -> str:
    fence = _FENCE.fullmatch(text.strip())
    return fence["body"] if fence else text


def _count(value: object) -> tuple[int, int, int]:
    """How many keys, values and levels there are in a value."""
    keys, nodes, levels, level = 0, 0, 0, [value]
    while level:
        nodes, levels = nodes + len(level), levels + 1
        inner: list[object] = []
        for node in level:
            if isinstance(node, dict):
                keys += len(node)
                inner.extend(node.values())
            elif isinstance(node, list):
                inner.extend(node)
        level = inner
    return keys, nodes, levels
