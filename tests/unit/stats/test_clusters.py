from typing import Any, cast

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import permutation_test
from statsmodels.api import OLS

from evalsvc.stats.clusters import (
    ClusterRule,
    cluster_rule,
    clustered_mean,
    clustered_p_values,
    clustered_t,
    intraclass_correlation,
    sign_flip_p_values,
)
from evalsvc.stats.interval import Interval
from evalsvc.stats.power import design_effect

Floats = NDArray[np.float64]
clustered = st.lists(
    st.tuples(st.floats(-1, 1).map(lambda x: round(x, 4)), st.integers(0, 7)), min_size=3, max_size=40
).map(lambda rows: (np.array([value for value, _ in rows]), [label for _, label in rows]))


def test_reference_clusters(vectors: Any) -> None:
    row = vectors["fixed"]["clustered"]
    found = clustered_mean(np.array(row["d"]), row["g"])
    assert (found.mean, found.naive) == pytest.approx((row["mean"], row["se_naive"]), rel=1e-12)
    assert found.cr0 == pytest.approx(row["se_CR0_miller"], rel=1e-12)
    assert found.cr1 == pytest.approx(row["se_CR1_statsmodels"], rel=1e-12)
    assert found.clusters == row["df"] + 1
    interval = clustered_t(found)
    assert (interval.low, interval.high) == pytest.approx(row["ci95_CR1_tGm1"], rel=1e-10)
    assert 2 * min(clustered_p_values(found, 0.0)) == pytest.approx(row["p_two_CR1_tGm1"], rel=1e-10)


def test_reference_icc(vectors: Any) -> None:
    row, icc = vectors["fixed"]["clustered"], vectors["fixed"]["icc_oneway"]["icc"]
    assert intraclass_correlation(np.array(row["d"]), row["g"]) == pytest.approx(icc, rel=1e-12)
    assert design_effect(3, icc) == pytest.approx(1 + 2 * icc)


def test_reference_sign_flips(vectors: Any) -> None:
    d, expected = np.array(vectors["fixed"]["paired_t"]["d"]), vectors["fixed"]["signflip_exact"]["p_greater"]
    assert sign_flip_p_values(d, range(len(d)), 0.0)[0] == expected


@given(clustered)
def test_errors_agree_with_statsmodels(rows: tuple[Floats, list[int]]) -> None:
    d, labels = rows
    assume(len(set(labels)) > 1)
    found = clustered_mean(d, labels)
    assert found.cr1 is not None
    assume(found.cr1 > 1e-6)
    fit = OLS(d, np.ones(len(d))).fit(
        cov_type="cluster", cov_kwds={"groups": np.array(labels), "df_correction": True}, use_t=True
    )
    # statsmodels' own correction has (n - 1)/(n - k) too, which is 1 for a mean
    assert found.cr1 == pytest.approx(float(fit.bse[0]), rel=1e-6)
    interval = clustered_t(found)
    assert (interval.low, interval.high) == pytest.approx(tuple(fit.conf_int()[0]), rel=1e-6, abs=1e-9)


@given(st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=2, max_size=9))
def test_sign_flips_agree_with_scipy(values: list[float]) -> None:
    d, by_scipy = np.array(values), cast(Any, permutation_test)
    for side, alternative in enumerate(("greater", "less")):
        oracle = by_scipy(
            (d,),
            lambda x, axis: x.sum(axis=axis).round(9),
            permutation_type="samples",
            alternative=alternative,
            n_resamples=np.inf,
        )
        assert sign_flip_p_values(d, range(len(d)), 0.0)[side] == pytest.approx(oracle.pvalue, rel=1e-9)


@given(clustered)
def test_cases_of_a_cluster_turn_together(rows: tuple[Floats, list[int]]) -> None:
    d, labels = rows
    sums = np.array([d[[each == label for each in labels]].sum() for label in dict.fromkeys(labels)])
    assert sign_flip_p_values(d, labels, 0.0) == pytest.approx(sign_flip_p_values(sums, range(len(sums)), 0.0))


def test_one_cluster_and_one_case_prove_nothing() -> None:
    one = clustered_mean(np.array([0.1, 0.3]), ["a", "a"])
    assert (one.mean, one.clusters, one.cr1) == (0.2, 1, None)
    assert clustered_t(one) == Interval(None, None)
    assert clustered_p_values(one, 0.0) == (1.0, 1.0)
    single = clustered_mean(np.array([0.1]), ["a"])
    assert (single.naive, single.cr0) == (None, None)
    assert intraclass_correlation(np.array([0.1, 0.3]), ["a", "a"]) is None


def test_clusters_that_all_agree_are_no_certainty() -> None:
    """Their residuals cancel in every cluster: the error from cluster sums is 0, though the cases differ."""
    found = clustered_mean(np.array([0.1, 0.3] * 6), [each // 2 for each in range(12)])
    assert found.naive is not None
    assert found.naive > 0
    assert clustered_t(found) == Interval(None, None)
    assert clustered_p_values(found, 0.0) == (1.0, 1.0)
    alike = clustered_mean(np.full(12, 0.1), [each // 2 for each in range(12)])
    assert clustered_t(alike) == Interval(None, None)


def test_a_case_a_cluster_is_the_plain_t_and_has_no_icc() -> None:
    d = np.array([0.1, -0.2, 0.3, 0.05])
    found = clustered_mean(d, "abcd")
    assert found.cr1 == pytest.approx(found.naive)
    assert intraclass_correlation(d, "abcd") is None
    assert intraclass_correlation(np.full(4, 0.1), "aabb") is None
    assert intraclass_correlation(np.array([0.1, 0.1, 0.9, 0.9]), "aabb") == pytest.approx(1.0)


def test_five_clusters_can_never_be_shown_by_flips() -> None:
    assert sign_flip_p_values(np.ones(5), "abcde", 0.0) == (1 / 32, 1.0)
    assert sign_flip_p_values(np.ones(6), "abcdef", 0.0)[0] == 1 / 64
    assert [cluster_rule(each) for each in (1, 5, 6, 19, 20)] == [
        ClusterRule.TOO_FEW,
        ClusterRule.TOO_FEW,
        ClusterRule.T_AND_SIGN_FLIPS,
        ClusterRule.T_AND_SIGN_FLIPS,
        ClusterRule.T,
    ]


def test_flips_are_about_the_threshold() -> None:
    d = np.array([0.2, 0.1, 0.3, 0.25, 0.15, 0.2])
    assert sign_flip_p_values(d, range(6), 0.05)[0] == 1 / 64
    assert sign_flip_p_values(d, range(6), 0.4)[1] == 1 / 64


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="one label a value"):
        clustered_mean(np.array([0.1, 0.2]), ["a"])
    with pytest.raises(ValueError, match="one label a value"):
        clustered_mean(np.array([]), [])
    with pytest.raises(ValueError, match="too many"):
        sign_flip_p_values(np.ones(21), range(21), 0.0)
