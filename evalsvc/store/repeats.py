"""Reads what one model answered to the same cases again and again."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Sequence
from itertools import groupby
from math import inf, nan
from operator import itemgetter
from typing import Any

import orjson

from evalsvc.core.records import Arm, Job, Role, Status, SuiteSpec
from evalsvc.core.repeats import Repeats, RepeatTable
from evalsvc.store.database import Reader
from evalsvc.store.scores import Clusters

_REPEATS = """
SELECT c.position, c.suite, c.category, c.payload -> '$.metadata', o.scores, o.status, o.kind, o.latency_s
FROM outcomes o CROSS JOIN cases c ON c.job_id = o.job_id AND c.position = o.position AND o.step = 'answer'
WHERE o.job_id = ? AND o.arm IN (SELECT value FROM json_each(?)) ORDER BY o.position, o.arm, o.trial"""


async def read_repeats(reader: Reader, job: Job, job_id: str, arms: Collection[Arm], each: int) -> Repeats:
    """All answers that arms of a job gave, as repeats of one model's.

    Args:
        reader: the database.
        job: whose suites and scorers they are read for.
        job_id: the job that was asked; its suites are the same.
        arms: those that asked the model.
        each: repeats of a case, over these arms; cases with fewer are left out.
    """
    suites = {suite.name: _Suite(suite) for suite in job.suites}
    left_out = 0
    rows: list[tuple[Any, ...]] = []
    async for chunk in reader.stream(_REPEATS, (job_id, orjson.dumps(sorted(arms)).decode())):
        rows += chunk
        groups = [list(group) for _, group in groupby(rows, key=itemgetter(0))]
        rows = groups.pop()  # more of its rows may come
        left_out += _taken(groups, suites, each)
    left_out += _taken([rows] if rows else [], suites, each)
    timed = not any(job.arms[arm].recorded for arm in (Arm.BASELINE,))
    return Repeats(
        each=each,
        tables=tuple(table for suite in suites.values() for table in suite.tables()),
        seconds={name: suite.seconds for name, suite in suites.items() if timed and suite.spec.role is not Role.TRAIN},
        left_out=left_out,
    )


def _taken(groups: Sequence[list[tuple[Any, ...]]], suites: dict[str, _Suite], each: int) -> int:
    """Takes in the cases with all their repeats; how many have fewer."""
    for group in groups:
        if len(group) == each:
            suites[group[0][1]].add(group)
    return sum(len(group) != each for group in groups)


class _Suite:
    def __init__(self, spec: SuiteSpec) -> None:
        self.spec = spec
        self.seconds = array("d")
        self._codes: dict[str, int] = {}
        self._category = array("i")
        self._clusters = Clusters(spec.cluster)
        self._scores = {scorer.label: array("d") for scorer in spec.scorers}

    def add(self, rows: Sequence[tuple[Any, ...]]) -> None:
        _, _, category, metadata, *_ = rows[0]
        self._category.append(self._codes.setdefault(category, len(self._codes)))
        self._clusters.add(metadata)
        for *_, scores, status, kind, seconds in rows:
            given = orjson.loads(scores)
            for label, values in self._scores.items():
                value = given.get(label, {}).get("value")
                values.append(nan if value is None else value)
            self.seconds.append(_seconds(status, kind, seconds))

    def tables(self) -> list[RepeatTable]:
        return [
            RepeatTable(
                suite=self.spec.name,
                role=self.spec.role,
                label=scorer.label,
                scorer=scorer.name,
                primary=index == 0,
                pass_at=scorer.pass_at,
                categories=tuple(self._codes),
                category=self._category,
                cluster=self._clusters.numbers,
                scores=self._scores[scorer.label],
            )
            for index, scorer in enumerate(self.spec.scorers)
        ]


def _seconds(status: str, kind: str | None, seconds: float | None) -> float:
    if status == Status.INFRA_ERROR:
        return inf if kind == "timeout" else nan
    return inf if seconds is None else seconds
