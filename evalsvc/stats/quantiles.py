"""Quantiles of latencies: distribution-free, and at home with +∞ (a timeout has a rank, though no value).

Bounds are order statistics: the number of values at or below the q-quantile is binomial whatever the distribution
(Conover 1999, Practical Nonparametric Statistics). A bound whose rank does not exist is None.
"""

from __future__ import annotations

from math import ceil, floor, inf, isinf, log

import numpy as np
from numpy.typing import NDArray

from evalsvc.stats.binomial import at_least, at_most
from evalsvc.stats.interval import Interval
from evalsvc.stats.search import first_true

#: How close to a rank a position must be to be that rank: rounding must not mix in the next value, it may be +∞.
_ROUNDING = 1e-9


def percentile(sorted_values: NDArray[np.float64], q: float) -> float:
    """Type-7 quantile (Hyndman and Fan 1996; numpy's default) of ascending values, which may end in +∞.

    Raises:
        ValueError: no values, or ``q`` not in [0, 1].
    """
    if sorted_values.size == 0 or not 0 <= q <= 1:
        raise ValueError("a percentile needs values and a q in [0, 1]")
    position = (sorted_values.size - 1) * q
    if abs(position - round(position)) < _ROUNDING:
        return float(sorted_values[round(position)])
    below, above = float(sorted_values[floor(position)]), float(sorted_values[ceil(position)])
    return above if below == above else below + (position - floor(position)) * (above - below)


def quantile_interval(sorted_values: NDArray[np.float64], q: float, *, alpha_low: float, alpha_high: float) -> Interval:
    """Order-statistic bounds of the q-quantile of ascending values.

    The low bound is the r-th value with the largest r such that P(Bin(n, q) ≥ r) ≥ 1 - alpha_low; the high bound the
    r-th with the smallest r such that P(Bin(n, q) ≤ r - 1) ≥ 1 - alpha_high. Each holds with at least its own
    confidence for every distribution. A bound may be +∞; where no such rank exists it is None.
    """
    n = sorted_values.size
    low_rank = first_true(lambda r: at_most(r, n, q) > alpha_low, 0, n)
    high_rank = first_true(lambda r: at_least(r, n, q) <= alpha_high, 1, n + 1)
    low = float(sorted_values[low_rank - 1]) if low_rank >= 1 else None
    high = float(sorted_values[high_rank - 1]) if high_rank <= n else None
    return Interval(low, high)


def quantile_ratio_interval(
    numerator_sorted: NDArray[np.float64], denominator_sorted: NDArray[np.float64], q: float, *, level: float = 0.95
) -> Interval:
    """Bounds of the ratio of two q-quantiles of non-negative values, each one-sided (1 - level)/2 split between arms.

    A bound is None where a rank is missing or the ratio is undefined (∞/∞, 0/0); finite/∞ is 0, positive/0 is +∞.
    """
    alpha = (1 - level) / 4
    numerator = quantile_interval(numerator_sorted, q, alpha_low=alpha, alpha_high=alpha)
    denominator = quantile_interval(denominator_sorted, q, alpha_low=alpha, alpha_high=alpha)
    return Interval(_ratio(numerator.low, denominator.high), _ratio(numerator.high, denominator.low))


def cases_to_prove_quantile(q: float, *, level: float = 0.95, arms: int = 2) -> int:
    """Fewest cases an arm needs for both bounds of its q-quantile to exist, (1 - level)/2 split between the arms.

    Raises:
        ValueError: ``q`` is not inside (0, 1).
    """
    if not 0 < q < 1:
        raise ValueError(f"a quantile lies inside (0, 1): {q}")
    alpha, outer = (1 - level) / 2 / arms, max(q, 1 - q)
    return ceil(log(alpha) / log(outer))


def _ratio(numerator: float | None, denominator: float | None) -> float | None:
    if numerator is None or denominator is None or (isinf(numerator) and isinf(denominator)):
        return None
    if denominator == 0:
        return inf if numerator > 0 else None
    return numerator / denominator
