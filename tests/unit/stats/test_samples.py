from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import ttest_ind
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.stats.proportion import confint_proportions_2indep

from evalsvc.stats.interval import Interval
from evalsvc.stats.samples import corrected_judge_mean, newcombe, pooled, reweighted, welch

Floats = NDArray[np.float64]
samples = st.lists(st.floats(-1, 1).map(lambda x: round(x, 4)), min_size=2, max_size=40).map(np.array)
rates = st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def bounds(interval: Interval) -> tuple[float, float]:
    assert interval.low is not None
    assert interval.high is not None
    return interval.low, interval.high


def test_reference_welch(vectors: Any) -> None:
    row = vectors["fixed"]["welch"]
    found = welch(np.array(row["x1"]), np.array(row["x2"]))
    assert found is not None
    assert (found.value, found.freedom) == pytest.approx((row["diff"], row["df"]), rel=1e-12)
    assert found.value / found.error == pytest.approx(row["t"], rel=1e-12)
    assert 2 * min(found.p_values(0.0)) == pytest.approx(row["p_two"], rel=1e-10)
    assert bounds(found.interval()) == pytest.approx(row["ci95"], rel=1e-10)


def test_reference_overfitting_gap(vectors: Any) -> None:
    row = vectors["fixed"]["did_gap"]
    found = welch(np.array(row["d_train"]), np.array(row["d_heldout"]))
    assert found is not None
    assert (found.value, found.freedom) == pytest.approx((row["did"], row["df"]), rel=1e-12)
    assert found.p_values(0.0)[0] == pytest.approx(row["p_greater"], rel=1e-9)
    assert bounds(found.interval()) == pytest.approx(row["ci95"], rel=1e-10)


def test_reference_newcombe(vectors: Any) -> None:
    rows = vectors["fixed"]["two_indep_props"]["rows"]
    assert len(rows) >= 3
    for row in rows:
        found = newcombe(row["c1"], row["n1"], row["c2"], row["n2"])
        assert bounds(found) == pytest.approx(row["newcomb"], rel=1e-10)


def test_reference_pooling(vectors: Any) -> None:
    row = vectors["fixed2"]["dl_pooling"]
    found = pooled(np.array(row["effects"]), np.array(row["var"]))
    assert (found.q, found.p_alike) == pytest.approx((row["Q"], row["p_homog"]), rel=1e-10)
    assert (found.fixed, found.fixed_error) == pytest.approx((row["mean_fe"], row["sd_fe"]), rel=1e-12)
    assert (found.random, found.random_error) == pytest.approx((row["mean_re"], row["sd_re"]), rel=1e-12)
    assert found.between == pytest.approx(row["tau2_DL"], rel=1e-12)
    assert found.shrunken == pytest.approx(row["shrunken"], rel=1e-12)


def test_reference_mix(vectors: Any) -> None:
    row, groups = vectors["fixed2"]["poststrat"], vectors["fixed2"]["dl_pooling"]
    found = reweighted(np.array(groups["effects"]), np.array(groups["var"]), np.array(row["weights"]))
    assert found == pytest.approx((row["est"], row["se"]), rel=1e-12)


def test_reference_corrected_judge(vectors: Any) -> None:
    row = vectors["ppi"]
    arrays = (np.array(row[key], dtype=np.float64) for key in ("Yhat_unlabelled", "Yhat_labelled", "Y"))
    low, high = bounds(corrected_judge_mean(*arrays))
    assert (low, high) == pytest.approx(row["ci95"], abs=1e-8)
    assert (low + high) / 2 == pytest.approx(row["est"], rel=1e-12)


@given(samples, samples, st.floats(-1, 1))
def test_welch_agrees_with_scipy(first: Floats, second: Floats, threshold: float) -> None:
    assume(np.ptp(first) > 1e-3 and np.ptp(second) > 1e-3)
    found = welch(first, second)
    assert found is not None
    oracle = ttest_ind(first, second, equal_var=False)
    interval = oracle.confidence_interval(0.95)
    assert bounds(found.interval()) == pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-9)
    p_pass, p_fail = found.p_values(threshold)
    shifted = ttest_ind(first - threshold, second, equal_var=False, alternative="greater")
    assert p_pass == pytest.approx(shifted.pvalue, rel=1e-6, abs=1e-12)
    assert p_pass + p_fail == pytest.approx(1)


