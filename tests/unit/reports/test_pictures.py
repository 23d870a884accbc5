from __future__ import annotations

import math
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.core.records import Arm
from evalsvc.reports import format as fmt
from evalsvc.reports.pictures import Claim, Scale, forest, latency_plot, nice, scale_for, shares

_numbers = st.floats(-1e6, 1e6)


@given(_numbers, _numbers, _numbers, _numbers)
def test_all_numbers_of_a_claim_lie_on_its_scale_in_their_order(a: float, b: float, c: float, threshold: float) -> None:
    low, middle, high = sorted((a, b, c))
    claim = Claim(estimate=middle, interval=[low, high], envelope=None, threshold=threshold)
    drawn = forest(claim, scale_for([claim]), fmt.plain_number)
    assert drawn.interval is not None
    assert drawn.threshold is not None
    assert drawn.estimate is not None
    assert 0 <= drawn.interval.start <= drawn.interval.end <= 100.01
    assert drawn.interval.start - 0.61 <= drawn.estimate <= drawn.interval.end + 0.61
    assert (drawn.threshold.at <= drawn.estimate) if threshold <= middle else (drawn.threshold.at >= drawn.estimate)


def test_the_good_side() -> None:
    above = Claim(estimate=0.9, interval=[0.88, 0.92], envelope=[0.86, 0.94], threshold=0.85, rate=True)
    drawn = forest(above, scale_for([above]), fmt.percent)
    assert drawn.good is not None
    assert drawn.threshold is not None
    assert drawn.good.end == pytest.approx(100)
    assert drawn.threshold.label == "85%"
    below = Claim(estimate=0.6, interval=[0.4, 0.9], envelope=None, threshold=2.0, above=False)
    drawn = forest(below, scale_for([below]), fmt.ratio)
    assert drawn.good is not None
    assert drawn.good.start == 0


def test_an_envelope_that_adds_nothing_is_not_drawn() -> None:
    same = Claim(estimate=0.9, interval=[0.88, 0.92], envelope=[0.88, 0.92], threshold=0.85)
    assert forest(same, scale_for([same]), fmt.percent).envelope is None
    wider = Claim(estimate=0.9, interval=[0.88, 0.92], envelope=[0.87, 0.93], threshold=0.85)
    assert forest(wider, scale_for([wider]), fmt.percent).envelope is not None


def test_a_bound_that_does_not_exist_runs_off_the_picture() -> None:
    claim = Claim(estimate=None, interval=[1.4, None], envelope=None, threshold=2.0, above=False)
    drawn = forest(claim, scale_for([claim], room=1.0), fmt.ratio)
    assert drawn.interval is not None
    assert drawn.interval.end == pytest.approx(100)
    assert drawn.estimate is None


def test_a_scale_of_rates_stays_between_zero_and_one() -> None:
    claim = Claim(estimate=1.0, interval=[0.99, 1.0], envelope=None, threshold=0.98, rate=True)
    assert scale_for([claim]).high == 1.0


@given(_numbers, st.floats(1e-6, 1e6))
def test_ticks_are_few_and_on_the_scale(low: float, width: float) -> None:
    scale = Scale(low=low, high=low + width)
    ticks = nice(scale)
    assert len(ticks) <= 6
    slack = 1e-6 * width + 1e-6
    assert all(scale.low - slack <= tick <= scale.high + slack for tick in ticks)


def test_shares_fill_the_line() -> None:
    parts = shares([71, 415, 12])
    assert [part.start for part in parts] == pytest.approx([0, 14.26, 97.59], abs=0.01)
    assert parts[-1].end == pytest.approx(100, abs=0.02)
    assert shares([0, 0, 0]) == ()


def _points(drawn: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in drawn.split())]


def test_latency_curves_rise_and_timeouts_end_them_flat() -> None:
    some = array("d", [k / 100 for k in range(1, 91)] + [math.inf] * 10)
    plot = latency_plot({Arm.CANDIDATE: some, Arm.BASELINE: array("d", [k / 50 for k in range(1, 101)])})
    assert plot is not None
    assert [curve.arm for curve in plot.curves] == ["candidate", "baseline"]
    for curve in plot.curves:
        points = _points(curve.points)
        assert [x for x, _ in points] == sorted(x for x, _ in points)
        assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)
    last, before = _points(plot.curves[0].points)[-1], _points(plot.curves[0].points)[-2]
    assert last == (1000, before[1])
    p90 = next(tick for tick in plot.up if tick.label == "p90")
    assert before[1] / 10 == pytest.approx(p90.at, abs=1)


@pytest.mark.parametrize("samples", [[0.0], [0.5], [0.5] * 3, [1e-9, 1e9]])
def test_odd_samples_still_draw(samples: list[float]) -> None:
    plot = latency_plot({Arm.CANDIDATE: array("d", samples), Arm.BASELINE: array("d")})
    assert plot is not None
    assert len(plot.curves) == 1
    assert len(plot.across) <= 8


def test_no_finite_sample_no_picture() -> None:
    assert latency_plot({}) is None
    assert latency_plot({Arm.CANDIDATE: array("d", [math.inf])}) is None
