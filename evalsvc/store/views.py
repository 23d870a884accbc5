"""What the rows of a job say: the evidence a decision rests on, and what a report shows beside it."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

import numpy as np
import orjson

from evalsvc.core.evidence import ArmTotals, Evidence, ExtractCount, LatencySamples, ScoreTable
from evalsvc.core.records import NOT_COMPARED, NOTHING_EXTRACTED, Arm, Job, Role, Status
from evalsvc.core.repeats import Repeats
from evalsvc.core.view import AnswerView, FlippedCase, ReportView, said
from evalsvc.store.calibrations import newest_calibration
from evalsvc.store.database import Reader
from evalsvc.store.follow_ups import FollowUpRows, Labels
from evalsvc.store.judgements import judgements
from evalsvc.store.parts import PartSums, summed_parts
from evalsvc.store.repeats import read_repeats
from evalsvc.store.scores import ScoreReader

_SIZES = "SELECT suite, COUNT(*) FROM cases WHERE job_id = ? GROUP BY suite"
_STRETCHES = "SELECT position / ?, suite, COUNT(*) FROM cases WHERE job_id = ? GROUP BY 1, 2"
_ANSWERED = "SELECT position / ?, suite, COUNT(*) FROM outcomes WHERE job_id = ? AND step = 'answer' GROUP BY 1, 2"

_LATENCIES = """
SELECT position, suite, arm, status, kind, latency_s, tainted, since_scheduled_s, first_token_s FROM outcomes
WHERE job_id = ? AND step = 'answer' AND trial = 0"""

_TOTALS = """
SELECT arm, status, kind, COUNT(*), SUM(json_array_length(attempts)), SUM(status = 'ok' AND score IS NULL),
       SUM(repaired IS NOT NULL), SUM(input_tokens), SUM(output_tokens),
       SUM(text IS NOT NULL AND (input_tokens IS NULL OR output_tokens IS NULL)), MAX(simulated), step = 'answer'
FROM outcomes WHERE job_id = ? GROUP BY arm, status, kind, step = 'answer' ORDER BY arm, status, kind"""

_RETRIES = """
SELECT o.arm, a.value ->> 4, COUNT(*) FROM outcomes o, json_each(o.attempts) a
WHERE o.job_id = ? AND o.step = 'answer' AND json_array_length(o.attempts) > 1
    AND a.key < json_array_length(o.attempts) - 1
GROUP BY 1, 2 ORDER BY 1, 2"""

# Of answers without a score, those whose scorer asked for one and got none. A pair's is the other arm's to give, too.
_UNANSWERED = """
SELECT arm, who, COUNT(*) FROM (
    SELECT arm, CASE WHEN why = ? THEN 'other arm' WHEN suite IN (SELECT value FROM json_each(?)) THEN 'judge'
                     WHEN why LIKE 'the model gave no answer: %' THEN 'model' END AS who
    FROM (SELECT arm, suite, (SELECT s.value ->> 'explanation' FROM json_each(o.scores) s LIMIT 1) AS why
          FROM outcomes o WHERE job_id = ? AND step = 'answer' AND status = 'ok' AND score IS NULL))
WHERE who IS NOT NULL GROUP BY arm, who ORDER BY arm, who"""

_EXTRACTS = """
SELECT arm, COUNT(*),
       SUM(EXISTS (SELECT 1 FROM json_each(o.scores) s WHERE s.key = ? AND s.value ->> 'explanation' = ?))
FROM outcomes o WHERE job_id = ? AND suite = ? AND step = 'answer' AND status = 'ok' GROUP BY arm ORDER BY arm"""

_SERVED = """
SELECT DISTINCT arm, model, fingerprint FROM outcomes
WHERE job_id = ? AND step = 'answer' ORDER BY arm, model, fingerprint"""

_FLIPS = """
WITH s AS (SELECT position, arm, AVG(score) AS score, COUNT(*) = COUNT(score) AS whole
           FROM outcomes WHERE job_id = :job AND step = 'answer' GROUP BY position, arm),
     d AS (SELECT a.position, a.score - b.score AS delta FROM s a JOIN s b USING (position)
           WHERE a.arm = 'candidate' AND b.arm = 'baseline' AND a.whole AND b.whole AND a.score <> b.score)
