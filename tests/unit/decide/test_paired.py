from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalsvc.core.records import Arm, Role, Verdict
from evalsvc.stats.bounded import gaffke, gaffke_p_values
from evalsvc.stats.enumerated import tango_exact_p_values
from evalsvc.stats.paired import paired_t, paired_t_p_values, point_rule_pass_probability, tango, tango_p_values
from evalsvc.stats.sequential import betting_interval

SHARED = Path(__file__).resolve().parents[3] / "../shared"


def test_the_example_of_the_design(make: Any) -> None:
    """498 complete pairs of 500; the record of decision.example.json."""
    candidate, baseline = make.binary(71, 12, 380, 35)
    evidence = make.evidence(make.table([*candidate, make.nan, make.nan], [*baseline, 1.0, 0.0]))
    result = make.judge("target_improvement", evidence)
    assert (result.verdict, result.n, result.method) == (Verdict.PASS, 498, "tango")
    assert result.claim == "candidate - baseline > 0.05"
    assert result.estimate == 59 / 498
    assert (result.interval.low, result.interval.high) == pytest.approx((0.0853, 0.1546), abs=5e-5)
    assert (result.interval_missing.low, result.interval_missing.high) == (
        tango(71, 13, 500).low,
        tango(72, 12, 500).high,
    )
    assert result.p_pass == pytest.approx(2.8e-5, rel=0.05)
    assert result.missing == {Arm.CANDIDATE: 2, Arm.BASELINE: 0}
    assert result.n_needed is None
    assert result.reason == (
        "Better by 11.8 points (8.5 to 15.5) on 498 target cases; holds in the worst case of the 2 answers missing."
    )


def test_a_missing_baseline_answer_is_bounded_the_other_way_round(make: Any) -> None:
    candidate, baseline = make.binary(71, 12, 380, 35)
    evidence = make.evidence(make.table([*candidate, 1.0, 0.0], [*baseline, make.nan, make.nan]))
    bounds = make.judge("target_improvement", evidence).interval_missing
    assert (bounds.low, bounds.high) == (tango(71, 13, 500).low, tango(72, 12, 500).high)


def test_a_known_fine_tune_is_better_but_not_yet_by_five_points_more(make: Any) -> None:
    path = SHARED / "data/KNOWN.json"
    if not path.exists():
        pytest.skip("the shared data is not there")
    known = json.loads(path.read_text(encoding="utf-8"))["gsm8k_6b_pair"]
    pair = make.binary(known["only_candidate"], known["only_baseline"], known["both"], known["neither"])
    evidence = make.evidence(make.table(*pair))
    better = make.judge("target_improvement", evidence, threshold=0.0)
    assert (better.n, better.verdict) == (known["n"], Verdict.PASS)
    assert (better.p_pass, better.p_fail) == tango_p_values(20, 4, 102, 0.0)
    assert make.judge("target_improvement", evidence).verdict is Verdict.PASS
    more = make.judge("target_improvement", evidence, threshold=0.10)
    assert more.verdict is Verdict.INCONCLUSIVE
    assert more.n_needed is not None
    assert more.n_needed > 102


def test_suites_of_a_role_are_pooled_and_train_stays_out(make: Any) -> None:
    one, two = make.table([1.0] * 40, [0.0] * 40, suite="a"), make.table([0.0] * 10, [1.0] * 10, suite="b")
    train = make.table([0.0] * 500, [1.0] * 500, role=Role.TRAIN)
    other = make.table([0.0] * 40, [1.0] * 40, suite="a", label="also", primary=False)
    result = make.judge("target_improvement", make.evidence(one, two, train, other))
    assert (result.n, result.estimate) == (50, 0.6)


GRADED = [0.10, -0.05, 0.20, 0.0, 0.15, 0.05, -0.10, 0.25, 0.0, 0.10, 0.05, 0.15]


