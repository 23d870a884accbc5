from __future__ import annotations

from typing import Any

import pytest

from evalsvc.core.records import Arm, Role, Verdict
from evalsvc.stats.rates import cases_to_prove_rate, clopper_pearson, rate_p_values, wilson


@pytest.mark.parametrize(
    ("passes", "n", "verdict"),
    [
        (451, 498, Verdict.PASS),
        (182, 200, Verdict.PASS),
        (170, 200, Verdict.INCONCLUSIVE),
        (300, 500, Verdict.FAIL),
    ],
)
def test_exact_match_is_the_candidates_rate(make: Any, passes: int, n: int, verdict: Verdict) -> None:
    table = make.table([1.0] * passes + [0.0] * (n - passes), [0.0] * n)
    result = make.judge("exact_match", make.evidence(table))
    assert (result.verdict, result.n, result.method) == (verdict, n, "clopper-pearson")
    assert result.estimate == passes / n
    assert result.interval == clopper_pearson(passes, n, level=0.95)
    assert (result.p_pass, result.p_fail) == rate_p_values(passes, n, 0.85)
    shown = wilson(passes, n, level=0.95)
    assert result.extra["wilson"] == [shown.low, shown.high]
    assert result.reason.startswith(f"{passes} of {n} target cases pass")


def test_the_open_gate_of_the_design_says_how_many_cases_it_needs(make: Any) -> None:
    table = make.table([1.0] * 186 + [0.0] * 14, [1.0] * 200, role=Role.ADVERSARIAL)
    result = make.judge("adversarial_robustness", make.evidence(table))
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.claim == "candidate > 0.90"
    assert 600 < result.n_needed < 760
    assert result.needs == f"about {result.n_needed - 200} more cases would settle it if the rate stays"
    assert "pass, 93.0% (88.5% to 96.1%): more than 90% is neither proven nor ruled out" in result.reason


def test_a_perfect_but_small_suite_needs_what_a_proof_needs(make: Any) -> None:
    table = make.table([1.0] * 20, [1.0] * 20, role=Role.ADVERSARIAL)
    result = make.judge("adversarial_robustness", make.evidence(table))
    assert (result.verdict, result.n_needed) == (Verdict.INCONCLUSIVE, cases_to_prove_rate(0.90))


def test_each_table_has_its_own_pass_mark(make: Any) -> None:
    graded = make.table([0.1 + 0.2] * 30 + [0.2] * 10, [0.0] * 40, suite="a", pass_at=0.3)
    strict = make.table([0.9] * 10, [0.0] * 10, suite="b", pass_at=1.0)
    assert make.judge("exact_match", make.evidence(graded, strict)).estimate == 30 / 50


def test_missing_answers_are_neither_dropped_nor_failures(make: Any) -> None:
    table = make.table([1.0] * 451 + [0.0] * 47 + [make.nan] * 2, [0.0] * 500)
    result = make.judge("exact_match", make.evidence(table))
    assert (result.n, result.missing) == (498, {Arm.CANDIDATE: 2, Arm.BASELINE: 0})
    assert result.interval == clopper_pearson(451, 498, level=0.95)
    assert result.interval_missing.low == clopper_pearson(451, 500, level=0.95).low
    assert result.interval_missing.high == clopper_pearson(453, 500, level=0.95).high


def test_a_verdict_the_missing_answers_could_turn_stays_open(make: Any) -> None:
    """181 of 200 is the least that proves 85%; two answers of 202 are missing."""
    table = make.table([1.0] * 181 + [0.0] * 19 + [make.nan] * 2, [0.0] * 202)
    result = make.judge("exact_match", make.evidence(table))
    assert (result.verdict, result.n_needed) == (Verdict.INCONCLUSIVE, 200)
    assert result.needs == "the 2 missing answers would settle it"


def test_a_rate_of_one_can_never_be_proven(make: Any) -> None:
    result = make.judge("exact_match", make.evidence(make.table([1.0] * 50, [1.0] * 50)), threshold=1.0)
    assert (result.verdict, result.n_needed) == (Verdict.INCONCLUSIVE, None)
    assert result.needs.startswith("no number of cases settles what lies on the threshold")


