from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest
from statsmodels.stats.proportion import proportion_confint

from evalsvc.stats.interval import Interval
from evalsvc.stats.rates import (
    MOST_CASES,
    cases_to_prove_rate,
    cases_to_resolve_rate,
    clopper_pearson,
    rate_p_values,
    wilson,
)

counts = st.integers(0, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def bounds(interval: Interval) -> tuple[float, float]:
    assert interval.low is not None
    assert interval.high is not None
    return interval.low, interval.high


def test_reference_rows(vectors: Any) -> None:
    for row in vectors["fixed"]["rates"]["rows"]:
        k, n = row["k"], row["n"]
        assert bounds(clopper_pearson(k, n)) == pytest.approx(row["cp95"], rel=1e-10)
        assert bounds(wilson(k, n)) == pytest.approx(row["wilson95"], rel=1e-12, abs=1e-15)
        assert clopper_pearson(k, n, level=0.9).low == pytest.approx(row["cp_lower_onesided95"], rel=1e-10)
        expected = (row["p_greater"], row["p_less"])
        assert rate_p_values(k, n, row["p0"]) == pytest.approx(expected, rel=1e-10)


def test_reference_cases_to_prove(vectors: Any) -> None:
    table = vectors["fixed"]["zero_failures_n"]
    for key, level in (("alpha_025", 0.95), ("alpha_05", 0.90)):
        for threshold, n in table[key].items():
            assert cases_to_prove_rate(float(threshold), level=level) == n


def test_reference_fewest_passes(vectors: Any) -> None:
    for key, row in vectors["fixed"]["binom_min_passes_alpha025"]["table"].items():
        threshold, n = (float(part.split("=")[1]) for part in key.split(","))
        passing = [k for k in range(int(n) + 1) if rate_p_values(k, int(n), threshold)[0] < 0.025]
        assert passing[0] == row["min_passes"]


def test_reference_decisive_votes(vectors: Any) -> None:
    """Of the votes that are no ties, how many prefer the candidate."""
    for name in ("pref_p1", "pref_p2", "pref_p4"):
        row = vectors["fixed"][name]
        wins, decisive = row["w"], row["w"] + row["l"]
        assert bounds(wilson(wins, decisive)) == pytest.approx(row["decisive_wilson95"], rel=1e-10)
        assert bounds(clopper_pearson(wins, decisive)) == pytest.approx(row["decisive_cp95"], rel=1e-10)


def test_no_cases_prove_nothing() -> None:
    assert clopper_pearson(0, 0) == Interval(0.0, 1.0)
    assert wilson(0, 0) == Interval(0.0, 1.0)
    assert rate_p_values(0, 0, 0.9) == (1.0, 1.0)


def test_279_of_300_is_open_at_90_percent_and_281_is_proof() -> None:
    # 93% observed on 300 cases does not prove 90%: the toy rule would have shipped it
    assert bounds(clopper_pearson(279, 300))[0] < 0.90
    assert bounds(clopper_pearson(281, 300))[0] > 0.90


@pytest.mark.parametrize(("n", "low"), [(3, 0.2924), (20, 0.8316), (300, 0.9878)])
def test_all_pass(n: int, low: float) -> None:
    assert clopper_pearson(n, n).low == pytest.approx(low, abs=5e-5)
    assert clopper_pearson(n, n).high == 1.0
    assert clopper_pearson(0, n).high == pytest.approx(1 - low, abs=5e-5)
    assert wilson(n, n).high == 1.0
    assert wilson(0, n).low == 0.0


@given(counts, st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_intervals_agree_with_scipy_and_statsmodels(pair: tuple[int, int], level: float) -> None:
    k, n = pair
    assume(n > 0)
    exact = binomtest(k, n).proportion_ci(level, method="exact")
    assert bounds(clopper_pearson(k, n, level=level)) == pytest.approx((exact.low, exact.high), rel=1e-8)
    score = proportion_confint(k, n, alpha=1 - level, method="wilson")
    assert bounds(wilson(k, n, level=level)) == pytest.approx(score, rel=1e-9, abs=1e-12)
    for low, high in (bounds(clopper_pearson(k, n, level=level)), bounds(wilson(k, n, level=level))):
        assert 0 <= low <= k / n <= high <= 1


@given(counts, st.floats(0.001, 0.999))
def test_p_values_say_what_the_interval_says(pair: tuple[int, int], threshold: float) -> None:
    low, high = bounds(clopper_pearson(*pair))
    p_pass, p_fail = rate_p_values(*pair, threshold)
    assume(min(abs(threshold - low), abs(threshold - high)) > 1e-9)
    assert (p_pass < 0.025) == (low > threshold)
    assert (p_fail < 0.025) == (high < threshold)


@given(counts, st.floats(0, 1))
def test_passes_mirror_failures(pair: tuple[int, int], threshold: float) -> None:
    assume(1 - (1 - threshold) == threshold)
    k, n = pair
    low, high = bounds(clopper_pearson(k, n))
    assert bounds(clopper_pearson(n - k, n)) == pytest.approx((1 - high, 1 - low), rel=1e-9, abs=1e-12)
    p_pass, p_fail = rate_p_values(k, n, threshold)
    assert rate_p_values(n - k, n, 1 - threshold) == pytest.approx((p_fail, p_pass), rel=1e-7, abs=1e-100)


def test_thresholds_of_zero_and_one() -> None:
    assert rate_p_values(1, 10, 0.0) == (0.0, 1.0)  # one pass refutes "the rate is 0"
    assert rate_p_values(0, 10, 0.0) == (1.0, 1.0)
    assert rate_p_values(9, 10, 1.0) == (1.0, 0.0)
    assert rate_p_values(10, 10, 1.0) == (1.0, 1.0)  # a rate above 1 is never proven


@given(st.floats(0, 0.9999))
def test_cases_to_prove_is_where_clopper_pearson_first_clears(threshold: float) -> None:
    n = cases_to_prove_rate(threshold)
    assert bounds(clopper_pearson(n, n))[0] > threshold
    assert bounds(clopper_pearson(n - 1, n - 1))[0] <= threshold


def exact_power(n: int, rate: float, threshold: float) -> float:
    """Probability of the verdict on the side of ``rate``, by scipy.stats."""
    k = np.arange(n + 1)
    settled = binom.sf(k - 1, n, threshold) < 0.025 if rate > threshold else binom.cdf(k, n, threshold) < 0.025
    return float(binom.pmf(k, n, rate)[settled].sum())


@pytest.mark.parametrize(
    ("rate", "threshold"),
    [(0.95, 0.9), (0.85, 0.9), (0.9, 0.85), (0.5, 0.6), (0.97, 0.9), (1.0, 0.99), (0.0, 0.9), (0.3, 0.0), (0.9, 1.0)],
)
def test_cases_to_resolve_has_the_power_and_nearly_the_fewest_cases(rate: float, threshold: float) -> None:
    n = cases_to_resolve_rate(rate, threshold)
    assert n is not None
    assert exact_power(n, rate, threshold) >= 0.8
    fewest = next(m for m in range(1, n + 1) if exact_power(m, rate, threshold) >= 0.8)
    assert fewest <= n <= 1.05 * fewest + 1


def test_reference_binomial_power(vectors: Any) -> None:
    rows = vectors["fixed"]["power_binom_noninf"]["rows"]
    assert len(rows) == 4
    for row in rows:
        assert exact_power(row["n"], row["p1"], row["p0"]) == pytest.approx(row["power_alpha025"], rel=1e-9)
        n = cases_to_resolve_rate(row["p1"], row["p0"], power=row["power_alpha025"])
        assert n is not None
        assert n <= row["n"]


def test_unresolvable_rates_have_no_number() -> None:
    assert cases_to_resolve_rate(0.9, 0.9) is None
    assert cases_to_resolve_rate(0.9, 0.9001) is None  # 80 million cases
    assert cases_to_resolve_rate(1e-20, 0.0) is None
    near = cases_to_resolve_rate(0.9003, 0.9)
    assert near is not None
    assert 7_000_000 < near <= MOST_CASES


@given(st.floats(0, 1), st.floats(0, 1))
def test_any_two_rates_have_a_number_or_none(rate: float, threshold: float) -> None:
    cases = cases_to_resolve_rate(rate, threshold)
    assert cases is None or 1 <= cases <= MOST_CASES


@pytest.mark.parametrize("threshold", [1e-308, 5e-324, 1e-300, 1e-160, 1e-9])
def test_a_threshold_next_to_nothing_is_out_of_reach(threshold: float) -> None:
    assert cases_to_resolve_rate(0.0, threshold) is None
    assert cases_to_resolve_rate(1.0, 1 - threshold) is None


def test_wrong_counts_and_rates_are_refused() -> None:
    for passes, n in ((-1, 3), (4, 3), (0, -1)):
        with pytest.raises(ValueError, match="passes"):
            clopper_pearson(passes, n)
        with pytest.raises(ValueError, match="passes"):
            wilson(passes, n)
        with pytest.raises(ValueError, match="passes"):
            rate_p_values(passes, n, 0.5)
    with pytest.raises(ValueError, match="rate"):
        rate_p_values(1, 2, 1.5)
    with pytest.raises(ValueError, match="rate"):
        cases_to_resolve_rate(0.5, float("nan"))
    with pytest.raises(ValueError, match="proven"):
        cases_to_prove_rate(1.0)
