"""What must be alike where two jobs are compared."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from evalsvc.core.pairing import Coverage
from evalsvc.core.records import Arm, ArmSpec, Job, Role, ScorerSpec, SuiteSpec
from evalsvc.decide import alike
from evalsvc.decide.alike import differences, same_asked, uncovered

SCORER = ScorerSpec(name="regex", label="regex", options={"pattern": "a"})
SUITE = SuiteSpec(name="s", role=Role.TARGET, dataset="d.jsonl", format="auto", scorers=(SCORER,))
ARM = ArmSpec(endpoint="e", model="m", system="You are", params={"temperature": 0})
JOB = Job(name="j", seed=1, trials=1, arms=dict.fromkeys(Arm, ARM), suites=(SUITE,), gates=(), spec_sha256="a")


def found(
    second: Job, arm: Arm = Arm.CANDIDATE, simulated: tuple[bool, bool] = (False, False)
) -> list[tuple[str, str, str]]:
    return [(each.what, each.first, each.second) for each in differences(JOB, second, arm, simulated=simulated)]


def with_arm(**changes: Any) -> Job:
    return replace(JOB, arms={**JOB.arms, Arm.CANDIDATE: replace(ARM, **changes)})


def test_jobs_that_ask_alike_differ_in_nothing() -> None:
    assert found(JOB) == []
    other = replace(
        JOB, name="k", seed=2, trials=3, rate=5.0, stop="hybrid", gates=(), evidence="point", limit=7, spec_sha256="b"
    )
    assert found(other) == []
    assert found(with_arm(endpoint="f", model="n", stream=True, outputs="a.jsonl")) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"system": None}, ("candidate.system", '"You are"', "none")),
        ({"params": {"temperature": 1}}, ("candidate.params", '{"temperature": 0}', '{"temperature": 1}')),
        (
            {"params": {"temperature": 0, "top_p": 1}},
            ("candidate.params", '{"temperature": 0}', '{"temperature": 0, "top_p": 1}'),
        ),
        ({"api": "completions"}, ("candidate.api", '"chat"', '"completions"')),
    ],
)
def test_another_prompt_or_parameter_is_named(changes: dict[str, Any], said: tuple[str, str, str]) -> None:
    assert found(with_arm(**changes)) == [said]
    assert found(with_arm(**changes), Arm.BASELINE) == []  # of the arm that is compared


@pytest.mark.parametrize(
    ("change", "what"),
    [({"name": "contains"}, "name"), ({"pass_at": 0.5}, "pass_at"), ({"options": {"pattern": "b"}}, "options")],
)
def test_another_scorer_is_named(change: dict[str, Any], what: str) -> None:
    scorer = replace(SCORER, **change)
    assert [each[0] for each in found(replace(JOB, suites=(replace(SUITE, scorers=(scorer,)),)))] == [
        f"s.scorer.{what}"
    ]


def test_labels_other_scorers_and_files_may_differ() -> None:
    also = ScorerSpec(name="contains", label="also")
    suite = replace(SUITE, scorers=(replace(SCORER, label="l"), also), dataset="e.csv", format="csv", role=Role.GENERAL)
    assert found(replace(JOB, suites=(suite,))) == []
    assert found(replace(JOB, suites=(replace(SUITE, name="t"),))) == []  # its cases say so


def test_simulated_answers_are_not_compared_with_real_ones() -> None:
    assert found(JOB, simulated=(True, True)) == []
    assert found(JOB, simulated=(False, True)) == [("answers", "real", "simulated")]


def test_what_a_job_may_come_to_hold_must_be_alike() -> None:
    """Every field is either known here to be harmless or compared: a new one is compared."""
    assert {field.name for field in fields(Job)} >= alike._JOB
    assert {field.name for field in fields(ArmSpec)} - alike._WHO == {"system", "params", "api"}
    assert {field.name for field in fields(ScorerSpec)} - alike._SCORER == {"name", "pass_at", "options"}


def test_one_model_asked_alike() -> None:
    assert same_asked(ARM, replace(ARM))
    assert not same_asked(ARM, replace(ARM, model="n"))
    assert not same_asked(ARM, replace(ARM, params={}))


def test_what_is_not_shared_in_words() -> None:
    assert uncovered(Coverage(suite="s", shared=3)) == ""
    everything = Coverage(suite="s", only_first=1_000, only_second=2, changed=3, unasked=4)
    assert uncovered(everything) == (
        "1,000 only in the first job, 2 only in the second job, 3 with one id and another content, 4 not asked in both"
    )


def test_a_score_beside_another_baseline_is_another_score() -> None:
    pairs = replace(JOB, suites=(replace(SUITE, scorers=(ScorerSpec(name="judge_pair", label="p"),)),))
    other = replace(pairs, arms={**pairs.arms, Arm.BASELINE: replace(ARM, model="n")})
    assert [each.what for each in differences(pairs, other, Arm.CANDIDATE, simulated=(False, False))] == [
        "baseline.model"
    ]
    assert not list(differences(pairs, pairs, Arm.CANDIDATE, simulated=(False, False)))
