from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from evalsvc.stats.bounded import gaffke, gaffke_p_values
from evalsvc.stats.interval import Interval
from evalsvc.stats.paired import paired_t
from evalsvc.stats.rates import clopper_pearson
from evalsvc.stats.sequential import betting_interval

Floats = NDArray[np.float64]
differences = st.lists(st.floats(-1, 1).map(lambda x: round(x, 6)), min_size=1, max_size=60).map(
    lambda values: np.array(values, dtype=np.float64)
)


def bounds(interval: Interval) -> tuple[float, float]:
    assert interval.low is not None
    assert interval.high is not None
    return interval.low, interval.high


def by_dirichlet(d: Floats, mean: float) -> float:
    """P(Σ w d ≤ mean) by drawing the weights, the worst case added: what the module computes without drawing."""
    weights = np.random.default_rng(1).exponential(size=(200_000, d.size + 1))
    return float(((weights @ np.append(d, -1.0)) / weights.sum(axis=1) <= mean).mean())


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_on_the_two_ends_it_is_clopper_pearson(pair: tuple[int, int]) -> None:
    k, n = pair
    low, high = bounds(gaffke(np.repeat([1.0, -1.0], [k, n - k])))
    exact = bounds(clopper_pearson(k, n))
    # the saddlepoint errs most where every case is the same
    assert ((1 + low) / 2, (1 + high) / 2) == pytest.approx(exact, abs=0.003 if n < 10 else 0.0013 if n < 50 else 2e-4)


@pytest.mark.parametrize("n", [10, 30, 100])
@pytest.mark.parametrize("shape", ["spread", "jitter", "lopsided"])
def test_p_values_are_the_dirichlet_probability(n: int, shape: str) -> None:
    rng = np.random.default_rng(n)
    d = {
        "spread": rng.uniform(-1, 1, n),
        "jitter": rng.normal(0, 0.05, n),
        "lopsided": np.where(rng.random(n) < 0.1, -0.9, rng.normal(0.1, 0.1, n)),
    }[shape]
    low, high = bounds(gaffke(d))
    for mean in (low, 0.7 * low + 0.3 * d.mean(), d.mean(), high):
        assert gaffke_p_values(d, mean)[0] == pytest.approx(by_dirichlet(d, mean), rel=0.04, abs=0.002)
        assert gaffke_p_values(-d, -mean)[1] == gaffke_p_values(d, mean)[0]


@given(differences)
def test_the_interval_is_mirrored_and_contains_the_mean(d: Floats) -> None:
    low, high = bounds(gaffke(d))
    assert -1 <= low <= d.mean() + 1e-9
    assert d.mean() - 1e-9 <= high <= 1
    assert gaffke(-d) == Interval(-high, -low)


@given(differences, st.floats(-0.99, 0.99))
def test_p_values_say_what_the_interval_says(d: Floats, threshold: float) -> None:
    low, high = bounds(gaffke(d))
    p_pass, p_fail = gaffke_p_values(d, threshold)
    assert 0 <= p_pass <= 1
    assert 0 <= p_fail <= 1
    if min(abs(threshold - low), abs(threshold - high)) > 1e-9:
        assert (p_pass < 0.025) == (low > threshold)
        assert (p_fail < 0.025) == (high < threshold)


@given(differences, st.floats(-0.99, 0.98))
def test_a_higher_threshold_is_never_easier_to_pass(d: Floats, threshold: float) -> None:
    # a step in the third digit where the two branches of the approximation meet, at a p-value near 0.5
    assert gaffke_p_values(d, threshold)[0] <= gaffke_p_values(d, threshold + 0.01)[0] + 2e-3


@given(differences, st.floats(0.5, 0.99))
def test_it_is_wider_for_more_confidence(d: Floats, level: float) -> None:
    low, high = bounds(gaffke(d, level=level))
    wide = bounds(gaffke(d, level=level + 0.009))
    assert wide[0] <= low + 1e-12
    assert wide[1] >= high - 1e-12


@given(differences, st.integers(2, 5))
def test_as_if_on_more_cases(d: Floats, times: int) -> None:
    assert bounds(gaffke(d, cases=times * d.size)) == pytest.approx(bounds(gaffke(np.tile(d, times))), abs=1e-9)


def test_without_data_nothing_is_known() -> None:
    nothing = np.array([], dtype=np.float64)
    assert gaffke(nothing) == Interval(-1.0, 1.0)
    assert gaffke_p_values(nothing, 0.0) == (1.0, 1.0)


def test_edges_of_the_range() -> None:
    some = np.array([1.0, -1.0, 0.0])
    assert gaffke_p_values(some, -1.0) == (0.0, 1.0)
    assert gaffke_p_values(some, 1.0) == (1.0, 0.0)
    assert gaffke_p_values(some, 2.0) == (1.0, 0.0)
    losses = np.full(20, -1.0)
    assert gaffke(losses).low == -1.0
    assert gaffke(-losses).high == 1.0
    assert gaffke_p_values(losses, -1.0)[0] == 1.0  # nothing above the worst end was seen


def test_ties_alone_are_no_proof_of_equality() -> None:
    low, high = bounds(gaffke(np.zeros(50)))
    assert (low, high) == pytest.approx((-0.0711, 0.0711), abs=4e-4)  # as rare as 0.025 ** (1/50) allows
    assert bounds(betting_interval(np.zeros(50)))[0] < low


def test_an_unseen_disaster_is_reckoned_with_where_t_is_sure() -> None:
    d = np.array([0.0101, 0.0099] * 15)
    t, wide = bounds(paired_t(d)), bounds(gaffke(d))
    assert t[0] > 0.0099
    assert wide[0] < -0.1
    assert wide[1] > 0.1


def test_with_many_cases_it_is_t() -> None:
    d = np.random.default_rng(3).uniform(-1, 1, 20_000)
    assert bounds(gaffke(d)) == pytest.approx(bounds(paired_t(d)), abs=2e-4)


@pytest.mark.parametrize("value", [1.1, -1.1, float("nan"), float("inf")])
def test_values_outside_the_range_are_refused(value: float) -> None:
    d: Any = np.array([0.1, value])
    for call in (lambda: gaffke(d), lambda: gaffke_p_values(d, 0.0)):
        with pytest.raises(ValueError, match=r"\[-1, 1\]"):
            call()
