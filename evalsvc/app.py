"""The composition root: the only place that sees every room, builds the objects and owns the task group."""

from __future__ import annotations

import gc
import json
import os
import resource
import secrets
import signal
import sys
import time
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio

from evalsvc import config, jobfile
from evalsvc.core.progress import Progress
from evalsvc.core.records import Case, Job, Role
from evalsvc.core.states import JobState
from evalsvc.core.view import ReportView
from evalsvc.engine.endpoints import Endpoint
from evalsvc.engine.plan import planned_positions
from evalsvc.errors import ConfigError, EvalsvcError, JobError
from evalsvc.providers.settings import EndpointSettings
from evalsvc.scoring.base import Scorer
from evalsvc.store.database import Database, open_database
from evalsvc.store.jobs import JobRow, JobStore
from evalsvc.store.views import Views

#: Shows progress until it is cancelled.
Display = Callable[[Progress], Coroutine[Any, Any, None]]

#: What the record keeps as the URL of the built-in simulator, whose port differs from run to run.
_SIMULATOR = "built-in simulator"

#: The simulator reads what `run` has let pass.
_ANY_ROW = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedJob:
    """A job that has been read and checked whole: every file, option, endpoint and key it names is there.

    ``counts`` are the cases of each suite, before ``--limit``; ``warnings`` belong into the record.
    """

    path: Path
    config: config.Config
    file: jobfile.JobFile
    endpoints: Mapping[str, EndpointSettings]
    keys: Mapping[str, str | None]
    scorers: Mapping[str, Sequence[tuple[str, Scorer]]]
    counts: Mapping[str, int]
    warnings: Sequence[str]

    @property
    def job(self) -> Job:
        """The job itself."""
        return self.file.job

    def cases(self, suite: str) -> Iterator[Case]:
        """The cases of a suite in the order of its data set."""
        from evalsvc.suites.base import read_suite

        spec = next(spec for spec in self.job.suites if spec.name == suite)
        return read_suite(
            self.file.files[spec.dataset],
            spec,
            name_for_errors=str(self.file.files[spec.dataset]),
            max_row_bytes=self.config.engine.max_row_mb * 2**20,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedJob:
    """A decided job: its id, its view (record, flips, latencies), and whether it was decided before this call."""

    job_id: str
    view: ReportView
    before: bool


def prepare(
    job_path: Path, *, config_path: Path | None = None, database: Path | None = None, limit: int | None = None
) -> PreparedJob:
    """Read and check a job and everything it names; nothing is created and nobody is asked.

    Raises:
        JobError, ConfigError: the first thing found wrong, with file, line, key.
    """
    settings = config.load(config_path, os.environ)
    if database is not None:
        settings = replace(settings, store=settings.store.model_copy(update={"path": str(database)}))
    file = jobfile.read(job_path, limit=limit)
    endpoints = {}
    for arm, spec in file.job.arms.items():
        if spec.endpoint not in settings.endpoints:
            known = ", ".join(sorted(settings.endpoints))
            raise file.error(
                (arm.value, "endpoint"), f"no endpoint {spec.endpoint!r} in the configuration; known: {known}"
            )
        endpoints[spec.endpoint] = settings.endpoints[spec.endpoint]
    keys = {name: config.api_key(name, endpoint, os.environ) for name, endpoint in endpoints.items()}
    scorers = {suite.name: _scorers(file, index) for index, suite in enumerate(file.job.suites)}
    prepared = PreparedJob(
        path=job_path,
        config=settings,
        file=file,
        endpoints=endpoints,
        keys=keys,
        scorers=scorers,
        counts={},
        warnings=[],
    )
    inputs = {role: array("q") for role in Role}
    counts = {suite.name: _check_cases(prepared, suite.name, inputs[suite.role]) for suite in file.job.suites}
    warnings = [warning for role, hashes in inputs.items() for warning in _repeated(role, hashes)]
    return replace(prepared, counts=counts, warnings=warnings)


def _scorers(file: jobfile.JobFile, index: int) -> list[tuple[str, Scorer]]:
    from evalsvc.scoring.base import build

    scorers = []
    for place, spec in enumerate(file.job.suites[index].scorers):
        key = ("suites", index, *(("also", place - 1) if place else ("scorer",)))
        try:
            scorers.append((spec.label, build(spec)))
        except JobError as error:
            option = (error.key,) if error.key and error.key in spec.options else ()
            raise file.error((*key, *option), error.message) from None
    return scorers


def _check_cases(prepared: PreparedJob, suite: str, inputs: array[int]) -> int:
    """Read a suite whole; raises `JobError` for a case that its scorers cannot score. ``inputs`` gathers hashes."""
    count = 0
    for case in prepared.cases(suite):
        count += 1
        inputs.append(hash(case.input if isinstance(case.input, str) else str(case.input)))
        for label, scorer in prepared.scorers[suite]:
            lack = scorer.check(case)
            if lack is not None:
                dataset = next(spec.dataset for spec in prepared.job.suites if spec.name == suite)
                file = str(prepared.file.files[dataset])
                raise JobError(f"{lack} (scorer {label!r})", file=file, line=case.line, key=scorer.needs)
    return count


def _repeated(role: Role, inputs: array[int]) -> list[str]:
    """A warning when cases of one role ask the same: each counts as if it were evidence of its own."""
    ordered = sorted(inputs)
    repeats = sum(one == other for one, other in pairwise(ordered))
    said = f"{repeats} of {len(inputs)} {role} cases repeat the input of another one, and count as if they did not"
    return [said] if repeats else []


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
    urls = _urls(prepared.endpoints)
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
    from evalsvc.engine.executor import Executor
    from evalsvc.engine.lag import LoopLag
    from evalsvc.engine.retries import RetryPolicy
    from evalsvc.engine.scheduler import Scheduler
    from evalsvc.store.outcomes import OutcomeStore

    gc.set_threshold(200_000, 50, 100)  # full collections in the hot path would show up as latency of the models
    settings, lag, progress = prepared.config.engine, LoopLag(), Progress()
    async with _endpoints(prepared) as endpoints:
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
    from evalsvc.engine.finalizer import Finalizer

    prices = {arm: _price(prepared.endpoints[spec.endpoint]) for arm, spec in prepared.job.arms.items()}
    finalizer = Finalizer(jobs=JobStore(database), views=Views(database), prices=prices)
    moved = [
        f"endpoint {name}: its URL was {row.endpoints.get(name)} at the start and {url} when resumed"
        for name, url in _urls(prepared.endpoints).items()
        if row.endpoints.get(name) != url
    ]
    return await finalizer.run(prepared.job, row.id, warnings=[*prepared.warnings, *moved], now=time.time())


def _price(endpoint: EndpointSettings) -> tuple[float, float] | None:
    if endpoint.price_in is None or endpoint.price_out is None:
        return None
    return endpoint.price_in, endpoint.price_out


def _urls(endpoints: Mapping[str, EndpointSettings]) -> dict[str, str]:
    return {name: endpoint.base_url or _SIMULATOR for name, endpoint in endpoints.items()}


@asynccontextmanager
async def _endpoints(prepared: PreparedJob) -> AsyncIterator[dict[str, Endpoint]]:
    """The endpoints a job asks, connected; the built-in simulator is started for those without a URL."""
    from evalsvc.engine.health import EndpointHealth
    from evalsvc.engine.limits import EndpointLimits
    from evalsvc.engine.retries import RetryBudget
    from evalsvc.providers.factory import make_provider

    cases = sum(min(count, prepared.job.limit or count) for count in prepared.counts.values())
    async with AsyncExitStack() as stack:
        endpoints = {}
        for name, settings in prepared.endpoints.items():
            url = settings.base_url
            if url is None:
                url = await stack.enter_async_context(_simulator(prepared.path))
            provider = make_provider(
                base_url=url,
                api_key=prepared.keys[name],
                connections=settings.max_in_flight,
                timeout_s=settings.timeout_s,
                max_bytes=prepared.config.engine.max_response_mb * 2**20,
                transport=prepared.config.engine.transport,
                azure_api_version=settings.azure_api_version,
            )
            stack.push_async_callback(provider.aclose)
            endpoints[name] = Endpoint(
                name=name,
                provider=provider,
                limits=EndpointLimits(settings.max_in_flight, rpm=settings.rpm, tpm=settings.tpm),
                health=EndpointHealth(cases),
                budget=RetryBudget(),
            )
        yield endpoints


@asynccontextmanager
async def _simulator(job_path: Path) -> AsyncIterator[str]:
    """The simulator as a process of its own, so that it takes no time from the loop that measures it; gives its URL."""
    command = [sys.executable, "-m", "evalsvc", "sim", "--port", "0", "--job", str(job_path), "--with-parent"]
    async with await anyio.open_process(command, stdin=-1, stdout=-1, stderr=None, start_new_session=True) as process:
        try:
            line = b""
            while not line.endswith(b"\n"):
                line += await process.stdout.receive()  # type: ignore[union-attr]  # it is a pipe
            yield line.split()[-1].decode()
        except anyio.EndOfStream:
            raise ConfigError("the built-in simulator did not start") from None
        finally:
            process.terminate()


async def simulate(
    *,
    profile_path: Path | None,
    replay_path: Path | None,
    job_path: Path | None,
    host: str,
    port: int,
    ready: Callable[[str], None],
) -> None:
    """Serve the simulator until cancelled; ``ready`` is told its base URL. Raises `JobError` for a bad file."""
    from evalsvc.simulator import profile as profiles
    from evalsvc.simulator.answers import AnswerBook
    from evalsvc.simulator.replay import Replay
    from evalsvc.simulator.server import build_app, serve

    if replay_path is not None:
        web = build_app(replay=Replay.load(replay_path))
    else:
        profile = profiles.load(profile_path) if profile_path else profiles.Profile.default()
        web = build_app(profile=profile, book=AnswerBook.from_cases(_known_cases(job_path, profile.answers)))
    try:
        await serve(web, host, port, ready=lambda chosen: ready(f"http://{host}:{chosen}/v1"))
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}") from None


