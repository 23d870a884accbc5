"""Jobs and their cases: created whole in one transaction, moved along the one table of states."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import anyio
import orjson

from evalsvc.core.records import Case, Job
from evalsvc.core.states import ENDED, IN_HAND, UNFINISHED, JobState, check_transition
from evalsvc.errors import JobNotFound
from evalsvc.store.database import Database, Reader
from evalsvc.store.events import Statement, decision_events, state_event

_INSERT_JOB = """
INSERT INTO jobs
    (id, name, spec_sha256, spec, document, state, endpoints, warnings, created_at, source, priority, idempotency_key)
VALUES (?, ?, ?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?)"""
_COUNT_REQUESTS = "UPDATE jobs SET requests = (SELECT COUNT(*) FROM cases WHERE job_id = ?1) * ?2 WHERE id = ?1"
_INSERT_CASE = "INSERT INTO cases (job_id, position, suite, case_id, category, payload) VALUES (?, ?, ?, ?, ?, ?)"
_COLUMNS = (
    "id, name, spec_sha256, document, state, reason, endpoints, resumes, created_at, started_at, finished_at, record"
    ", envelope, warnings, source, priority, requests"
)
#: What a list shows; a document or a source can be long. That there is a source still shows.
_LISTED = _COLUMNS.replace("document", "''").replace("envelope", "NULL").replace("source", "substr(source, 1, 0)")
_QUEUE = """
SELECT id, requests - CASE WHEN started_at IS NULL THEN 0 ELSE
    (SELECT COUNT(*) FROM outcomes o WHERE o.job_id = jobs.id AND o.step = 'answer') END AS requests_left
