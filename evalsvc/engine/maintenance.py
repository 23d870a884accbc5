"""What has to be done now and then: one round of it that fails is told of, and the next one comes all the same."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from time import time

import anyio

from evalsvc.errors import StoreBroken
from evalsvc.store.jobs import JobStore

_DAY_S = 86_400.0

_log = logging.getLogger(__name__)


async def every(seconds: float, task: Callable[[], Awaitable[None]]) -> None:
    """Do it at once and then every so many seconds, until cancelled. Raises `StoreBroken`."""
    while True:
        try:
            await task()
        except StoreBroken:
            raise
        except Exception:  # noqa: BLE001 - the border around one round; the next may go better
            _log.exception("maintenance.failed")
        await anyio.sleep(seconds)


async def remove_outdated(jobs: JobStore, keep_days: float | None) -> None:
    """Remove jobs that were decided or cancelled more than so many days ago, with all that is recorded of them."""
    if keep_days is None:
        return
    for job_id in await jobs.outdated(time() - keep_days * _DAY_S):
        await jobs.remove(job_id)
        _log.info("job.removed", extra={"job": job_id, "keep_days": keep_days})
