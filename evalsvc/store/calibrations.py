"""Stored calibrations: how often a suite, its scorers and gates flip on one and the same model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from evalsvc.store.database import Database, Reader

_NEWEST = """
SELECT job_id, created_at, result FROM calibrations WHERE key = ? AND created_at <= ?
ORDER BY created_at DESC, id DESC LIMIT 1"""


_OF_JOB = "SELECT created_at, result FROM calibrations WHERE job_id = ? ORDER BY created_at DESC, id DESC LIMIT 1"


async def calibration_of(reader: Reader, job_id: str) -> dict[str, Any] | None:
    """The newest calibration that rests on the answers of a job, as `newest_calibration` gives it, or None."""
    for created_at, result in await reader.rows(_OF_JOB, (job_id,)):
        return {"job": job_id, "created_at": created_at, **orjson.loads(result)}
    return None


async def newest_calibration(reader: Reader, key: str, *, until: float) -> dict[str, Any] | None:
    """The newest calibration under a key that was stored by then (Unix time), or None.

    It is what was stored, with ``job`` (whose answers it rests on) and ``created_at`` (Unix time).
    """
    for job_id, created_at, result in await reader.rows(_NEWEST, (key, until)):
        return {"job": job_id, "created_at": created_at, **orjson.loads(result)}
    return None


class Calibrations:
    """The table ``calibrations``.

    Args:
        database: where it is.
    """

    def __init__(self, database: Database) -> None:
        self._db = database

    async def add(self, key: str, job_id: str, result: Mapping[str, Any], *, now: float) -> None:
        """File a calibration made from the answers of a job of this database."""
        row = (key, job_id, now, orjson.dumps(result).decode())
        sql = "INSERT INTO calibrations (key, job_id, created_at, result) VALUES (?, ?, ?, ?)"
        await self._db.write((sql, [row]))
