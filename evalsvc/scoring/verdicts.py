"""What a judge may say and what it is worth: one JSON object, read to the letter. Anything else is no verdict."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evalsvc.errors import ScoringError
from evalsvc.scoring.json_text import NotJson, read
from evalsvc.scoring.text import limit, quote

_LONGEST = 65_536
_KEYS = ("reasoning", "verdict")
_FENCE = re.compile(r"```(?:json)?[ \t]*\r?\n(?P<body>[^`]*)\r?\n[ \t]*```")

Word = str | int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """The verdicts a judge is given to choose from, each with its worth in [0, 1].

    All are texts, or all are the whole numbers of a range.
    """

    worth: Mapping[Word, float]

    @property
    def best(self) -> Word:
        """The verdict that is worth most."""
        return max(self.worth, key=lambda word: self.worth[word])

    @property
    def middle(self) -> float:
        """Half way between the least worth and the greatest."""
        return (min(self.worth.values()) + max(self.worth.values())) / 2

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of a reply, as strict as servers enforce it."""
        kind = "string" if isinstance(self.best, str) else "integer"
        verdict = {"type": kind, "enum": list(self.worth)}
        properties = {"reasoning": {"type": "string"}, "verdict": verdict}
        return {"type": "object", "properties": properties, "required": list(_KEYS), "additionalProperties": False}

    def said(self) -> str:
        """The choice in words, for the judge; of labels the best first."""
        if isinstance(self.best, str):
            falling = sorted(self.worth, key=lambda word: -self.worth[word])
            return f"one of {', '.join(quoted(str(word)) for word in falling)}"
        return f"a whole number from {min(map(int, self.worth))} to {max(map(int, self.worth))}"

    def read(self, text: str) -> tuple[Word, str]:
        """The verdict in a judge's reply and the reasoning before it.

        The reply is one JSON object with exactly the keys `reasoning` (a text) and `verdict` (one of these), at most
        inside one code fence.

        Raises:
            ScoringError: it is anything else.
        """
        limit(text, "a verdict is read up to", _LONGEST)
        fence = _FENCE.fullmatch(text.strip())
        try:
            value = read(fence["body"] if fence else text.strip()).value
        except NotJson as error:
            raise ScoringError(f"the judge's verdict is {error}: {quote(text)}") from None
        if not isinstance(value, dict) or sorted(value) != sorted(_KEYS):
            raise ScoringError(f"the judge's verdict is not an object of {' and '.join(_KEYS)}: {quote(text)}")
        reasoning, word = value["reasoning"], value["verdict"]
        if not isinstance(reasoning, str):
            raise ScoringError("the judge's reasoning is no text")
        if type(word) is not type(self.best) or word not in self.worth:
            raise ScoringError(f"the judge's verdict is {quote(str(word))}, not {self.said()}"[:190])
        return word, reasoning


def quoted(word: str) -> str:
    """A verdict that is a text, as JSON has it."""
    return f'"{word}"'
