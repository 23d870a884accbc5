"""Which jobs a database holds, how far each is, and what was decided."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from evalsvc.core.listing import JobEntry
from evalsvc.core.records import Arm, Job
from evalsvc.core.states import JobState
from evalsvc.errors import JobNotFound
from evalsvc.store.database import Reader

_ENTRIES = """
SELECT j.id, j.name, j.state, j.reason,
       CASE j.state WHEN 'done' THEN j.record ->> '$.evidence.outcomes'
       ELSE (SELECT COUNT(*) FROM outcomes o WHERE o.job_id = j.id AND o.step = 'answer') END,
       j.requests,
       j.spec ->> '$.arms.candidate.model', j.spec ->> '$.arms.baseline.model',
       j.record ->> '$.decision', j.record ->> '$.job.simulated',
       j.created_at, j.started_at, j.finished_at
FROM jobs j"""
_NEWEST_FIRST = "ORDER BY created_at DESC, id DESC"
_LATEST = re.compile(r"latest(?:~(\d{1,6}))?")
_NAMED_IN_ERRORS = 5


class Listing:
    """The jobs of one database."""

    def __init__(self, reader: Reader) -> None:
        self._db = reader

    async def count(self) -> int:
        """How many jobs there are."""
        ((count,),) = await self._db.rows("SELECT COUNT(*) FROM jobs")
        return int(count)

    async def newest(self, limit: int) -> list[JobEntry]:
        """The jobs filed last, the newest first."""
        chosen = f"WHERE j.id IN (SELECT id FROM jobs {_NEWEST_FIRST} LIMIT ?)"  # noqa: S608 - a constant
        return [_entry(row) for row in await self._db.rows(f"{_ENTRIES} {chosen} {_NEWEST_FIRST}", (limit,))]

    async def entry(self, job_id: str) -> JobEntry:
        """One job. Raises `JobNotFound`."""
        for row in await self._db.rows(f"{_ENTRIES} WHERE j.id = ?", (job_id,)):
            return _entry(row)
        raise JobNotFound(f"no job {job_id} in this database")

    async def find(self, wanted: str) -> str:
        """The id that is meant by an id, the beginning of one, ``latest``, or ``latest~1`` for the one before it.

        Raises:
            JobNotFound: none or several are meant; the message names some that exist.
        """
        latest = _LATEST.fullmatch(wanted)
        if latest:
            sql = f"SELECT id FROM jobs {_NEWEST_FIRST} LIMIT 1 OFFSET ?"  # noqa: S608 - a constant
            found = await self._db.rows(sql, (int(latest[1] or 0),))
        else:
            sql = f"SELECT id FROM jobs WHERE substr(id, 1, ?) = ? {_NEWEST_FIRST}"  # noqa: S608 - the same
            usable = wanted and wanted.isascii()  # as ids are; what no encoding takes would not reach SQLite
            found = await self._db.rows(sql, (len(wanted), wanted)) if usable else []
        ids = [str(row[0]) for row in found]
        if wanted in ids or len(ids) == 1:
            return wanted if wanted in ids else ids[0]
        if ids:
            raise JobNotFound(f"{len(ids)} jobs begin with {_shown(wanted)}: {_some(ids, len(ids))}")
        known = [entry.id for entry in await self.newest(_NAMED_IN_ERRORS)]
        there = f"there are {_some(known, await self.count())}" if known else "there is none"
        raise JobNotFound(f"no job {_shown(wanted)} in this database; {there}")

    async def job(self, job_id: str) -> Job:
        """The job as it was submitted. Raises `JobNotFound`."""
        from pydantic import TypeAdapter  # noqa: PLC0415 - `status` and `decision` do without it

        for (spec,) in await self._db.rows("SELECT spec FROM jobs WHERE id = ?", (job_id,)):
            return TypeAdapter(Job).validate_json(spec)
        raise JobNotFound(f"no job {job_id} in this database")

    async def record(self, job_id: str) -> Mapping[str, Any] | None:
        """The decision record, None while there is none. Raises `JobNotFound`."""
        for (record,) in await self._db.rows("SELECT record FROM jobs WHERE id = ?", (job_id,)):
            return orjson.loads(record) if record else None
        raise JobNotFound(f"no job {job_id} in this database")

    async def envelope(self, job_id: str) -> Mapping[str, Any] | None:
        """The signed envelope of the record, None where none was signed. Raises `JobNotFound`."""
        for (envelope,) in await self._db.rows("SELECT envelope FROM jobs WHERE id = ?", (job_id,)):
            return orjson.loads(envelope) if envelope else None
        raise JobNotFound(f"no job {job_id} in this database")

    async def tallies(self, job_id: str) -> list[tuple[Arm, str, str | None, int]]:
        """(arm, status, kind, answers) of what is recorded so far."""
        sql = """SELECT arm, status, kind, COUNT(*) FROM outcomes WHERE job_id = ? AND step = 'answer'
                 GROUP BY arm, status, kind ORDER BY arm DESC, status DESC, 4 DESC, kind"""
        return [(Arm(arm), status, kind, count) for arm, status, kind, count in await self._db.rows(sql, (job_id,))]


def held(path: Path) -> bool | None:
    """Whether a process of this machine holds the database's lock, read without touching it; None: not known."""
    try:
        inode = path.resolve().with_name(f"{path.resolve().name}.lock").stat().st_ino
        locks = Path("/proc/locks").read_text(encoding="ascii")
    except FileNotFoundError:
        return False if Path("/proc/locks").exists() else None
    except (OSError, ValueError):
        return None
    return any(" FLOCK " in line and f":{inode} " in line for line in locks.splitlines())


def _entry(row: tuple[Any, ...]) -> JobEntry:
    job_id, name, state, reason, recorded, total, candidate, baseline, decision, simulated, *times = row
    return JobEntry(
        id=job_id,
        name=name,
        state=JobState(state),
        reason=reason,
        recorded=recorded,
        total=total,
        models={Arm.CANDIDATE: candidate, Arm.BASELINE: baseline},
        decision=decision,
        simulated=None if simulated is None else bool(simulated),
        created_at=times[0],
        started_at=times[1],
        finished_at=times[2],
    )


def _shown(wanted: str) -> str:
    return ascii(wanted[:40])


def _some(ids: list[str], count: int) -> str:
    shown = ids[:_NAMED_IN_ERRORS]
    more = f" and {count - len(shown)} more" if count > len(shown) else ""
    return ", ".join(shown) + more
