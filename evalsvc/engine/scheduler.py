"""Runs one job's requests: a bounded set of workers, one recorder, an eye on the endpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from time import monotonic, time

import anyio

from evalsvc.core.progress import Listener, Listeners, Progress
from evalsvc.core.records import Job
from evalsvc.core.states import JobState
from evalsvc.engine.crew import Crew
from evalsvc.engine.endpoints import Endpoint
from evalsvc.engine.executor import Executor
from evalsvc.engine.follow_ups import FollowUps
from evalsvc.engine.looks import Looks, open_looks
from evalsvc.engine.pace import Pace
from evalsvc.engine.pauses import Pauses
from evalsvc.engine.plan import Plan
from evalsvc.engine.recorder import Recorder
from evalsvc.errors import Drained, EndpointDown, EvalsvcError, JobStopped
from evalsvc.store.jobs import JobStore
from evalsvc.store.outcomes import OutcomeStore
from evalsvc.store.views import Views


class Scheduler:
    """Everything one job needs while it runs.

    Args:
        jobs, outcomes, views: where the job lives.
        endpoints: by alias, those the job asks.
        executor: runs one request.
        follow_ups: ask what scores take beyond the answers; None where none of the job's does.
        progress: how far the job is.
        listener: is told of outcomes too, once they are durable.
        patience_s: how long an endpoint may stay down before the job gives up; None waits for ever.
    """

    def __init__(  # noqa: PLR0913 - all that one job needs meets here
        self,
        *,
        jobs: JobStore,
        outcomes: OutcomeStore,
        views: Views,
        endpoints: Mapping[str, Endpoint],
        executor: Executor,
        progress: Progress,
        follow_ups: FollowUps | None = None,
        listener: Listener | None = None,
        patience_s: float | None,
    ) -> None:
        self._jobs = jobs
        self._outcomes = outcomes
        self._views = views
        self._endpoints = endpoints
        self._executor = executor
        self._follow_ups = follow_ups
        self._progress = progress
        self._listener = listener
        self._patience_s = patience_s
        self._failure: EvalsvcError | None = None
        self._pace = Pace(None)
        self._drain: Callable[[], None] | None = None
        self._draining = False

    def drain(self) -> None:
        """Start nothing more: what is in flight may end, then `run` raises `Drained`; a job that is paused ends now."""
        self._draining = True
        if self._drain is not None:
            self._drain()

    async def run(self, job: Job, job_id: str) -> None:
        """Ask everything that is not answered yet.

        Raises:
            JobStopped: the job cannot go on; it is ``failed``.
            EndpointDown, StoreFull: patience ran out; it can be resumed.
            Drained: it was left off where it was.
        """
        await self._jobs.start(job_id, now=time())
        done = await self._outcomes.done(job_id)
        cases = await self._jobs.count(job_id)
        self._progress.total = cases * job.trials * len(job.arms)
        self._progress.recorded = self._progress.resumed = len(done)
        self._progress.started = monotonic()
        if self._follow_ups is not None:
            await self._follow_ups.resume(job_id)
        plan = Plan(job, job_id, self._jobs.cases(job_id), done)
        self._pace = Pace(job.rate)
        looks = await open_looks(self._views, job, job_id)
        listeners = tuple(each for each in (self._progress, looks, self._listener) if each is not None)
        pauses = Pauses(self._jobs, job_id, self._progress)
        recorder = Recorder(self._outcomes, job_id, Listeners(listeners), pauses, patience_s=self._patience_s)
        with ExitStack() as stack:
            for endpoint in self._endpoints.values():
                stack.enter_context(endpoint.health.asked_by(cases))
            async with anyio.create_task_group() as group:
                group.start_soon(recorder.run)
                try:
                    await self._work(pauses, plan, recorder, looks)
                finally:
                    recorder.close()
        if isinstance(self._failure, JobStopped):
            await self._jobs.move(job_id, JobState.FAILED, reason=str(self._failure), now=time())
        if self._failure is not None:
            raise self._failure
        if self._draining:
            raise Drained("it goes on where it was")
        await pauses.over()

    async def _work(self, pauses: Pauses, plan: Plan, recorder: Recorder, looks: Looks | None) -> None:
        async with anyio.create_task_group() as watchers:
            if looks is not None:
                await looks.take()  # those over what is stored: nothing is asked that they make needless
                self._close(plan, looks)
                watchers.start_soon(looks.run, partial(self._close, plan, looks))
            resting = sum([endpoint.limits.max_in_flight for endpoint in self._endpoints.values()])
            async with Crew(self._slots, resting=resting) as crew:
                for endpoint in self._endpoints.values():
                    watchers.start_soon(self._watch, endpoint, pauses, crew.stop)
                self._drain = partial(self._end, plan, pauses, crew)
                if self._draining:
                    self._drain()
                crew.start(lambda: self._step(plan, recorder, crew))
            await self._let_go(recorder)
            watchers.cancel_scope.cancel()

    async def _let_go(self, recorder: Recorder) -> None:
        """Record what waited for an answer that is not asked for any more; a job that goes on later asks for it."""
        if self._follow_ups is None or self._failure is not None or self._draining:
            return
        if held := self._follow_ups.held():
            await recorder.put(*held)

    def _close(self, plan: Plan, looks: Looks) -> None:
        """Ask no more of what needs no more answers."""
        plan.drop(looks.stopping.closed)
        self._progress.total = looks.expected
        self._progress.stopped = looks.stopping.reason

    def _end(self, plan: Plan, pauses: Pauses, crew: Crew) -> None:
        plan.end()
        if pauses:
            crew.stop()

    def _slots(self) -> int:
        return sum([endpoint.limits.limit for endpoint in self._endpoints.values()])

    async def _step(self, plan: Plan, recorder: Recorder, crew: Crew) -> bool:
        """One request from the plan to the recorder; False when there is none left."""
        request = await plan.take()
        if request is None:
            return False
        scheduled = await self._pace.turn()
        try:
            outcome = await self._executor.run(request, scheduled, crew.rest)
            if self._follow_ups is None:
                await recorder.put(outcome)
            elif outcomes := await self._follow_ups.of(request, outcome, crew.rest):
                await recorder.put(*outcomes)
        except JobStopped as failure:
            self._failure = self._failure or failure
            crew.stop()
            return False  # a cancelled worker that need not wait for anything would ask once more
        return True

    async def _watch(self, endpoint: Endpoint, pauses: Pauses, stop: Callable[[], None]) -> None:
        """Pause the job while an endpoint is down; give up when patience runs out."""
        while True:
            reason = f"endpoint {endpoint.name} is down: {await endpoint.health.wait_down()}"
            await pauses.begin(reason)
            with anyio.move_on_after(self._patience_s):
                await endpoint.health.wait_up()
            if endpoint.health.down:
                self._failure = EndpointDown(reason)
                stop()
                return
            await pauses.end(reason)