def pair_of(differences: list[float]) -> tuple[list[float], list[float]]:
    return [0.5 + each / 2 for each in differences], [0.5 - each / 2 for each in differences]


def test_graded_scores_go_through_t(make: Any) -> None:
    differences = [3 * each for each in GRADED] * 10
    pair = pair_of(differences)
    result = make.judge("target_improvement", make.evidence(make.table(*pair)), threshold=0.1)
    seen = np.array(pair[0]) - np.array(pair[1])
    assert (result.method, result.verdict) == ("t", Verdict.PASS)
    assert result.interval == paired_t(seen)
    assert (result.p_pass, result.p_fail) == paired_t_p_values(seen, 0.1)


@pytest.mark.parametrize(
    ("candidate", "baseline"), [([0.7] * 20, [0.7] * 20), ([0.7, 0.8] * 30, [0.6, 0.7] * 30), ([0.9], [0.1])]
)
def test_differences_that_are_all_alike_go_through_betting(
    make: Any, candidate: list[float], baseline: list[float]
) -> None:
    result = make.judge("general_regression", make.evidence(make.table(candidate, baseline, role=Role.GENERAL)))
    interval = betting_interval(np.array(candidate) - np.array(baseline), level=0.95)
    assert result.method == "betting"
    assert result.interval == interval
    assert (result.verdict is Verdict.PASS) == (len(candidate) == 60)


@pytest.mark.parametrize(
    ("differences", "why"),
    [
        ([0.01, 0.02, 0.03], "too few: t would pass them"),
        (GRADED, "twelve"),
        ([0.0101, 0.0099] * 15, "so narrow: one in twenty unseen cases may be a disaster"),
        ([0.05] * 40 + [-0.9, -0.8, -0.85, -0.95], "lopsided"),
    ],
)
def test_where_t_would_lie_gaffkes_interval_stands(make: Any, differences: list[float], why: str) -> None:
    pair = pair_of(differences)
    result = make.judge("general_regression", make.evidence(make.table(*pair, role=Role.GENERAL)))
    seen = np.array(pair[0]) - np.array(pair[1])
    assert result.method == "gaffke", why
    assert result.interval == gaffke(seen)
    assert (result.p_pass, result.p_fail) == gaffke_p_values(seen, -0.05)
    assert result.verdict is Verdict.INCONCLUSIVE


def test_gaffkes_interval_says_how_many_cases_would_do(make: Any) -> None:
    """The normal formula asks for two cases; so many as may hide a failure in 20 are needed."""
    differences = [0.0101, 0.0099] * 15
    result = make.judge("general_regression", make.evidence(make.table(*pair_of(differences), role=Role.GENERAL)))
    seen, needed = np.array(differences), result.n_needed
    assert needed is not None
    assert 60 < needed < 80
    assert (gaffke(seen, cases=needed).low or 0) > -0.05 >= (gaffke(seen, cases=needed - 1).low or 0)


def test_tango_settles_nothing_that_its_exact_p_value_does_not(make: Any) -> None:
    """9 wins of 96 and no loss: at a true difference of exactly 5 points Tango alone passes 5.3% of such runs."""
    assert tango_p_values(9, 0, 96, 0.05)[0] < 0.025 <= tango_exact_p_values(9, 0, 96, 0.05)[0]
    table = make.table(*make.binary(9, 0, 80, 7))
    result = make.judge("target_improvement", make.evidence(table))
    assert (result.method, result.verdict) == ("tango-exact", Verdict.INCONCLUSIVE)
    assert (result.interval.low, result.interval.high) == (0.05, tango(9, 0, 96).high)
    assert (result.p_pass, result.p_fail) == tango_exact_p_values(9, 0, 96, 0.05)
    assert result.n_needed is not None
    assert result.n_needed > 96
    another = make.judge("target_improvement", make.evidence(table), threshold=0.04)
    assert (another.method, another.verdict) == ("tango", Verdict.PASS)
    assert another.interval == tango(9, 0, 96)


