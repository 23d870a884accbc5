"""The shipped suite of tool calls: its cases can be scored, and what they want is what their own tools allow."""

import json
from collections import Counter
from pathlib import Path

import pytest

import evalsvc.scoring  # noqa: F401 - importing the package registers its scorers
from evalsvc import jobfile
from evalsvc.core.records import Case, Completion
from evalsvc.scoring.base import Scorer, build
from evalsvc.simulator.tool_calls import KnownCalls
from evalsvc.suites import read_suite

ROOT = Path(__file__).resolve().parents[4]
SUITE = ROOT / "evalsvc/suites/shipped/tool_calling/cases.jsonl"


@pytest.fixture(scope="module")
def job() -> jobfile.JobFile:
    return jobfile.read(ROOT / "examples/tool_calling/job.toml")


@pytest.fixture(scope="module")
def cases(job: jobfile.JobFile) -> list[Case]:
    (spec,) = job.job.suites
    assert job.files[spec.dataset].resolve() == SUITE
    return list(read_suite(SUITE, spec, name_for_errors="cases.jsonl"))


@pytest.fixture(scope="module")
def scorers(job: jobfile.JobFile) -> list[Scorer]:
    built = [build(spec) for spec in job.job.suites[0].scorers]
    assert len(built) == 2
    return built


def answer(case: Case) -> Completion:
    known = KnownCalls.of(case)
    assert known is not None
    objects = [{"function": {"name": call["name"], "arguments": json.dumps(call["arguments"])}} for call in known.right]
    return Completion(text="" if objects else "No tool fits.", tool_calls=objects or None)


def test_ten_cases_of_each_category_that_ask_different_things(cases: list[Case]) -> None:
    assert Counter(case.category for case in cases) == {"simple": 10, "edge": 10, "adversarial": 10}
    assert len({str(case.input) for case in cases}) == 30
    assert Counter(bool(case.expected) for case in cases) == {True: 25, False: 5}


def test_every_case_can_be_scored_and_its_own_calls_satisfy_it(cases: list[Case], scorers: list[Scorer]) -> None:
    for case in cases:
        for scorer in scorers:
            assert scorer.check(case) is None
            assert scorer.score(case, answer(case)).value == 1, case.id


def test_no_answer_passes_every_case(cases: list[Case], scorers: list[Scorer]) -> None:
    silent = Completion(text="I cannot do that.")
    assert sum(scorers[0].score(case, silent).value or 0 for case in cases) == 5
    for other in cases:
        passed = [case.id for case in cases if scorers[0].score(case, answer(other)).value == 1]
        assert passed == [other.id] if other.expected else len(passed) == 5
