"""The whole job in one process: generate, score, compare, decide."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from evalsvc.app.endpoints import connected, urls_of
from evalsvc.app.prepare import PreparedJob
from evalsvc.app.process import allow_sockets
from evalsvc.app.runner import Runner, new_id
from evalsvc.app.signing import SignedView, signer_of
from evalsvc.core.progress import Progress
from evalsvc.core.states import JobState
from evalsvc.engine.dispatcher import Running
from evalsvc.jobfile.document import document_of
from evalsvc.store.database import open_database
from evalsvc.store.jobs import JobRow, JobStore
from evalsvc.store.views import Views

#: Shows progress until it is cancelled.
Display = Callable[[Progress], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedJob:
    """A decided job: its id, its view (record, flips, latencies), and whether it was decided before this call."""

    job_id: str
    view: SignedView
    before: bool


async def run_job(
    prepared: PreparedJob, *, display: Display, again: bool = False, patience_s: float = 60.0
) -> FinishedJob:
    """The whole job in this process: generate, score, compare, decide; resumes the newest unfinished run of it.

    Raises:
        StoreError: the database cannot be used.
        JobStopped, EndpointDown: the job cannot go on, or not now.
    """
    allow_sockets(prepared.endpoints.values())
    signer, told = signer_of(prepared.config.signing)  # found out before anything is asked
    async with open_database(Path(prepared.config.store.path)) as database:
        jobs, views = JobStore(database), Views(database)
        row = None if again else await jobs.newest(prepared.job.spec_sha256)
        if row is not None and row.state is JobState.CANCELLED:
            row = None
        if row is not None and row.record is not None:
            return await _finished(prepared, views, row, before=True)
        job_id = row.id if row is not None else await _create(prepared, jobs)
        runner = Runner(database, jobs, signer=signer, told=told, patience_s=patience_s)
        await _run(prepared, runner, job_id, display)
        return await _finished(prepared, views, await jobs.get(job_id), before=False)


async def _finished(prepared: PreparedJob, views: Views, row: JobRow, *, before: bool) -> FinishedJob:
    view = await views.report(prepared.job, row.id, row.record or {})
    return FinishedJob(job_id=row.id, view=SignedView.of(view, row.envelope), before=before)


async def _create(prepared: PreparedJob, jobs: JobStore) -> str:
    job_id = new_id()
    await jobs.create(
        prepared.job,
        prepared.planned(),
        job_id=job_id,
        endpoints=urls_of(prepared.endpoints),
        now=time.time(),
        document=document_of(prepared.file),
        warnings=prepared.warnings,
    )
    return job_id


async def _run(prepared: PreparedJob, runner: Runner, job_id: str, display: Display) -> None:
    running = Running()
    async with connected(prepared) as endpoints, anyio.create_task_group() as group:
        group.start_soon(display, running.progress)
        group.start_soon(runner.watch_loop)
        try:
            await runner.run(prepared, job_id, endpoints, running)
        finally:
            group.cancel_scope.cancel()
