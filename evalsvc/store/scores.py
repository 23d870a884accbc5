"""The scores of a job as tables, read along its one planned order."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from math import inf, nan
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from evalsvc.core.evidence import ArmScores, ScoreTable
from evalsvc.core.records import Arm, Job, SuiteSpec
from evalsvc.store.database import Reader

# The order of arms and trials is part of the question: sums of floats depend on it, and a verdict might on them. CROSS
# JOIN keeps the outcomes in front: by their index they come in that order, the other way round they are sorted first.
_SCORES = """
SELECT c.position, c.suite, c.category, o.arm, o.score, o.scores, {metadata}
FROM outcomes o CROSS JOIN cases c ON c.job_id = o.job_id AND c.position = o.position AND o.step = 'answer'
WHERE o.job_id = ? AND o.position >= ? AND o.position < ? ORDER BY o.position, o.arm, o.trial"""
_PLAIN, _CLUSTERED = (_SCORES.format(metadata=each) for each in ("NULL", "c.payload -> '$.metadata'"))
_NO_ENDS: Mapping[str, int] = {}
_BEYOND = 2**62


class ScoreReader:
    """Reads further and further along a job's order. ``rows`` counts the answers read so far.

    Args:
        database: where they are.
        job: whose suites and scorers they are of.
        job_id: its id.
    """

    def __init__(self, database: Reader, job: Job, job_id: str) -> None:
        self.rows = 0
        self._db = database
        self._job_id = job_id
        self._suites = {suite.name: _SuiteScores(suite, job.trials) for suite in job.suites}
        self._sql = _PLAIN if all(suite.cluster is None for suite in job.suites) else _CLUSTERED
        self._at = 0

    async def read(self, until: int = _BEYOND, *, ends: Mapping[str, int] = _NO_ENDS) -> tuple[ScoreTable, ...]:
        """Read on to a place in the job's order; the tables of all that was read (the next call may let them grow).

        What lies at its suite's place in ``ends``, or beyond, is counted and left out.
        """
        async for chunk in self._db.stream(self._sql, (self._job_id, self._at, until)):
            self.rows += len(chunk)
            for row in chunk:
                if row[0] < ends.get(row[1], inf):
                    self._suites[row[1]].add(row)
        self._at = until
        return tuple(table for suite in self._suites.values() for table in suite.tables())


class _SuiteScores:
    """Sums a suite's scores case by case; rows arrive in the order of positions."""

    def __init__(self, spec: SuiteSpec, trials: int) -> None:
        self.spec = spec
        self._trials = trials
        self._position = -1
        self._codes: dict[str, int] = {}
        self._category = array("i")
        self._clusters = Clusters(spec.cluster)
        self._sums = {(s.label, arm.value): array("d") for s in spec.scorers for arm in Arm}
        self._counts = {key: array("H") for key in self._sums}

    def add(self, row: tuple[Any, ...]) -> None:
        position, _, category, arm, score, scores, metadata = row
        if position != self._position:
            self._position = position
            self._category.append(self._codes.setdefault(category, len(self._codes)))
            self._clusters.add(metadata)
            for key in self._sums:
                self._sums[key].append(0.0)
                self._counts[key].append(0)
        if len(self.spec.scorers) == 1:
            self._count(self.spec.scorers[0].label, arm, score)
            return
        given = orjson.loads(scores)
        for scorer in self.spec.scorers:
            self._count(scorer.label, arm, given.get(scorer.label, {}).get("value"))

    def _count(self, label: str, arm: str, value: float | None) -> None:
        if value is not None:
            self._sums[label, arm][-1] += value
            self._counts[label, arm][-1] += 1

    def tables(self) -> Sequence[ScoreTable]:
        return [
            ScoreTable(
                suite=self.spec.name,
                role=self.spec.role,
                label=scorer.label,
                scorer=scorer.name,
                primary=index == 0,
                pass_at=scorer.pass_at,
                categories=tuple(self._codes),
                category=self._category,
                arms={arm: self._scores(scorer.label, arm) for arm in Arm},
                cluster=self._clusters.numbers,
            )
            for index, scorer in enumerate(self.spec.scorers)
        ]

    def _scores(self, label: str, arm: Arm) -> ArmScores:
        sums, trials = self._sums[label, arm.value], self._trials
        low = sums if trials == 1 else _doubles(np.asarray(sums) / trials)
        lacking = trials - np.asarray(self._counts[label, arm.value], dtype=np.float64)
        if not lacking.any():
            return ArmScores(mean=low, low=low, high=low)
        return ArmScores(
            mean=_doubles(np.where(lacking, nan, low)), low=low, high=_doubles(np.asarray(low) + lacking / trials)
        )


class Clusters:
    """Numbers the clusters of a suite's cases as they come; ``numbers`` is None where the suite has none.

    Args:
        key: of a case's metadata; None where the suite's cases stand for themselves.
    """

    def __init__(self, key: str | None) -> None:
        self.numbers = None if key is None else array("q")
        self._key = key
        self._codes: dict[bytes, int] = {}

    def add(self, metadata: str | None) -> None:
        """Take in the next case by its metadata, as JSON; a case that says nothing of its cluster is one of its own."""
        if self.numbers is None:
            return
        said = orjson.loads(metadata).get(self._key) if metadata else None
        name = f"#{len(self.numbers)}".encode() if said is None else orjson.dumps(said, option=orjson.OPT_SORT_KEYS)
        self.numbers.append(self._codes.setdefault(name, len(self._codes)))


def _doubles(values: NDArray[np.float64]) -> array[float]:
    return array("d", values.tobytes())
