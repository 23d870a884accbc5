"""Two jobs of one database side by side, case by case."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from math import nan
from typing import Any

import orjson

from evalsvc.core.evidence import ArmScores, ScoreTable
from evalsvc.core.pairing import ChangedAnswer, Coverage, PairedScores
from evalsvc.core.records import Arm, Job
from evalsvc.core.view import AnswerView, said
from evalsvc.store.database import Reader
from evalsvc.store.scores import Clusters

# Parameters: ?1 first job, ?2 second job, ?3 arm.
_SCORES = """
x AS (SELECT position, SUM(score) AS total, COUNT(score) AS scored, COUNT(*) AS trials FROM outcomes
      WHERE job_id = ?1 AND arm = ?3 AND step = 'answer' GROUP BY position),
y AS (SELECT position, SUM(score) AS total, COUNT(score) AS scored, COUNT(*) AS trials FROM outcomes
      WHERE job_id = ?2 AND arm = ?3 AND step = 'answer' GROUP BY position)"""

# What a case's metadata say goes to no model and no scorer: without them it is still the same case.
_BOTH = """
cases a JOIN cases b ON b.job_id = ?2 AND b.suite = a.suite AND b.case_id = a.case_id
LEFT JOIN x ON x.position = a.position LEFT JOIN y ON y.position = b.position
WHERE a.job_id = ?1"""
_SAME = "(a.payload = b.payload OR json_remove(a.payload, '$.metadata') = json_remove(b.payload, '$.metadata'))"

_PAIRS = f"""
WITH {_SCORES}
SELECT a.suite, b.category, b.payload -> '$.metadata', {_SAME},
       x.total, x.scored, x.trials, y.total, y.scored, y.trials
FROM {_BOTH} ORDER BY b.position"""  # noqa: S608 - constants only

_ALONE = """
SELECT suite, COUNT(*) FROM cases a WHERE job_id = ?1 AND NOT EXISTS
(SELECT 1 FROM cases b WHERE b.job_id = ?2 AND b.suite = a.suite AND b.case_id = a.case_id) GROUP BY suite"""

_FLIPS = f"""
WITH {_SCORES},
d AS (SELECT a.position AS first, b.position AS second, y.total / y.trials - x.total / x.trials AS delta
      FROM {_BOTH} AND {_SAME} AND x.scored = x.trials AND y.scored = y.trials
      AND ABS(y.total / y.trials - x.total / x.trials) > 1e-12)
SELECT d.first, d.second, d.delta, c.suite, c.case_id, c.category, c.payload, (SELECT COUNT(*) FROM d)
FROM d JOIN cases c ON c.job_id = ?2 AND c.position = d.second
ORDER BY d.delta, c.suite, c.case_id LIMIT ?4"""  # noqa: S608 - the same

_ANSWER = """
SELECT status, kind, text, tool_calls, score, scores, latency_s FROM outcomes
WHERE job_id = ? AND position = ? AND arm = ? AND trial = 0 AND step = 'answer'"""


class Pairing:
    """Pairs of jobs in one database."""

    def __init__(self, reader: Reader) -> None:
        self._db = reader

    async def scores(self, first: str, second: str, job: Job, arm: Arm) -> PairedScores:
        """One arm's primary scores in both jobs over their shared cases, in the clusters of ``job``, the second one."""
        keys = {suite.name: suite.cluster for suite in job.suites}
        gather: dict[str, _Gatherer] = {}
        async for chunk in self._db.stream(_PAIRS, (first, second, arm.value)):
            for suite, *row in chunk:
                if suite not in gather:
                    gather[suite] = _Gatherer(clusters=Clusters(keys.get(suite)))
                gather[suite].add(row)
        only_first = dict(await self._db.rows(_ALONE, (first, second)))
        only_second = dict(await self._db.rows(_ALONE, (second, first)))
        known = [suite.name for suite in job.suites]
        suites = [*known, *sorted({*gather, *only_first, *only_second} - {*known})]
        return PairedScores(
            tables=tuple(gather[spec.name].table(job, spec.name) for spec in job.suites if spec.name in gather),
            coverage=tuple(
                gather.get(suite, _Gatherer()).coverage(suite, only_first.get(suite, 0), only_second.get(suite, 0))
                for suite in suites
            ),
        )

    async def flips(self, first: str, second: str, arm: Arm, *, limit: int) -> tuple[list[ChangedAnswer], int]:
        """The shared cases scored differently, worst for the second job first, at most ``limit``; how many in all."""
        rows = await self._db.rows(_FLIPS, (first, second, arm.value, limit))
        found = []
        for row in rows:
            answers = (await self._answer(first, row[0], arm), await self._answer(second, row[1], arm))
            found.append(_changed(row, *answers))
        return found, int(rows[0][7]) if rows else 0

    async def _answer(self, job_id: str, position: int, arm: Arm) -> AnswerView:
        (row,) = await self._db.rows(_ANSWER, (job_id, position, arm.value))
        status, kind, text, calls, score, scores, latency_s = row
        given: dict[str, dict[str, Any]] = orjson.loads(scores)
        primary = next(iter(given.values()), {})
        return AnswerView(
            status=status,
            kind=kind,
            text=said(text, orjson.loads(calls) if calls else None),
            score=score,
            explanation=str(primary.get("explanation") or ""),
            latency_s=latency_s,
        )


