"""What the rows of a job say: the evidence a decision rests on, and what a report shows beside it."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, nan
from typing import Any

import numpy as np
import orjson

from evalsvc.core.evidence import ArmScores, ArmTotals, Evidence, LatencySamples, ScoreTable
from evalsvc.core.records import Arm, Job, Role, Status, SuiteSpec
from evalsvc.core.view import AnswerView, FlippedCase, ReportView
from evalsvc.store.database import Database

_OUTCOMES = """
SELECT c.position, c.suite, c.category, o.arm, o.score, o.scores
FROM cases c JOIN outcomes o ON o.job_id = c.job_id AND o.position = c.position AND o.step = 'answer'
WHERE c.job_id = ? ORDER BY c.position"""

_LATENCIES = """
SELECT suite, arm, status, kind, latency_s, tainted, since_scheduled_s, first_token_s FROM outcomes
WHERE job_id = ? AND step = 'answer' AND trial = 0"""

_TOTALS = """
SELECT arm, status, kind, COUNT(*), SUM(json_array_length(attempts)), SUM(status = 'ok' AND score IS NULL),
       SUM(repaired IS NOT NULL), SUM(input_tokens), SUM(output_tokens),
       SUM(text IS NOT NULL AND (input_tokens IS NULL OR output_tokens IS NULL)), MAX(simulated)
FROM outcomes WHERE job_id = ? GROUP BY arm, status, kind ORDER BY arm, status, kind"""

_RETRIES = """
SELECT o.arm, a.value ->> 4, COUNT(*) FROM outcomes o, json_each(o.attempts) a
WHERE o.job_id = ? AND json_array_length(o.attempts) > 1 AND a.key < json_array_length(o.attempts) - 1
GROUP BY 1, 2 ORDER BY 1, 2"""

_SERVED = "SELECT DISTINCT arm, model, fingerprint FROM outcomes WHERE job_id = ? ORDER BY arm, model, fingerprint"

_FLIPS = """
WITH s AS (SELECT position, arm, AVG(score) AS score, COUNT(*) = COUNT(score) AS whole
           FROM outcomes WHERE job_id = :job AND step = 'answer' GROUP BY position, arm),
     d AS (SELECT a.position, a.score - b.score AS delta FROM s a JOIN s b USING (position)
           WHERE a.arm = 'candidate' AND b.arm = 'baseline' AND a.whole AND b.whole AND a.score <> b.score)
SELECT d.position, d.delta, c.suite, c.case_id, c.category, c.payload, (SELECT COUNT(*) FROM d)
FROM d JOIN cases c ON c.job_id = :job AND c.position = d.position ORDER BY d.delta, d.position LIMIT :limit"""

_ANSWERS = """
SELECT position, arm, status, kind, text, score, scores, latency_s FROM outcomes
WHERE job_id = ? AND step = 'answer' AND trial = 0 AND position IN (SELECT value FROM json_each(?))"""


class Views:
    """Read-only views over one database."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def evidence(self, job: Job, job_id: str) -> Evidence:
        """Everything the decision on a job rests on."""
        gather = {suite.name: _SuiteGatherer(suite, job.trials) for suite in job.suites}
        outcomes = 0
        async for chunk in self._db.stream(_OUTCOMES, (job_id,)):
            outcomes += len(chunk)
            for row in chunk:
                gather[row[1]].add(row)
        totals, simulated = await self._totals(job_id)
        return Evidence(
            tables=tuple(table for suite in gather.values() for table in suite.tables()),
            latency=await self._latency(job, job_id),
            totals=totals,
            outcomes=outcomes,
            simulated=simulated,
        )

    async def _latency(self, job: Job, job_id: str) -> dict[Arm, LatencySamples]:
        measured = {suite.name for suite in job.suites if suite.role is not Role.TRAIN}
        gather = {arm.value: _LatencyGatherer() for arm in Arm}
        async for chunk in self._db.stream(_LATENCIES, (job_id,)):
            for suite, arm, *sample in chunk:
                if suite in measured:
                    gather[arm].add(*sample)
        return {arm: gather[arm.value].result() for arm in Arm}

    async def _totals(self, job_id: str) -> tuple[dict[Arm, ArmTotals], bool]:
        rows = await self._db.rows(_TOTALS, (job_id,))
        retries = await self._db.rows(_RETRIES, (job_id,))
        served = await self._db.rows(_SERVED, (job_id,))
        totals = {
            arm: _arm_totals(
                [row for row in rows if row[0] == arm],
                retries={reason: count for name, reason, count in retries if name == arm},
                models=sorted({model for name, model, _ in served if name == arm and model}),
                fingerprints=sorted({mark for name, _, mark in served if name == arm and mark}),
            )
            for arm in Arm
        }
        return totals, any(row[10] for row in rows)

    async def report(self, job: Job, job_id: str, record: Mapping[str, Any], *, flips: int = 100) -> ReportView:
        """What a report shows: the record, at most ``flips`` cases the arms differ on, and the latencies."""
        rows = await self._db.rows(_FLIPS, (job_id, flips))
        answers = await self._answers(job_id, [row[0] for row in rows])
        roles = {suite.name: suite.role for suite in job.suites}
        latency = await self._latency(job, job_id)
        return ReportView(
            record=record,
            flips=tuple(_flip(row, roles[row[2]], answers[row[0]]) for row in rows),
            flips_total=rows[0][6] if rows else 0,
            latency={arm: _ascending(samples.seconds) for arm, samples in latency.items()},
        )

    async def _answers(self, job_id: str, positions: list[int]) -> dict[int, dict[Arm, AnswerView]]:
        answers: dict[int, dict[Arm, AnswerView]] = {position: {} for position in positions}
        for position, arm, *rest in await self._db.rows(_ANSWERS, (job_id, orjson.dumps(positions).decode())):
            answers[position][Arm(arm)] = _answer(rest)
        return answers


