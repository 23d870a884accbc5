"""The scorer `tool_schema`: the arguments of calls against the tools' own schemas."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from evalsvc.core.records import Case, Completion
from evalsvc.scoring.base import Scorer

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "book",
            "parameters": {
                "type": "object",
                "properties": {"day": {"enum": ["Mon", "Tue"]}, "seats": {"type": "integer", "minimum": 1}},
                "required": ["day"],
                "additionalProperties": False,
            },
        },
    },
    {"type": "function", "function": {"name": "ping"}},
    {"type": "function", "function": {"name": "free", "parameters": {"type": "object"}}},
]


def a_case(tools: Any = TOOLS) -> Case:
    return Case(suite="s", id="1", category="c", input="?", tools=tools)


def calls(*made: tuple[str, Any]) -> Completion:
    objects = [
        {"function": {"name": name, "arguments": given if isinstance(given, str) else json.dumps(given)}}
        for name, given in made
    ]
    return Completion(text="", tool_calls=objects)


@pytest.mark.parametrize(
    ("answer", "value", "why"),
    [
        (calls(("book", {"day": "Mon"})), 1, "the arguments satisfy their schema"),
        (calls(("book", {"day": "Mon"}), ("ping", {})), 1, "all arguments satisfy their schemas"),
        (calls(("book", {"day": "Mon", "seats": 2.0})), 1, "the arguments satisfy"),  # JSON Schema: 2.0 is an integer
        (calls(("book", {"day": "Wed"})), 0, "`book` does not satisfy the schema at day"),
        (calls(("book", {"day": "Mon", "seats": 0})), 0, "`book` does not satisfy the schema at seats"),
        (calls(("book", {"day": "Mon", "seats": "2"})), 0, "`book` does not satisfy the schema at seats"),
        (calls(("book", {})), 0, "`book` does not satisfy the schema"),
        (calls(("book", {"day": "Mon", "x": 1})), 0, "`book` does not satisfy the schema"),
        (calls(("book", {"day": "Mon"}), ("book", {"day": "Wed"})), 0, "`book` does not satisfy the schema"),
        (calls(("buy", {"day": "Mon"})), 0, "`buy` is none of the tools"),
        (calls(("ping", {"x": 1})), 0, "`ping` does not satisfy the schema"),
        (calls(("ping", "")), 1, "the arguments satisfy"),
        (calls(("free", {"x": 1})), 1, "the arguments satisfy"),
        (calls(("book", '{"day": "Mon", "day": "Tue"}')), 0, "an object names a key twice"),
        (calls(("book", '{"day": NaN}')), 0, "the arguments of `book` are not JSON"),
        (calls(("free", '{"a":' + "[" * 400 + "]" * 400 + "}")), 0, "`free`: its arguments cannot be written"),
        (Completion(text="book(day='Mon')"), 1, "the arguments satisfy"),
        (Completion(text="book(day=Mon)"), 0, "`book`: its arguments cannot be written"),
        (Completion(text="free('Mon')"), 0, "`free`: an argument stands there without its name"),
        (Completion(text=r"free(x='\ud800')"), 0, "`free`: its arguments"),
        (Completion(text="I cannot do that."), 0, "no call"),
    ],
)
def test_every_call_is_held_against_its_tool(
    make: Callable[..., Scorer], answer: Completion, value: float, why: str
) -> None:
    scorer = make("tool_schema")
    assert scorer.check(a_case()) is None
    found = scorer.score(a_case(), answer)
    assert found.value == value
    assert found.explanation.startswith(why)
    assert len(found.explanation) < 200


def test_an_answer_without_a_call_may_be_let_pass(make: Callable[..., Scorer]) -> None:
    scorer = make("tool_schema", need_call=False)
    assert scorer.score(a_case(), Completion(text="I cannot do that.")).value == 1
    assert scorer.score(a_case(), calls(("book", {}))).value == 0


@pytest.mark.parametrize(
    ("tools", "lack"),
    [
        (None, "has no tools"),
        ([{"function": {"name": "f", "parameters": {"type": "dict"}}}], "the parameters of `f`: is not a usable JSON"),
        ([{"function": {"name": "f", "parameters": [1]}}], "the parameters of `f`: is not a usable JSON Schema"),
        (TOOLS, None),
    ],
)
def test_tools_that_cannot_be_used_are_said_before_anything_is_asked(
    make: Callable[..., Scorer], tools: Any, lack: str | None
) -> None:
    said = make("tool_schema").check(a_case(tools))
    assert said is None if lack is None else said is not None and lack in said