def _known_cases(job_path: Path | None, datasets: Sequence[Path]) -> Iterator[Case]:
    from evalsvc.core.records import ScorerSpec, SuiteSpec
    from evalsvc.suites.base import read_suite

    if job_path is not None:
        file = jobfile.read(job_path)
        for spec in file.job.suites:
            yield from read_suite(file.files[spec.dataset], spec, name_for_errors=spec.dataset, max_row_bytes=_ANY_ROW)
    for path in datasets:
        scorer = ScorerSpec(name="exact_match", label="exact_match")
        spec = SuiteSpec(name=path.stem, role=Role.TARGET, dataset=str(path), format="auto", scorers=(scorer,))
        yield from read_suite(path, spec, name_for_errors=str(path), max_row_bytes=_ANY_ROW)


def write_results(view: ReportView, folder: Path) -> None:
    """Write ``decision.json`` and ``report.html``; each appears whole or not at all. Raises OSError."""
    from evalsvc.reports import html

    folder.mkdir(parents=True, exist_ok=True)
    _write_whole(folder / "decision.json", json.dumps(view.record, indent=1) + "\n")
    _write_whole(folder / "report.html", html.render(view))


def _write_whole(path: Path, text: str) -> None:
    half = path.with_name(f".{path.name}.part")
    half.write_text(text, encoding="utf-8")
    half.replace(path)


