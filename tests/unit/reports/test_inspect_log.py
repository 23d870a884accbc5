"""An eval log of Inspect: what its reader asks for, whatever a data set or a model wrote."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.core.records import Arm, ArmSpec, Job, Role, ScorerSpec, SuiteSpec
from evalsvc.core.rows import OutcomeRow
from evalsvc.reports import inspect_log

SUITE = SuiteSpec(
    name="tools",
    role=Role.TARGET,
    dataset="tools.jsonl",
    format="native",
    scorers=(ScorerSpec(name="tool_call", label="calls", options={"compat": "bfcl"}),),
)
JOB = Job(
    name="a job",
    seed=1,
    trials=2,
    arms={
        Arm.CANDIDATE: ArmSpec(endpoint="vllm", model="new", params={"temperature": 0}),
        Arm.BASELINE: ArmSpec(endpoint="openai", model="old"),
    },
    suites=(SUITE,),
    gates=(),
)
SUITE_ROW = {
    "name": "tools",
    "cases": 3,
    "scores": {"calls": {"candidate": 0.75, "baseline": None}},
    "pass_rates": {"calls": {"candidate": {"rate": 0.5, "n": 2}, "baseline": {"rate": None, "n": 0}}},
    "corpus": {"calls": {"candidate": 0.6, "baseline": None}},
}
ARM = {"requests": 6, "infra_error": 1, "tokens": {"input": 30, "output": 12}}
RECORD = {
    "job": {
        "id": "j1",
        "spec_sha256": "ab",
        "started_at": "2026-01-01T00:00:00Z",
        "finished_at": "2026-01-01T00:01:00Z",
    },
    "arms": {"candidate": ARM, "baseline": {**ARM, "tokens": {"input": None, "output": None}}},
    "suites": [SUITE_ROW],
    "environment": {"evalsvc": "1"},
}
STOPS = {"stop", "max_tokens", "model_length", "tool_calls", "content_filter", "unknown"}
CALL = {"id": "c9", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}


def row(**other: Any) -> OutcomeRow:
    values: dict[str, Any] = dict.fromkeys(OutcomeRow.__slots__)
    values |= {"suite": "tools", "case_id": "c1", "category": "edge", "position": 0, "arm": "candidate", "trial": 0}
    values |= {"step": "answer", "status": "ok", "score": 1.0, "scores": {"calls": {"value": 1.0, "explanation": "+"}}}
    values |= {"input": "q", "expected": "x", "text": "an answer", "latency_s": 0.5, "since_scheduled_s": 0.6}
    values |= {"finished_at": 1.0, "finish_reason": "stop", "input_tokens": 5, "output_tokens": 2, "model": "new-1"}
    return OutcomeRow(**(values | other))


def log(*chunks: list[OutcomeRow], arm: Arm = Arm.CANDIDATE) -> dict[str, Any]:
    written = inspect_log.opening(JOB, RECORD, arm)
    first = True
    for chunk in chunks:
        piece = inspect_log.samples(chunk, JOB, arm, first=first)
        written += piece
        first = first and not piece
    found: dict[str, Any] = json.loads(written + inspect_log.closing())
    return found


def sample(**other: Any) -> dict[str, Any]:
    (found,) = log([row(**other)])["samples"]
    return dict(found)


def test_the_head_says_what_was_asked_and_found() -> None:
    found = log()
    assert (found["version"], found["status"], found["samples"]) == (2, "success", [])
    assert found["eval"]["model"] == "new"
    assert found["eval"]["model_args"] == {"endpoint": "vllm", "api": "chat", "system": None, "temperature": 0}
    assert found["eval"]["config"] == {"epochs": 2, "limit": None}
    assert found["eval"]["dataset"] == {"name": "tools.jsonl", "samples": 3, "shuffled": True}
    assert found["eval"]["metadata"] == {"arm": "candidate", "evalsvc": RECORD}
    assert (found["results"]["total_samples"], found["results"]["completed_samples"]) == (6, 5)
    (score,) = found["results"]["scores"]
    assert (score["name"], score["reducer"]) == ("tools/calls", "mean")
    assert {name: metric["value"] for name, metric in score["metrics"].items()} == {
        "mean": 0.75,
        "pass_rate": 0.5,
        "corpus": 0.6,
    }
    assert found["stats"]["model_usage"] == {"new": {"input_tokens": 30, "output_tokens": 12, "total_tokens": 42}}


def test_what_was_not_measured_is_left_out_and_never_zero() -> None:
    found = log(arm=Arm.BASELINE)
    assert found["results"]["scores"][0]["metrics"] == {}
    assert found["stats"]["model_usage"] == {}


def test_a_sample_is_one_arms_answer_to_one_trial() -> None:
    rows = [row(arm="baseline"), row(trial=1, text="other"), row(step="calls", text="a judge's"), row(arm="baseline")]
    first, second = log([row(arm="baseline")], [row()], rows)["samples"]
    assert [each["id"] for each in (first, second)] == ["tools/c1"] * 2
    assert [each["epoch"] for each in (first, second)] == [1, 2]
    assert second["output"]["completion"] == "other"
    assert first["scores"] == {"tools/calls": {"value": 1.0, "explanation": "+"}}
    assert first["messages"][0] == {"role": "user", "content": "q", "source": "input"}
    assert first["metadata"]["category"] == "edge"
    assert first["output"]["usage"] == {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}


def test_an_answer_that_never_came_has_an_error_and_no_score() -> None:
    lost = {"status": "infra_error", "kind": "timeout", "detail": "120 s", "text": None, "finish_reason": None}
    found = sample(**lost, scores={"calls": {"value": None, "explanation": "-"}}, input_tokens=None)
    assert found["scores"] == {}
    assert found["error"]["message"] == "timeout: 120 s"
    assert found["output"]["error"] == "120 s"
    assert found["output"]["usage"] is None
    assert "error" not in sample(status="model_error", kind="refused", text=None, refusal="No.")


@pytest.mark.parametrize(
    ("arguments", "parsed", "fault"),
    [
        ('{"x": 1}', {"x": 1}, False),
        ({"x": 1}, {"x": 1}, False),
        ("{", {}, True),
        ("[1]", {}, True),
        (None, {}, True),
        ("[" * 100_000, {}, True),
        ('{"x": NaN, "y": 1e999, "z": 0.5}', {"x": None, "y": None, "z": 0.5}, False),
    ],
)
def test_calls_are_inspects(arguments: Any, parsed: Any, fault: bool) -> None:
    call = {"id": "c9", "function": {"name": "f", "arguments": arguments}}
    (found,) = sample(tool_calls=[call], text=None)["messages"][-1]["tool_calls"]
    assert (found["id"], found["function"], found["arguments"]) == ("c9", "f", parsed)
    assert (found["parse_error"] is not None) == fault


def test_a_conversation_with_pictures_and_tools() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    asked = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "See"}, picture, {"type": "odd"}]},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": "7", "tool_call_id": "c9"},
    ]
    found = sample(input=asked, reasoning="hm", expected=[{"name": "f", "arguments": {}}], finish_reason="length")
    assert [message["role"] for message in found["messages"]] == ["system", "user", "assistant", "tool", "assistant"]
    assert found["messages"][1]["content"] == [
        {"type": "text", "text": "See"},
        {"type": "image", "image": "data:image/png;base64,AA"},
        {"type": "text", "text": '{"type": "odd"}'},
    ]
    assert found["messages"][3]["tool_call_id"] == "c9"
    assert found["messages"][4]["content"][0] == {"type": "reasoning", "reasoning": "hm"}
    assert found["target"] == '[{"name": "f", "arguments": {}}]'
    assert found["output"]["choices"][0]["stop_reason"] == "max_tokens"
    assert sample(expected=["a", "b"])["target"] == ["a", "b"]
    assert sample(expected=None)["target"] == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
MESSAGES = st.lists(st.fixed_dictionaries({"role": st.text()}, optional={"content": st.text()}), min_size=1)


@given(calls=st.none() | st.lists(st.dictionaries(st.just("function"), JSON) | JSON), text=st.text(), asked=MESSAGES)
def test_whatever_a_model_wrote_is_json_that_inspect_reads(calls: Any, text: str, asked: Any) -> None:
    found = sample(tool_calls=calls, text=text, finish_reason=text, input=asked)
    assert found["output"]["completion"] == text
    assert found["output"]["choices"][0]["stop_reason"] in STOPS
    for call in found["messages"][-1]["tool_calls"] or ():
        assert isinstance(call["function"], str)
        assert isinstance(call["arguments"], dict)
    assert {message["role"] for message in found["messages"]} <= {"system", "user", "assistant", "tool"}
