"""Scorers of structured answers: `json_schema`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal, get_args

import jsonschema_rs
import orjson
from pydantic import AfterValidator

from evalsvc.core.records import Case, Score
from evalsvc.errors import ScoringError
from evalsvc.scoring.base import scorer
from evalsvc.scoring.json_text import Document, JsonScorer
from evalsvc.scoring.schema_cost import Cost, cost_of
from evalsvc.scoring.text import quote

_BACKTRACKS = 10_000
_MOST_UNITS = 5_000_000
_MOST_UNITS_TO_EXPLAIN = 20_000
_RUNAWAY = (
    jsonschema_rs.ValidationErrorKind.BacktrackLimitExceeded,
    jsonschema_rs.ValidationErrorKind.RegexEngineFailure,
)
_DRAFTS: dict[str, type[jsonschema_rs.Validator]] = {
    "4": jsonschema_rs.Draft4Validator,
    "6": jsonschema_rs.Draft6Validator,
    "7": jsonschema_rs.Draft7Validator,
    "2019-09": jsonschema_rs.Draft201909Validator,
    "2020-12": jsonschema_rs.Draft202012Validator,
}
Draft = Literal["4", "6", "7", "2019-09", "2020-12"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiled:
    validator: jsonschema_rs.Validator
    cost: Cost
    without_patterns: Cost
    linear: bool

    def too_much(self, document: Document) -> bool:
        """Whether judging a document could take longer than about half a second."""
        return self.cost.units * document.nodes > _MOST_UNITS

    def too_much_to_explain(self, document: Document) -> bool:
        """The same for saying where it fails: there the validator remembers nothing, and returns multiply by level."""
        cost = self.without_patterns
        levels = min(document.levels, 64) if cost.again > 1 else 0
        steps: int = cost.units * document.nodes * cost.again**levels
        return steps > _MOST_UNITS_TO_EXPLAIN


@lru_cache(maxsize=256)
def _compiled(text: bytes, draft: Draft) -> _Compiled:
    schema = orjson.loads(text)
    backtracking = frozenset(each for each in _patterns(schema) if not _linear(each))
    cost, without_patterns = cost_of(schema, backtracking), cost_of(schema)  # first: to compile a schema costs as much
    validator = _validator(schema, draft, linear=not backtracking)
    return _Compiled(validator=validator, cost=cost, without_patterns=without_patterns, linear=not backtracking)


def _validator(schema: Any, draft: Draft, *, linear: bool) -> jsonschema_rs.Validator:
    named = isinstance(schema, dict) and "$schema" in schema
    make = jsonschema_rs.validator_for if named else _DRAFTS[draft]
    options = jsonschema_rs.RegexOptions() if linear else jsonschema_rs.FancyRegexOptions(backtrack_limit=_BACKTRACKS)
    # Offline: a $ref to another host or file must never be fetched on a data set's word.
    return make(schema, offline=True, mask="the value", pattern_options=options)


def _linear(pattern: str) -> bool:
    """Whether a pattern needs no backtracking, so that its time is linear in the text."""
    try:
        _validator({"pattern": pattern}, "2020-12", linear=True)
    except jsonschema_rs.ValidationError:
        return False
    return True


def _patterns(schema: Any) -> Iterator[str]:
    """Whatever may be used as a pattern somewhere in a schema."""
    todo = [schema]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            if isinstance(node.get("pattern"), str):
                yield node["pattern"]
            if isinstance(node.get("patternProperties"), dict):
                yield from node["patternProperties"]
            todo.extend(node.values())
        elif isinstance(node, list):
            todo.extend(node)


def _compile(schema: object, draft: Draft) -> _Compiled:
    """The validator of a schema, and what it costs. Raises ValueError that says what is wrong with it."""
    try:
        return _compiled(orjson.dumps(schema, option=orjson.OPT_SORT_KEYS), draft)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        raise ValueError(f"is not a usable JSON Schema: {error.message}") from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"is not a usable JSON Schema: {error}") from None


def _usable(schema: dict[str, Any]) -> dict[str, Any]:
    """An option is checked by itself: whether it fits the option `draft` is told with the first case."""
    wrong = None
    for draft in get_args(Draft):
        try:
            _compile(schema, draft)
        except ValueError as error:
            wrong = error
        else:
            return schema
    raise ValueError(str(wrong))


@scorer("json_schema")
@dataclass(frozen=True, slots=True, kw_only=True)
class JsonSchema(JsonScorer):
    """1 if the answer is one JSON value that satisfies the schema, else 0.

    The schema is the case's own, else the option; its draft is its `$schema`, else the option `draft`. A `$ref` to
    elsewhere is never fetched. A schema whose references multiply without end is refused before anything is asked.

    Source: the drafts of JSON Schema (json-schema.org), as the package jsonschema-rs reads them. It misleads as a
    measure of quality: the right form may hold the wrong content; in drafts 2019-09 and later `format` is a remark and
    not a rule; unknown keys are allowed unless the schema forbids them.

    Options:
        schema: the schema of cases that have none.
        draft: of schemas that do not name theirs: "4", "6", "7", "2019-09" or "2020-12".
    """

    needs: ClassVar[str] = "schema"

    schema: Annotated[dict[str, Any], AfterValidator(_usable)] | None = None
    draft: Draft = "2020-12"

    def check(self, case: Case) -> str | None:
        """The case or the scorer needs a valid schema."""
        schema = self._schema(case)
        if schema is None:
            return "missing, and the scorer has no schema either"
        try:
            _compile(schema, self.draft)
        except ValueError as error:
            return str(error)
        return None

    def judge(self, document: Document, case: Case) -> Score:
        """Validates. Raises ScoringError where that could take too long, or a pattern of the schema runs away."""
        schema = _compile(self._schema(case), self.draft)
        if schema.too_much(document):
            raise ScoringError(f"{document.nodes} values are too many for so large a schema")
        if schema.validator.is_valid(document.value):
            return Score(value=1.0, explanation="satisfies the schema")
        if schema.too_much_to_explain(document):
            if not schema.linear:
                raise ScoringError("does not satisfy the schema, or a pattern takes too long: which cannot be told")
            return Score(value=0.0, explanation="does not satisfy the schema; saying where would take too long")
        return Score(value=0.0, explanation=f"does not satisfy the schema{_failure(schema.validator, document)}")

    def _schema(self, case: Case) -> object:
        return self.schema if case.schema is None else case.schema


def _failure(validator: jsonschema_rs.Validator, document: Document) -> str:
    """Where a document fails, and why."""
    try:
        validator.validate(document.value)
    except jsonschema_rs.ValidationError as error:
        if isinstance(error.kind, _RUNAWAY):
            raise ScoringError("a pattern of the schema takes too long on this answer") from None
        place = "/".join(str(step) for step in error.instance_path)
        where = f" at {quote(place)[1:-1]}" if place else ""
        return f"{where}: {quote(error.message)[1:-1]}"
    except ValueError:  # raised beyond 255 levels, where a failed value would have to be copied into the error
        return "; nested too deep to say where"
    return ""
