"""Jobs over HTTP: submitted, listed, watched, ended."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path as FilePath
from shutil import rmtree
from typing import Annotated, Any, Literal

import anyio.to_thread
from fastapi import Header, Path, Query, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from evalsvc.api.events import EventStream, last_event_id
from evalsvc.api.guard import Access, needs
from evalsvc.api.limits import MOST_RESAMPLES, ApiLimits
from evalsvc.api.problems import ApiError, as_json
from evalsvc.api.service import Service, Upload
from evalsvc.api.uploads import receive_parts
from evalsvc.api.waiting import for_client
from evalsvc.core.listing import rfc3339
from evalsvc.core.states import ENDED, JobState
from evalsvc.store.jobs import JobRow

#: What uploads that are still arriving are called in the daemon's folder.
INCOMING = "incoming-"
_MOST = 2**63 - 1

JobId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="the job's id")]
Limit = Annotated[int, Query(ge=1, le=200, description="at most so many")]


class ProgressBody(BaseModel):
    """How far a job is: answers recorded of those planned; of a job in hand more is told."""

    model_config = ConfigDict(extra="allow")

    recorded: int
    total: int


class JobBody(BaseModel):
    """A job."""

    id: str
    name: str
    state: JobState
    reason: str | None
    progress: ProgressBody
    priority: int
    decision: Literal["SHIP", "ITERATE", "HOLD"] | None
    simulated: bool | None
    spec_sha256: str
    resumes: int
    created_at: str
    started_at: str | None
    finished_at: str | None


class FiledBody(JobBody):
    """A job that was just sent; ``warnings`` say what keeps its gates from PASS whatever the models do."""

    warnings: list[str]


class JobPage(BaseModel):
    """Jobs, newest first; ``next`` is the next page's ``after``, null on the last."""

    items: list[JobBody]
    next: str | None


class OutcomePage(BaseModel):
    """Recorded outcomes in the order they were filed; ``next`` is the next page's ``after``, null on the last."""

    items: list[dict[str, Any]]
    next: int | None


