"""A model against itself: it never ships, and the report says how small a difference the job could have seen."""

from __future__ import annotations

import re
from array import array
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsvc import decide
from evalsvc.core.records import Decision, Role, Verdict
from evalsvc.decide.compare import binary
from evalsvc.stats.power import tango_power

#: Sizes at which a rule that errs at the edges would show: one, few, around every minimum, many.
SIZES = st.sampled_from([1, 2, 3, 5, 19, 20, 36, 50, 100, 368, 437, 1000, 5000, 40_000])


def itself(make: Any, n: int, *, graded: bool = False, scored: float = 1.0) -> Any:
    """Every role at once, both arms with the same scores, perfect ones where that helps most."""
    values = [scored] * n if not graded else [(k % 7) / 6 for k in range(n)]
    tables = [make.table(values, values, role=role) for role in (Role.TARGET, Role.GENERAL, Role.ADVERSARIAL)]
    schema = make.schema_table(values, values, suite="target-suite")
    seconds = make.samples([1.0] * n)
    return make.evidence(*tables, schema, latency=(seconds, seconds))


@settings(max_examples=60, deadline=None)
@given(
    n=SIZES,
    margin=st.sampled_from([0.0, 0.01, 0.05, 0.3]),
    mode=st.sampled_from(["interval", "point"]),
    graded=st.booleans(),
    scored=st.sampled_from([0.0, 1.0]),
)
def test_a_model_never_ships_against_itself(
    make: Any, n: int, margin: float, mode: str, graded: bool, scored: float
) -> None:
    job = make.job(mode, (), target_improvement={"threshold": margin}, human_preference={"waived": "nobody to ask"})
    results = decide.judge_all(itself(make, n, graded=graded, scored=scored), job)
    improvement = next(result for result in results if result.name == "target_improvement")
    assert improvement.verdict in {Verdict.FAIL, Verdict.INCONCLUSIVE}
    decision = decide.decide(results)
    assert decision.decision is not Decision.SHIP
    told = [reason for reason in decision.reasons if reason.startswith("target_improvement")]
    assert "no difference was found" in told[0]
    smallest = improvement.extra["smallest_effect"]
    if smallest is None:
        assert "no difference was found; so few cases could not have shown any" in told[0]
    else:
        assert margin < smallest <= 1
        assert re.search(r"an improvement of \d+\.\d points", told[0])


@pytest.mark.parametrize("n", [2, 36, 500, 40_000])
def test_the_point_rule_at_margin_zero_asks_for_more_than_a_draw(make: Any, n: int) -> None:
    result = make.judge("target_improvement", itself(make, n), "point", threshold=0.0)
    assert result.verdict is Verdict.FAIL
    assert result.extra["point_rule_false_pass"] == 0, "where no case differs no surplus comes by chance"
    ahead = make.table([1.0] * n, [0.0] + [1.0] * (n - 1))
    assert make.judge("target_improvement", make.evidence(ahead), "point", threshold=0.0).verdict is Verdict.PASS
    drop = make.judge("general_regression", itself(make, n), "point", threshold=0.0)
    assert drop.verdict is Verdict.PASS, "as good as the baseline is no drop"


def test_the_smallest_effect_is_the_one_that_passes_in_four_of_five_jobs(make: Any) -> None:
    pair = make.binary(40, 40, 200, 120)
    result = make.judge("target_improvement", make.evidence(make.table(*pair)), threshold=0.0)
    smallest = result.extra["smallest_effect"]
    assert tango_power(400, smallest, 0.2, 0.0) == pytest.approx(0.8, abs=0.01)
    assert "no difference was found: an improvement of 6.2 points is the smallest" in result.reason
    more = make.judge("target_improvement", make.evidence(make.table(*make.binary(400, 400, 2000, 1200))), threshold=0)
    assert more.extra["smallest_effect"] < smallest / 2.5


def test_nothing_is_said_of_no_difference_where_one_was_found(make: Any) -> None:
    for counts, margin in (((80, 20, 200, 100), 0.05), ((40, 12, 400, 100), 0.05), ((10, 60, 200, 100), 0.05)):
        evidence = make.evidence(make.table(*make.binary(*counts)))
        result = make.judge("target_improvement", evidence, threshold=margin)
        assert "no difference was found" not in result.reason
        assert result.extra["smallest_effect"] > margin


def test_clusters_see_less(make: Any) -> None:
    pair = make.binary(60, 50, 200, 90)
    labels = array("q", [k // 8 for k in range(400)])
    alone = make.judge("target_improvement", make.evidence(make.table(*pair)), threshold=0.0)
    together = make.judge("target_improvement", make.evidence(make.table(*pair, cluster=labels)), threshold=0.0)
    assert together.extra["smallest_effect"] > alone.extra["smallest_effect"]


NAMES_A_THING = re.compile(
    r"about [\d,]+ more|the \d+ missing|at most 2%|would measure it|more cases|requiring a gate|would add it"
)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_every_reason_to_hold_names_a_number_or_a_thing_to_add(make: Any, data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 120))
    shares = data.draw(st.tuples(st.floats(0, 1), st.floats(0, 1)))
    seed = data.draw(st.integers(0, 1000))
    random = np.random.default_rng(seed)
    lost = data.draw(st.sampled_from([0.0, 0.005, 0.3]))
    labels = None if data.draw(st.booleans()) else array("q", (np.arange(n) % data.draw(st.integers(1, 40))).tolist())

    def scores(share: float) -> list[float]:
        kept = random.random(n) >= lost
        return [float(x) if k else make.nan for x, k in zip(random.random(n) < share, kept, strict=True)]

    roles = data.draw(st.sets(st.sampled_from([Role.TARGET, Role.GENERAL, Role.ADVERSARIAL])))
    tables = [make.table(scores(shares[0]), scores(shares[1]), role=role, cluster=labels) for role in sorted(roles)]
    seconds = make.samples((1 + random.random(n)).tolist()), make.samples((1 + random.random(n)).tolist())
    latency = seconds if data.draw(st.booleans()) else None
    results = decide.judge_all(make.evidence(*tables, latency=latency), make.job())
    decision = decide.decide(results)
    if decision.decision is Decision.HOLD:
        for reason in decision.reasons:
            assert NAMES_A_THING.search(reason), reason


def test_the_least_that_tango_can_tell_is_told(make: Any) -> None:
    """With one case nothing can be shown; from where the best result proves something, a number is given."""
    one = make.judge("target_improvement", itself(make, 1))
    assert one.extra["smallest_effect"] is None
    least = next(n for n in range(2, 100) if (binary(n, 0, 0, 0.05, 0.95).interval.low or -1) > 0.05)
    assert make.judge("target_improvement", itself(make, least - 1)).extra["smallest_effect"] is None
    assert make.judge("target_improvement", itself(make, least)).extra["smallest_effect"] is not None
