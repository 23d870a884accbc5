"""Reports over HTTP, each drawn by a process of its own: it takes no time from the loop that measures latencies."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path as FilePath
from typing import Annotated, Literal

import anyio
from anyio.abc import ByteReceiveStream, Process
from fastapi import Query
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from evalsvc.api.guard import Access, needs
from evalsvc.api.jobs import JobId
from evalsvc.api.problems import ApiError, Where
from evalsvc.api.service import Service
from evalsvc.api.waiting import cancel_when_gone
from evalsvc.core.records import Arm
from evalsvc.telemetry.log import get_log

_LOG = get_log("evalsvc.api")

#: A file that is drawn may be opened in a browser all the same: there it may do nothing.
_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
#: By the ending of a file.
MEDIA = {
    "txt": "text/plain",
    "md": "text/markdown",
    "html": "text/html",
    "json": "application/json",
    "jsonl": "application/jsonl",
    "xml": "application/xml",
    "csv": "text/csv",
}
#: How far a process that draws stands back behind the one that asks.
_NICE = 10
#: What a process may say on stderr before it is cut.
_SAID = 4000
#: Exit codes of the command line.
_FAILED, _USAGE = 1, 2
#: Variables that a process which only reads a database needs: no key is among them.
_NEEDED = (
    "PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV",
    "SYSTEMROOT", "TMPDIR", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONNOUSERSITE", "PYTHONUTF8",
)  # fmt: skip
#: Seconds a report may take in all: a reader that takes it drop by drop keeps no process for ever.
_LONGEST_S = 600.0

Width = Annotated[int, Query(ge=40, le=140, description="columns of a text")]
Color = Annotated[bool, Query(description="paint a text for a terminal")]


class Reports:
    """Draws reports: runs the commands a person would, and hands on what they print.

    Args:
        database: the file the jobs are in.
        formats: those `evalsvc report` knows, each with the ending of its files.
        early: those that need no decision.
        command: how evalsvc is started.
        at_once: so many processes; who comes then is told to come back.
    """

    def __init__(
        self,
        database: FilePath,
        formats: Mapping[str, str],
        early: Collection[str] = (),
        *,
        command: Sequence[str] = (
            sys.executable,
            "-P",
            "-m",
            "evalsvc",
        ),  # -P: modules in the daemon's folder are not run
        at_once: int = 4,
    ) -> None:
        self.formats, self.early = formats, early
        self._database, self._command, self._free = database, command, at_once

    def report(
        self, job_id: str, name: str, *, arm: Arm = Arm.CANDIDATE, width: int = 100, color: bool = False
    ) -> Drawing:
        """A job's report in the format called ``name``, one of ``formats``; of one ``arm`` where that holds one."""
        paint = ("--color",) if color else ()
        asked = ("report", "--format", name, "--arm", arm.value, *paint, "--db", str(self._database), "--", job_id)
        return Drawing(self, asked, file=f"{job_id}.{self.formats[name]}", width=width)

    def comparison(self, first: str, second: str, *, options: Sequence[str], width: int, as_json: bool) -> Drawing:
        """Two jobs, case by case; ``options`` are those of `evalsvc compare`."""
        said = ("--json",) if as_json else ()
        asked = ("compare", *options, *said, "--db", str(self._database), "--", first, second)
        return Drawing(self, asked, file=f"{first}-{second}.{'json' if as_json else 'txt'}", width=width)

    async def page(self, job_id: str) -> str:
        """The HTML report, whole. Raises `ApiError`."""
        async with self.process(self.report(job_id, "html").asked, width=100) as process:
            pieces = [piece async for piece in _pieces(process.stdout)]
            refusal = await _refusal(process)
        if refusal is not None:
            raise refusal
        return b"".join(pieces).decode()

    @asynccontextmanager
    async def process(self, asked: Sequence[str], *, width: int) -> AsyncIterator[Process]:
        """A process that draws; it ends with the block. Raises `ApiError` where too many do."""
        if not self._free:
            raise ApiError(503, "too many reports at once", code="busy", headers={"Retry-After": "2"})
        self._free -= 1
        try:
            async with await anyio.open_process(
                [*self._command, *asked], stdin=None, env={**environment(), "COLUMNS": str(width), "LINES": "24"}
            ) as process:
                try:
                    with suppress(OSError):  # it may have ended
                        os.setpriority(os.PRIO_PROCESS, process.pid, _NICE)
                    yield process
                finally:
                    if process.returncode is None:
                        process.kill()
        finally:
            self._free += 1


def environment() -> dict[str, str]:
    """The variables that a process gets which only reads a database."""
    return {name: os.environ[name] for name in _NEEDED if name in os.environ}


