"""Scorers of structured answers: `json_schema`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

import jsonschema_rs
import orjson
from pydantic import AfterValidator

from evalsvc.core.records import Case, Score
from evalsvc.errors import ScoringError
from evalsvc.scoring.base import scorer
from evalsvc.scoring.text import TextScorer, quote

_BACKTRACKS = 100_000
_RUNAWAY = (
    jsonschema_rs.ValidationErrorKind.BacktrackLimitExceeded,
    jsonschema_rs.ValidationErrorKind.RegexEngineFailure,
)
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"')
_FENCE = re.compile(r"```(?:json|JSON)?[ \t]*\r?\n(?P<body>.*)\r?\n[ \t]*```", re.DOTALL)


@lru_cache(maxsize=256)
def _validator(schema: bytes) -> jsonschema_rs.Validator:
    # Offline: a $ref to another host or file must never be fetched on a data set's word.
    options = jsonschema_rs.FancyRegexOptions(backtrack_limit=_BACKTRACKS)
    return jsonschema_rs.validator_for(orjson.loads(schema), offline=True, mask="the value", pattern_options=options)


def _compile(schema: object) -> jsonschema_rs.Validator:
    """The validator of a schema. Raises ValueError that says what is wrong with it."""
    try:
        return _validator(orjson.dumps(schema, option=orjson.OPT_SORT_KEYS))
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        raise ValueError(f"is not a usable JSON Schema: {error.message}") from None
    except TypeError as error:
        raise ValueError(f"is not a usable JSON Schema: {error}") from None


def _usable(schema: dict[str, Any]) -> dict[str, Any]:
    _compile(schema)
    return schema


@scorer("json_schema")
@dataclass(frozen=True, slots=True, kw_only=True)
class JsonSchema(TextScorer):
    """1 if the answer is one JSON value that satisfies the schema, else 0.

    JSON is RFC 8259 to the letter: no NaN, no comments, nothing before or after the value, at most 1,024 levels, no
    number beyond a double. The schema is the case's own, else the option; its draft is its `$schema`, else 2020-12,
    where `format` is a remark and not a rule. A `$ref` to elsewhere is never fetched.

    Options:
        schema: the schema of cases that have none.
        fenced: allow one Markdown fence (```json) around the value.
        duplicate_keys: "reject" an object that names a key twice (readers differ on what it means), or take the "last".
    """

    schema: Annotated[dict[str, Any], AfterValidator(_usable)] | None = None
    needs: ClassVar[str] = "schema"

    fenced: bool = False
    duplicate_keys: Literal["reject", "last"] = "reject"

    def check(self, case: Case) -> str | None:
        """The case or the scorer needs a valid schema."""
        schema = self._schema(case)
        if schema is None:
            return "missing, and the scorer has no schema either"
        try:
            _compile(schema)
        except ValueError as error:
            return str(error)
        return None

    def compare(self, text: str, case: Case) -> Score:
        """Parses, then validates. Raises ScoringError where a pattern of the schema runs away."""
        body = _unfenced(text) if self.fenced else text
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            return Score(value=0.0, explanation=f"not JSON: {error.msg} at character {error.pos}")
        if self.duplicate_keys == "reject" and _STRING.sub("", body).count(":") != _count_keys(value):
            return Score(value=0.0, explanation="an object names a key twice")
        return _validated(value, _compile(self._schema(case)))

    def _schema(self, case: Case) -> object:
        return self.schema if case.schema is None else case.schema


def _unfenced(text: str) -> str:
    fence = _FENCE.fullmatch(text.strip())
    return fence["body"] if fence else text


def _count_keys(value: object) -> int:
    """How many keys the objects in a value have together; outside strings, JSON spends one colon on each."""
    keys, level = 0, [value]
    while level:
        inner: list[object] = []
        for node in level:
            if isinstance(node, dict):
                keys += len(node)
                inner.extend(node.values())
            elif isinstance(node, list):
                inner.extend(node)
        level = inner
    return keys


def _validated(value: Any, validator: jsonschema_rs.Validator) -> Score:
    try:
        validator.validate(value)
    except jsonschema_rs.ValidationError as error:
        if isinstance(error.kind, _RUNAWAY):
            raise ScoringError("a pattern of the schema takes too long on this answer") from None
        place = "/".join(str(step) for step in error.instance_path)
        where = f" at {quote(place)[1:-1]}" if place else ""
        return Score(value=0.0, explanation=f"does not satisfy the schema{where}: {quote(error.message)[1:-1]}")
    except ValueError:  # raised beyond 255 levels, where a failed value would have to be copied into the error
        return Score(value=0.0, explanation="does not satisfy the schema; nested too deep to say where")
    return Score(value=1.0, explanation="satisfies the schema")
