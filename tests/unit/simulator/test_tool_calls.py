"""What the simulator calls: right calls score 1 and wrong ones 0, by the strict comparison and by BFCL's."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import evalsvc.scoring  # noqa: F401 - importing the package registers its scorers
from evalsvc.core.records import Case, Completion, ScorerSpec
from evalsvc.scoring.base import build
from evalsvc.simulator.answers import NO_CALL, AnswerBook, prompt_key
from evalsvc.simulator.brain import Reply, SkilledBrain
from evalsvc.simulator.profile import Errors, ModelProfile, Profile
from evalsvc.simulator.tool_calls import KnownCalls
from evalsvc.simulator.wire import Question, completion, read_question

SCORERS = [build(ScorerSpec(name="tool_call", label="t", options=options)) for options in ({}, {"compat": "bfcl"})]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {
                "type": "object",
                "properties": {"day": {"type": "string"}, "seats": {"type": "integer"}, "far": {"type": "number"}},
                "required": ["day", "seats", "far"],
            },
        },
    }
    for name in ("book", "car_find")
]
VALUES = st.booleans() | st.integers(-(2**62), 2**62) | st.floats(-1e9, 1e9) | st.text(max_size=5)


def case(expected: Any, tools: Any = TOOLS) -> Case:
    return Case(suite="s", id="1", category="c", input="q", expected=expected, tools=tools)


def known(one: Case) -> KnownCalls:
    found = KnownCalls.of(one)
    assert found is not None
    return found


def answered(calls: Any) -> Completion:
    objects = [{"function": {"name": call["name"], "arguments": json.dumps(call["arguments"])}} for call in calls]
    return Completion(text="" if calls else NO_CALL, tool_calls=objects or None)


def all_wrong(found: KnownCalls) -> list[Any]:
    return [found.wrong(place / 50) for place in range(50)]


BOOK = {"name": "book", "arguments": {"day": "Mon", "seats": 2, "far": 0.5}}


@pytest.mark.parametrize(
    "expected",
    [
        BOOK,
        [BOOK, {"name": "book", "arguments": {"day": "Tue", "seats": 2, "far": 0.5}}],
        [BOOK, {"name": "car.find", "arguments": {"day": "", "seats": -1, "far": 3}}],
        {"book": {"day": ["Mon", "Monday"], "seats": [2, 3], "far": ["", 1.5]}},
        {"book 1": {"day": ["Mon"], "seats": [1], "far": [1]}, "book_2": {"day": ["Tue"], "seats": [2, 1], "far": [1]}},
        None,
        [],
    ],
)  # fmt: skip
def test_right_calls_are_right_and_wrong_ones_wrong(expected: Any) -> None:
    one = case(expected)
    for scorer in SCORERS:
        assert scorer.check(one) is None
        assert scorer.score(one, answered(known(one).right)).value == 1
        for calls in all_wrong(known(one)):
            assert scorer.score(one, answered(calls)).value == 0, calls


@given(
    arguments=st.dictionaries(
        st.text(min_size=1, max_size=3),
        VALUES | st.lists(VALUES, max_size=3) | st.dictionaries(st.text(max_size=3), VALUES, max_size=2),
        max_size=3,
    )
)
def test_any_arguments_can_be_missed(arguments: dict[str, Any]) -> None:
    one = case([{"name": "book", "arguments": arguments}])
    for calls in [known(one).right, *all_wrong(known(one))[::5]]:
        assert SCORERS[0].score(one, answered(calls)).value == (calls == known(one).right)


def test_the_recorded_questions_of_bfcl(shared: Path) -> None:
    for line in (shared / "data/04_bfcl/questions.jsonl").read_text().splitlines():
        row = json.loads(line)
        one = case(None if row["expect_no_call"] else [row["possible_answer"]], row["tools"])
        for scorer in SCORERS:
            assert scorer.score(one, answered(known(one).right)).value == 1, row["id"]
            for calls in all_wrong(known(one))[::5]:
                assert scorer.score(one, answered(calls)).value == 0, (row["id"], calls)


def test_a_case_without_tools_or_with_a_text_calls_nothing() -> None:
    assert KnownCalls.of(case(BOOK, None)) is None
    assert KnownCalls.of(case("Monday")) is None
    assert KnownCalls.of(case(["Monday"])) is None


@pytest.mark.parametrize(
    "parameters", [{"required": ["x", 3], "properties": {"x": True}}, {"required": "x"}, [1], None]
)
def test_odd_schemas_are_called_somehow(parameters: Any) -> None:
    for tool in ({"name": "f", "parameters": parameters}, {"function": {"name": "f", "parameters": parameters}}):
        (call,) = known(case(None, [tool])).wrong(0.5)
        assert call["name"] == "f"


def test_where_no_call_is_wanted_the_wrong_one_fills_in_what_is_required() -> None:
    assert known(case(None)).wrong(0.9) == [{"name": "book", "arguments": {"day": "any", "seats": 1, "far": 1.5}}]


def test_one_prompt_with_other_tools_is_another_case() -> None:
    book = AnswerBook.from_cases([case(BOOK), case(None, TOOLS[:1])])
    assert len(book) == 2
    first, second = (book.find(prompt_key("q", tools)) for tools in (TOOLS, TOOLS[:1]))
    assert first
    assert second
    assert first.calls
    assert second.calls
    assert (first.calls.right, second.calls.right) == ([BOOK], [])
    assert book.find(prompt_key("q")) is None


def brain(**profile: Any) -> SkilledBrain:
    return SkilledBrain(Profile(models={"m": ModelProfile(**profile)}), AnswerBook.from_cases([case(BOOK)]))


def body_of(reply: Reply) -> Any:
    return completion(Question(model="m", prompt="q", characters=1), reply, created=1, fingerprint="f")["choices"][0]


def test_tools_are_read_and_calls_written_as_openai_does() -> None:
    request = {"model": "m", "messages": [{"role": "user", "content": "q"}], "tools": TOOLS}
    question = read_question(json.dumps(request).encode())
    assert question.tools == TOOLS
    choice = body_of(brain(accuracy=1).reply("m", question.prompt, question.tools))
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    (call,) = choice["message"]["tool_calls"]
    assert call["type"] == "function"
    assert call["id"].startswith("call_chatcmpl-sim-")
    assert call["function"]["name"] == "book"
    assert json.loads(call["function"]["arguments"]) == BOOK["arguments"]


def test_a_wrong_answer_is_another_call_or_none() -> None:
    wrong = brain(accuracy=0, flaky=1)
    replies = [wrong.reply("m", "q", TOOLS) for _ in range(200)]
    assert {bool(reply.calls) for reply in replies} == {True, False}
    assert all(reply.text == ("" if reply.calls else NO_CALL) for reply in replies)
    assert all(list(reply.calls) != [BOOK] for reply in replies)


def test_calls_that_are_cut_off_are_no_json() -> None:
    choice = body_of(brain(accuracy=1, errors=Errors(rate_truncated=1)).reply("m", "q", TOOLS))
    assert choice["finish_reason"] == "length"
    with pytest.raises(json.JSONDecodeError):
        json.loads(choice["message"]["tool_calls"][-1]["function"]["arguments"])


@pytest.mark.parametrize("fault", ["rate_refused", "rate_empty"])
def test_a_model_that_refuses_or_says_nothing_calls_nothing(fault: str) -> None:
    reply = brain(accuracy=1, errors=Errors(**{fault: 1})).reply("m", "q", TOOLS)
    assert (reply.calls, reply.text) == ((), "")