SELECT d.position, d.delta, c.suite, c.case_id, c.category, c.payload, (SELECT COUNT(*) FROM d)
FROM d JOIN cases c ON c.job_id = :job AND c.position = d.position ORDER BY d.delta, d.position LIMIT :limit"""

_ANSWERS = """
SELECT position, arm, status, kind, text, tool_calls, score, scores, latency_s FROM outcomes
WHERE job_id = ? AND step = 'answer' AND trial = 0 AND position IN (SELECT value FROM json_each(?))"""

#: (number of the stretch, suite)
Stretch = tuple[int, str]
_NO_ENDS: Mapping[str, int] = {}


class Views:
    """Read-only views over one database."""

    def __init__(self, database: Reader) -> None:
        self._db = database

    async def evidence(
        self, job: Job, job_id: str, *, ends: Mapping[str, int] = _NO_ENDS, judged: Labels | None = None
    ) -> Evidence:
        """Everything the decision on a job rests on.

        ``ends`` are the places in the job's order where a suite's evidence ends, if it does before all is asked:
        scores and latencies from there on are left out. Totals and ``outcomes`` count them. ``judged`` are, by suite,
        the labels of scores that ask the judge; None where none asks anybody.
        """
        tables, rows = await self._tables(job, job_id, ends)
        totals, simulated = await self._totals(job_id)
        if judged is not None and any(arm.scoring_errors for arm in totals.values()):
            totals = await self._apart(job, job_id, totals, judged)
        asked_judge, follow_ups = (None, {}) if judged is None else await FollowUpRows(self._db).totals(job_id, judged)
        return Evidence(
            judged=await judgements(self._db, job_id, judged, _pass_marks(job)) if judged else None,
            asked_judge=asked_judge,
            follow_ups=follow_ups,
            tables=tables,
            latency=await self._latency(job, job_id, ends),
            totals=totals,
            outcomes=rows,
            simulated=simulated,
            extracts=tuple([each async for each in self._extracts(job, job_id)]),
        )

    async def _tables(self, job: Job, job_id: str, ends: Mapping[str, int]) -> tuple[tuple[ScoreTable, ...], int]:
        """All scores, and how many answers they are of; what only adding them up needed is given back."""
        scores = self.scores(job, job_id)
        return await scores.read(ends=ends), scores.rows

    async def calibration(self, key: str, *, until: float) -> dict[str, Any] | None:
        """The newest calibration under a key (`newest_calibration`)."""
        return await newest_calibration(self._db, key, until=until)

    async def repeats(self, job: Job, job_id: str, arms: Collection[Arm], each: int) -> Repeats:
        """All answers that arms of a job gave, as repeats of one model's (`read_repeats`)."""
        return await read_repeats(self._db, job, job_id, arms, each)

    def scores(self, job: Job, job_id: str) -> ScoreReader:
        """The scores of a job, to be read along its order."""
        return ScoreReader(self._db, job, job_id)

    async def parts(
        self, job_id: str, suite: str, labels: Sequence[str], *, trials: int, until: int
    ) -> dict[str, PartSums]:
        """By label what the parts of a suite's scores add up to, before the place ``until`` of the job's order."""
        return await summed_parts(self._db, job_id, suite, labels, trials=trials, until=until)

    async def sizes(self, job_id: str) -> dict[str, int]:
        """Cases of each suite that take part."""
        return dict(await self._db.rows(_SIZES, (job_id,)))

    async def stretches(self, job_id: str, every: int) -> tuple[Counter[Stretch], Counter[Stretch]]:
        """Cases, and answers filed so far, by stretch of ``every`` cases of the job's order and by suite."""
        cases = await self._db.rows(_STRETCHES, (every, job_id))
        answers = await self._db.rows(_ANSWERED, (every, job_id))
        return Counter({row[:2]: row[2] for row in cases}), Counter({row[:2]: row[2] for row in answers})

    async def _latency(self, job: Job, job_id: str, ends: Mapping[str, int] = _NO_ENDS) -> dict[Arm, LatencySamples]:
        measured = {suite.name for suite in job.suites if suite.role is not Role.TRAIN}
        asked = {arm.value for arm, spec in job.arms.items() if not spec.recorded}
        gather = {arm.value: _LatencyGatherer() for arm in Arm}
        async for chunk in self._db.stream(_LATENCIES, (job_id,)):
            for position, suite, arm, *sample in chunk:
                if suite in measured and arm in asked and position < ends.get(suite, inf):
                    gather[arm].add(*sample)
        return {arm: gather[arm.value].result() for arm in Arm}

    async def _totals(self, job_id: str) -> tuple[dict[Arm, ArmTotals], bool]:
        rows = await self._db.rows(_TOTALS, (job_id,))
        retries = await self._db.rows(_RETRIES, (job_id,))
        served = await self._db.rows(_SERVED, (job_id,))
        totals = {
            arm: _arm_totals(
                [row for row in rows if row[0] == arm and row[11]],
                retries={reason: count for name, reason, count in retries if name == arm},
                models=sorted({model for name, model, _ in served if name == arm and model}),
                fingerprints=sorted({mark for name, _, mark in served if name == arm and mark}),
            )
            for arm in Arm
        }
        return totals, any(row[10] for row in rows)

    async def _apart(
        self, job: Job, job_id: str, totals: Mapping[Arm, ArmTotals], judged: Labels
    ) -> dict[Arm, ArmTotals]:
        """The totals, with what nobody answered apart from what a scorer raised on."""
        suites = [suite.name for suite in job.suites if suite.scorers[0].label in judged.get(suite.name, ())]
        rows = await self._db.rows(_UNANSWERED, (NOT_COMPARED, orjson.dumps(suites).decode(), job_id))
        found: dict[Arm, dict[str, int]] = {arm: {} for arm in totals}
        for arm, who, count in rows:
            found[Arm(arm)][who] = count
        return {
            arm: replace(each, unanswered=found[arm], scoring_errors=each.scoring_errors - sum(found[arm].values()))
            for arm, each in totals.items()
        }

    async def _extracts(self, job: Job, job_id: str) -> AsyncIterator[ExtractCount]:
        for suite in job.suites:
            if suite.scorers[0].options.get("extract") is None:
                continue
            asked = (suite.scorers[0].label, NOTHING_EXTRACTED, job_id, suite.name)
            for arm, answers, nothing in await self._db.rows(_EXTRACTS, asked):
                yield ExtractCount(suite=suite.name, arm=Arm(arm), answers=answers, nothing=nothing)

    async def report(self, job: Job, job_id: str, record: Mapping[str, Any], *, flips: int = 100) -> ReportView:
        """What a report shows: the record, at most ``flips`` cases the arms differ on, and the latencies."""
        rows = await self._db.rows(_FLIPS, (job_id, flips))
        answers = await self._answers(job, job_id, [row[0] for row in rows])
        roles = {suite.name: suite.role for suite in job.suites}
        latency = await self._latency(job, job_id)
        return ReportView(
            record=record,
            flips=tuple(_flip(row, roles[row[2]], answers[row[0]]) for row in rows),
            flips_total=rows[0][6] if rows else 0,
            latency={arm: samples.seconds for arm, samples in latency.items()},
        )

    async def _answers(self, job: Job, job_id: str, positions: list[int]) -> dict[int, dict[Arm, AnswerView]]:
        answers: dict[int, dict[Arm, AnswerView]] = {position: {} for position in positions}
        for position, arm, *rest in await self._db.rows(_ANSWERS, (job_id, orjson.dumps(positions).decode())):
            answers[position][Arm(arm)] = _answer(rest, timed=not job.arms[Arm(arm)].recorded)
        return answers