@dataclass(slots=True)
class _LatencyGatherer:
    seconds: array[float] = field(default_factory=lambda: array("d"))
    scheduled: array[float] = field(default_factory=lambda: array("d"))
    first_token: array[float] = field(default_factory=lambda: array("d"))
    missing: int = 0
    tainted: int = 0

    def add(
        self,
        status: str,
        kind: str | None,
        seconds: float | None,
        tainted: int,
        scheduled: float,
        first_token: float | None,
    ) -> None:
        failed = status == Status.INFRA_ERROR
        if failed and kind != "timeout":
            self.missing += 1
            return
        self.seconds.append(inf if failed or seconds is None else seconds)
        self.scheduled.append(inf if failed else scheduled)
        if first_token is not None:
            self.first_token.append(first_token)
        self.tainted += tainted

    def result(self) -> LatencySamples:
        return LatencySamples(
            seconds=self.seconds,
            scheduled=self.scheduled,
            first_token=self.first_token,
            missing=self.missing,
            tainted=self.tainted,
        )


class _SuiteGatherer:
    """Sums a suite's scores case by case; rows arrive in the order of positions."""

    def __init__(self, spec: SuiteSpec, trials: int) -> None:
        self.spec = spec
        self._trials = trials
        self._position = -1
        self._codes: dict[str, int] = {}
        self._category = array("i")
        self._sums = {(s.label, arm.value): array("d") for s in spec.scorers for arm in Arm}
        self._counts = {key: array("H") for key in self._sums}

    def add(self, row: tuple[Any, ...]) -> None:
        position, _, category, arm, score, scores = row
        if position != self._position:
            self._position = position
            self._category.append(self._codes.setdefault(category, len(self._codes)))
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
            )
            for index, scorer in enumerate(self.spec.scorers)
        ]

    def _scores(self, label: str, arm: Arm) -> ArmScores:
        trials = self._trials
        sums, counts = self._sums[label, arm.value], self._counts[label, arm.value]
        cases = range(len(sums))
        low = sums if trials == 1 else array("d", (total / trials for total in sums))
        if all(count == trials for count in counts):
            return ArmScores(mean=low, low=low, high=low)
        return ArmScores(
            mean=array("d", (low[i] if counts[i] == trials else nan for i in cases)),
            low=low,
            high=array("d", (low[i] + (trials - counts[i]) / trials for i in cases)),
        )


def _ascending(values: array[float]) -> array[float]:
    if values:
        np.frombuffer(values).sort()  # in place: a sorted copy as a list would take four times the memory
    return values


def _arm_totals(
    rows: list[tuple[Any, ...]], *, retries: Mapping[str, int], models: list[str], fingerprints: list[str]
) -> ArmTotals:
    by_status: Counter[str] = Counter()
    for row in rows:
        by_status[row[1]] += row[3]
    known = bool(rows) and not any(row[9] for row in rows)
    return ArmTotals(
        requests=by_status.total(),
        ok=by_status["ok"],
        model_error=by_status["model_error"],
        infra_error=by_status["infra_error"],
        attempts=sum(row[4] for row in rows),
        retries=retries,
        kinds={row[2]: row[3] for row in rows if row[2]},
        scoring_errors=sum(row[5] for row in rows),
        repaired=sum(row[6] for row in rows),
        served_models=tuple(models),
        fingerprints=tuple(fingerprints),
        input_tokens=sum(row[7] or 0 for row in rows) if known else None,
        output_tokens=sum(row[8] or 0 for row in rows) if known else None,
    )


def _flip(row: tuple[Any, ...], role: Role, answers: Mapping[Arm, AnswerView]) -> FlippedCase:
    _, delta, suite, case_id, category, payload, _ = row
    case = orjson.loads(payload)
    return FlippedCase(
        suite=suite,
        role=role.value,
        case_id=case_id,
        category=category,
        input=_readable(case["input"]),
        expected=_readable(case.get("expected")),
        delta=delta,
        answers=answers,
    )


def _readable(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, list) and all(
        isinstance(part, dict) and isinstance(part.get("content"), str) for part in value
    ):
        return "\n\n".join(f"[{part.get('role', '')}] {part['content']}" for part in value)
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def _answer(row: Sequence[Any]) -> AnswerView:
    status, kind, text, score, scores, latency_s = row
    given: dict[str, dict[str, Any]] = orjson.loads(scores)
    explanation = next(iter(given.values()))["explanation"] if given else ""
    return AnswerView(
        status=status, kind=kind, text=text or "", score=score, explanation=explanation, latency_s=latency_s
    )
