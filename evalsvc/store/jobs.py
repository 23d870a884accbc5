"""Jobs and their cases: created whole in one transaction, moved along the one table of states."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from evalsvc.core.records import Case, Job
from evalsvc.core.states import JobState, check_transition
from evalsvc.errors import JobNotFound
from evalsvc.store.database import Database

_INSERT_JOB = """
INSERT INTO jobs (id, name, spec_sha256, spec, state, endpoints, created_at) VALUES (?, ?, ?, ?, 'queued', ?, ?)"""
_INSERT_CASE = "INSERT INTO cases (job_id, position, suite, case_id, category, payload) VALUES (?, ?, ?, ?, ?, ?)"
_COLUMNS = "id, name, spec_sha256, state, reason, endpoints, resumes, created_at, started_at, finished_at, record"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """A job as it stands in the database. ``record`` is the decision record, once decided; times are Unix seconds."""

    id: str
    name: str
    spec_sha256: str
    state: JobState
    reason: str | None
    endpoints: Mapping[str, str]
    resumes: int
    created_at: float
    started_at: float | None
    finished_at: float | None
    record: Mapping[str, Any] | None


class JobStore:
    """The tables ``jobs`` and ``cases``."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def create(
        self, job: Job, cases: Iterable[tuple[int, Case]], *, job_id: str, endpoints: Mapping[str, str], now: float
    ) -> None:
        """File a job with all its cases at their positions, queued. Nothing is filed when reading ``cases`` fails."""
        spec = orjson.dumps(job, option=orjson.OPT_NON_STR_KEYS).decode()
        row = (job_id, job.name, job.spec_sha256, spec, orjson.dumps(endpoints).decode(), now)
        await self._db.write(
            (_INSERT_JOB, [row]), (_INSERT_CASE, (_case_row(job_id, position, case) for position, case in cases))
        )

    async def get(self, job_id: str) -> JobRow:
        """The job of that id. Raises `JobNotFound`."""
        for row in await self._db.rows(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (job_id,)):  # noqa: S608 - a constant
            return _job(row)
        raise JobNotFound(f"no job {job_id} in this database")

    async def newest(self, spec_sha256: str) -> JobRow | None:
        """The newest run of the job with this spec, or None."""
        sql = f"SELECT {_COLUMNS} FROM jobs WHERE spec_sha256 = ? ORDER BY created_at DESC, id DESC LIMIT 1"  # noqa: S608 - the same
        for row in await self._db.rows(sql, (spec_sha256,)):
            return _job(row)
        return None

    async def start(self, job_id: str, *, now: float) -> None:
        """A process takes the job up, for the first time or again. Raises `IllegalTransition`, `JobNotFound`."""
        check_transition((await self.get(job_id)).state, JobState.RUNNING)
        sql = """UPDATE jobs SET state = 'running', reason = NULL, resumes = resumes + (started_at IS NOT NULL),
                 started_at = COALESCE(started_at, ?) WHERE id = ?"""
        await self._db.write((sql, [(now, job_id)]))

    async def move(self, job_id: str, to: JobState, *, reason: str | None = None) -> None:
        """Take a job to a state. Raises `IllegalTransition`, `JobNotFound`."""
        check_transition((await self.get(job_id)).state, to)
        await self._db.write(("UPDATE jobs SET state = ?, reason = ? WHERE id = ?", [(to.value, reason, job_id)]))

    async def finish(self, job_id: str, record: Mapping[str, Any], *, now: float) -> None:
        """File the decision record; the job is done."""
        check_transition((await self.get(job_id)).state, JobState.DONE)
        sql = "UPDATE jobs SET state = 'done', reason = NULL, finished_at = ?, record = ? WHERE id = ?"
        await self._db.write((sql, [(now, orjson.dumps(record).decode(), job_id)]))

    async def count(self, job_id: str) -> int:
        """How many cases the job has."""
        ((count,),) = await self._db.rows("SELECT COUNT(*) FROM cases WHERE job_id = ?", (job_id,))
        return int(count)

    async def cases(self, job_id: str) -> AsyncIterator[list[Case]]:
        """The job's cases in planned order, in chunks."""
        sql = "SELECT position, suite, case_id, category, payload FROM cases WHERE job_id = ? AND position >= ?"
        after = 0
        # A new query a chunk: no read transaction stays open while answers are waited for.
        while chunk := await self._db.rows(f"{sql} ORDER BY position LIMIT 500", (job_id, after)):
            yield [_case(row) for row in chunk]
            after = int(chunk[-1][0]) + 1


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


def _job(row: tuple[Any, ...]) -> JobRow:
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    values["state"] = JobState(values["state"])
    values["endpoints"] = orjson.loads(values["endpoints"])
    values["record"] = orjson.loads(values["record"]) if values["record"] else None
    return JobRow(**values)
