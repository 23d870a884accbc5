"""The daemon: one database, many jobs, one HTTP server, in one task group."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from pathlib import Path

import anyio
from anyio.abc import TaskStatus
from anyio.to_thread import run_sync

from evalsvc import __version__
from evalsvc.api.app import make_app
from evalsvc.api.bind import check_bind
from evalsvc.api.front import Front
from evalsvc.api.limits import ApiLimits
from evalsvc.api.reports import Reports
from evalsvc.api.tokens import TokenBook
from evalsvc.app.bell import Bell
from evalsvc.app.endpoints import EndpointPool
from evalsvc.app.gauges import Gauges
from evalsvc.app.http import HttpServer, listen
from evalsvc.app.plugins import load_plugins
from evalsvc.app.process import allow_sockets, collect_garbage, settle
from evalsvc.app.results import FORMATS, OF_ANY_JOB
from evalsvc.app.runner import Runner
from evalsvc.app.service import DaemonService, shown
from evalsvc.app.signing import signer_of
from evalsvc.app.work import work_of
from evalsvc.config import Config, known_secrets, load
from evalsvc.core.progress import Progress
from evalsvc.engine.dispatcher import Dispatcher, Running
from evalsvc.engine.maintenance import every, remove_outdated
from evalsvc.errors import StoreFull, sole
from evalsvc.store.database import SQLITE_VERSION, Database, open_database
from evalsvc.store.events import EventStore
from evalsvc.store.jobs import JobStore
from evalsvc.store.tokens import TokenStore
from evalsvc.store.uploads import Uploads
from evalsvc.telemetry import make_telemetry
from evalsvc.telemetry.log import bind, logging_to

_PROGRESS_S = 1.0
_MAINTENANCE_S = 600.0
_SECONDS_A_DAY = 86_400.0
#: Seconds that all may take which is to be done when the grace is over.
_LAST_S = 5.0
#: Exit code of a process that is told a second time to stop.
_AT_ONCE = 130


async def serve(config: Config, started: Callable[[str], None]) -> None:
    """Run the daemon until SIGTERM or SIGINT; ``started`` is told one line when it listens.

    What is in flight then has ``server.grace_s`` to end; jobs that are not done are given back, and the next daemon
    goes on with them. A second signal ends the process at once.

    Raises:
        ConfigError: the configuration, the address or the number of sockets will not do.
        StoreBusy, StoreUnusable: the database cannot be had.
        StoreBroken: its disk failed.
    """
    try:
        with logging_to(sys.stderr, config.telemetry, known_secrets(config, os.environ)):
            async with open_database(Path(config.store.path)) as database, EndpointPool() as pool:
                daemon = await _build(config, database, pool)
                with listen(config.server.host, config.server.port) as socket:
                    await daemon.run(HttpServer(daemon.app, socket, _limits(config)), started)
    except BaseExceptionGroup as group:
        raise sole(group) from group


@dataclass(frozen=True, slots=True, kw_only=True)
class _Daemon:
    """All parts, built."""

    config: Config
    database: Database
    jobs: JobStore
    dispatcher: Dispatcher
    service: DaemonService
    bell: Bell
    runner: Runner
    gauges: Gauges
    app: Front

    async def run(self, server: HttpServer, started: Callable[[str], None]) -> None:
        keep_days = self.config.store.keep_days
        rounds_s = _rounds_s(keep_days)
        async with anyio.create_task_group() as group:
            told_to_stop = anyio.Event()
            await group.start(_heed_signals, told_to_stop)  # before anybody can know that it runs
            await self.dispatcher.recover()
            await self.gauges.seed()
            group.start_soon(self.database.fail)
            group.start_soon(self.runner.watch_loop)
            group.start_soon(self.gauges.run)
            group.start_soon(self.dispatcher.run)
            group.start_soon(every, rounds_s, partial(remove_outdated, self.jobs, keep_days))
            group.start_soon(every, rounds_s, self.service.sweep)
            group.start_soon(server.run)
            await server.wait_started()
            settle()
            where = f"database {self.database.path}, SQLite {SQLITE_VERSION}"
            started(f"evalsvc {__version__} listens on {server.url} ({where})")
            await told_to_stop.wait()
            self.service.stopping = "the daemon is about to stop"
            _end_at_last(self.config.server.grace_s + _LAST_S)
            await self.dispatcher.drain(self.config.server.grace_s)
            self.bell.close()
            await server.stop()
            group.cancel_scope.cancel()


def _rounds_s(keep_days: float | None) -> float:
    """How often maintenance comes: a job stays at most a tenth longer than it has to."""
    return min(_MAINTENANCE_S, max(1.0, (keep_days or inf) * _SECONDS_A_DAY / 10))


def _end_at_last(seconds: float) -> None:
    """A plug-in's thread that does not end must not keep the process: what is recorded is on disk."""
    timer = threading.Timer(seconds, os._exit, (0,))
    timer.daemon = True
    timer.start()


