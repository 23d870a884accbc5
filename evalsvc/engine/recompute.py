"""A record made once more from the database: what `verify` holds the given one against.

First the rows as they are (`read_rows`), then what follows from them (`recompute`): neither knows the record that is to
be checked, and both say what is wrong instead of raising, since anybody may have been at the file.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from hashlib import sha256
from typing import Any, TypeVar

from anyio.lowlevel import checkpoint
from anyio.to_thread import run_sync
from pydantic import TypeAdapter

from evalsvc.core.difference import shown
from evalsvc.core.merkle import Tree, first_change
from evalsvc.core.records import Arm, Job
from evalsvc.decide.calibration import MAX_RESAMPLES, MAX_TRIALS, calibrate
from evalsvc.engine.finalizer import Circumstances, committed, make_record
from evalsvc.engine.rescoring import Rescored, rescore
from evalsvc.errors import EvalsvcError, StoreError
from evalsvc.store.answers import Answers
from evalsvc.store.commitments import Commitments
from evalsvc.store.database import Reader
from evalsvc.store.follow_ups import FollowUpRows
from evalsvc.store.jobs import JobRow, read_job, read_spec
from evalsvc.store.views import Views

#: What reading rows can raise that evalsvc has not written.
_GARBLED = (EvalsvcError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError)

T = TypeVar("T")
#: An error leaves a query behind half read. The event loop closes it within so many steps, and has to before the
#: database itself is closed.
_STEPS_TO_CLOSE = 4

#: Reads the job in a filed document; raises `JobError`.
JobIn = Callable[[str], Job]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table's tree now. ``fault``: why there is none. ``changed``: since the decision, as far as marks can tell."""

    tree: Tree
    fault: str | None
    changed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The rows of a decided job. ``digest`` is the SHA-256 of its document, ``fault`` what is wrong with it."""

    row: JobRow
    digest: str
    job: Job | None
    fault: str | None
    cases: Table
    outcomes: Table

    @property
    def intact(self) -> bool:
        """Whether these are the rows that were decided on, going by the copy of the record that was filed then."""
        said = at(self.row.record, "evidence")
        found = {"cases_root": self.cases.tree.root, "merkle_root": self.outcomes.tree.root}
        return not self.fault and all(at(said, key) == root for key, root in found.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Recomputed:
    """What follows from the rows: the scores given again, the record made again; faults say why there are none."""

    rows: Rows
    rescored: Rescored
    scores_fault: str | None
    record: Mapping[str, Any]
    record_fault: str | None


async def read_rows(reader: Reader, job_id: str, job_in: JobIn) -> Rows:
    """The rows of a job, hashed.

    Raises:
        JobNotFound: there is no such job.
        StoreError: it was never decided, or its own row cannot be read.
    """
    row = await _decided(reader, job_id)
    job, fault = await _job(reader, row, job_in)
    trees = Commitments(reader)
    marks = await trees.marks(job_id)
    return Rows(
        row=row,
        digest=sha256(row.document.encode()).hexdigest(),
        job=job,
        fault=fault,
        cases=await _table(job_id, trees.cases, trees.name_of_case, marks[0]),
        outcomes=await _table(job_id, trees.outcomes, trees.name_of_outcome, marks[1]),
    )


async def _decided(reader: Reader, job_id: str) -> JobRow:
    try:
        row = await read_job(reader, job_id)
    except (ValueError, LookupError, TypeError) as error:
        raise StoreError(f"job {shown(job_id)} cannot be read: {_line(error)}") from error
    if row.record is None:
        raise StoreError(f"job {row.id} is {row.state} in this database: it has no record to compare with")
    return row


async def _job(reader: Reader, row: JobRow, job_in: JobIn) -> tuple[Job | None, str | None]:
    """The job in its document, which has to be the one that the engine worked with."""
    try:
        job = job_in(row.document)
        worked_with = _jobs().validate_json(await read_spec(reader, row.id))
    except _GARBLED as error:
        return None, f"the filed job cannot be read: {_line(error)}"
    if worked_with != job:
        return job, "the job that was worked with (its spec) is not the one that was filed (its document)"
    if row.spec_sha256 != job.spec_sha256:
        return job, f"the job is filed under {shown(row.spec_sha256)} and hashes to {shown(job.spec_sha256)}"
    return job, None


@cache
def _jobs() -> TypeAdapter[Job]:
    return TypeAdapter(Job)


async def _table(
    job_id: str,
    tree_of: Callable[[str], Awaitable[Tree]],
    name_of: Callable[[str, int], Awaitable[str | None]],
    marks: bytes,
) -> Table:
    try:
        tree = await tree_of(job_id)
        place = first_change(marks, tree.marks)
        name = await name_of(job_id, place) if place is not None else None
    except _GARBLED as error:
        return Table(tree=Tree(), fault=f"there are rows that evalsvc cannot have written: {_line(error)}", changed="")
    if place is None:
        return Table(tree=tree, fault=None, changed="the rows are those of the decision")
    gone = f"the rows from number {place} on are gone"
    return Table(tree=tree, fault=None, changed=f"the first changed row is number {place}, {name}" if name else gone)


async def recompute(reader: Reader, rows: Rows) -> Recomputed:
    """Score every answer again and make the record again, as the finalizer made it."""
    if rows.job is None:
        fault = "there is no job to go by"
        return Recomputed(rows=rows, rescored=Rescored(), scores_fault=fault, record={}, record_fault=fault)
    rescored, scores_fault = await _guarded(
        rows, rescore(rows.job, rows.row.id, Answers(reader), FollowUpRows(reader)), Rescored()
    )
    record, record_fault = await _guarded(rows, _record(rows, rows.job, Views(reader)), {})
    return Recomputed(rows=rows, rescored=rescored, scores_fault=scores_fault, record=record, record_fault=record_fault)


async def _guarded(rows: Rows, work: Awaitable[T], otherwise: T) -> tuple[T, str | None]:
    """What comes of rows that may be anybody's; where they are the decision's own, an error is ours and is raised."""
    try:
        return await work, None
    except _GARBLED as error:
        if rows.intact:
            raise
        fault = f"nothing can be computed from the rows as they are: {_line(error)}"
    for _ in range(_STEPS_TO_CLOSE):
        await checkpoint()
    return otherwise, fault


async def _record(rows: Rows, job: Job, views: Views) -> dict[str, Any]:
    row, copy = rows.row, rows.row.record or {}
    told = _told(copy)
    plain = await make_record(job, row, views, told, finished_at=row.finished_at or 0.0)
    made = committed(plain, job, row, told, rows.cases.tree, rows.outcomes.tree)
    if made["calibration"] is not None:
        made["calibration"] = await _dealt_again(views, job, made["calibration"])
    warnings = at(copy, "warnings")
    if isinstance(warnings, list):
        made["warnings"] += warnings[len(made["warnings"]) :]
    return made


async def _dealt_again(views: Views, job: Job, said: Mapping[str, Any]) -> dict[str, Any]:
    """A calibration made once more from the answers it rests on, with its own seed; empty where that cannot be."""
    try:
        each, resamples = min(said["repeats"], 2 * MAX_TRIALS), min(said["resamples"], MAX_RESAMPLES)
        repeats = await views.repeats(job, said["job"], [Arm(arm) for arm in said["arms"]], each)
        return {**said, **await run_sync(partial(calibrate, job, repeats, resamples=resamples, seed=said["seed"]))}
    except _GARBLED:
        return {}


def _told(copy: Mapping[str, Any]) -> Circumstances:
    """What rows cannot say, from the copy of the record that was filed with them; empty where it says no such thing."""
    environment, listed = at(copy, "environment"), at(copy, "scorers")
    scorers = [row for row in listed if isinstance(row, Mapping)] if isinstance(listed, list) else []
    return Circumstances(
        environment=environment if isinstance(environment, Mapping) else {},
        scorers={row["name"]: row["version"] for row in scorers if {"name", "version"} <= row.keys()},
        prices={arm: _price(at(copy, "arms", arm.value, "price")) for arm in Arm},
        judge_price=_price(at(copy, "judge", "price")),
        warnings=(),
        formats={row["name"]: row["format"] for row in _suites(copy) if {"name", "format"} <= row.keys()},
    )


def _suites(copy: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    listed = at(copy, "suites")
    return [row for row in listed if isinstance(row, Mapping)] if isinstance(listed, list) else []


def _price(said: Any) -> tuple[float, float] | None:
    prices = (at(said, "input"), at(said, "output"))
    return prices if all(type(price) in (int, float) for price in prices) else None


def at(value: Any, *path: str) -> Any:
    """What stands at a path in JSON, None where there is no such path."""
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _line(error: BaseException) -> str:
    """An error in a line; what it holds may be anybody's."""
    return shown(f"{type(error).__name__}: {error}")
