from math import exp, inf, log
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from evalsvc.stats.interval import Interval
from evalsvc.stats.sequential import (
    betting_interval,
    betting_p_values,
    counts_betting_interval,
    counts_log_e_value,
    counts_lower_bound,
    log_e_value,
    lower_bound,
    rate_log_e_value,
)

differences = st.lists(st.floats(-1, 1).map(lambda x: round(x, 6)), min_size=1, max_size=40).map(
    lambda values: np.array(values, dtype=np.float64)
)


def by_counts(wins: int, losses: int, ties: int) -> NDArray[np.float64]:
    return np.repeat([1.0, -1.0, 0.0], [wins, losses, ties])


def bounds(interval: Interval) -> tuple[float, float]:
    assert interval.low is not None
    assert interval.high is not None
    return interval.low, interval.high


def plain_e(d: NDArray[np.float64], m: float) -> float:
    """The mixture as the design page writes it."""
    stakes = np.geomspace(0.05, 0.95, 12) / (1 + m)
    return float(np.mean([np.prod(1 + stake * (d - m)) for stake in stakes]))


def test_reference_mixture(vectors: Any) -> None:
    reference = vectors["sequential"]
    d = np.array(reference["d"])
    for m in (0.0, -0.05, 0.05):
        expected = reference[f"E_mix12 m={m}"]["confseq"]
        assert exp(log_e_value(d, m)) == pytest.approx(expected, rel=1e-12)
    for alpha, key in ((0.025, "alpha=.025"), (0.05, "alpha=.05")):
        assert lower_bound(d, alpha=alpha) == pytest.approx(reference[f"lcb_mix12 {key}"], abs=1e-12)
        assert -lower_bound(-d, alpha=alpha) == pytest.approx(reference[f"ucb_mix12 {key}"], abs=1e-12)


def test_reference_counts(vectors: Any) -> None:
    rows = {key: row for key, row in vectors["sequential"].items() if key.startswith("counts ")}
    assert len(rows) == 8
    for key, row in rows.items():
        wins, losses, ties = (int(part.split("=")[1]) for part in key.removeprefix("counts ").split(","))
        d = by_counts(wins, losses, ties)
        assert exp(log_e_value(d, 0.0)) == pytest.approx(row["E_m0"], rel=1e-11)
        assert betting_p_values(d, 0.0)[0] == pytest.approx(row["p_anytime"], rel=1e-11)
        assert bounds(betting_interval(d)) == pytest.approx((row["lcb_025"], row["ucb_025"]), abs=1e-12)
        counted = counts_betting_interval(wins, losses, ties)
        assert bounds(counted) == pytest.approx((row["lcb_025"], row["ucb_025"]), abs=1e-12)
        assert exp(counts_log_e_value(wins, losses, ties, 0.0)) == pytest.approx(row["E_m0"], rel=1e-11)


def test_reference_rates(vectors: Any) -> None:
    rows = vectors["sequential"]["bern_E"]
    assert len(rows) == 5
    for key, expected in rows.items():
        passes, n, threshold = (float(part.split("=")[1]) for part in key.split(","))
        assert exp(rate_log_e_value(int(passes), int(n), threshold)) == pytest.approx(expected, rel=1e-11)


def test_reference_stakes(vectors: Any) -> None:
    """One bettor of the mixture, as the page writes him: the values of confseq the mixture was checked by."""
    reference = vectors["sequential"]
    d, rows = np.array(reference["d"]), [key for key in reference if key.startswith("E_const ")]
    assert len(rows) == 9
    for key in rows:
        m, stake = (float(part.split("=")[1]) for part in key.removeprefix("E_const ").split(" "))
        assert np.prod(1 + stake * (d - m)) == pytest.approx(reference[key]["confseq"], rel=1e-12)


def test_ties_alone_are_neither_proof_nor_certainty() -> None:
    ties = by_counts(0, 0, 50)
    assert log_e_value(ties, 0.0) == 0.0
    assert bounds(betting_interval(ties)) == pytest.approx((-0.114091, 0.114091), abs=1e-6)


def test_without_data_nothing_is_known() -> None:
    nothing = np.array([], dtype=np.float64)
    assert log_e_value(nothing, 0.0) == 0.0
    assert betting_interval(nothing) == Interval(-1.0, 1.0)
    assert betting_p_values(nothing, 0.3) == (1.0, 1.0)
    assert rate_log_e_value(0, 0, 0.9) == 0.0