FROM jobs WHERE state = 'queued' AND source IS NOT NULL AND requests_left < ?
ORDER BY priority DESC, started_at IS NULL, created_at, id LIMIT ?"""
_MOVE = """
UPDATE jobs SET state = ?, reason = ?, finished_at = CASE WHEN ? THEN ? END WHERE id = ?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """A job as it stands in the database; times are Unix seconds.

    ``document`` is what ``spec_sha256`` is the SHA-256 of; ``record`` the decision record, once decided, ``envelope``
    the signed one, where a key was configured. ``source`` is job.toml as it was submitted, None where `run` filed the
    job; ``warnings`` belong into the record. ``requests`` are planned, answers to ``recorded`` ones filed; None where
    they have to be counted (`evalsvc.store.tallies.recorded`).
    """

    id: str
    name: str
    spec_sha256: str
    document: str
    state: JobState
    reason: str | None
    endpoints: Mapping[str, str]
    resumes: int
    created_at: float
    started_at: float | None
    finished_at: float | None
    record: Mapping[str, Any] | None
    envelope: Mapping[str, Any] | None
    warnings: Sequence[str] = ()
    source: str | None = None
    priority: int = 0
    requests: int = 0
    recorded: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a job that was submitted brings with it: job.toml, its place in the queue, and the key it came with."""

    source: str
    priority: int = 0
    idempotency_key: str | None = None


async def read_job(reader: Reader, job_id: str) -> JobRow:
    """The job of that id. Raises `JobNotFound`."""
    for row in await reader.rows(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (job_id,)):  # noqa: S608 - a constant
        return _job(row)
    raise JobNotFound(f"no job {job_id} in this database")


async def read_spec(reader: Reader, job_id: str) -> str:
    """The job as the engine works with it, in JSON. Raises `JobNotFound`."""
    for (spec,) in await reader.rows("SELECT spec FROM jobs WHERE id = ?", (job_id,)):
        return str(spec)
    raise JobNotFound(f"no job {job_id} in this database")


class JobStore:
    """The tables ``jobs`` and ``cases``, and the events that come of what is changed in them.

    Args:
        database: where they are.
        told: is called with the id of a job that has changed.
        reader: reads them; None: the database's own.
    """

    def __init__(
        self, database: Database, told: Callable[[str], None] = lambda _: None, *, reader: Reader | None = None
    ) -> None:
        self._db = database
        self._reader = reader or database
        self.tell = told
        self._turn = anyio.Lock()  # a job is looked at and moved without anything between

    async def create(
        self,
        job: Job,
        cases: Iterable[tuple[int, Case]],
        *,
        job_id: str,
        endpoints: Mapping[str, str],
        now: float,
        document: str = "",
        warnings: Sequence[str] = (),
        submission: Submission | None = None,
    ) -> None:
        """File a job with all its cases at their positions, queued. Nothing is filed when reading ``cases`` fails.

        ``document`` is what the job's ``spec_sha256`` is the SHA-256 of; ``submission`` is None for `run`.
        """
        spec = orjson.dumps(job, option=orjson.OPT_NON_STR_KEYS).decode()
        texts = [orjson.dumps(each).decode() for each in (endpoints, list(warnings))]
        sent = (None, 0, None) if submission is None else _sent(submission)
        row = (job_id, job.name, job.spec_sha256, spec, document, *texts, now, *sent)
        await self._change(
            job_id,
            (_INSERT_JOB, [row]),
            (_INSERT_CASE, (_case_row(job_id, position, case) for position, case in cases)),
            (_COUNT_REQUESTS, [(job_id, job.trials * len(job.arms))]),
            state_event(job_id, JobState.QUEUED, None),
        )

    async def get(self, job_id: str) -> JobRow:
        """The job of that id. Raises `JobNotFound`."""
        return await read_job(self._reader, job_id)

    async def state(self, job_id: str) -> JobState:
        """Where the job of that id is. Raises `JobNotFound`."""
        for (state,) in await self._reader.rows("SELECT state FROM jobs WHERE id = ?", (job_id,)):
            return JobState(state)
        raise JobNotFound(f"no job {job_id} in this database")

    async def newest(self, spec_sha256: str) -> JobRow | None:
        """The newest run of the job with this spec, or None."""
        sql = f"SELECT {_COLUMNS} FROM jobs WHERE spec_sha256 = ? ORDER BY created_at DESC, id DESC LIMIT 1"  # noqa: S608 - the same
        for row in await self._reader.rows(sql, (spec_sha256,)):
            return _job(row)
        return None

    async def of_key(self, idempotency_key: str) -> JobRow | None:
        """The job that was submitted with this key, or None."""
        sql = f"SELECT {_COLUMNS} FROM jobs WHERE idempotency_key = ?"  # noqa: S608 - the same
        for row in await self._reader.rows(sql, (idempotency_key,)):
            return _job(row)
        return None

    async def page(self, *, limit: int, after: str | None) -> list[JobRow]:
        """Jobs, the newest first, those older than the job ``after``. Raises `JobNotFound`.

        They come without what takes room and no list shows: ``document``, ``envelope`` and the text of ``source``.
        """
        older, which = "", tuple[Any, ...]()
        if after is not None:
            older, which = "WHERE (created_at, id) < (?, ?)", ((await self.get(after)).created_at, after)
        sql = f"SELECT {_LISTED} FROM jobs {older} ORDER BY created_at DESC, id DESC LIMIT ?"  # noqa: S608 - the same
        return [_job(row) for row in await self._reader.page(sql, _COLUMNS.count(",") + 1, (*which, limit))]

    async def latest(self, limit: int) -> list[JobRow]:
        """The jobs in hand, then those that ended, then those that wait; of each kind the newest first."""
        states = (_marks(IN_HAND), _marks(ENDED))
        order = f"state IN ({states[0]}) DESC, state IN ({states[1]}) DESC, created_at DESC, id DESC"
        chosen = f"SELECT id FROM jobs ORDER BY {order} LIMIT ?"  # noqa: S608 - constants only
        sql = f"SELECT {_COLUMNS} FROM jobs WHERE id IN ({chosen}) ORDER BY {order}"  # noqa: S608 - the same
        which = (*IN_HAND, *ENDED)
        return [_job(row) for row in await self._reader.rows(sql, (*which, limit, *which))]

    async def queue(self, limit: int, *, below: float = inf) -> list[tuple[str, int]]:
        """Submitted jobs that wait, the next one first: (id, requests left), of those with fewer than ``below`` left.

        Those that had been begun come before others of their priority.
        """
        rows = await self._reader.rows(_QUEUE, (below, limit))
        return [(str(job_id), int(left)) for job_id, left in rows]

    async def in_hand(self) -> list[str]:
        """Ids of submitted jobs that a process has in hand, or had when it was killed."""
        sql = f"SELECT id FROM jobs WHERE state IN ({_marks(IN_HAND)}) AND source IS NOT NULL ORDER BY id"  # noqa: S608 - the same
        return [str(job_id) for (job_id,) in await self._reader.rows(sql, tuple(IN_HAND))]

    async def files(self) -> set[str]:
        """The SHA-256 of every file that a submitted job may still need."""
        sql = f"""SELECT DISTINCT f.value FROM jobs, json_each(jobs.document, '$.files') f
                  WHERE state IN ({_marks(UNFINISHED)}) AND source IS NOT NULL"""  # noqa: S608 - the same
        return {str(digest) for (digest,) in await self._reader.rows(sql, tuple(UNFINISHED))}

    async def outdated(self, before: float) -> list[str]:
        """Ids of jobs that were decided or cancelled before that Unix time."""
        sql = "SELECT id FROM jobs WHERE state IN ('done', 'cancelled') AND finished_at < ? ORDER BY finished_at"
        return [str(job_id) for (job_id,) in await self._reader.rows(sql, (before,))]

    async def remove(self, job_id: str) -> None:
        """Take a job out of the database with all that is recorded of it."""
        await self._change(job_id, ("DELETE FROM jobs WHERE id = ?", [(job_id,)]))

    async def start(self, job_id: str, *, now: float) -> None:
        """A process takes the job up, for the first time or again. Raises `IllegalTransition`, `JobNotFound`."""
        sql = """UPDATE jobs SET state = 'running', reason = NULL, finished_at = NULL,
                 resumes = resumes + (started_at IS NOT NULL), started_at = COALESCE(started_at, ?) WHERE id = ?"""
        await self._move(job_id, JobState.RUNNING, None, (sql, [(now, job_id)]))

    async def move(self, job_id: str, to: JobState, *, reason: str | None = None, now: float | None = None) -> None:
        """Take a job to a state; ``now`` is kept as its end, where that is one.

        Raises:
            IllegalTransition, JobNotFound: it cannot go there.
        """
        row = (to.value, reason, to in ENDED, now, job_id)
        await self._move(job_id, to, reason, (_MOVE, [row]))

    async def finish(
        self,
        job_id: str,
        record: Mapping[str, Any],
        *,
        now: float,
        envelope: Mapping[str, Any] | None = None,
        case_marks: bytes | bytearray = b"",
        outcome_marks: bytes | bytearray = b"",
    ) -> None:
        """File the decision record, its envelope and the marks of its Merkle trees; the job is done."""
        sql = """UPDATE jobs SET state = 'done', reason = NULL, finished_at = ?, record = ?, envelope = ?,
                 case_marks = ?, outcome_marks = ? WHERE id = ?"""
        texts = [None if each is None else orjson.dumps(each).decode() for each in (record, envelope)]
        row = (now, *texts, case_marks, outcome_marks, job_id)
        await self._move(job_id, JobState.DONE, None, (sql, [row]), *decision_events(job_id, record))

    async def _move(self, job_id: str, to: JobState, reason: str | None, *statements: Statement) -> None:
        async with self._turn:
            check_transition(await self.state(job_id), to)
            await self._change(job_id, *statements, state_event(job_id, to, reason))

    async def _change(self, job_id: str, *statements: Statement) -> None:
        await self._db.write(*statements)
        self.tell(job_id)

    async def count(self, job_id: str) -> int:
        """How many cases the job has."""
        ((count,),) = await self._reader.rows("SELECT COUNT(*) FROM cases WHERE job_id = ?", (job_id,))
        return int(count)

    async def cases(self, job_id: str) -> AsyncIterator[list[Case]]:
        """The job's cases in planned order, in chunks."""
        sql = "SELECT position, suite, case_id, category, payload FROM cases WHERE job_id = ? AND position >= ?"
        after = 0
        # A new query a chunk: no read transaction stays open while answers are waited for.
        while chunk := await self._reader.rows(f"{sql} ORDER BY position LIMIT 500", (job_id, after)):
            yield [_case(row) for row in chunk]
            after = int(chunk[-1][0]) + 1


