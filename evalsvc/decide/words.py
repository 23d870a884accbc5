"""How numbers are said to a release manager: points and percent, never decimals."""

from __future__ import annotations

from collections.abc import Callable

from evalsvc.stats.interval import Interval


def points(value: float) -> str:
    """A difference of rates in points, one decimal: 0.1185 → ``11.8``."""
    return f"{round(100 * value, 1) + 0.0:.1f}"


def percent(value: float) -> str:
    """A rate in percent, one decimal: 0.9056 → ``90.6%``."""
    return f"{100 * value:.1f}%"


def limit(threshold: float) -> str:
    """A threshold in points or percent as a person would write it: 0.05 → ``5``."""
    return f"{100 * threshold:.6g}"


def number(threshold: float) -> str:
    """A threshold as claims print it: at least two decimals unless it is whole."""
    if threshold == int(threshold):
        return str(int(threshold))
    short = f"{threshold:.2f}"
    return short if float(short) == threshold else repr(float(threshold))


def span(interval: Interval, say: Callable[[float], str]) -> str:
    """An interval in words: ``8.5 to 15.5``, ``at least 8.5`` where only one bound exists."""
    low, high = (None if bound is None else say(bound) for bound in (interval.low, interval.high))
    if low is None or high is None:
        return f"at least {low}" if low else f"at most {high}" if high else "too few cases for an interval"
    return f"{low} to {high}"


def count(cases: int, noun: str) -> str:
    """``1 case``, ``2 cases``."""
    return f"{cases} {noun}" if cases == 1 else f"{cases} {noun}s"