def test_edges_of_the_range() -> None:
    some = by_counts(1, 1, 3)
    assert log_e_value(some, -1.0) == inf  # one value above -1 refutes "mean ≤ -1"
    assert betting_p_values(some, -1.0) == (0.0, 1.0)
    assert betting_p_values(some, 1.0) == (1.0, 0.0)
    losses = by_counts(0, 20, 0)
    assert log_e_value(losses, -1.0) < 0  # nothing contradicts it: the bettors only lose
    assert bounds(betting_interval(losses))[0] == -1.0
    assert bounds(betting_interval(-losses))[1] == 1.0
    assert rate_log_e_value(1, 10, 0.0) == inf
    assert rate_log_e_value(0, 10, 0.0) < 0


@given(differences, st.floats(-0.9, 0.9))
def test_the_e_value_is_the_mixture_of_the_page(d: NDArray[np.float64], m: float) -> None:
    assert log_e_value(d, m) == pytest.approx(log(plain_e(d, m)), rel=1e-9, abs=1e-9)


@given(differences, st.randoms(use_true_random=False), st.floats(-0.9, 0.9))
def test_order_does_not_matter(d: NDArray[np.float64], random: Any, m: float) -> None:
    shuffled = d.tolist()
    random.shuffle(shuffled)
    assert log_e_value(np.array(shuffled), m) == log_e_value(d, m)


@given(differences)
def test_the_interval_is_mirrored_and_contains_the_mean(d: NDArray[np.float64]) -> None:
    low, high = bounds(betting_interval(d))
    assert -1 <= low <= high <= 1
    assert low - 1e-12 <= d.mean() <= high + 1e-12
    assert betting_interval(-d) == Interval(-high, -low)


@given(differences, st.floats(-0.95, 0.95))
def test_p_values_say_what_the_interval_says(d: NDArray[np.float64], threshold: float) -> None:
    low, high = bounds(betting_interval(d))
    p_pass, p_fail = betting_p_values(d, threshold)
    if min(abs(threshold - low), abs(threshold - high)) > 1e-9:
        assert (p_pass < 0.025) == (low > threshold)
        assert (p_fail < 0.025) == (high < threshold)


@given(st.integers(0, 200), st.integers(0, 200), st.floats(0.05, 0.95))
def test_a_rate_is_a_difference_seen_from_zero(passes: int, failures: int, threshold: float) -> None:
    as_differences = np.repeat([1.0, -1.0], [passes, failures])
    expected = log_e_value(as_differences, 2 * threshold - 1)
    assert rate_log_e_value(passes, passes + failures, threshold) == pytest.approx(expected, rel=1e-9, abs=1e-9)


counts = st.integers(0, 60)


@given(counts, counts, counts, st.floats(-0.95, 0.95))
def test_counts_say_what_the_differences_say(wins: int, losses: int, ties: int, threshold: float) -> None:
    d = by_counts(wins, losses, ties)
    assert counts_log_e_value(wins, losses, ties, threshold) == pytest.approx(log_e_value(d, threshold), abs=1e-9)
    assert bounds(counts_betting_interval(wins, losses, ties)) == pytest.approx(bounds(betting_interval(d)), abs=1e-12)
    assert counts_lower_bound(wins, losses, ties, alpha=0.1) == pytest.approx(lower_bound(d, alpha=0.1), abs=1e-12)


def test_counts_at_their_edges() -> None:
    assert counts_betting_interval(0, 0, 0) == Interval(-1.0, 1.0)
    assert counts_log_e_value(0, 0, 0, 0.3) == 0.0
    assert counts_betting_interval(0, 20, 0).low == -1.0
    for impossible in ((-1, 0, 3), (0, -1, 3), (0, 0, -1)):
        with pytest.raises(ValueError, match="negative"):
            counts_log_e_value(*impossible, 0.0)
        with pytest.raises(ValueError, match="negative"):
            counts_lower_bound(*impossible, alpha=0.025)


def test_a_bound_from_counts_does_not_grow_with_them() -> None:
    small, large = counts_betting_interval(130, 80, 790), counts_betting_interval(130_000, 80_000, 790_000)
    assert bounds(small)[0] < bounds(large)[0] < 0.05 < bounds(large)[1] < bounds(small)[1]


@pytest.mark.parametrize("value", [1.1, -1.1, float("nan"), inf])
def test_values_outside_the_range_are_refused(value: float) -> None:
    d = np.array([0.1, value])
    for call in (lambda: log_e_value(d, 0.0), lambda: betting_interval(d), lambda: betting_p_values(d, 0.0)):
        with pytest.raises(ValueError, match=r"\[-1, 1\]"):
            call()
    with pytest.raises(ValueError, match="passes"):
        rate_log_e_value(4, 3, 0.5)
