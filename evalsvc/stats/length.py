"""How much of a preference is length: what is left of it between answers of equal length.

The difference of scores is regressed on the logarithm of the ratio of lengths; the intercept is the effect where both
are as long (Dubois et al. 2024, "Length-Controlled AlpacaEval", arXiv 2404.04475, with a straight line instead of their
logistic one). Its error is robust to unequal spread: HC1 (MacKinnon and White 1985, J. Econometrics 29, 305), t with
n - 2 degrees of freedom.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from evalsvc.stats.interval import Interval

#: With fewer cases a line says nothing.
FEWEST_CASES = 10

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthEffect:
    """A mean difference of scores as it is (``raw``) and between answers of equal length (``controlled``).

    ``slope`` is what an answer gains by being e times as long.
    """

    n: int
    raw: float
    raw_interval: Interval
    controlled: float
    controlled_interval: Interval
    slope: float

    @property
    def explained(self) -> bool:
        """Whether there is an effect, and none that is proven between answers of equal length."""
        return not _covers_zero(self.raw_interval) and _covers_zero(self.controlled_interval)


def length_effect(delta: _Floats, log_length: _Floats, *, level: float = 0.95) -> LengthEffect | None:
    """The effect as it is and at equal length.

    Args:
        delta: differences of scores, shape (n,).
        log_length: logarithms of the ratios of lengths, shape (n,).
        level: of both intervals.

    Returns:
        None for fewer than `FEWEST_CASES` cases, or where all ratios are one.
    """
    n = len(delta)
    centred = log_length - log_length.mean() if n else log_length
    spread = float(centred @ centred)
    if n < FEWEST_CASES or spread <= 1e-12 * n:
        return None
    raw, slope = float(delta.mean()), float(centred @ delta) / spread
    intercept = raw - slope * float(log_length.mean())
    residuals = delta - intercept - slope * log_length
    weights = 1 / n - log_length.mean() * centred / spread  # the intercept is the sum of weights times differences
    error = sqrt(n / (n - 2) * float((weights * residuals) @ (weights * residuals)))
    return LengthEffect(
        n=n,
        raw=raw,
        raw_interval=_t_interval(raw, float(delta.std(ddof=1)) / sqrt(n), n - 1, level),
        controlled=intercept,
        controlled_interval=_t_interval(intercept, error, n - 2, level),
        slope=slope,
    )


def _t_interval(value: float, error: float, freedom: int, level: float) -> Interval:
    half = float(stdtrit(freedom, 0.5 + level / 2)) * error
    return Interval(value - half, value + half)


def _covers_zero(interval: Interval) -> bool:
    return interval.low is not None and interval.high is not None and interval.low <= 0 <= interval.high
