"""Differences of scores, moved from [-1, 1] to [0, 1] and counted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: How far rounding may carry a mean of scores out of its range.
_ROUNDING = 1e-9


def unit_counts(differences: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distinct values of (1 + difference)/2 in ascending order, and how often each occurs.

    Raises:
        ValueError: a difference is not in [-1, 1].
    """
    if not (np.abs(differences) <= 1 + _ROUNDING).all():  # so that NaN is refused too
        raise ValueError("differences must be in [-1, 1]")
    values, counts = np.unique(differences, return_counts=True)
    return np.clip((1 + values) / 2, 0.0, 1.0), counts.astype(np.float64)
