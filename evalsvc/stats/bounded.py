"""The mean of values in a known range, from few or lopsided cases: for graded scores what Clopper-Pearson is for rates.

A lower bound has to reckon with what the cases did not show. Gaffke's bound adds one more case at the worst end of the
range and lets the weights of all cases be uncertain: it is the α-quantile of Σ w_i x_i with w ~ Dirichlet(1, …, 1). On
values that are only ever the two ends it is Clopper and Pearson's bound. That it holds for every distribution is a
conjecture nobody has refuted. Sources: Gaffke (2005), Mathematical Methods of Statistics 14, 451; Learned-Miller and
Thomas (2019), arXiv 1905.06208.

The probability is Lugannani and Rice's saddlepoint approximation (1980, Adv. Appl. Probab. 12, 475): right to 6% of a
p-value near 0.025, to 3% from ten cases on.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, pi, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from evalsvc.stats.interval import Interval
from evalsvc.stats.search import last_true
from evalsvc.stats.unit import unit_counts

#: How closely t/(1 + t) is searched for: the bound errs by about as much, far below what the approximation does.
_RESOLUTION = 1e-10
#: How far from its mean, in standard deviations of the weighted sum, the approximation is asked for at least.
_NEAREST = 1e-3


class _Weighted(NamedTuple):
    """Ascending values, the least of them 0, and how many cases stand behind each."""

    values: NDArray[np.float64]
    weights: NDArray[np.float64]


def gaffke(differences: NDArray[np.float64], *, level: float = 0.95, cases: int | None = None) -> Interval:
    """Interval of the mean difference in [-1, 1], from two one-sided bounds of Gaffke; [-1, 1] without data.

    Args:
        differences: values in [-1, 1], one a case.
        level: confidence level, two-sided.
        cases: the interval these values would give if they were seen on that many cases, in the same proportions.

    Raises:
        ValueError: a difference is not in [-1, 1].
    """
    alpha = (1 - level) / 2
    return Interval(_low(differences, alpha, cases), -_low(-differences, alpha, cases))


def gaffke_p_values(differences: NDArray[np.float64], threshold: float) -> tuple[float, float]:
    """The p-values whose inversion is `gaffke`.

    Returns:
        ``(p_pass, p_fail)`` for H0 "mean ≤ threshold" and H0 "mean ≥ threshold".

    Raises:
        ValueError: a difference is not in [-1, 1].
    """
    return _at_most(differences, threshold), _at_most(-differences, -threshold)


def _low(differences: NDArray[np.float64], alpha: float, cases: int | None) -> float:
    """The α-quantile, found along the tilt; no higher than it is."""
    seen = _with_worst_case(differences, cases)
    if seen.values[-1] == 0:  # nothing above the worst end
        return -1.0
    return 2 * _tilted_mean(seen, _last_tilt(seen, lambda t: _probability(seen, t) < alpha)) - 1


def _at_most(differences: NDArray[np.float64], threshold: float) -> float:
    """P(Σ w_i d_i ≤ threshold) with the worst case added: the p-value of H0 "mean ≤ threshold"."""
    seen, mean = _with_worst_case(differences, None), (1 + threshold) / 2
    top = float(seen.values[-1])
    if mean <= 0 or mean >= top:
        return 1.0 if mean >= top else 0.0
    if mean <= _middle(seen):
        return _below(seen, mean)
    return 1 - _below(_Weighted(top - seen.values[::-1], seen.weights[::-1]), top - mean)


def _below(seen: _Weighted, mean: float) -> float:
    return _probability(seen, _last_tilt(seen, lambda t: _tilted_mean(seen, t) < mean))


def _with_worst_case(differences: NDArray[np.float64], cases: int | None) -> _Weighted:
    values, counts = unit_counts(differences)
    scale = 1.0 if cases is None else cases / differences.size
    return _Weighted(np.concatenate([[0.0], values]), np.concatenate([[1.0], counts * scale]))


def _middle(seen: _Weighted) -> float:
    return float(seen.values @ seen.weights / seen.weights.sum())


def _last_tilt(seen: _Weighted, holds: Callable[[float], bool]) -> float:
    """Largest t at which ``holds``, looked for along t/(1 + t) up to just below the middle; 0 if it never does."""
    furthest = sqrt(float(seen.weights @ (seen.values - _middle(seen)) ** 2)) / _NEAREST
    end = furthest / (1 + furthest)
    share = last_true(lambda u: holds(u / (1 - u)), 0.0, end, resolution=_RESOLUTION)
    return share / (1 - share)


def _tilted_mean(seen: _Weighted, t: float) -> float:
    """Mean with weights 1/(x + t): 0 at t = 0, and climbing to the middle."""
    if t == 0:
        return 0.0
    pull = seen.weights / (seen.values + t)
    return float(pull @ seen.values / pull.sum())


def _probability(seen: _Weighted, t: float) -> float:
    """P(Σ w_i x_i ≤ mean), mean as tilted by t > 0: K(s) = -Σ log(1 - s (x_i - mean)) is least at s = -1/(mean + t)."""
    if t == 0:
        return 0.0
    mean = _tilted_mean(seen, t)
    away = (seen.values - mean) / (mean + t)
    root = -sqrt(max(0.0, 2 * float(seen.weights @ np.log1p(away))))
    slope = -sqrt(float(seen.weights @ (away / (1 + away)) ** 2))
    if root == 0:
        return 0.5
    density = exp(-(root**2) / 2) / sqrt(2 * pi)
    return float(ndtr(root)) - density * (1 / slope - 1 / root)
