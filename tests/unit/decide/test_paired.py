from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalsvc.core.records import Arm, Role, Verdict
from evalsvc.stats.paired import point_rule_pass_probability, tango, tango_p_values
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


def test_graded_scores_go_through_t(make: Any) -> None:
    differences = [0.10, -0.05, 0.20, 0.0, 0.15, 0.05, -0.10, 0.25, 0.0, 0.10, 0.05, 0.15]
    pair = [0.5 + each for each in differences], [0.5] * 12
    result = make.judge("target_improvement", make.evidence(make.table(*pair)), threshold=0.0)
    assert (result.method, result.verdict) == ("t", Verdict.PASS)
    assert (result.interval.low, result.interval.high) == pytest.approx((0.00933271, 0.14066729), abs=1e-8)
    assert result.p_pass == pytest.approx(0.01439584, abs=1e-8)


@pytest.mark.parametrize(
    ("candidate", "baseline"),
    [
        ([0.7] * 20, [0.7] * 20),
        ([0.7, 0.8] * 30, [0.6, 0.7] * 30),  # differences equal but for rounding
        ([0.71, 0.72, 0.73], [0.7, 0.7, 0.7]),  # too few for t, which would pass them
        ([0.9], [0.1]),
    ],
)
def test_where_t_would_lie_the_betting_interval_stands(
    make: Any, candidate: list[float], baseline: list[float]
) -> None:
    evidence = make.evidence(make.table(candidate, baseline, role=Role.GENERAL))
    result = make.judge("general_regression", evidence)
    interval = betting_interval(np.array(candidate) - np.array(baseline), level=0.95)
    assert result.method == "betting"
    assert result.interval == interval
    assert (result.verdict is Verdict.PASS) == (interval.low is not None and interval.low > -0.05)
    assert result.verdict in (Verdict.PASS, Verdict.INCONCLUSIVE)
    assert (len(candidate) >= 60) == (result.verdict is Verdict.PASS)


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


def test_a_little_jitter_does_not_make_t_sure_of_what_it_has_not_seen(make: Any) -> None:
    jitter = [0.0101, 0.0099] * 15  # true of every case seen; one in twenty unseen ones may be a disaster
    pair = [0.5 + each for each in jitter], [0.5] * 30
    result = make.judge("general_regression", make.evidence(make.table(*pair, role=Role.GENERAL)), threshold=-0.05)
    assert (result.method, result.verdict) == ("betting", Verdict.INCONCLUSIVE)
