"""Why a job does not go on at present."""

from __future__ import annotations

import anyio

from evalsvc.core.progress import Progress
from evalsvc.core.states import JobState
from evalsvc.errors import StoreFull
from evalsvc.store.jobs import JobStore


class Pauses:
    """A running job is paused while there is a reason to be, of however many kinds.

    Args:
        jobs: where its state is filed.
        job_id: which job.
        progress: shows the reasons even while the disk is too full to file them.
    """

    def __init__(self, jobs: JobStore, job_id: str, progress: Progress) -> None:
        self._jobs = jobs
        self._job_id = job_id
        self._progress = progress
        self._reasons: list[str] = []
        self._filed = False
        self._turn = anyio.Lock()

    def __bool__(self) -> bool:
        return bool(self._reasons)

    async def begin(self, reason: str) -> None:
        """There is one more reason."""
        self._reasons.append(reason)
        await self._changed()

    async def end(self, reason: str) -> None:
        """One reason is gone; without any left the job runs."""
        self._reasons.remove(reason)
        await self._changed()

    async def over(self) -> None:
        """Nothing is left to be done that a reason could hold up."""
        self._reasons.clear()
        await self._changed()

    async def _changed(self) -> None:
        self._progress.paused = "; ".join(self._reasons) or None
        async with self._turn:
            paused = bool(self._reasons)
            if paused == self._filed:
                return
            state, reason = (JobState.PAUSED, self._progress.paused) if paused else (JobState.RUNNING, None)
            try:
                await self._jobs.move(self._job_id, state, reason=reason)
            except StoreFull:
                return  # that is what it waits for
            self._filed = paused