def test_without_variance_or_values_nothing_is_told() -> None:
    one, alike = np.array([0.3]), np.full(10, 0.1)
    some = np.array([0.1, 0.4])
    assert welch(one, some) is None
    assert welch(some, np.array([])) is None
    assert welch(alike, alike) is None
    assert welch(np.array([0.3 - 0.2, 0.4 - 0.3, 0.8 - 0.7, 0.1]), alike) is None  # equal up to rounding
    assert welch(alike, some) is not None


@given(rates, rates)
def test_newcombe_agrees_with_statsmodels(first: tuple[int, int], second: tuple[int, int]) -> None:
    found = bounds(newcombe(*first, *second))
    assert found == pytest.approx(confint_proportions_2indep(*first, *second, method="newcomb"), abs=1e-9)
    assert bounds(newcombe(*second, *first)) == pytest.approx((-found[1], -found[0]), abs=1e-12)


def test_newcombe_at_its_edges() -> None:
    assert newcombe(0, 0, 3, 10) == Interval(-1.0, 1.0)
    assert newcombe(3, 10, 0, 0) == Interval(-1.0, 1.0)
    assert bounds(newcombe(20, 20, 20, 20)) == pytest.approx((-0.16112516, 0.16112516), abs=1e-8)  # Wald: [0, 0]
    with pytest.raises(ValueError, match="passes"):
        newcombe(4, 3, 1, 2)


@given(
    st.lists(st.tuples(st.integers(-100, 100), st.integers(1, 100)), min_size=2, max_size=12).map(
        lambda rows: (np.array([a / 100 for a, _ in rows]), np.array([b / 1000 for _, b in rows]))
    )
)
def test_pooling_agrees_with_statsmodels(groups: tuple[Floats, Floats]) -> None:
    found = pooled(*groups)
    with np.errstate(all="ignore"):  # the oracle divides by 0 where the groups agree, and takes a root of less
        oracle = combine_effects(*groups, method_re="chi2")
    assert (found.fixed, found.fixed_error) == pytest.approx((oracle.mean_effect_fe, oracle.sd_eff_w_fe), rel=1e-9)
    assert found.q == pytest.approx(oracle.q, rel=1e-9, abs=1e-9)
    if oracle.tau2 > 1e-12:
        assert found.between == pytest.approx(oracle.tau2, rel=1e-6)
        assert (found.random, found.random_error) == pytest.approx(
            (oracle.mean_effect_re, oracle.sd_eff_w_re), rel=1e-6
        )
    assert min(groups[0]) - 1e-12 <= min(found.shrunken) <= max(found.shrunken) <= max(groups[0]) + 1e-12


def test_groups_that_agree_are_one_effect() -> None:
    found = pooled(np.array([0.1, 0.1, 0.1]), np.array([0.01, 0.02, 0.03]))
    assert found.between == 0.0
    assert found.random == pytest.approx(0.1)
    assert found.random_error == pytest.approx(found.fixed_error)


def test_what_cannot_be_is_refused() -> None:
    for effects, variances in (([0.1], [0.1]), ([0.1, 0.2], [0.1, 0.0]), ([0.1, 0.2], [0.1])):
        with pytest.raises(ValueError, match="two effects"):
            pooled(np.array(effects), np.array(variances))
    for shares in ([0.5, 0.4], [1.5, -0.5], [1.0]):
        with pytest.raises(ValueError, match="share a group"):
            reweighted(np.array([0.1, 0.2]), np.array([0.1, 0.1]), np.array(shares))
    for labelled, labels in (([], []), ([0.1, 0.2], [1.0])):
        with pytest.raises(ValueError, match="label"):
            corrected_judge_mean(np.array([0.3]), np.array(labelled), np.array(labels))