def test_what_tango_says_of_a_drop_is_held_against_the_exact_one_too(make: Any) -> None:
    table = make.table(*make.binary(0, 9, 80, 7), role=Role.GENERAL)
    result = make.judge("general_regression", make.evidence(table))
    assert (result.method, result.verdict) == ("tango-exact", Verdict.INCONCLUSIVE)
    assert (result.interval.low, result.interval.high) == (tango(0, 9, 96).low, -0.05)


def test_all_ties_say_how_many_cases_would_do(make: Any) -> None:
    table = make.table([1.0] * 20, [1.0] * 20, role=Role.GENERAL)
    result = make.judge("general_regression", make.evidence(table))
    needed = result.n_needed
    assert result.verdict is Verdict.INCONCLUSIVE
    assert needed is not None
    assert (tango(0, 0, needed).low or 0) > -0.05 >= (tango(0, 0, needed - 1).low or 0)
    assert f"about {needed - 20} more cases" in result.needs


def test_a_category_that_drops_fails_the_gate_whatever_the_rest_gains(make: Any) -> None:
    good, bad = make.binary(40, 5, 300, 55), make.binary(0, 14, 20, 6)
    table = make.table(
        good[0] + bad[0], good[1] + bad[1], role=Role.GENERAL, suite="g", categories=["good"] * 400 + ["bad"] * 40
    )
    result = make.judge("general_regression", make.evidence(table))
    assert result.interval.low > -0.05
    assert result.verdict is Verdict.FAIL
    assert "g / bad" in result.reason
    assert {each.category: each.verdict for each in result.categories} == {"good": Verdict.PASS, "bad": Verdict.FAIL}


def test_holm_keeps_one_of_many_categories_from_failing_by_chance(make: Any) -> None:
    """One category alone is below 2.5%; among twelve it is not."""
    p_fail = tango_p_values(0, 6, 30, -0.05)[1]
    assert 0.025 / 12 < p_fail < 0.025
    drop, rest = make.binary(0, 6, 20, 4), make.binary(2, 2, 40, 6)
    alone = make.table(*drop, role=Role.GENERAL)
    assert make.judge("general_regression", make.evidence(alone)).verdict is Verdict.FAIL
    names = ["drop"] * 30 + [f"c{each}" for each in range(11) for _ in range(50)]
    table = make.table(drop[0] + rest[0] * 11, drop[1] + rest[1] * 11, role=Role.GENERAL, categories=names)
    result = make.judge("general_regression", make.evidence(table))
    assert Verdict.FAIL not in {each.verdict for each in result.categories}
    assert result.verdict is not Verdict.FAIL


def test_holm_reaches_into_the_tail_where_tango_is_too_sure(make: Any) -> None:
    """14 losses of 140 and no win: Tango's p-value would stand being multiplied by five categories, the exact not."""
    p_tango, p_exact = (function(0, 14, 140, -0.05)[1] for function in (tango_p_values, tango_exact_p_values))
    assert 5 * p_tango < 0.025 < 5 * p_exact
    drop, rest = make.binary(0, 14, 110, 16), make.binary(3, 3, 120, 14)
    names = ["drop"] * 140 + [f"c{each}" for each in range(4) for _ in range(140)]
    table = make.table(drop[0] + rest[0] * 4, drop[1] + rest[1] * 4, role=Role.GENERAL, categories=names)
    result = make.judge("general_regression", make.evidence(table))
    assert {each.category: each.verdict for each in result.categories}["drop"] is Verdict.INCONCLUSIVE
    alone = make.table(*drop, role=Role.GENERAL)
    assert make.judge("general_regression", make.evidence(alone)).verdict is Verdict.FAIL


