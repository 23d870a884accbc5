"""Whether answers are missing alike in both arms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

#: Tables this much more probable than the observed one are as probable: rounding (R's fisher.test uses the same).
_TIE = 1 + 1e-7


def differential_missingness(missing_a: int, n_a: int, missing_b: int, n_b: int) -> float:
    """Two-sided p-value of Fisher's exact test that both arms miss answers at the same rate.

    It sums all tables no more probable than the observed one (Fisher 1935); 1 when an arm is empty or nothing, or
    everything, is missing.

    Raises:
        ValueError: more missing than there are, or fewer than none.
    """
    if not (0 <= missing_a <= n_a and 0 <= missing_b <= n_b):
        raise ValueError(f"missing must be in [0, n]: {missing_a} of {n_a}, {missing_b} of {n_b}")
    missing = missing_a + missing_b
    possible = np.arange(max(0, missing - n_b), min(missing, n_a) + 1, dtype=np.float64)
    log_probability = _log_choose(n_a, possible) + _log_choose(n_b, missing - possible)
    probability = np.exp(log_probability - log_probability.max())
    observed = probability[missing_a - int(possible[0])]
    return float(probability[probability <= observed * _TIE].sum() / probability.sum())


def _log_choose(n: int, k: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of the binomial coefficient."""
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1), dtype=np.float64)
