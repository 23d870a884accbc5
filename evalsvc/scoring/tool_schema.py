"""The scorer `tool_schema`: do the arguments of calls satisfy the tools' own schemas?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import orjson

from evalsvc.core.records import Case, Score
from evalsvc.scoring.base import scorer
from evalsvc.scoring.calls import Call
from evalsvc.scoring.calls.scorer import CallScorer
from evalsvc.scoring.calls.shown import name
from evalsvc.scoring.calls.wanted import tools_of
from evalsvc.scoring.structured import JsonSchema

_SCHEMA = JsonSchema()


@scorer("tool_schema")
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSchema(CallScorer):
    """1 if every call is one of the case's tools, with arguments that satisfy the schema of that tool, else 0.

    It looks at the form alone: a call of the wrong tool with the wrong values satisfies its schema all the same. A
    schema that does not say `additionalProperties: false` allows any further argument.

    Options:
        need_call: an answer without a call scores 0; if false it scores 1, as nothing in it breaks a schema.
    """

    needs: ClassVar[str] = "tools"

    need_call: bool = True

    def check(self, case: Case) -> str | None:
        """The case needs tools with names and valid schemas."""
        if not case.tools:
            return "has no tools"
        for tool, parameters in tools_of(case).items():
            if wrong := _SCHEMA.check(replace(case, schema=parameters)):
                return f"the parameters of {name(tool)}: {wrong}"
        return None

    def judge(self, calls: list[Call], case: Case) -> Score:
        """Validates call by call; the first that fails says why. Raises ScoringError as `json_schema` does."""
        if not calls:
            return Score(value=float(not self.need_call), explanation="no call")
        tools = tools_of(case)
        for call in calls:
            if call.name not in tools:
                return Score(value=0.0, explanation=f"{name(call.name)} is none of the tools")
            if call.nameless:
                return Score(value=0.0, explanation=f"{name(call.name)}: an argument stands there without its name")
            written = _written(call)
            if written is None:
                return Score(value=0.0, explanation=f"{name(call.name)}: its arguments cannot be written as JSON")
            found = _SCHEMA.compare(written, replace(case, schema=tools[call.name]))
            if found.value != 1:
                return Score(value=0.0, explanation=f"{name(call.name)} {found.explanation}")
        return Score(value=1.0, explanation="all arguments satisfy their schemas" if calls[1:] else _SATISFIED)


_SATISFIED = "the arguments satisfy their schema"


def _written(call: Call) -> str | None:
    try:
        return orjson.dumps(call.arguments, option=orjson.OPT_PASSTHROUGH_SUBCLASS).decode()
    except TypeError:  # a bare name, no Unicode, nested too deep
        return None
