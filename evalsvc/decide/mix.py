"""Whether the categories say the same, and whether what they say together hinges on how many cases each has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evalsvc.core.evidence import ScoreTable
from evalsvc.decide.cases import Floats, categories_of, pairs_of
from evalsvc.decide.words import points
from evalsvc.stats.paired import has_spread
from evalsvc.stats.samples import pooled, reweighted

#: Below this p-value of "all categories differ alike", which categories there are many of is worth a warning.
_UNLIKE = 0.05


def heterogeneity(tables: Sequence[ScoreTable]) -> dict[str, Any] | None:
    """How unlike the differences of the categories are (DerSimonian and Laird), and what they say weighted alike.

    A category's variance is the mean variance within all categories over its cases: its own would be zero wherever
    a few cases agree. None with fewer than two categories, without any spread, or where cases come in clusters.
    """
    groups = [group for table in tables for group in _differences(table) if len(group)]
    cases = sum(len(group) for group in groups)
    clustered = any(table.cluster is not None for table in tables)
    if clustered or len(groups) < 2 or cases <= len(groups):
        return None
    residuals = np.concatenate([group - group.mean() for group in groups])
    if not has_spread(residuals):
        return None
    variances = float((residuals**2).sum()) / (cases - len(groups)) / np.array([float(len(g)) for g in groups])
    effects = np.array([float(group.mean()) for group in groups])
    found = pooled(effects, variances)
    alike, error = reweighted(effects, variances, np.full(len(groups), 1 / len(groups)))
    return {
        "categories": len(groups),
        "q": found.q,
        "p": found.p_alike,
        "between": found.between,
        "random": found.random,
        "weighted_alike": alike,
        "weighted_alike_error": error,
    }


def hinges_on_the_mix(name: str, estimate: float | None, found: Mapping[str, Any] | None) -> tuple[str, ...]:
    """A warning where the categories differ and change the sign of the whole when each counts the same."""
    if found is None or estimate is None or found["p"] >= _UNLIKE or estimate * found["weighted_alike"] >= 0:
        return ()
    sides = f"{_side(estimate)} over all cases, {_side(found['weighted_alike'])} with every category weighted alike"
    return (f"{name}: {sides}: what it says hinges on how many cases each category has",)


def _side(value: float) -> str:
    return f"{'better' if value > 0 else 'worse'} by {points(abs(value))} points"


def _differences(table: ScoreTable) -> list[Floats]:
    pairs = pairs_of([table])
    found = []
    for chosen in categories_of(table).values():
        candidate, baseline = pairs.at(chosen).bounded().complete
        found.append(candidate - baseline)
    return found