def schema(make: Any, candidate: list[float], mode: str = "interval", **other: Any) -> Any:
    table = make.schema_table(candidate, [1.0] * len(candidate), **other)
    return make.judge("schema_compliance", make.evidence(table), mode)


@pytest.mark.parametrize("mode", ["interval", "point"])
def test_one_answer_outside_its_schema_fails(make: Any, mode: str) -> None:
    result = schema(make, [1.0] * 999 + [0.0], mode)
    assert (result.verdict, result.estimate) == (Verdict.FAIL, 0.999)
    assert result.reason == "1 of 1000 cases have an answer outside its schema."
    assert result.claim == "no failure, candidate > 0.99"


@pytest.mark.parametrize("mode", ["interval", "point"])
def test_a_schema_needs_a_proven_floor(make: Any, mode: str) -> None:
    few, enough = schema(make, [1.0] * 367, mode), schema(make, [1.0] * 368, mode)
    assert (few.verdict, few.n_needed) == (Verdict.INCONCLUSIVE, 368)
    assert few.needs == "about 1 more case without a failure would settle it"
    assert (enough.verdict, enough.method) == (Verdict.PASS, "clopper-pearson")


def test_a_missing_answer_is_not_compliant(make: Any) -> None:
    result = schema(make, [1.0] * 499 + [make.nan])
    assert (result.verdict, result.needs) == (Verdict.INCONCLUSIVE, "the 1 missing answer would settle it")


def test_a_failure_counts_though_another_trial_of_its_case_is_missing(make: Any) -> None:
    scores = make.scores([1.0] * 499 + [make.nan])
    scores.high[499] = 0.5
    table = make.schema_table([1.0] * 500, [1.0] * 500)
    arms = {Arm.CANDIDATE: scores, Arm.BASELINE: table.arms[Arm.BASELINE]}
    table = make.schema_table([1.0] * 500, [1.0] * 500, arms=arms)
    assert make.judge("schema_compliance", make.evidence(table)).verdict is Verdict.FAIL


def test_two_schemas_on_one_suite_do_not_double_its_cases(make: Any) -> None:
    tables = [make.schema_table([1.0] * 200, [1.0] * 200, label=label) for label in ("one", "two")]
    result = make.judge("schema_compliance", make.evidence(*tables))
    assert (result.n, result.verdict) == (200, Verdict.INCONCLUSIVE)


@pytest.mark.parametrize("name", ["exact_match", "adversarial_robustness", "schema_compliance"])
def test_without_evidence_nothing_is_measured(make: Any, name: str) -> None:
    table = make.table([1.0] * 50, [1.0] * 50, role=Role.GENERAL)
    result = make.judge(name, make.evidence(table))
    assert (result.verdict, result.estimate, result.n) == (Verdict.NOT_MEASURED, None, 0)
    assert "would measure it" in result.needs


def test_the_point_rule_on_a_rate(make: Any) -> None:
    at, below = (make.table([1.0] * k + [0.0] * (100 - k), [0.0] * 100) for k in (85, 84))
    assert make.judge("exact_match", make.evidence(at), "point").verdict is Verdict.PASS
    assert make.judge("exact_match", make.evidence(below), "point").verdict is Verdict.FAIL


def test_what_compares_the_arms_says_of_no_answer_whether_it_is_right(make: Any) -> None:
    won = make.table([1.0] * 31 + [0.5] * 89, [0.0] * 31 + [0.5] * 89, suite="pairs", scorer="judge_pair")
    alone = make.judge("exact_match", make.evidence(won))
    assert (alone.verdict, alone.n) == (Verdict.NOT_MEASURED, 0)
    assert "compares the arms" in alone.reason
    right = make.table([1.0] * 100, [0.0] * 100, suite="answers")
    assert make.judge("exact_match", make.evidence(won, right)).n == 100
