"""Score tables as arrays, pooled case by case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalsvc.core.evidence import ArmScores, Evidence, ScoreTable
from evalsvc.core.records import Arm, Role
from evalsvc.decide.verdict import NOISE, Bounded, Missing

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """One arm's scores, one entry a case: ``mean`` is NaN where missing, ``low`` and ``high`` bound it there."""

    mean: Floats
    low: Floats
    high: Floats

    @property
    def missing(self) -> int:
        """Cases without a score."""
        return int(np.isnan(self.mean).sum())

    @property
    def whole(self) -> bool:
        """Whether nothing is missing, as far as the store knows: one array then stands for all three."""
        return self.mean is self.low is self.high

    def at(self, chosen: Flags) -> Scores:
        """The chosen cases."""
        if self.whole:
            return whole(self.mean[chosen])
        return Scores(mean=self.mean[chosen], low=self.low[chosen], high=self.high[chosen])


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Both arms' scores over the same cases in the same order; ``clusters`` as `clusters_of` gives them."""

    candidate: Scores
    baseline: Scores
    clusters: Ints | None = None

    @property
    def complete(self) -> Flags:
        """Which cases both arms have a score for."""
        return ~(np.isnan(self.candidate.mean) | np.isnan(self.baseline.mean))

    @property
    def missing(self) -> Missing:
        """What is missing of either arm."""
        arms = {Arm.CANDIDATE: self.candidate, Arm.BASELINE: self.baseline}
        return Missing(
            cases={arm: len(scores.mean) for arm, scores in arms.items()},
            counts={arm: scores.missing for arm, scores in arms.items()},
        )

    def at(self, chosen: Flags) -> Pairs:
        """The chosen cases."""
        if chosen.all():
            return self  # the usual case, and no copy of every score
        clusters = None if self.clusters is None else self.clusters[chosen]
        return Pairs(candidate=self.candidate.at(chosen), baseline=self.baseline.at(chosen), clusters=clusters)

    def bounded(self) -> Bounded[tuple[Floats, Floats]]:
        """(candidate, baseline) over complete pairs, then over all of them at the candidate's worst and best."""
        complete = self.complete
        if complete.all():
            return Bounded(*[(self.candidate.mean, self.baseline.mean)] * 3)
        return Bounded(
            complete=(self.candidate.mean[complete], self.baseline.mean[complete]),
            worst=(self.candidate.low, self.baseline.high),
            best=(self.candidate.high, self.baseline.low),
        )


def joined(parts: Iterable[Scores]) -> Scores:
    """Scores laid end to end."""
    each = list(parts)
    if all(part.whole for part in each):
        return whole(_end_to_end([part.mean for part in each]))
    return Scores(
        mean=_end_to_end([part.mean for part in each]),
        low=_end_to_end([part.low for part in each]),
        high=_end_to_end([part.high for part in each]),
    )


def whole(scores: Floats) -> Scores:
    """Scores of which none is missing."""
    return Scores(mean=scores, low=scores, high=scores)


def scores_of(tables: Iterable[ScoreTable], arm: Arm) -> Scores:
    """One arm's scores, tables laid end to end."""
    return joined(_as_arrays(table.arms[arm]) for table in tables)


def pairs_of(tables: Sequence[ScoreTable]) -> Pairs:
    """Both arms' scores, tables laid end to end."""
    return Pairs(
        candidate=scores_of(tables, Arm.CANDIDATE),
        baseline=scores_of(tables, Arm.BASELINE),
        clusters=clusters_of(tables),
    )


def clusters_of(tables: Sequence[ScoreTable]) -> Ints | None:
    """Which cluster each case is of, tables laid end to end; None where no table has clusters.

    A case of a table without them is a cluster of its own, and no cluster reaches over two tables.
    """
    if all(table.cluster is None for table in tables):
        return None
    parts, beyond = [], 0
    for table in tables:
        own = np.arange(len(table.category)) if table.cluster is None else np.asarray(table.cluster, dtype=np.int64)
        parts.append(own + beyond)
        beyond += int(own.max()) + 1 if len(own) else 0
    return np.concatenate(parts)


def primaries(evidence: Evidence, role: Role) -> tuple[ScoreTable, ...]:
    """The tables gates use for one role."""
    return tuple(table for table in evidence.tables if table.primary and table.role is role)


def categories_of(table: ScoreTable) -> Mapping[str, Flags]:
    """Which cases lie in each category of a table, by name."""
    index = np.asarray(table.category)
    return {name: index == place for place, name in sorted(enumerate(table.categories), key=lambda pair: pair[1])}


def passed(scores: Floats, pass_at: float) -> int:
    """How many cases pass (NaN does not)."""
    return int(passing(scores, pass_at).sum())


def passing(scores: Floats, pass_at: float | Floats) -> Flags:
    """Which cases pass (NaN does not); ``pass_at`` may be one a case."""
    flags: Flags = scores >= np.asarray(pass_at) - NOISE
    return flags


def _as_arrays(scores: ArmScores) -> Scores:
    if scores.mean is scores.low is scores.high:
        return whole(_floats(scores.mean))
    return Scores(mean=_floats(scores.mean), low=_floats(scores.low), high=_floats(scores.high))


def _end_to_end(parts: Sequence[Floats]) -> Floats:
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0), *parts])


def _floats(values: Iterable[float]) -> Floats:
    return np.asarray(values, dtype=np.float64)
