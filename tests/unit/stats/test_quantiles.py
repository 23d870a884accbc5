from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom, quantile_test

from evalsvc.stats.interval import Interval
from evalsvc.stats.quantiles import cases_to_prove_quantile, percentile, quantile_interval, quantile_ratio_interval

SPLIT = 0.0125  # 97.5% one-sided, shared by two arms


def one_to(n: int) -> NDArray[np.float64]:
    return np.arange(1, n + 1, dtype=np.float64)


def test_reference_type_7(vectors: Any) -> None:
    row = vectors["fixed"]["quantile_type7"]
    assert percentile(one_to(100), 0.99) == pytest.approx(row["p99"], rel=1e-12)
    assert percentile(one_to(100), 0.5) == row["p50"]


@given(st.lists(st.floats(0, 600), min_size=1, max_size=60).map(sorted), st.floats(0, 1))
def test_percentile_is_numpys(values: list[float], q: float) -> None:
    array = np.array(values)
    assert percentile(array, q) == pytest.approx(float(np.quantile(array, q)), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("values", "q", "expected"),
    [
        ([1, 2, inf], 0.5, 2.0),  # exactly on a rank: the infinite neighbour has weight 0
        ([1, inf], 0.5, inf),
        ([1, inf, inf], 0.75, inf),  # between two infinite ones
        ([inf], 0.99, inf),
        ([5], 0.99, 5.0),
        ([1, 2, inf], 1.0, inf),
        ([*range(1, 101), inf], 0.99, 100.0),
        ([*range(8), *([inf] * 93)], 0.07, 7.0),  # 100 * 0.07 is 7.000000000000001
    ],
)
def test_percentile_with_timeouts(values: list[float], q: float, expected: float) -> None:
    assert percentile(np.array(values, dtype=np.float64), q) == expected


def test_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="values"):
        percentile(np.array([], dtype=np.float64), 0.5)
    with pytest.raises(ValueError, match="values"):
        percentile(one_to(3), 1.1)


def test_reference_ranks(vectors: Any) -> None:
    for n, row in vectors["fixed2"]["latency_bonf_ranks alpha .025 split"].items():
        values = one_to(int(n))
        p99 = quantile_interval(values, 0.99, alpha_low=SPLIT, alpha_high=SPLIT)
        p95 = quantile_interval(values, 0.95, alpha_low=SPLIT, alpha_high=SPLIT)
        assert p99 == Interval(row["base_lower_rank"], row["cand_upper_rank"])
        assert p95 == Interval(row["base_lower_p95"], row["cand_upper_p95"])


def test_reference_scipy_ranks(vectors: Any) -> None:
    for n, row in vectors["fixed"]["q99_order_stats"]["ranks"].items():
        found = quantile_interval(one_to(int(n)), 0.99, alpha_low=0.025, alpha_high=0.025)
        assert [found.low, found.high] == row["scipy_ci95_ranks"]
        upper = quantile_interval(one_to(int(n)), 0.99, alpha_low=0.05, alpha_high=0.05).high
        assert upper == row["upper_onesided95_rank"]


@given(st.integers(0, 800), st.sampled_from([0.5, 0.9, 0.95, 0.99]), st.sampled_from([0.0125, 0.025, 0.04]))
def test_ranks_are_the_extreme_ones_that_still_hold(n: int, q: float, alpha: float) -> None:
    found = quantile_interval(one_to(n), q, alpha_low=alpha, alpha_high=alpha)
    rank = np.arange(1, n + 1)
    lows = rank[binom.sf(rank - 1, n, q) >= 1 - alpha]
    highs = rank[binom.cdf(rank - 1, n, q) >= 1 - alpha]
    assert found.low == (lows[-1] if lows.size else None)
    assert found.high == (highs[0] if highs.size else None)


@pytest.mark.parametrize("n", [437, 1000, 1777])
def test_bounds_agree_with_scipys_quantile_test(n: int) -> None:
    values = np.sort(np.random.default_rng(n).lognormal(size=n))
    found = quantile_interval(values, 0.99, alpha_low=SPLIT, alpha_high=SPLIT)
    less: Any = quantile_test(values, p=0.99, alternative="less").confidence_interval(1 - SPLIT)
    greater: Any = quantile_test(values, p=0.99, alternative="greater").confidence_interval(1 - SPLIT)
    assert found == Interval(greater.low, less.high)


