import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from evalsvc.stats.missing import differential_missingness


def fisher(table: list[list[int]]) -> float:
    return float(fisher_exact(np.array(table))[1])


arm = st.integers(0, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(arm, arm)
def test_agrees_with_scipys_fisher_exact(a: tuple[int, int], b: tuple[int, int]) -> None:
    table = [[a[0], a[1] - a[0]], [b[0], b[1] - b[0]]]
    assert differential_missingness(*a, *b) == pytest.approx(fisher(table), rel=1e-6, abs=1e-12)
    assert differential_missingness(*a, *b) == pytest.approx(differential_missingness(*b, *a), rel=1e-9)


@pytest.mark.parametrize("counts", [(0, 0, 0, 0), (0, 0, 3, 10), (0, 10, 0, 20), (10, 10, 20, 20), (4, 100, 4, 100)])
def test_nothing_to_tell_apart(counts: tuple[int, int, int, int]) -> None:
    assert differential_missingness(*counts) == pytest.approx(1.0)


def test_one_arm_missing_ten_of_a_thousand_is_told_apart() -> None:
    # all ten in one arm of two equal ones: 2 / 2^10, a little less without replacement
    p = differential_missingness(10, 1000, 0, 1000)
    assert p == pytest.approx(fisher([[10, 990], [0, 1000]]), rel=1e-9)
    assert p < 0.002


def test_a_million_cases() -> None:
    p = differential_missingness(1000, 10**6, 1100, 10**6)
    assert p == pytest.approx(fisher([[1000, 999_000], [1100, 998_900]]), rel=1e-5)


def test_impossible_counts_are_refused() -> None:
    for counts in ((5, 4, 0, 4), (0, 4, 5, 4), (-1, 4, 0, 4)):
        with pytest.raises(ValueError, match="missing"):
            differential_missingness(*counts)
