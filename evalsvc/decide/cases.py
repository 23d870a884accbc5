"""Score tables as arrays, pooled case by case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalsvc.core.evidence import Evidence, ScoreTable
from evalsvc.core.records import Arm, Role
from evalsvc.decide.verdict import NOISE, Bounded, Missing

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


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

    def at(self, chosen: Flags) -> Scores:
        """The chosen cases."""
        return Scores(mean=self.mean[chosen], low=self.low[chosen], high=self.high[chosen])


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Both arms' scores over the same cases in the same order."""

    candidate: Scores
    baseline: Scores

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
        return Pairs(candidate=self.candidate.at(chosen), baseline=self.baseline.at(chosen))

    def bounded(self) -> Bounded[tuple[Floats, Floats]]:
        """(candidate, baseline) over complete pairs, then over all of them at the candidate's worst and best."""
        complete = self.complete
        return Bounded(
            complete=(self.candidate.mean[complete], self.baseline.mean[complete]),
            worst=(self.candidate.low, self.baseline.high),
            best=(self.candidate.high, self.baseline.low),
        )


def joined(parts: Iterable[Scores]) -> Scores:
    """Scores laid end to end."""
    each = list(parts)
    return Scores(
        mean=np.concatenate([np.empty(0), *(part.mean for part in each)]),
        low=np.concatenate([np.empty(0), *(part.low for part in each)]),
        high=np.concatenate([np.empty(0), *(part.high for part in each)]),
    )


def scores_of(tables: Iterable[ScoreTable], arm: Arm) -> Scores:
    """One arm's scores, tables laid end to end."""
    arms = [table.arms[arm] for table in tables]
    return joined(
        Scores(mean=_floats(scores.mean), low=_floats(scores.low), high=_floats(scores.high)) for scores in arms
    )


def pairs_of(tables: Sequence[ScoreTable]) -> Pairs:
    """Both arms' scores, tables laid end to end."""
    return Pairs(candidate=scores_of(tables, Arm.CANDIDATE), baseline=scores_of(tables, Arm.BASELINE))


def primaries(evidence: Evidence, role: Role) -> tuple[ScoreTable, ...]:
    """The tables gates use for one role."""
    return tuple(table for table in evidence.tables if table.primary and table.role is role)


def categories_of(table: ScoreTable) -> Mapping[str, Flags]:
    """Which cases lie in each category of a table, by name."""
    index = np.asarray(table.category)
    return {name: index == place for place, name in sorted(enumerate(table.categories), key=lambda pair: pair[1])}


def passed(scores: Floats, pass_at: float) -> int:
    """How many cases pass (NaN does not)."""
    return int((scores >= pass_at - NOISE).sum())


def _floats(values: Iterable[float]) -> Floats:
    return np.asarray(values, dtype=np.float64)
