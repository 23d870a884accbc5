"""What the HTTP routes ask of the daemon behind them; `app` builds it, tests may put a small one in its place."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from evalsvc.store.jobs import JobRow

EventName = Literal["state", "progress", "gate", "decision"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A job as it was sent: the text of job.toml, and its data sets by their path in the job.

    The files lie where the daemon wrote them while they arrived, under names of its own; whoever takes the upload moves
    them to where they stay, by content hash. ``itself``: ask the baseline in both places, to calibrate by it.
    """

    job: bytes
    files: Mapping[str, Path]
    idempotency_key: str | None = None
    priority: int = 0
    limit: int | None = None
    itself: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event of a job. ``id`` grows within the job and survives a restart; ``data`` is JSON-ready."""

    id: int
    name: EventName
    data: Mapping[str, Any]


class Filed(NamedTuple):
    """A job that was sent: its row, whether it is new, and what keeps its gates from PASS whatever the models do."""

    row: JobRow
    fresh: bool
    warnings: Sequence[str] = ()


class Service(Protocol):
    """The daemon, seen from its routes. Unknown ids raise `JobNotFound`, moves out of turn `IllegalTransition`."""

    async def submit(self, upload: Upload) -> Filed:
        """File a job, queued; it is not fresh when the same idempotency key had filed it before.

        Raises `JobError` or `ConfigError` with file, line and key; `KeyReused` (409) when the key came before with
        another job; `StoreFull` (503). Nothing is filed then.
        """
        ...

    async def jobs(self, *, limit: int, after: str | None) -> Sequence[JobRow]:
        """Jobs, newest first, those older than the one with id ``after``."""
        ...

    async def job(self, job_id: str) -> JobRow:
        """One job."""
        ...

    def progress(self, job_id: str) -> Mapping[str, Any] | None:
        """How far a job in hand is, JSON-ready (recorded, total, rate, eta_s, in flight, reason, ...); None else.

        Without ``recorded`` and ``total`` until it has begun: then they are as they are filed.
        """
        ...

    async def outcomes(self, job_id: str, *, limit: int, after: int) -> tuple[Sequence[Mapping[str, Any]], int | None]:
        """A page of recorded outcomes as they were filed, each with its ``seq`` > ``after``; the next one's ``after``.

        A page of long answers may hold fewer than ``limit``; after the last one comes None.
        """
        ...

    async def cancel(self, job_id: str) -> JobRow:
        """End a job for good."""
        ...

    async def resume(self, job_id: str) -> JobRow:
        """Queue a paused or failed job again."""
        ...

    def events(self, job_id: str, *, after: int) -> AsyncIterator[Event]:
        """Events with an id > ``after``, then new ones as they come; ends when the job has ended."""
        ...

    async def calibrate(self, job_id: str, resamples: int, key: str | None = None) -> Mapping[str, Any]:
        """Deal a decided job's answers of one model to both arms, judge, and store what comes of it.

        Raises `InputError` where it asked no model twice, or is of another baseline, other suites or gates than those
        ``key`` stands for; `StoreError` before it is decided. When it is cancelled, the dealing ends.
        """
        ...

    async def calibration(self, job_id: str) -> Mapping[str, Any] | None:
        """The newest calibration by a job's answers, JSON-ready; None where there is none."""
        ...

    def ready(self) -> str | None:
        """None when the daemon takes work, else why not."""
        ...
