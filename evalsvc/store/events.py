"""What happened to a job, in an order that survives a restart: for those who follow it over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from evalsvc.core.states import JobState
from evalsvc.store.database import Database

Statement = tuple[str, Iterable[tuple[Any, ...]]]

_INSERT = """
INSERT INTO events (job_id, id, name, data, at)
SELECT ?1, COALESCE(MAX(id), 0) + 1, ?2, ?3, strftime('%Y-%m-%dT%H:%M:%fZ', 'now') FROM events WHERE job_id = ?1"""
#: Of a job's progress only the newest tells something; an endpoint that comes and goes for days must not fill the disk.
_PRUNE = """
DELETE FROM events WHERE job_id = ?1 AND (
    id <= (SELECT MAX(id) FROM events WHERE job_id = ?1) - 1000
    OR (name = 'progress' AND id < (SELECT MAX(id) FROM events WHERE job_id = ?1 AND name = 'progress')))"""

_OF_GATE = ("name", "verdict", "required", "waived", "estimate", "interval", "threshold", "reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event of a job; ``data`` holds the moment it happened as ``at``."""

    id: int
    name: str
    data: Mapping[str, Any]


def state_event(job_id: str, state: JobState, reason: str | None) -> Statement:
    """Files that a job is in another state, in the transaction that takes it there."""
    return _insert(job_id, "state", {"state": state.value, "reason": reason})


def decision_events(job_id: str, record: Mapping[str, Any]) -> Iterator[Statement]:
    """Files the verdict of every gate, and the decision."""
    for gate in record.get("gates", ()):
        yield _insert(job_id, "gate", {key: gate.get(key) for key in _OF_GATE})
    yield _insert(job_id, "decision", {key: record.get(key) for key in ("decision", "reasons")})


def _insert(job_id: str, name: str, data: Mapping[str, Any]) -> Statement:
    return _INSERT, [(job_id, name, orjson.dumps(data).decode())]


class EventStore:
    """The table ``events``.

    Args:
        database: where it is.
        told: is called with the id of a job that has a new event.
    """

    def __init__(self, database: Database, told: Callable[[str], None] = lambda _: None) -> None:
        self._db = database
        self._told = told

    async def progress(self, job_id: str, data: Mapping[str, Any]) -> None:
        """File how far a job is; what was filed of that before goes."""
        await self._db.write(_insert(job_id, "progress", data), (_PRUNE, [(job_id,)]))
        self._told(job_id)

    async def after(self, job_id: str, last: int, *, limit: int = 500) -> list[StoredEvent]:
        """The events of a job with an id above ``last``, in order."""
        sql = "SELECT id, name, data, at FROM events WHERE job_id = ? AND id > ? ORDER BY id LIMIT ?"
        rows = await self._db.onlookers.rows(sql, (job_id, last, limit))
        return [StoredEvent(id=id_, name=name, data={**orjson.loads(data), "at": at}) for id_, name, data, at in rows]
