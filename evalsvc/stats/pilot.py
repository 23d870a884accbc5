"""What a few cases teach about many: how much the arms differ, and how latencies spread."""

from __future__ import annotations

from math import exp

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

from evalsvc.stats.paired import has_spread
from evalsvc.stats.rates import clopper_pearson


def discordance_bound(differences: NDArray[np.float64], *, confidence: float = 0.8) -> float:
    """Upper confidence bound of the mean squared difference; for scores of 0 and 1 that is the discordance.

    Exact (Clopper and Pearson) where every difference is -1, 0 or 1, or all are alike; else from the chi-square bound
    of the variance, for normal differences, and never more than 1.

    Args:
        differences: candidate - baseline of a pilot's complete pairs.
        confidence: one-sided.
    """
    n = differences.size
    whole = bool(np.isin(differences, (-1.0, 0.0, 1.0)).all())
    if n == 0 or whole or not has_spread(differences):
        bound = clopper_pearson(int(np.count_nonzero(differences)), n, level=2 * confidence - 1).high if n else 1.0
        return 1.0 if bound is None else bound
    variance = float(differences.var(ddof=1)) * (n - 1) / float(chdtri(n - 1, confidence))
    return min(1.0, variance + float(differences.mean()) ** 2)


def lognormal_fit(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """Geometric mean of the finite positive values and the standard deviation of their logarithms.

    None for fewer than two, or where all are alike.
    """
    kept = values[np.isfinite(values) & (values > 0)]
    if kept.size < 2 or float(np.ptp(kept)) == 0:
        return None
    logs = np.log(kept)
    return exp(float(logs.mean())), float(logs.std(ddof=1))
