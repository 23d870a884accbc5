"""Runs a filed job to its decision: the one way that both `run` and the daemon go."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from evalsvc.app.endpoints import urls_of
from evalsvc.app.work import Work
from evalsvc.core.events import NoTelemetry, Telemetry
from evalsvc.core.progress import Progress
from evalsvc.core.records import Arm
from evalsvc.engine.dispatcher import Running
from evalsvc.engine.endpoints import Endpoint
from evalsvc.engine.executor import Executor
from evalsvc.engine.finalizer import Finalizer
from evalsvc.engine.follow_ups import FollowUps
from evalsvc.engine.judging import Judge
from evalsvc.engine.lag import LoopLag
from evalsvc.engine.retries import RetryPolicy
from evalsvc.engine.scheduler import Scheduler
from evalsvc.providers.settings import EndpointSettings
from evalsvc.scoring.base import AskingScorer
from evalsvc.store.commitments import Commitments
from evalsvc.store.database import Database
from evalsvc.store.follow_ups import FollowUpRows
from evalsvc.store.jobs import JobStore
from evalsvc.store.outcomes import OutcomeStore
from evalsvc.store.views import Views

if TYPE_CHECKING:
    from evalsvc.core.dsse import Signer


class Runner:
    """Runs filed jobs of one database.

    Args:
        database: where they are.
        jobs: the table of jobs, with whoever is told of changes.
        signer: signs records, where a key is configured.
        told: what a record has to say of that key.
        patience_s: how long an endpoint may be down, or the disk full; None waits for ever.
        telemetry: counts what happens.
    """

    def __init__(
        self,
        database: Database,
        jobs: JobStore,
        *,
        signer: Signer | None,
        told: list[str],
        patience_s: float | None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._database = database
        self._jobs = jobs
        self._signer = signer
        self._told = told
        self._patience_s = patience_s
        self._telemetry: Telemetry = telemetry or NoTelemetry()
        self._lag = LoopLag(self._telemetry.lagged)
        database.committed = self._telemetry.committed

    async def watch_loop(self) -> None:
        """Has to run beside `run`, once for all jobs: latencies measured while the loop lags are tainted."""
        await self._lag.run()

    async def run(self, work: Work, job_id: str, endpoints: Mapping[str, Endpoint], running: Running) -> None:
        """Ask what is not answered yet, then decide.

        Raises:
            JobStopped: the job is ``failed``.
            EndpointDown, StoreFull: patience ran out.
            Drained: it was left off where it was.
        """
        running.progress.loads = {name: endpoint.limits for name, endpoint in endpoints.items()}
        running.scheduler = self._scheduler(work, job_id, endpoints, running.progress)
        if running.draining:
            running.scheduler.drain()
        await running.scheduler.run(work.job, job_id)
        await self._decide(work, job_id)

    def _scheduler(self, work: Work, job_id: str, endpoints: Mapping[str, Endpoint], progress: Progress) -> Scheduler:
        settings = work.config.engine
        executor = Executor(
            endpoints=endpoints,
            scorers=work.scorers,
            policy=RetryPolicy(max_attempts=settings.max_attempts, deadline_s=settings.retry_deadline_s),
            lag=self._lag,
            progress=progress,
        )
        return Scheduler(
            jobs=self._jobs,
            outcomes=OutcomeStore(self._database),
            views=Views(self._database),
            endpoints=endpoints,
            executor=executor,
            follow_ups=self._follow_ups(work, executor),
            progress=progress,
            listener=self._telemetry.follow(job_id, work.job, progress, _prices(work), _judge_price(work)),
            patience_s=self._patience_s,
        )

    def _follow_ups(self, work: Work, executor: Executor) -> FollowUps | None:
        scorers = [scorer for rows in work.scorers.values() for _, scorer in rows]
        if not any(isinstance(scorer, AskingScorer) for scorer in scorers):
            return None
        spec, rows = work.job.judge, FollowUpRows(self._database)
        judge = None
        if spec is not None:
            url = urls_of(work.endpoints).get(spec.endpoint, "")
            judge = Judge(spec, url=url, executor=executor, rows=rows)
        return FollowUps(job=work.job, executor=executor, scorers=work.scorers, rows=rows, judge=judge)

    async def _decide(self, work: Work, job_id: str) -> None:
        row = await self._jobs.get(job_id)
        finalizer = Finalizer(
            jobs=self._jobs,
            views=Views(self._database),
            commitments=Commitments(self._database),
            prices=_prices(work),
            judge_price=_judge_price(work),
            signer=self._signer,
            formats=work.formats,
        )
        moved = [
            f"endpoint {name}: its URL was {row.endpoints.get(name)} at the start and {url} when resumed"
            for name, url in urls_of(work.endpoints).items()
            if row.endpoints.get(name) != url
        ]
        await finalizer.run(work.job, job_id, warnings=[*row.warnings, *moved, *self._told], now=time.time())


def _prices(work: Work) -> dict[Arm, tuple[float, float] | None]:
    return {arm: _price(work.endpoints.get(spec.endpoint)) for arm, spec in work.job.arms.items()}


def _judge_price(work: Work) -> tuple[float, float] | None:
    return None if work.job.judge is None else _price(work.endpoints.get(work.job.judge.endpoint))


def _price(endpoint: EndpointSettings | None) -> tuple[float, float] | None:
    if endpoint is None or endpoint.price_in is None or endpoint.price_out is None:
        return None
    return endpoint.price_in, endpoint.price_out


def new_id() -> str:
    """A job id: 16 characters, ordered by time, safe in paths and URLs."""
    return f"{int(time.time() * 1000):011x}{secrets.token_hex(3)}"[-16:]
