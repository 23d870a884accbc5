"""The report page of a job, read out of the database and drawn off the event loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import anyio.to_thread

from evalsvc.errors import StoreError
from evalsvc.reports import html
from evalsvc.store.database import Reader
from evalsvc.store.listing import Listing
from evalsvc.store.views import Views


def html_report(reader: Reader) -> Callable[[str], Awaitable[str]]:
    """What `make_app` takes as ``report``; one report is drawn at a time.

    The function it gives raises `JobNotFound`, and `StoreError` while the job is not decided.
    """
    turn = anyio.Semaphore(1)

    async def report(job_id: str) -> str:
        async with turn:
            listing = Listing(reader)
            record = await listing.record(job_id)
            if record is None:
                raise StoreError(f"job {job_id} is not decided")
            view = await Views(reader).report(await listing.job(job_id), job_id, record)
            return await anyio.to_thread.run_sync(html.render, view)

    return report
