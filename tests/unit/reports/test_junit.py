"""JUnit XML, read back by an XML parser."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.core.records import Role, ScorerSpec, SuiteSpec
from evalsvc.core.rows import OutcomeRow
from evalsvc.reports import junit
from evalsvc.reports.junit import CaseResult, Tally, case_result, gate_results

SUITE = SuiteSpec(
    name="s",
    role=Role.TARGET,
    dataset="d",
    format="auto",
    scorers=(ScorerSpec(name="exact", label="exact", pass_at=0.5),),
)


def row(arm: str = "candidate", score: float | None = 1.0, **other: Any) -> OutcomeRow:
    values: dict[str, Any] = dict.fromkeys(OutcomeRow.__slots__)
    values |= {"suite": "s", "case_id": "c1", "category": "edge", "position": 0, "arm": arm, "trial": 0}
    values |= {"step": "answer", "status": "ok", "score": score, "scores": {}, "input": "q", "expected": "x"}
    values |= {"text": "an answer", "latency_s": 0.5, "since_scheduled_s": 0.5, "attempts": 1, "finished_at": 1.0}
    return OutcomeRow(**(values | other))


def document(record: dict[str, Any], results: list[CaseResult]) -> str:
    tally = Tally()
    for result in results:
        tally.add(result)
    text = junit.opening(record, [tally]) + junit.suite_opening("s", tally, properties={"role": "target"})
    return text + "".join(map(junit.test_case, results)) + junit.suite_closing() + junit.closing()


def test_right_wrong_and_missing_are_told_apart() -> None:
    wrong = row(
        score=0.0, scores={"exact": {"value": 0.0, "explanation": "not x"}}, tool_calls=[{"name": "f"}], text=""
    )
    results = [
        case_result(SUITE, [row(), row("baseline", 0.0)]),
        case_result(SUITE, [wrong, row("baseline", 0.75)]),
        case_result(SUITE, [row(score=0.0, status="model_error", kind="truncated"), row("baseline", None)]),
        case_result(SUITE, [row(score=None, status="infra_error", kind="timeout", detail="120 s", text=None)]),
        case_result(SUITE, [row(score=None)]),
        case_result(SUITE, [row("baseline")]),
    ]
    root = ET.fromstring(document({"job": {"name": "a job"}, "decision": "HOLD"}, results))
    assert root.attrib == {
        "name": "a job: HOLD", "tests": "6", "failures": "2", "errors": "3", "skipped": "0", "time": "2.500",
    }  # fmt: skip
    (suite,) = root
    assert {**root.attrib, "name": "s"} == suite.attrib
    cases = suite.findall("testcase")
    assert {(case.get("classname"), case.get("name")) for case in cases} == {("s.edge", "c1")}
    faults = [next(iter(case), None) for case in cases]
    assert [None if fault is None else (fault.tag, fault.get("type")) for fault in faults] == [
        None,
        ("failure", "wrong"),
        ("failure", "truncated"),
        ("error", "timeout"),
        ("error", "scoring_error"),
        ("error", "not_asked"),
    ]
    assert faults[1] is not None
    assert faults[1].get("message") == "score 0, passes at 0.5 (baseline 0.75)"
    assert "expected: x" in (faults[1].text or "")
    assert '"name": "f"' in (faults[1].text or "")
    assert "why: not x" in (faults[1].text or "")
    assert faults[3] is not None
    assert "120 s" in (faults[3].text or "")


@pytest.mark.parametrize(
    ("scores", "tag"),
    [
        ([1.0, 0.0], ""),
        ([0.4, 0.5], "failure"),
        ([1.0, None], "error"),
        ([0.1] * 3 + [0.2] * 7, "failure"),
        ([0.5] * 3, ""),
    ],
)
def test_a_case_passes_on_the_mean_of_its_trials(scores: list[float | None], tag: str) -> None:
    assert case_result(SUITE, [row(score=score, trial=k) for k, score in enumerate(scores)]).tag == tag


def test_the_worst_trial_is_shown() -> None:
    result = case_result(SUITE, [row(score=0.4, text="so so"), row(score=0.0, text="bad", trial=1)])
    assert result.texts["answer"] == "bad"
    assert result.message.startswith("score 0.2 over 2 trials")


def test_a_gate_is_red_unless_it_passed_or_does_not_count(record: dict[str, Any]) -> None:
    gates = {result.name: result for result in gate_results(record)}
    assert {name: result.tag for name, result in gates.items()} == {
        "target_improvement": "",
        "general_regression": "failure",
        "exact_match": "",
        "latency_p99": "",
        "human_preference": "skipped",
        "adversarial_robustness": "error",
        "schema_compliance": "",
    }
    assert "does not count" in gates["human_preference"].message
    root = ET.fromstring(document(record, list(gates.values())))
    assert (root.get("failures"), root.get("errors"), root.get("skipped")) == ("1", "1", "1")
    assert [case.find("skipped") is not None for case in root.iter("testcase")].count(True) == 1


def test_a_gate_nobody_knows_never_passes() -> None:
    assert gate_results({"gates": [{"name": "x", "required": True, "waived": None}]})[0].tag == "error"
    assert gate_results({"gates": [{"verdict": "pass", "required": True, "waived": None}]})[0].tag == "error"


@given(st.text(), st.text())
def test_any_text_is_text(one: str, other: str) -> None:
    wrong = row(score=0.0, text=one, case_id=other, category=one, input=other, expected=one)
    result = case_result(replace(SUITE, name=other), [wrong])
    root = ET.fromstring(document({"job": {"name": one}, "decision": other}, [result, result]).encode())
    assert [element.tag for element in root.iter()] == [
        "testsuites", "testsuite", "properties", "property", "testcase", "failure", "testcase", "failure",
    ]  # fmt: skip


def test_what_xml_cannot_hold_is_shown_in_words() -> None:
    hostile = "]]></failure><x/>&\x00\x1b[2J\ufffe\uffff\ud800\u202e"
    case = junit.test_case(case_result(SUITE, [row(score=0.0, text=hostile)]))
    (fault,) = ET.fromstring(case)
    said = fault.text or ""
    assert "]]></failure><x/>&␀␛[2J⟨U+FFFE⟩⟨U+FFFF⟩⟨U+D800⟩⟨U+202E⟩" in said


def test_a_long_text_is_cut_and_says_so() -> None:
    case = junit.test_case(case_result(SUITE, [row(score=0.0, text="y" * 1_000_000)]))
    assert len(case) < 3_000
    assert "998,000 characters more" in case


def test_a_record_with_anything_missing_or_wrong_still_prints(mutants: list[dict[str, Any]]) -> None:
    for mutant in mutants:
        ET.fromstring(document(mutant, gate_results(mutant)).encode())


@pytest.mark.parametrize(
    ("judge", "said"),
    [
        ({"trusted": True}, {"judge": "j is trusted"}),
        (
            {"trusted": False, "distrust": "it fell for 9 of 40 canaries"},
            {"judge": "j is not trusted, its scores gate nothing: it fell for 9 of 40 canaries"},
        ),
        ({"trusted": False, "scorers": [{"suite": "s", "label": "beside"}]}, {}),
        (None, {}),
    ],
)
def test_a_suite_says_whether_its_judge_is_trusted(judge: Any, said: dict[str, str]) -> None:
    scorers = [{"suite": "s", "label": "exact"}]
    record = {"judge": None if judge is None else {"model": "j", "scorers": scorers, **judge}}
    assert junit.judge_property(record, SUITE) == said