@dataclass(slots=True)
class _LatencyGatherer:
    seconds: array[float] = field(default_factory=lambda: array("d"))
    scheduled: array[float] = field(default_factory=lambda: array("f"))
    first_token: array[float] = field(default_factory=lambda: array("f"))
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
            seconds=_ascending(self.seconds),
            scheduled=_ascending(self.scheduled),
            first_token=_ascending(self.first_token),
            missing=self.missing,
            tainted=self.tainted,
        )


def _pass_marks(job: Job) -> dict[tuple[str, str], float]:
    return {(suite.name, scorer.label): scorer.pass_at for suite in job.suites for scorer in suite.scorers}


def _ascending(values: array[float]) -> array[float]:
    if values:
        np.frombuffer(
            values, dtype=values.typecode
        ).sort()  # in place: a sorted copy as a list would take four times the memory
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


def _answer(row: Sequence[Any], *, timed: bool) -> AnswerView:
    status, kind, text, calls, score, scores, latency_s = row
    given: dict[str, dict[str, Any]] = orjson.loads(scores)
    explanation = next(iter(given.values()))["explanation"] if given else ""
    return AnswerView(
        status=status,
        kind=kind,
        text=said(text, orjson.loads(calls) if calls else None),
        score=score,
        explanation=explanation,
        latency_s=latency_s if timed else None,
    )