@dataclass(slots=True)
class _Side:
    """One job's scores in one suite."""

    mean: array[float] = field(default_factory=lambda: array("d"))
    low: array[float] = field(default_factory=lambda: array("d"))
    high: array[float] = field(default_factory=lambda: array("d"))

    def add(self, total: float | None, scored: int, trials: int) -> None:
        known = total or 0.0
        self.mean.append(known / trials if scored == trials else nan)
        self.low.append(known / trials)
        self.high.append((known + trials - scored) / trials)

    def scores(self) -> ArmScores:
        return ArmScores(mean=self.mean, low=self.low, high=self.high)


@dataclass(slots=True)
class _Gatherer:
    """One suite of both jobs."""

    codes: dict[str, int] = field(default_factory=dict)
    category: array[int] = field(default_factory=lambda: array("i"))
    first: _Side = field(default_factory=_Side)
    second: _Side = field(default_factory=_Side)
    left_out: Counter[str] = field(default_factory=Counter)
    clusters: Clusters = field(default_factory=lambda: Clusters(None))

    def add(self, row: list[Any]) -> None:
        category, metadata, same, *scores = row
        if not same or scores[2] is None or scores[5] is None:
            self.left_out["unasked" if same else "changed"] += 1
            return
        self.category.append(self.codes.setdefault(category, len(self.codes)))
        self.clusters.add(metadata)
        self.first.add(*scores[:3])
        self.second.add(*scores[3:])

    def coverage(self, suite: str, only_first: int, only_second: int) -> Coverage:
        return Coverage(
            suite=suite,
            shared=len(self.category),
            only_first=only_first,
            only_second=only_second,
            changed=self.left_out["changed"],
            unasked=self.left_out["unasked"],
        )

    def table(self, job: Job, suite: str) -> ScoreTable:
        spec = next(spec for spec in job.suites if spec.name == suite)
        scorer = spec.scorers[0]
        return ScoreTable(
            suite=suite,
            role=spec.role,
            label=scorer.label,
            scorer=scorer.name,
            primary=True,
            pass_at=scorer.pass_at,
            categories=tuple(self.codes),
            category=self.category,
            arms={Arm.CANDIDATE: self.second.scores(), Arm.BASELINE: self.first.scores()},
            cluster=self.clusters.numbers,
        )


def _changed(row: tuple[Any, ...], first: AnswerView, second: AnswerView) -> ChangedAnswer:
    _, _, delta, suite, case_id, category, payload, _ = row
    case = orjson.loads(payload)
    return ChangedAnswer(
        suite=suite,
        case_id=case_id,
        category=category,
        input=case["input"],
        expected=case.get("expected"),
        delta=delta,
        first=first,
        second=second,
    )
