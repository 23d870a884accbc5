"""Runs one job's requests: a bounded set of workers, one recorder, an eye on the endpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic, time

import anyio

from evalsvc.core.progress import Progress
from evalsvc.core.records import Job
from evalsvc.core.states import JobState
from evalsvc.engine.crew import Crew
from evalsvc.engine.endpoints import Endpoint
from evalsvc.engine.executor import Executor
from evalsvc.engine.lag import LoopLag
from evalsvc.engine.pace import Pace
from evalsvc.engine.plan import Plan
from evalsvc.engine.recorder import Recorder
from evalsvc.errors import EndpointDown, EvalsvcError, JobStopped
from evalsvc.store.jobs import JobStore
from evalsvc.store.outcomes import OutcomeStore


class Scheduler:
    """Everything one job needs while it runs.

    Args:
        jobs, outcomes: where the job lives.
        endpoints: by alias, those the job asks.
        executor: runs one request.
        lag: the probe of the event loop.
        progress: how far the job is.
        patience_s: how long an endpoint may stay down before the job gives up; None waits for ever.
    """

    def __init__(
        self,
        *,
        jobs: JobStore,
        outcomes: OutcomeStore,
        endpoints: Mapping[str, Endpoint],
        executor: Executor,
        lag: LoopLag,
        progress: Progress,
        patience_s: float | None,
    ) -> None:
        self._jobs = jobs
        self._outcomes = outcomes
        self._endpoints = endpoints
        self._executor = executor
        self._lag = lag
        self._progress = progress
        self._patience_s = patience_s
        self._failure: EvalsvcError | None = None
        self._pace = Pace(None)

    async def run(self, job: Job, job_id: str) -> None:
        """Ask everything that is not answered yet.

        Raises:
            JobStopped: the job cannot go on; it is ``failed``.
            EndpointDown: patience ran out; it is ``paused`` and can be resumed.
        """
        await self._jobs.start(job_id, now=time())
        done = await self._outcomes.done(job_id)
        self._progress.total = await self._jobs.count(job_id) * job.trials * len(job.arms)
        self._progress.recorded = self._progress.resumed = len(done)
        self._progress.started = monotonic()
        plan = Plan(job, job_id, self._jobs.cases(job_id), done)
        self._pace = Pace(job.rate)
        recorder = Recorder(self._outcomes, job_id, self._progress)
        async with anyio.create_task_group() as group:
            group.start_soon(recorder.run)
            try:
                await self._work(job_id, plan, recorder)
            finally:
                recorder.close()
        if isinstance(self._failure, JobStopped):
            await self._jobs.move(job_id, JobState.FAILED, reason=str(self._failure))
        if self._failure is not None:
            raise self._failure

    async def _work(self, job_id: str, plan: Plan, recorder: Recorder) -> None:
        async with anyio.create_task_group() as watchers:
            watchers.start_soon(self._lag.run)
            async with Crew(self._slots) as crew:
                for endpoint in self._endpoints.values():
                    watchers.start_soon(self._watch, endpoint, job_id, crew.stop)
                crew.start(lambda: self._step(plan, recorder, crew))
            watchers.cancel_scope.cancel()

    def _slots(self) -> int:
        return sum([endpoint.limits.limit for endpoint in self._endpoints.values()])

    async def _step(self, plan: Plan, recorder: Recorder, crew: Crew) -> bool:
        """One request from the plan to the recorder; False when there is none left."""
        request = await plan.take()
        if request is None:
            return False
        scheduled = await self._pace.turn()
        try:
            await recorder.put(await self._executor.run(request, scheduled, crew.rest))
        except JobStopped as failure:
            self._failure = self._failure or failure
            crew.stop()
        return True

    async def _watch(self, endpoint: Endpoint, job_id: str, stop: Callable[[], None]) -> None:
        """Pause the job while an endpoint is down; give up when patience runs out."""
        while True:
            reason = f"endpoint {endpoint.name} is down: {await endpoint.health.wait_down()}"
            self._progress.paused = reason
            await self._jobs.move(job_id, JobState.PAUSED, reason=reason)
            with anyio.move_on_after(self._patience_s):
                await endpoint.health.wait_up()
            if endpoint.health.down:
                self._failure = EndpointDown(reason)
                stop()
                return
            self._progress.paused = None
            await self._jobs.move(job_id, JobState.RUNNING)