class Jobs:
    """The routes under ``/api/v1/jobs``.

    Args:
        service: the daemon behind them.
        folder: where uploads lie while they arrive.
        limits: what is taken from one client.
        closing: set when the daemon stops.
    """

    def __init__(self, service: Service, folder: FilePath, limits: ApiLimits, closing: anyio.Event) -> None:
        self._service, self._folder, self._limits, self._closing = service, folder, limits, closing
        self._uploads = self._streams = self._calibrations = 0

    @needs(Access.SUBMIT)
    async def submit(
        self,
        request: Request,
        priority: Annotated[int, Query(ge=-1000, le=1000, description="higher ones start first")] = 0,
        limit: Annotated[int | None, Query(ge=1, le=_MOST, description="at most so many cases a suite")] = None,
        itself: Annotated[bool, Query(description="the baseline takes the candidate's place, too")] = False,
        idempotency_key: Annotated[str | None, Header(pattern=r"^[!-~]{1,255}$")] = None,
    ) -> Response:
        """File a job: its text as part `job`, each of its files as a part named by its path in the job."""
        if self._uploads >= self._limits.uploads_at_once:
            raise ApiError(503, "too many uploads at once", code="busy", headers={"Retry-After": "5"})
        self._uploads += 1
        try:
            async with _folder_in(self._folder) as folder:
                job, files = await receive_parts(request, folder, self._limits)
                filed = await self._service.submit(
                    Upload(
                        job=job,
                        files=files,
                        idempotency_key=idempotency_key,
                        priority=priority,
                        limit=limit,
                        itself=itself,
                    )
                )
        finally:
            self._uploads -= 1
        body = {**self.shown(filed.row), "warnings": list(filed.warnings)}
        return as_json(body, 201 if filed.fresh else 200, {"Location": f"/api/v1/jobs/{filed.row.id}"})

    @needs(Access.VIEW)
    async def list(
        self,
        limit: Limit = 50,
        after: Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="the last id seen")] = None,
    ) -> Response:
        """The jobs, newest first."""
        rows = await self._service.jobs(limit=limit + 1, after=after)
        more = len(rows) > limit
        items = [self.shown(row) for row in rows[:limit]]
        return as_json({"items": items, "next": items[-1]["id"] if more else None})

    @needs(Access.VIEW)
    async def get(self, job_id: JobId) -> Response:
        """One job."""
        return as_json(self.shown(await self._service.job(job_id)))

    @needs(Access.VIEW)
    async def outcomes(
        self,
        job_id: JobId,
        limit: Limit = 50,
        after: Annotated[int, Query(ge=0, le=_MOST, description="the last `seq` seen")] = 0,
    ) -> Response:
        """What is recorded so far, in the order it was filed. A page of long answers may hold fewer than asked for."""
        items, following = await self._service.outcomes(job_id, limit=limit, after=after)
        return as_json({"items": items, "next": following})

    @needs(Access.VIEW)
    async def decision(
        self,
        job_id: JobId,
        name: Annotated[
            Literal["record", "dsse"], Query(alias="format", description="dsse: the signed envelope of the record")
        ] = "record",
    ) -> Response:
        """The decision record, or the signed envelope it is in."""
        row = await self._service.job(job_id)
        if row.record is None:
            raise ApiError(409, f"the job is {row.state}: there is no decision yet", code="not_decided")
        if name == "record":
            return as_json(row.record)
        if row.envelope is None:
            raise ApiError(409, "the record is not signed: no [signing] key_file is configured", code="not_signed")
        return as_json(row.envelope)

    @needs(Access.SUBMIT)
    async def calibrate(
        self,
        request: Request,
        job_id: JobId,
        resamples: Annotated[int, Query(ge=1, le=MOST_RESAMPLES, description="how often to deal and judge")] = 400,
        key: Annotated[
            str | None,
            Query(pattern=r"^[0-9a-f]{64}$", description="what is calibrated; refused where the job is of another"),
        ] = None,
    ) -> Response:
        """Deal the answers that one model gave in a decided job to both arms, judge, and store how often gates flip."""
        row = await self._service.job(job_id)
        if row.record is None:
            raise ApiError(409, f"the job is {row.state}: it has not asked everything", code="not_decided")
        if self._calibrations >= self._limits.calibrations_at_once:
            raise ApiError(503, "too many calibrations at once", code="busy", headers={"Retry-After": "10"})
        self._calibrations += 1
        try:
            await request.body()
            work = partial(self._service.calibrate, job_id, resamples, key)
            return as_json(await for_client(request.receive, work, self._closing))
        finally:
            self._calibrations -= 1

    @needs(Access.VIEW)
    async def calibration(self, job_id: JobId) -> Response:
        """The newest calibration by the answers of a job."""
        found = await self._service.calibration(job_id)
        if found is None:
            raise ApiError(404, f"nothing was calibrated by job {job_id}", code="not_calibrated")
        return as_json(found)

    @needs(Access.VIEW)
    async def events(
        self,
        job_id: JobId,
        last_id: Annotated[str | None, Header(alias="Last-Event-ID", description="go on after this one")] = None,
    ) -> Response:
        """What happens to the job, as server-sent events named state, progress, gate, decision."""
        after = last_event_id(last_id)
        row = await self._service.job(job_id)
        if self._streams >= self._limits.streams or self._closing.is_set():
            raise ApiError(503, "too many watch at once", code="busy", headers={"Retry-After": "10"})
        events = self._service.events(job_id, after=after)
        first = await anext(events, None) if row.state in ENDED else None
        if row.state in ENDED and first is None:
            return Response(status_code=204)  # tells a browser that comes back that nothing more will come
        self._streams += 1
        return EventStream(events, self._limits, self._closing, self._stream_ended, first=first)

    @needs(Access.SUBMIT)
    async def cancel(self, job_id: JobId) -> Response:
        """End a job for good; what is recorded stays."""
        return as_json(self.shown(await self._service.cancel(job_id)))

    @needs(Access.SUBMIT)
    async def resume(self, job_id: JobId) -> Response:
        """Queue a paused or failed job again; what is recorded is not asked again."""
        return as_json(self.shown(await self._service.resume(job_id)))

    def shown(self, row: JobRow) -> dict[str, Any]:
        """A job as it is sent."""
        record = row.record or {}
        return {
            "id": row.id,
            "name": row.name,
            "state": row.state.value,
            "reason": row.reason,
            "progress": {**_filed(row), **(self._service.progress(row.id) or {})},
            "priority": row.priority,
            "decision": record.get("decision"),
            "simulated": record["job"]["simulated"] if record else None,
            "spec_sha256": row.spec_sha256,
            "resumes": row.resumes,
            "created_at": rfc3339(row.created_at),
            "started_at": rfc3339(row.started_at),
            "finished_at": rfc3339(row.finished_at),
        }

    def _stream_ended(self) -> None:
        self._streams -= 1


def _filed(row: JobRow) -> dict[str, Any]:
    """How far a job is as it is filed; of a decided one all that was asked is recorded."""
    return {"recorded": row.recorded, "total": row.recorded if row.record else row.requests}


@asynccontextmanager
async def _folder_in(folder: FilePath) -> AsyncIterator[FilePath]:
    """A folder for one upload, gone with all that still lies in it when the upload is over."""
    made = FilePath(await anyio.to_thread.run_sync(lambda: tempfile.mkdtemp(prefix=INCOMING, dir=folder)))
    try:
        yield made
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(lambda: rmtree(made, ignore_errors=True))
