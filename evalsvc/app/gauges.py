"""Keeps what telemetry shows of jobs true to the database: from the first scrape on, whoever ran them."""

from __future__ import annotations

from contextlib import suppress

import anyio

from evalsvc.core.states import UNFINISHED
from evalsvc.errors import JobError, JobNotFound, StoreError
from evalsvc.jobfile.document import job_in
from evalsvc.store import tallies
from evalsvc.store.database import Database
from evalsvc.store.jobs import JobRow, JobStore
from evalsvc.telemetry import Telemetry
from evalsvc.telemetry.log import get_log

#: Jobs that have gauges of their own.
_LATEST = 20
#: Changes that come in so short a time are looked at together.
_TOGETHER_S = 0.2

_log = get_log(__name__)


class Gauges:
    """Looks at jobs that have changed and tells telemetry.

    Args:
        database: where they are.
        telemetry: is told.
    """

    def __init__(self, database: Database, telemetry: Telemetry) -> None:
        self._database = database
        self._jobs = JobStore(database)
        self._telemetry = telemetry
        self._changed: set[str] = set()
        self._news = anyio.Event()

    def told(self, job_id: str) -> None:
        """A job has changed."""
        self._changed.add(job_id)
        self._news.set()

    async def seed(self) -> None:
        """Show the latest jobs as the database has them. To be done before any of them is taken in hand."""
        self._telemetry.census(await tallies.states(self._database))
        for row in await self._jobs.latest(_LATEST):
            self._show(row)
            if row.state in UNFINISHED:  # what comes on top is counted from here on
                await self._count(row)

    async def run(self) -> None:
        """Follow the changes, until cancelled. What cannot be read at present is looked at again."""
        with suppress(StoreError):
            await self._count_ended()
        while True:
            await self._news.wait()
            await anyio.sleep(_TOGETHER_S)
            self._news = anyio.Event()
            changed, self._changed = self._changed, set()
            try:
                await self._look(changed)
            except StoreError:
                self._changed |= changed
                self._news.set()

    async def _count_ended(self) -> None:
        for row in await self._jobs.latest(_LATEST):
            if row.state not in UNFINISHED:
                await self._count(row)

    async def _look(self, changed: set[str]) -> None:
        self._telemetry.census(await tallies.states(self._database))
        for job_id in sorted(changed):
            try:
                row = await self._jobs.get(job_id)
                _log.info("job.state", job=job_id, state=row.state.value, reason=row.reason)
                self._show(row)
            except JobNotFound:
                self._telemetry.removed(job_id)

    def _show(self, row: JobRow) -> None:
        try:
            self._telemetry.filed(row.id, job_in(row.document), row.state, row.record)
        except JobError:
            return  # an older evalsvc filed it in another way

    async def _count(self, row: JobRow) -> None:
        try:
            suites = job_in(row.document).suites
        except JobError:
            return
        pass_at = {suite.name: suite.scorers[0].pass_at for suite in suites}
        self._telemetry.answered(row.id, await tallies.passes(self._database, row.id, pass_at))