def test_the_sides_have_their_own_alpha() -> None:
    values = one_to(400)
    found = quantile_interval(values, 0.99, alpha_low=SPLIT, alpha_high=0.025)
    assert found.low == quantile_interval(values, 0.99, alpha_low=SPLIT, alpha_high=SPLIT).low
    assert found.high is not None
    assert quantile_interval(values, 0.99, alpha_low=SPLIT, alpha_high=SPLIT).high is None


def test_no_values_no_bounds() -> None:
    nothing = np.array([], dtype=np.float64)
    assert quantile_interval(nothing, 0.99, alpha_low=SPLIT, alpha_high=SPLIT) == Interval(None, None)
    assert quantile_ratio_interval(nothing, one_to(1000), 0.99) == Interval(None, None)


def test_ratio_takes_the_far_ends() -> None:
    candidate, baseline = 3 * one_to(1000), one_to(1000)
    found = quantile_ratio_interval(candidate, baseline, 0.99)
    assert found.low == pytest.approx(3 * 982 / 997)
    assert found.high == pytest.approx(3 * 997 / 982)
    wider = quantile_ratio_interval(candidate, baseline, 0.99, level=0.99)
    assert wider.low is not None
    assert wider.high is not None
    assert wider.low < 3 * 982 / 997
    assert wider.high > 3 * 997 / 982


def test_ratio_below_437_cases_has_no_upper_bound() -> None:
    found = quantile_ratio_interval(one_to(436), one_to(1000), 0.99)
    assert found.high is None
    assert found.low is not None
    # the baseline's missing upper bound takes away the lower one: nothing can FAIL on it
    assert quantile_ratio_interval(one_to(1000), one_to(436), 0.99).low is None
    assert quantile_ratio_interval(one_to(437), one_to(437), 0.99).high is not None


def test_ratio_with_timeouts() -> None:
    def with_timeouts(count: int) -> NDArray[np.float64]:
        return np.append(one_to(1000 - count), np.full(count, inf))

    answered, some, many = one_to(1000), with_timeouts(10), with_timeouts(500)
    assert quantile_ratio_interval(some, answered, 0.99).high == inf
    assert quantile_ratio_interval(answered, some, 0.99).low == 0.0
    assert quantile_ratio_interval(many, answered, 0.99) == Interval(inf, inf)
    assert quantile_ratio_interval(answered, many, 0.99) == Interval(0.0, 0.0)
    assert quantile_ratio_interval(many, many, 0.99) == Interval(None, None)


def test_ratio_over_zero() -> None:
    zeros = np.zeros(1000)
    assert quantile_ratio_interval(one_to(1000), zeros, 0.99) == Interval(inf, inf)
    assert quantile_ratio_interval(zeros, zeros, 0.99) == Interval(None, None)  # 0/0 must not become a FAIL


@given(st.integers(440, 1200), st.integers(440, 1200), st.integers(0, 2**32 - 1))
def test_ratio_is_mirrored(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = np.sort(rng.exponential(size=n)), np.sort(rng.exponential(size=m))
    found, turned = quantile_ratio_interval(a, b, 0.99), quantile_ratio_interval(b, a, 0.99)
    assert found.low is not None
    assert turned.high is not None
    assert found.low == pytest.approx(1 / turned.high)
    assert found.low <= percentile(a, 0.99) / percentile(b, 0.99) <= 1 / (turned.low or inf)


def test_reference_cases_to_prove(vectors: Any) -> None:
    levels = {0.025: (0.95, 1), 0.0125: (0.95, 2), 0.05: (0.90, 1)}
    rows = vectors["fixed2"]["latency_min_n"]
    assert len(rows) == 9
    for key, n in rows.items():
        q, alpha = (float(part.split("=")[1]) for part in key.split(","))
        level, arms = levels[alpha]
        assert cases_to_prove_quantile(q, level=level, arms=arms) == n
    assert cases_to_prove_quantile(0.99) == 437
    assert cases_to_prove_quantile(0.99, arms=1) == 368


@given(st.floats(0.02, 0.98))
def test_both_bounds_exist_from_there_on(q: float) -> None:
    n = cases_to_prove_quantile(q)
    enough = quantile_interval(one_to(n), q, alpha_low=SPLIT, alpha_high=SPLIT)
    short = quantile_interval(one_to(n - 1), q, alpha_low=SPLIT, alpha_high=SPLIT)
    assert None not in (enough.low, enough.high)
    assert None in (short.low, short.high)


def test_a_quantile_lies_inside_the_unit_interval() -> None:
    for q in (0.0, 1.0):
        with pytest.raises(ValueError, match="inside"):
            cases_to_prove_quantile(q)