async def _heed_signals(first: anyio.Event, *, task_status: TaskStatus[None]) -> None:
    """The first signal sets the event, the second one ends the process."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            if first.is_set():
                os._exit(_AT_ONCE)
            first.set()


async def _build(config: Config, database: Database, pool: EndpointPool) -> _Daemon:
    tokens = await TokenBook.load(TokenStore(database))
    check_bind(config.server.host, len(tokens) > 0)
    signer, told = signer_of(config.signing)
    allow_sockets(config.endpoints.values())
    bell = Bell()
    telemetry = make_telemetry(database=database.path)
    gauges = Gauges(database, telemetry)

    def changed(job_id: str) -> None:
        bell.ring(job_id)
        gauges.told(job_id)
        dispatcher.wake()  # one that is paused now has left its place

    jobs = JobStore(database, changed)
    uploads = Uploads(database.path.with_name(f"{database.path.name}.uploads"))
    runner = Runner(database, jobs, signer=signer, told=told, patience_s=None, telemetry=telemetry)
    events = EventStore(database, bell.ring)

    async def work(job_id: str, running: Running) -> None:
        bind(job=job_id)  # each job has a task of its own
        found = await run_sync(work_of, await jobs.get(job_id), config, uploads)
        async with pool.connected(found) as endpoints, anyio.create_task_group() as group:
            group.start_soon(_report, events, jobs.tell, job_id, running.progress)
            try:
                await runner.run(found, job_id, endpoints, running)
            finally:
                group.cancel_scope.cancel()
        collect_garbage()

    dispatcher = Dispatcher(jobs, work, at_once=config.server.jobs_at_once)
    service = DaemonService(
        config=config, database=database, jobs=jobs, uploads=uploads, dispatcher=dispatcher, bell=bell
    )
    app = make_app(
        service,
        tokens=tokens,
        folder=uploads.incoming,
        host=config.server.host,
        limits=_limits(config),
        reports=Reports(database.path, FORMATS, OF_ANY_JOB),
        metrics=telemetry.scrape,
    )
    return _Daemon(
        config=config,
        database=database,
        jobs=jobs,
        dispatcher=dispatcher,
        service=service,
        bell=bell,
        runner=runner,
        gauges=gauges,
        app=app,
    )


def _limits(config: Config) -> ApiLimits:
    hosts = tuple(name.strip() for name in config.server.hosts.split(",") if name.strip())
    return ApiLimits(hosts=hosts, https=config.server.https, body_bytes=config.server.max_upload_mb * 2**20)


async def _report(events: EventStore, tell: Callable[[str], None], job_id: str, progress: Progress) -> None:
    """File how far a job is for those who follow it, until cancelled."""
    last = None
    while True:
        await anyio.sleep(_PROGRESS_S)
        now = (progress.recorded, progress.total, progress.retries, progress.paused)
        if now != last:
            try:
                await events.progress(job_id, shown(progress))
                last = now
            except StoreFull:
                tell(job_id)  # that it waits for room is told to those who follow, though it cannot be filed


def settings_of(config_path: Path | None, *, database: Path | None, host: str | None, port: int | None) -> Config:
    """The configuration, with what a command line says instead. Raises `ConfigError`."""
    found = load(config_path, os.environ)
    load_plugins(found)
    said = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    store = found.store if database is None else found.store.model_copy(update={"path": str(database)})
    return replace(found, store=store, server=found.server.model_copy(update=said))