def test_a_category_that_may_fail_keeps_the_gate_from_passing(make: Any) -> None:
    """Missing answers soften a category's FAIL; they must not turn the gate to PASS."""
    good, bad = make.binary(20, 20, 1900, 60), make.binary(0, 7, 19, 4)
    nan = make.nan

    def judged(missing: int) -> Any:
        candidate, baseline = good[0] + bad[0] + [nan] * missing, good[1] + bad[1] + [0.0] * missing
        names = ["good"] * 2000 + ["bad"] * (30 + missing)
        table = make.table(candidate, baseline, role=Role.GENERAL, categories=names)
        return make.judge("general_regression", make.evidence(table))

    assert judged(0).verdict is Verdict.FAIL
    softened = judged(5)
    assert softened.interval_missing.low > -0.05
    assert softened.verdict is Verdict.INCONCLUSIVE
    assert softened.categories[0].verdict is Verdict.INCONCLUSIVE


def test_a_category_nobody_answered_does_not_make_holm_milder(make: Any) -> None:
    """The drop fails among two categories (p 0.011 < 0.025 / 2); a third without an answer must not save it."""
    good, bad = make.binary(20, 20, 1900, 60), make.binary(0, 7, 19, 4)
    assert 0.025 / 3 < tango_p_values(0, 7, 30, -0.05)[1] < 0.025 / 2
    names = ["good"] * 2000 + ["bad"] * 30 + ["silent"]
    table = make.table([*good[0], *bad[0], make.nan], [*good[1], *bad[1], 0.0], role=Role.GENERAL, categories=names)
    result = make.judge("general_regression", make.evidence(table))
    assert result.interval_missing.low > -0.05
    assert result.verdict is Verdict.INCONCLUSIVE
    assert {each.category: each.verdict for each in result.categories}["silent"] is Verdict.NOT_MEASURED


def test_an_open_gate_always_needs_more_than_it_has(make: Any) -> None:
    """On five cases the normal formula asks for three."""
    result = make.judge("target_improvement", make.evidence(make.table(*make.binary(4, 0, 1, 0))))
    assert (result.verdict, result.n_needed) == (Verdict.INCONCLUSIVE, 6)


def test_a_drop_within_the_margin_passes_with_a_warning(make: Any) -> None:
    table = make.table(*make.binary(10, 70, 2800, 120), role=Role.GENERAL)
    result = make.judge("general_regression", make.evidence(table))
    assert result.interval.high < 0
    assert result.verdict is Verdict.PASS
    assert result.warnings == ("general_regression: a drop is proven, within the margin",)
    assert result.reason.startswith("Worse by 2.0 points (1.5 to 2.6) on 3000 general cases")


def test_the_point_rule_says_how_often_it_ships_noise(make: Any) -> None:
    table = make.table(*make.binary(10, 5, 60, 25))
    interval, point = (make.judge("target_improvement", make.evidence(table), mode) for mode in ("interval", "point"))
    assert interval.verdict is Verdict.INCONCLUSIVE
    assert (point.verdict, point.method, point.n_needed) == (Verdict.PASS, "point:tango", None)
    chance = point_rule_pass_probability(100, 0.15, 0.05)
    assert point.extra["point_rule_false_pass"] == chance
    assert f"{100 * chance:.1f}% of the time" in point.reason
    below = make.table(*make.binary(9, 5, 60, 26))
    assert make.judge("target_improvement", make.evidence(below), "point").verdict is Verdict.FAIL


def test_without_a_suite_the_gate_is_not_measured(make: Any) -> None:
    for name, role in (("target_improvement", "target"), ("general_regression", "general")):
        result = make.judge(name, make.evidence())
        assert (result.verdict, result.n, result.estimate) == (Verdict.NOT_MEASURED, 0, None)
        assert role in result.needs


def test_a_tie_at_margin_zero_is_settled_by_no_number_of_cases(make: Any) -> None:
    table = make.table(*make.binary(0, 0, 60, 40))
    result = make.judge("target_improvement", make.evidence(table), threshold=0.0)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.needs.startswith("no number of cases settles what lies on the threshold")