class Drawing(Response):
    """What one command prints, handed on while it prints it; what it refuses is an error as any.

    Args:
        reports: runs it.
        asked: the command's arguments.
        file: what a browser calls it.
        width: columns of its texts.
    """

    def __init__(self, reports: Reports, asked: Sequence[str], *, file: str, width: int) -> None:
        named = {"Content-Disposition": f'attachment; filename="evalsvc-{file}"', "Content-Security-Policy": _POLICY}
        kind = MEDIA.get(file.rpartition(".")[2], "application/octet-stream")
        super().__init__(headers=named, media_type=kind)
        del self.headers["content-length"]
        self._reports, self.asked, self._width = reports, asked, width
        self._begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Streams. Raises `ApiError` while nothing is sent yet."""
        async with self._reports.process(self.asked, width=self._width) as process:
            refusal = None
            with anyio.move_on_after(_LONGEST_S) as limit:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(cancel_when_gone, receive, tasks.cancel_scope)
                    refusal = await self._send(process, send)
                    tasks.cancel_scope.cancel()
        if limit.cancelled_caught:
            _LOG.warning("report.broken_off", reason="it took too long", longest_s=_LONGEST_S)
            refusal = None if self._begun else ApiError(503, "the report takes too long", headers={"Retry-After": "60"})
        if refusal is not None:
            raise refusal

    async def _send(self, process: Process, send: Send) -> ApiError | None:
        """What is printed; gives what is wrong where nothing was."""
        async for piece in _pieces(process.stdout):
            if not self._begun:
                self._begun = True
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        refusal = await _refusal(process)
        if refusal is None:
            if not self._begun:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        elif (
            self._begun
        ):  # without its end the reader's connection breaks: half a report must not look like a whole one
            _LOG.warning("report.broken_off", reason=refusal.message)
            return None
        return refusal


class ReportRoutes:
    """The routes that draw.

    Args:
        service: knows the jobs.
        reports: draws; None: nothing does.
    """

    def __init__(self, service: Service, reports: Reports | None) -> None:
        self._service, self._reports = service, reports

    @needs(Access.VIEW)
    async def report(
        self,
        job_id: JobId,
        name: Annotated[str, Query(alias="format", description="as `evalsvc report` has it")],
        arm: Annotated[Arm, Query(description="whose log, where the format holds one model's")] = Arm.CANDIDATE,
        width: Width = 100,
        color: Color = False,
    ) -> Response:
        """The results in one of the formats of `evalsvc report`, as a file."""
        reports = self._drawn_by()
        if name not in reports.formats:
            known = ", ".join(reports.formats)
            raise ApiError(422, f"no format {name[:20]!a}; known: {known}", where=Where(key="format"))
        row = await self._service.job(job_id)
        if row.record is None and name not in reports.early:
            raise ApiError(409, f"the job is {row.state}: there is no report yet", code="not_decided")
        return reports.report(job_id, name, arm=arm, width=width, color=color)

    @needs(Access.VIEW)
    async def compare(
        self,
        job_id: JobId,
        second_id: JobId,
        name: Annotated[Literal["json", "text"], Query(alias="format")] = "json",
        arm: Annotated[Arm, Query(description="of both jobs")] = Arm.CANDIDATE,
        only_shared: Annotated[bool, Query(description="compare the cases both have")] = False,
        flips: Annotated[int, Query(ge=0, le=10_000, description="so many changed cases")] = 10,
        width: Width = 100,
        color: Color = False,
    ) -> Response:
        """What changed from the first job to the second, case by case."""
        reports = self._drawn_by()
        for each in (job_id, second_id):
            row = await self._service.job(each)
            if row.record is None:
                raise ApiError(409, f"job {each} is {row.state}: there is no decision yet", code="not_decided")
        flags = [flag for flag, wanted in (("--only-shared", only_shared), ("--color", color)) if wanted]
        options = ("--arm", arm.value, "--flips", str(flips), *flags)
        return reports.comparison(job_id, second_id, options=options, width=width, as_json=name == "json")

    def _drawn_by(self) -> Reports:
        if self._reports is None:
            raise ApiError(404, "this daemon draws no reports")
        return self._reports


async def _pieces(stream: ByteReceiveStream | None) -> AsyncIterator[bytes]:
    assert stream is not None  # it was opened as a pipe
    while True:
        try:
            yield await stream.receive()
        except anyio.EndOfStream:
            return


async def _refusal(process: Process) -> ApiError | None:
    """What a process that has printed all refused, by its exit code and what it said; None where it did its work."""
    heard = b""
    async for piece in _pieces(process.stderr):
        heard += piece[: _SAID - len(heard)]
    said = heard.decode("utf-8", "replace").strip().removeprefix("evalsvc: ")
    code = await process.wait()
    if code == 0:
        return None
    if code == _USAGE:
        return ApiError(422, said)
    if code == _FAILED and "Traceback" not in said:
        return ApiError(503, said, headers={"Retry-After": "5"})
    _LOG.error("report.failed", exit_code=code, said=said)
    return ApiError(500, "the daemon could not do this; its log says why")