def _marks(values: Collection[Any]) -> str:
    return ", ".join("?" * len(values))


def _sent(submission: Submission) -> tuple[str, int, str | None]:
    return submission.source, submission.priority, submission.idempotency_key


def _case_row(job_id: str, position: int, case: Case) -> tuple[Any, ...]:
    payload = {"input": case.input}
    for key in ("expected", "tools", "schema", "metadata"):
        value = getattr(case, key)
        if value not in (None, {}):
            payload[key] = value
    return (job_id, position, case.suite, case.id, case.category, orjson.dumps(payload).decode())


def _case(row: tuple[Any, ...]) -> Case:
    position, suite, case_id, category, payload = row
    return Case(position=position, suite=suite, id=case_id, category=category, **orjson.loads(payload))


def _job(row: Sequence[Any]) -> JobRow:
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    values["state"] = JobState(values["state"])
    for key in ("endpoints", "warnings"):
        values[key] = orjson.loads(values[key])
    for key in ("record", "envelope"):
        values[key] = orjson.loads(values[key]) if values[key] else None
    return JobRow(**values, recorded=_recorded(values))


def _recorded(values: Mapping[str, Any]) -> int | None:
    if values["started_at"] is None:
        return 0
    evidence: Mapping[str, Any] = (values["record"] or {}).get("evidence") or {}
    return evidence.get("outcomes")