def report_text(view: ReportView, *, color: bool, width: int) -> str:
    """The report for a terminal."""
    from evalsvc.reports import text

    return text.render(view, color=color, width=width)


def schema(what: str) -> dict[str, Any]:
    """The JSON Schema of ``job`` or ``config``."""
    return jobfile.schema() if what == "job" else config.schema()


async def until_signal(work: Callable[[], Awaitable[None]]) -> int | None:
    """Work until it is done or SIGINT or SIGTERM comes; gives the signal. A second one ends the process at once."""
    caught: list[int] = []

    async def watch(scope: anyio.CancelScope) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for number in signals:
                if caught:
                    os._exit(130)
                caught.append(number)
                scope.cancel()

    try:
        async with anyio.create_task_group() as watchers:
            with anyio.CancelScope() as scope:
                watchers.start_soon(watch, scope)
                await work()
            watchers.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise _sole(group) from group
    return caught[0] if caught else None


def _sole(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error of ours inside nested groups, or the group itself when there is none."""
    error: BaseException = group.subgroup(EvalsvcError) or group
    while isinstance(error, BaseExceptionGroup) and error is not group:
        error = error.exceptions[0]
    return error


def new_id() -> str:
    """A job id: 16 characters, ordered by time, safe in paths and URLs."""
    return f"{int(time.time() * 1000):011x}{secrets.token_hex(3)}"[-16:]


def _raise_file_limit(endpoints: Iterator[EndpointSettings] | Any) -> None:
    """Every request in flight needs a socket. Raises `ConfigError` when the system allows too few."""
    needed = 2 * sum(endpoint.max_in_flight for endpoint in endpoints) + 64
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ConfigError(f"{needed} open files are needed for so many requests in flight; the system allows {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
