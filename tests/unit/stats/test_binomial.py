import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from evalsvc.stats.binomial import at_least, at_most


@given(st.integers(0, 2000), st.data(), st.floats(0, 1))
def test_tails_agree_with_scipy_stats(n: int, data: st.DataObject, p: float) -> None:
    k = data.draw(st.integers(-2, n + 2))
    assert at_most(k, n, p) == pytest.approx(binom.cdf(k, n, p), rel=1e-9, abs=1e-100)
    assert at_least(k, n, p) == pytest.approx(binom.sf(k - 1, n, p), rel=1e-9, abs=1e-100)


@pytest.mark.parametrize("p", [0.5, 0.9, 0.99])
def test_tails_stay_exact_at_ten_million_cases(p: float) -> None:
    n = 10**7
    k = int(n * p - 1.96 * (n * p * (1 - p)) ** 0.5)
    assert at_most(k, n, p) == pytest.approx(binom.cdf(k, n, p), rel=1e-12)
    assert at_least(k + 1, n, p) + at_most(k, n, p) == pytest.approx(1, rel=1e-12)
