"""Bisection by hand: over integers, and over a stretch of the line."""

from __future__ import annotations

from collections.abc import Callable

#: Width at which a search on the line ends: far below anything a verdict hangs on.
RESOLUTION = 1e-15


def first_true(predicate: Callable[[int], bool], low: int, high: int) -> int:
    """Smallest integer in [low, high) at which a predicate that turns true once is true; ``high`` if it never is."""
    while low < high:
        middle = (low + high) // 2
        if predicate(middle):
            high = middle
        else:
            low = middle + 1
    return low


def last_true(predicate: Callable[[float], bool], low: float, high: float, *, resolution: float = RESOLUTION) -> float:
    """Largest point in [low, high] at which a predicate that turns false once still holds; ``low`` if it never does.

    The stretch lies within [-1, 1] and the predicate is false at ``high``. The true end of the bracket is returned:
    a bound found this way errs by at most ``resolution``, and on the cautious side.
    """
    while high - low > resolution:
        middle = (low + high) / 2
        if predicate(middle):
            low = middle
        else:
            high = middle
    return low
