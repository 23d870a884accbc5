"""What the HTTP routes ask of the daemon: jobs filed, read, followed, ended."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio
from anyio.to_thread import run_sync

from evalsvc.api.service import Event, EventName, Filed, Upload
from evalsvc.app.bell import Bell, News
from evalsvc.app.calibrate import calibrate_by
from evalsvc.app.endpoints import urls_of
from evalsvc.app.plan import warnings_before
from evalsvc.app.plugins import modules_of
from evalsvc.app.prepare import PreparedJob, prepare_upload
from evalsvc.app.runner import new_id
from evalsvc.config import Config
from evalsvc.core.listing import rfc3339
from evalsvc.core.progress import Progress
from evalsvc.core.states import ENDED, IN_HAND, JobState
from evalsvc.decide.calibration import key_of
from evalsvc.engine.dispatcher import Dispatcher
from evalsvc.errors import JobError, JobNotFound, KeyReused, StoreError, StoreFull
from evalsvc.jobfile.document import document_of, job_in
from evalsvc.store import tallies
from evalsvc.store.calibrations import calibration_of
from evalsvc.store.database import Database, room
from evalsvc.store.events import EventStore, StoredEvent
from evalsvc.store.exports import Exports
from evalsvc.store.jobs import JobRow, JobStore, Submission
from evalsvc.store.uploads import Uploads

#: With less room than this on the disk no job is taken in.
_LEAST_ROOM = 16 * 2**20
_EVENTS_AT_ONCE = 500
#: Jobs that have ended whose counts are remembered.
_COUNTS_KEPT = 10_000
_INTERRUPTED = "interrupted: `evalsvc run` with the same job file goes on with it"


class DaemonService:
    """See `evalsvc.api.service.Service`.

    Args:
        config: what jobs are read by.
        database, jobs, uploads: where they and their files are kept.
        dispatcher: runs them.
        bell: rings for every change of a job.
    """

    def __init__(
        self,
        *,
        config: Config,
        database: Database,
        jobs: JobStore,
        uploads: Uploads,
        dispatcher: Dispatcher,
        bell: Bell,
    ) -> None:
        self._config = config
        self._database = database
        self._jobs = jobs
        self._rows = JobStore(database, reader=database.onlookers)
        self._uploads = uploads
        self._dispatcher = dispatcher
        self._bell = bell
        self._news: News[tuple[JobState, Sequence[StoredEvent]]] = News()
        self._events = EventStore(database)
        self._exports = Exports(database.onlookers)
        # Reading a large data set is a processor's work: two at a time would take it from the jobs that run.
        self._reading = anyio.CapacityLimiter(1)
        self._filing, self._dealing = anyio.Lock(), anyio.Lock()
        self._counted: dict[tuple[str, float | None], int] = {}
        self.stopping: str | None = None

    async def submit(self, upload: Upload) -> Filed:
        """See `Service.submit`."""
        if self.stopping is not None:
            raise StoreError(self.stopping)
        why = self.ready()
        if why is not None:
            raise StoreFull(why)
        digests = await run_sync(self._uploads.keep, upload.files)
        try:
            files = {name: self._uploads.path(digest) for name, digest in digests.items()}
            prepared = await run_sync(partial(self._read, upload, files), limiter=self._reading)
            warnings = await run_sync(warnings_before, prepared, limiter=self._reading)
            async with self._filing:
                return Filed(*await self._file(prepared, upload), warnings)
        finally:
            self._uploads.release(digests.values())

    def _read(self, upload: Upload, files: Mapping[str, Path]) -> PreparedJob:
        prepared = prepare_upload(upload.job, files, settings=self._config, limit=upload.limit, itself=upload.itself)
        for answers in prepared.answers.values():
            answers.close()
        return prepared

    async def _file(self, prepared: PreparedJob, upload: Upload) -> tuple[JobRow, bool]:
        key = upload.idempotency_key
        known = None if key is None else await self._rows.of_key(key)
        if known is not None:
            if known.spec_sha256 != prepared.job.spec_sha256:
                raise KeyReused(f"the idempotency key was used before, for another job: {known.id}")
            return known, False
        job_id = new_id()
        await self._jobs.create(
            prepared.job,
            prepared.planned(),
            job_id=job_id,
            endpoints=urls_of(prepared.endpoints),
            now=time.time(),
            document=document_of(prepared.file),
            warnings=prepared.warnings,
            submission=Submission(source=_text(upload.job), priority=upload.priority, idempotency_key=key),
        )
        self._dispatcher.wake()
        return await self._rows.get(job_id), True

    async def jobs(self, *, limit: int, after: str | None) -> Sequence[JobRow]:
        """See `Service.jobs`."""
        return [await self._as_it_is(row) for row in await self._rows.page(limit=limit, after=after)]

    async def job(self, job_id: str) -> JobRow:
        """See `Service.job`."""
        return await self._as_it_is(await self._rows.get(job_id))

    async def _as_it_is(self, row: JobRow) -> JobRow:
        """What is filed, and what could not be: the reason of a full disk, or that whoever ran a job was killed."""
        running = self._dispatcher.in_hand.get(row.id)
        changed: dict[str, Any] = {}
        if running is not None and running.progress.total:
            changed["recorded"] = running.progress.recorded
        elif row.recorded is None:
            changed["recorded"] = await self._recorded(row)
        if running is not None and running.progress.paused is not None and row.state not in ENDED:
            changed |= {"state": JobState.PAUSED, "reason": running.progress.paused}
        elif running is None and row.source is None and row.state in IN_HAND:
            changed |= {"state": JobState.PAUSED, "reason": _INTERRUPTED}
        elif running is None and row.state is JobState.QUEUED and (why := self._dispatcher.why_wait):
            changed["reason"] = why
        return replace(row, **changed) if changed else row

    async def _recorded(self, row: JobRow) -> int:
        """Answers filed of a job; those of one that has ended are counted once."""
        ending = (row.id, row.finished_at)
        if row.state in ENDED and ending in self._counted:
            return self._counted[ending]
        count = await tallies.recorded(self._database.onlookers, row.id)
        if row.state in ENDED:
            if len(self._counted) >= _COUNTS_KEPT:
                self._counted.clear()
            self._counted[ending] = count
        return count

    def progress(self, job_id: str) -> Mapping[str, Any] | None:
        """See `Service.progress`."""
        running = self._dispatcher.in_hand.get(job_id)
        if running is None:
            return None
        found = shown(running.progress)
        return found if running.progress.total else {key: found[key] for key in found.keys() - {"recorded", "total"}}

    async def outcomes(self, job_id: str, *, limit: int, after: int) -> tuple[Sequence[Mapping[str, Any]], int | None]:
        """See `Service.outcomes`."""
        return await self._exports.filed(job_id, after=after, limit=limit)

    async def cancel(self, job_id: str) -> JobRow:
        """See `Service.cancel`."""
        await self._dispatcher.cancel(job_id)
        return await self.job(job_id)

    async def resume(self, job_id: str) -> JobRow:
        """See `Service.resume`."""
        await self._dispatcher.resume(job_id)
        return await self.job(job_id)

    async def events(self, job_id: str, *, after: int) -> AsyncIterator[Event]:
        """See `Service.events`."""
        unfiled: str | None = None
        while not self._bell.closed:
            news = self._bell.next(job_id)
            try:
                state, found = await self._news.since(news, after, partial(self._what_is_new, job_id, after))
            except JobNotFound:
                return  # removed, as it was outdated
            for event in found:
                yield Event(id=event.id, name=cast(EventName, event.name), data=event.data)
                after = event.id
            if len(found) == _EVENTS_AT_ONCE:
                continue
            if state in ENDED:
                return
            if self._unfiled(job_id, state) != unfiled:  # told under the last number: it has none of its own
                unfiled = self._unfiled(job_id, state)
                data = {"state": JobState.PAUSED if unfiled else state, "reason": unfiled}
                yield Event(id=after, name="state", data=data)
            await news.wait()

    async def _what_is_new(self, job_id: str, after: int) -> tuple[JobState, Sequence[StoredEvent]]:
        return await self._rows.state(job_id), await self._events.after(job_id, after, limit=_EVENTS_AT_ONCE)

    def _unfiled(self, job_id: str, state: JobState) -> str | None:
        """Why a job waits that could not be filed as waiting: its disk is full."""
        running = self._dispatcher.in_hand.get(job_id)
        return None if running is None or state is JobState.PAUSED else running.progress.paused

    async def calibrate(self, job_id: str, resamples: int, key: str | None = None) -> Mapping[str, Any]:
        """See `Service.calibrate`."""
        row = await self._jobs.get(job_id)
        async with self._dealing:  # a processor's work, too: one at a time
            job, plugins = job_in(row.document), modules_of(self._config)
            wanted = key or key_of(row.document)
            return await calibrate_by(self._database, job, row, wanted, resamples, apart=plugins)

    async def calibration(self, job_id: str) -> Mapping[str, Any] | None:
        """See `Service.calibration`."""
        found = await calibration_of(self._database, (await self._jobs.get(job_id)).id)
        return None if found is None else {**found, "created_at": rfc3339(found["created_at"])}

    def ready(self) -> str | None:
        """See `Service.ready`."""
        if self.stopping is None and room(self._database.path) < _LEAST_ROOM:
            return f"no room left on the disk of {self._database.path}"
        return self.stopping

    async def sweep(self) -> None:
        """Remove files that no unfinished job needs."""
        async with self._filing:
            needed = await self._jobs.files()
            await run_sync(self._uploads.sweep, needed)


def shown(progress: Progress) -> dict[str, Any]:
    """How far a job is, JSON-ready."""
    now = time.monotonic()
    return {
        "recorded": progress.recorded,
        "total": progress.total,
        "rate": round(progress.rate(now), 3),
        "eta_s": _rounded(progress.eta_s(now)),
        "retries": progress.retries,
        "statuses": {status.value: count for status, count in progress.statuses.items()},
        "scores": {arm.value: progress.score_sums[arm] / count for arm, count in progress.scored.items()},
        "endpoints": {
            name: {"in_flight": load.in_flight, "limit": load.limit, "reason": load.reason}
            for name, load in progress.asked.items()
        },
        "paused": progress.paused,
        "stopped": progress.stopped,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise JobError("must be UTF-8", file="job.toml") from None
