"""Many claims at once: p-values and e-values adjusted for how many were looked at."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm-adjusted p-values, in input order; holds under any dependence (Holm 1979, Scand. J. Statist. 6, 65)."""
    adjusted, running, m = [0.0] * len(p_values), 0.0, len(p_values)
    for rank, index in enumerate(_ascending(p_values)):
        running = max(running, min(1.0, (m - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def bh(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of Benjamini and Hochberg (1995, JRSS B 57, 289), in input order: for tables to explore."""
    adjusted, running, m = [0.0] * len(p_values), 1.0, len(p_values)
    for rank, index in reversed(list(enumerate(_ascending(p_values), start=1))):
        running = min(running, m * p_values[index] / rank)
        adjusted[index] = running
    return adjusted


def e_bh(e_values: Sequence[float], *, alpha: float) -> list[bool]:
    """Which hypotheses e-BH rejects: the k largest, k = max{k: k·e_(k)/K ≥ 1/alpha}; holds under any dependence.

    Source: Wang and Ramdas (2022), JRSS B 84, 822 (arXiv 2009.02824). Feed e-values at the stopping time, never a
    running maximum.
    """
    descending, m = sorted(e_values, reverse=True), len(e_values)
    passing = [e for rank, e in enumerate(descending, start=1) if rank * e * alpha >= m]
    return [bool(passing) and e >= passing[-1] for e in e_values]


def _ascending(values: Sequence[float]) -> list[int]:
    return sorted(range(len(values)), key=values.__getitem__)
