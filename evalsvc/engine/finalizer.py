"""When everything is answered: evidence → verdicts → decision → record."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import evalsvc
from evalsvc.core.evidence import ArmTotals
from evalsvc.core.records import Arm, Job
from evalsvc.core.states import JobState
from evalsvc.decide import decide, judge_all, record
from evalsvc.store.database import SQLITE_VERSION
from evalsvc.store.jobs import JobRow, JobStore
from evalsvc.store.views import Views

_LIBRARIES = ("aiohttp", "aiosqlite", "numpy", "scipy", "tenacity", "regex", "rapidfuzz", "jsonschema-rs")


class Finalizer:
    """Decides a job that has been asked whole.

    Args:
        jobs, views: where the job and its outcomes live.
        prices: (input, output) per million tokens of an arm, or None where the configuration gives none.
    """

    def __init__(self, *, jobs: JobStore, views: Views, prices: Mapping[Arm, tuple[float, float] | None]) -> None:
        self._jobs = jobs
        self._views = views
        self._prices = prices

    async def run(self, job: Job, job_id: str, *, warnings: list[str], now: float) -> dict[str, Any]:
        """Judge, decide, and file the record. ``warnings`` are put after those that the evidence itself gives."""
        await self._jobs.move(job_id, JobState.DECIDING)
        row = await self._jobs.get(job_id)
        evidence = await self._views.evidence(job, job_id)
        results = judge_all(evidence, job)
        made = record.build(
            job,
            job_id,
            evidence,
            results,
            decide(results),
            started_at=rfc3339(row.started_at or row.created_at),
            finished_at=rfc3339(now),
            environment=environment(),
            costs={arm: _cost(evidence.totals[arm], self._prices[arm]) for arm in Arm},
            warnings=[*_resumed(row), *warnings],
        )
        await self._jobs.finish(job_id, made, now=now)
        return made


def environment() -> dict[str, str]:
    """What made a record: versions of everything that can change a number in it."""
    return {
        "evalsvc": evalsvc.__version__,
        "python": platform.python_version(),
        "sqlite": SQLITE_VERSION,
        "platform": platform.platform(),
        **{name: version(name) for name in _LIBRARIES},
    }


def rfc3339(seconds: float) -> str:
    """A Unix time as RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _cost(totals: ArmTotals, price: tuple[float, float] | None) -> float | None:
    if price is None or totals.input_tokens is None or totals.output_tokens is None:
        return None
    return (totals.input_tokens * price[0] + totals.output_tokens * price[1]) / 1e6


def _resumed(row: JobRow) -> list[str]:
    if not row.resumes:
        return []
    times = "once" if row.resumes == 1 else f"{row.resumes} times"
    return [f"stopped and resumed {times}: latencies were measured in more than one sitting"]
