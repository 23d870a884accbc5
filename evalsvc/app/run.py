"""The whole job in one process: generate, score, compare, decide."""

from __future__ import annotations

import gc
import resource
import secrets
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from evalsvc.app.endpoints import connected, urls_of
from evalsvc.app.prepare import PreparedJob
from evalsvc.core.progress import Progress
from evalsvc.core.records import Case
from evalsvc.core.states import JobState
from evalsvc.core.view import ReportView
from evalsvc.engine.executor import Executor
from evalsvc.engine.finalizer import Finalizer
from evalsvc.engine.lag import LoopLag
from evalsvc.engine.plan import planned_positions
from evalsvc.engine.retries import RetryPolicy
from evalsvc.engine.scheduler import Scheduler
from evalsvc.errors import ConfigError
from evalsvc.providers.settings import EndpointSettings
from evalsvc.store.database import Database, open_database
from evalsvc.store.jobs import JobRow, JobStore
from evalsvc.store.outcomes import OutcomeStore
from evalsvc.store.views import Views

#: Shows progress until it is cancelled.
Display = Callable[[Progress], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedJob:
    """A decided job: its id, its view (record, flips, latencies), and whether it was decided before this call."""

    job_id: str
    view: ReportView
    before: bool


async def run_job(
    prepared: PreparedJob, *, display: Display, again: bool = False, patience_s: float = 60.0
) -> FinishedJob:
    """The whole job in this process: generate, score, compare, decide; resumes the newest unfinished run of it.

    Raises:
        StoreError: the database cannot be used.
        JobStopped, EndpointDown: the job cannot go on, or not now.
    """
    _raise_file_limit(prepared.endpoints.values())
    async with open_database(Path(prepared.config.store.path)) as database:
        jobs, views = JobStore(database), Views(database)
        row = None if again else await jobs.newest(prepared.job.spec_sha256)
        if row is not None and row.state is JobState.CANCELLED:
            row = None
        if row is not None and row.record is not None:
            return FinishedJob(job_id=row.id, view=await views.report(prepared.job, row.id, row.record), before=True)
        job_id = row.id if row is not None else await _create(prepared, jobs)
        await _ask(prepared, database, job_id, display=display, patience_s=patience_s)
        record = await _decide(prepared, database, await jobs.get(job_id))
        return FinishedJob(job_id=job_id, view=await views.report(prepared.job, job_id, record), before=False)


async def _create(prepared: PreparedJob, jobs: JobStore) -> str:
    job_id = new_id()
    urls = urls_of(prepared.endpoints)
    await jobs.create(prepared.job, _planned(prepared), job_id=job_id, endpoints=urls, now=time.time())
    return job_id


def _planned(prepared: PreparedJob) -> Iterator[tuple[int, Case]]:
    """The cases that take part, with their positions. Raises `JobError` when a data set is not what was hashed."""
    positions = planned_positions(prepared.counts, seed=prepared.job.seed, limit=prepared.job.limit)
    for suite, places in positions.items():
        for case, position in zip(prepared.cases(suite), places, strict=False):
            if position >= 0:
                yield position, case
    prepared.file.check_unchanged()


async def _ask(
    prepared: PreparedJob, database: Database, job_id: str, *, display: Display, patience_s: float | None
) -> None:
    gc.set_threshold(200_000, 50, 100)  # full collections in the hot path would show up as latency of the models
    settings, lag, progress = prepared.config.engine, LoopLag(), Progress()
    async with connected(prepared) as endpoints:
        progress.loads = {name: endpoint.limits for name, endpoint in endpoints.items()}
        executor = Executor(
            endpoints=endpoints,
            scorers=prepared.scorers,
            policy=RetryPolicy(max_attempts=settings.max_attempts, deadline_s=settings.retry_deadline_s),
            lag=lag,
            progress=progress,
        )
        scheduler = Scheduler(
            jobs=JobStore(database),
            outcomes=OutcomeStore(database),
            endpoints=endpoints,
            executor=executor,
            lag=lag,
            progress=progress,
            patience_s=patience_s,
        )
        async with anyio.create_task_group() as group:
            group.start_soon(display, progress)
            try:
                await scheduler.run(prepared.job, job_id)
            finally:
                group.cancel_scope.cancel()


async def _decide(prepared: PreparedJob, database: Database, row: JobRow) -> dict[str, Any]:
    prices = {arm: _price(prepared.endpoints[spec.endpoint]) for arm, spec in prepared.job.arms.items()}
    finalizer = Finalizer(jobs=JobStore(database), views=Views(database), prices=prices)
    moved = [
        f"endpoint {name}: its URL was {row.endpoints.get(name)} at the start and {url} when resumed"
        for name, url in urls_of(prepared.endpoints).items()
        if row.endpoints.get(name) != url
    ]
    return await finalizer.run(prepared.job, row.id, warnings=[*prepared.warnings, *moved], now=time.time())


def _price(endpoint: EndpointSettings) -> tuple[float, float] | None:
    if endpoint.price_in is None or endpoint.price_out is None:
        return None
    return endpoint.price_in, endpoint.price_out


def new_id() -> str:
    """A job id: 16 characters, ordered by time, safe in paths and URLs."""
    return f"{int(time.time() * 1000):011x}{secrets.token_hex(3)}"[-16:]


def _raise_file_limit(endpoints: Iterable[EndpointSettings]) -> None:
    """Every request in flight needs a socket. Raises `ConfigError` when the system allows too few."""
    needed = 2 * sum(endpoint.max_in_flight for endpoint in endpoints) + 64
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ConfigError(f"{needed} open files are needed for so many requests in flight; the system allows {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
