"""Reads a database beside whoever works on it: what `status` and `decision` need, and nothing heavier."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import anyio

from evalsvc.core.listing import JobEntry
from evalsvc.core.records import Arm
from evalsvc.errors import StoreError
from evalsvc.reports import listing as drawn
from evalsvc.reports.inert import plain
from evalsvc.store.database import Reader, open_reader
from evalsvc.store.listing import Listing, held

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobList:
    """The newest jobs; ``count`` is how many there are in all.

    ``held`` says whether a process of this machine has the database in hand (None: not known): a job in a working state
    that nobody has in hand was interrupted.
    """

    entries: list[JobEntry]
    count: int
    held: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDetail:
    """One job: its entry, what is recorded so far as (arm, status, kind, answers), the record once there is one."""

    entry: JobEntry
    tallies: list[tuple[Arm, str, str | None, int]]
    record: Mapping[str, Any] | None
    held: bool | None


@asynccontextmanager
async def one_job(database: Path, wanted: str) -> AsyncIterator[tuple[Reader, Listing, str]]:
    """The open database and the id of the job that is meant. Raises `StoreError`, `JobNotFound`."""
    async with open_reader(database) as reader:
        listing = Listing(reader)
        yield reader, listing, await listing.find(wanted)


async def record_of(listing: Listing, job_id: str) -> Mapping[str, Any]:
    """A job's record. Raises `StoreError` while there is none."""
    record = await listing.record(job_id)
    if record is not None:
        return record
    entry = await listing.entry(job_id)
    why = f" ({plain(entry.reason)})" if entry.reason else ""  # it may quote a server
    said = f"{entry.recorded:,} of {entry.total:,} answers are recorded"
    raise StoreError(f"job {job_id} is {entry.state}{why}, not decided: {said}")


def jobs(database: Path, limit: int) -> JobList:
    """The newest jobs of a database."""

    async def read() -> JobList:
        async with open_reader(database) as reader:
            listing = Listing(reader)
            return JobList(entries=await listing.newest(limit), count=await listing.count(), held=held(database))

    return run(read)


def job(database: Path, wanted: str) -> JobDetail:
    """One job of a database, by id, the beginning of one, or ``latest``."""

    async def read() -> JobDetail:
        async with one_job(database, wanted) as (_, listing, job_id):
            return JobDetail(
                entry=await listing.entry(job_id),
                tallies=await listing.tallies(job_id),
                record=await listing.record(job_id),
                held=held(database),
            )

    return run(read)


def decision(database: Path, wanted: str) -> Mapping[str, Any]:
    """The decision record of a job. Raises `StoreError` while there is none."""

    async def read() -> Mapping[str, Any]:
        async with one_job(database, wanted) as (_, listing, job_id):
            return await record_of(listing, job_id)

    return run(read)


def envelope(database: Path, wanted: str) -> Mapping[str, Any]:
    """The signed envelope of a job's decision record. Raises `StoreError` where there is none."""

    async def read() -> Mapping[str, Any]:
        async with one_job(database, wanted) as (_, listing, job_id):
            await record_of(listing, job_id)
            found = await listing.envelope(job_id)
            if found is None:
                raise StoreError(f"the record of job {job_id} is not signed: no [signing] key_file was configured")
            return found

    return run(read)


def table(found: JobList, *, now: float, color: bool, width: int) -> str:
    """The jobs as a table for a terminal."""
    return drawn.table(found.entries, count=found.count, held=found.held, now=now, color=color, width=width)


def detail(found: JobDetail, *, now: float, width: int) -> str:
    """One job in some lines for a terminal."""
    return drawn.detail(found.entry, found.tallies, found.record, held=found.held, now=now, width=width)


def inert(sentence: str) -> str:
    """A sentence that may hold names from data sets, safe to print."""
    return plain(sentence)


def run(read: Callable[[], Awaitable[T]]) -> T:
    """Read to the end in an event loop of its own."""
    return anyio.run(read)
