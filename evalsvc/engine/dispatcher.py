"""Which jobs run now: several at once, the others in line; what becomes of one never harms another."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from time import time

import anyio
from anyio.abc import TaskGroup

from evalsvc.core.progress import Progress
from evalsvc.core.states import ENDED, IN_HAND, JobState
from evalsvc.engine.scheduler import Scheduler
from evalsvc.errors import (
    Drained,
    EvalsvcError,
    IllegalTransition,
    JobNotFound,
    StoreBroken,
    StoreError,
    StoreFull,
    sole,
)
from evalsvc.store.jobs import JobStore

#: A job that has so many times fewer requests left than any other in hand does not wait for a place.
_SMALLER = 10
#: So many paused jobs a place are held in hand besides; each keeps some memory.
_PAUSED_A_PLACE = 4
#: How often a job that a full disk keeps from starting or from being decided is tried again.
_LOOK_S = 2.0

_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Running:
    """A job in hand: what others may see of it, and what may be asked of it.

    ``waiting`` requests it had left when it was taken up.
    """

    waiting: int = 0
    progress: Progress = field(default_factory=Progress)
    scheduler: Scheduler | None = None
    draining: bool = False
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    ended: anyio.Event = field(default_factory=anyio.Event)

    @property
    def left(self) -> int:
        """Requests that are not recorded yet."""
        return self.progress.total - self.progress.recorded if self.progress.total else self.waiting

    def drain(self) -> None:
        """Leave it off as soon as what is in flight has ended."""
        self.draining = True
        if self.scheduler is not None:
            self.scheduler.drain()


#: Runs one job to its decision.
Work = Callable[[str, Running], Awaitable[None]]


class Dispatcher:
    """The submitted jobs of one database.

    ``at_once`` jobs have a place each; one that is paused leaves it to another (four for each place do). One that has
    fewer than a tenth of the requests left of every job in hand overtakes: it runs beside them at once. Each that does
    sets the measure for the next, so there are few.

    Args:
        jobs: where they are filed.
        work: runs one.
        at_once: how many may run at a time, those that overtake aside.
    """

    def __init__(self, jobs: JobStore, work: Work, *, at_once: int) -> None:
        self._jobs = jobs
        self._work = work
        self._at_once = at_once
        self._in_hand: dict[str, Running] = {}
        self._news = anyio.Event()
        self._draining = False

    @property
    def in_hand(self) -> Mapping[str, Running]:
        """The jobs that run now, by id."""
        return self._in_hand

    @property
    def why_wait(self) -> str | None:
        """Why a queued job is not taken up; None where it is about to be."""
        if self._places_taken() < self._at_once:
            return None
        paused = self._paused()
        beside = f" and {paused} paused" if paused else ""
        running = len(self._in_hand) - paused
        return f"waits for a place: {running} running{beside}, jobs_at_once = {self._at_once}"

    def wake(self) -> None:
        """There may be something to take up."""
        self._news.set()

    async def recover(self) -> None:
        """Before anything else: jobs that a killed process had in hand wait for this one."""
        for job_id in await self._jobs.in_hand():
            await self._jobs.move(job_id, JobState.QUEUED, reason="the daemon was stopped")

    async def run(self) -> None:
        """Take up jobs until drained.

        Raises:
            StoreBroken: the disk failed; nothing more may be written.
        """
        async with anyio.create_task_group() as group:
            while not self._draining:
                self._news = anyio.Event()
                await self._claim(group)
                await self._news.wait()

    async def cancel(self, job_id: str) -> None:
        """End a job for good. Raises `JobNotFound`; `IllegalTransition` when it has ended."""
        await self._jobs.move(job_id, JobState.CANCELLED, now=time())
        running = self._in_hand.get(job_id)
        if running is not None:
            running.scope.cancel()
            await running.ended.wait()

    async def resume(self, job_id: str) -> None:
        """Queue a paused or failed job again; one that is paused in hand goes on by itself.

        Raises:
            JobNotFound: there is none.
            IllegalTransition: it is neither, or it is one of `run`'s.
        """
        row = await self._jobs.get(job_id)
        if row.state not in {JobState.PAUSED, JobState.FAILED}:
            raise IllegalTransition(f"job {job_id} is {row.state}: only a paused or failed job is resumed")
        if row.source is None:
            raise IllegalTransition(f"job {job_id} was not submitted: `evalsvc run` with the same job file resumes it")
        if job_id not in self._in_hand:
            await self._jobs.move(job_id, JobState.QUEUED)
            self.wake()

    async def drain(self, grace_s: float) -> None:
        """Take up nothing more, let what is in flight end for so many seconds, and give back what is not done."""
        self._draining = True
        self.wake()
        for running in self._in_hand.values():
            running.drain()
        with anyio.move_on_after(grace_s):
            await self._all_ended()
        for running in self._in_hand.values():
            running.scope.cancel()
        await self._all_ended()

    async def _all_ended(self) -> None:
        for running in list(self._in_hand.values()):
            await running.ended.wait()

    async def _claim(self, group: TaskGroup) -> None:
        for job_id, left in await self._waiting():
            if self._places_taken() < self._at_once and not self._draining:
                self._take(group, job_id, left)
        while (smaller := await self._waiting(below=self._least_left() / _SMALLER)) and not self._draining:
            self._take(group, *smaller[0])

    async def _waiting(self, *, below: float = inf) -> list[tuple[str, int]]:
        """The next jobs and the requests they have left; one that was taken up just now is still filed as queued."""
        found = await self._jobs.queue(self._at_once + len(self._in_hand), below=below)
        return [(job_id, left) for job_id, left in found if job_id not in self._in_hand]

    def _places_taken(self) -> int:
        """A paused job leaves its place to another; so do at most some for each place."""
        return len(self._in_hand) - min(self._paused(), _PAUSED_A_PLACE * self._at_once)

    def _paused(self) -> int:
        return sum(each.progress.paused is not None for each in self._in_hand.values())

    def _least_left(self) -> int:
        """What the smallest job in hand has left. Paused ones do not count, but where all are nobody overtakes."""
        return min((each.left for each in self._in_hand.values() if each.progress.paused is None), default=0)

    def _take(self, group: TaskGroup, job_id: str, left: int) -> None:
        self._in_hand[job_id] = Running(waiting=left)
        group.start_soon(self._one, job_id, self._in_hand[job_id])

    async def _one(self, job_id: str, running: Running) -> None:
        try:
            with running.scope:
                await self._to_its_end(job_id, running)
            if running.scope.cancelled_caught and self._draining:
                await self._give_back(job_id)
        finally:
            del self._in_hand[job_id]
            running.ended.set()
            self.wake()

    async def _to_its_end(self, job_id: str, running: Running) -> None:
        """Run a job; whatever comes of it, only a disk that failed is more than this job's misfortune."""
        while True:
            try:
                return await self._work(job_id, running)
            except Exception as caught:  # noqa: BLE001 - the border around one job: no other may be harmed
                error = sole(caught) if isinstance(caught, BaseExceptionGroup) else caught
            if isinstance(error, StoreFull) and not running.draining:
                running.progress.paused = str(error)
                self._jobs.tell(job_id)
                await anyio.sleep(_LOOK_S)
                running.progress = Progress()
                continue
            return await self._ended(job_id, error)

    async def _ended(self, job_id: str, error: BaseException) -> None:
        if isinstance(error, StoreBroken):
            raise error
        if isinstance(error, Drained | StoreFull):
            return await self._give_back(job_id)
        if not isinstance(error, EvalsvcError):
            _log.error("job.failed", extra={"job": job_id}, exc_info=error)
        said = str(error) if isinstance(error, EvalsvcError) else f"internal error: {type(error).__name__}: {error}"
        if await self._jobs.state(job_id) not in ENDED:
            await self._jobs.move(job_id, JobState.FAILED, reason=said, now=time())
        return None

    async def _give_back(self, job_id: str) -> None:
        """It waits for the next daemon. Where that cannot be written, the next one finds it as after a kill."""
        with anyio.CancelScope(shield=True):
            try:
                if await self._jobs.state(job_id) in IN_HAND:
                    await self._jobs.move(job_id, JobState.QUEUED, reason="the daemon was stopped")
            except (StoreFull, JobNotFound):
                return
            except StoreError as error:
                _log.warning("job.kept", extra={"job": job_id, "reason": str(error)})
