from __future__ import annotations

from math import exp, inf, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, chi2

from evalsvc.stats.pilot import discordance_bound, lognormal_fit


def test_the_bound_of_a_discordance_is_exact_for_scores_of_0_and_1() -> None:
    bound = discordance_bound(np.array([1.0] * 6 + [-1.0] * 4 + [0.0] * 40))
    assert binom.cdf(10, 50, bound) == pytest.approx(0.2)
    assert discordance_bound(np.zeros(50)) == pytest.approx(1 - 0.2 ** (1 / 50))
    assert discordance_bound(np.array([])) == 1.0
    assert discordance_bound(np.full(5, 0.3)) == 1.0  # all alike: nothing is known of their spread


def test_the_bound_of_a_graded_discordance_is_that_of_the_variance() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(500):
        differences = 0.1 + 0.2 * rng.standard_normal(30)
        bound = discordance_bound(differences)
        variance = float(differences.var(ddof=1))
        assert bound == pytest.approx(variance * 29 / chi2.ppf(0.2, 29) + float(differences.mean()) ** 2)
        covered += bound - float(differences.mean()) ** 2 >= 0.2**2
    assert covered / 500 == pytest.approx(0.8, abs=0.07)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40))
def test_a_bound_of_a_discordance_is_a_share(differences: list[float]) -> None:
    assert 0 < discordance_bound(np.array(differences)) <= 1


def test_a_lognormal_fit_leaves_timeouts_out_and_knows_what_it_cannot_know() -> None:
    middle, spread = lognormal_fit(np.array([exp(1), exp(3), inf, 0.0])) or (0.0, 0.0)
    assert log(middle) == pytest.approx(2.0)
    assert spread == pytest.approx(2**0.5)
    assert lognormal_fit(np.array([1.0, inf])) is None
    assert lognormal_fit(np.array([1.0, 1.0, 1.0])) is None
    assert lognormal_fit(np.array([])) is None
