"""The baseline against itself through a job's own gates: how often they flip where nothing differs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from anyio.to_thread import run_sync

from evalsvc.api.limits import MOST_RESAMPLES
from evalsvc.app.prepare import PreparedJob
from evalsvc.app.run import Display, run_job
from evalsvc.core.records import Arm, Job
from evalsvc.decide.calibration import calibrate as deal
from evalsvc.decide.calibration import key_of
from evalsvc.errors import InputError, StoreError
from evalsvc.jobfile.document import document_of, job_in
from evalsvc.jobfile.reader import JobFile, against_itself
from evalsvc.reports import calibration_text
from evalsvc.store.calibrations import Calibrations
from evalsvc.store.database import Database, open_database
from evalsvc.store.jobs import JobRow, JobStore
from evalsvc.store.listing import Listing
from evalsvc.store.views import Views

__all__ = ["MOST_RESAMPLES", "Ask", "as_text", "calibrate", "calibrate_by", "key_of_file"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is wanted: so many deals, of the answers of job ``job`` (None: the baseline is asked)."""

    resamples: int
    job: str | None = None
    patience_s: float = 60.0


async def calibrate(prepared: PreparedJob, ask: Ask, *, display: Display) -> dict[str, Any]:
    """Ask the baseline in both places (a job of its own, resumed like any), deal its answers to the arms, and judge.

    The calibration is stored for this job's baseline, suites, scorers and gates, whoever the candidate is.

    Raises:
        InputError: its answers are recorded, or the job named has other suites or gates, or one answer a case only.
        StoreError, EvalsvcError: as `run_job`.
    """
    document = document_of(prepared.file)
    wanted = ask.job if ask.job is not None else await _asked(prepared, ask, display)
    async with open_database(Path(prepared.config.store.path)) as database:
        row = await JobStore(database).get(await Listing(database).find(wanted))
        return await calibrate_by(database, prepared.job, row, key_of(document), ask.resamples)


async def calibrate_by(
    database: Database, job: Job, row: JobRow, key: str, resamples: int, *, apart: Sequence[str] | None = None
) -> dict[str, Any]:
    """Deal the answers of a finished job to the arms of ``job``, judge, and store the calibration under ``key``.

    ``apart``: the modules that bring gates to a process of its own, which deals; None: this one does.

    Raises:
        InputError, StoreError: it has other suites or gates, is not finished, or asked each case once.
    """
    arms, each = _usable(row, key)
    if apart is None:
        repeats = await Views(database).repeats(job, row.id, arms, each)
        found = await run_sync(_dealt, job, repeats, resamples)
    else:
        from evalsvc.app.dealing import deal_apart  # noqa: PLC0415 - the web framework, which the command does without

        found = await deal_apart(database.path, row.id, arms, each, resamples, apart)
    record: Mapping[str, Any] = row.record or {}
    result = {**found, "arms": arms, "merkle_root": record["evidence"]["merkle_root"]}
    await Calibrations(database).add(key, row.id, result, now=time.time())
    return {"job": row.id, "name": job.name, "baseline": job.arms[Arm.BASELINE].model, **result}


def key_of_file(file: JobFile) -> str:
    """What a calibration for a job file is filed under."""
    return key_of(document_of(file))


def as_text(found: Mapping[str, Any], *, color: bool, width: int) -> str:
    """A calibration for a terminal."""
    return calibration_text.render(found, color=color, width=width)


def _dealt(job: Job, repeats: Any, resamples: int) -> dict[str, Any]:
    return deal(job, repeats, resamples=resamples, seed=job.seed)


async def _asked(prepared: PreparedJob, ask: Ask, display: Display) -> str:
    """The id of the finished job in which the baseline stands in both places."""
    file = against_itself(prepared.file)
    alias = file.job.arms[Arm.BASELINE].endpoint
    itself = replace(
        prepared,
        job=file.job,
        file=file,
        endpoints={alias: prepared.endpoints[alias]},
        keys={alias: prepared.keys[alias]},
        answers={},
    )
    finished = await run_job(itself, display=display, patience_s=ask.patience_s)
    return finished.job_id


def _usable(row: JobRow, key: str) -> tuple[list[Arm], int]:
    """Which arms of a job gave the baseline's answers, and how many of each case.

    Raises:
        InputError, StoreError: it does not ask what is calibrated, is not finished, or asked each case once.
    """
    if row.record is None:
        raise StoreError(f"job {row.id} is {row.state}, not decided: it has not asked everything")
    if key_of(row.document) != key:
        raise InputError(f"job {row.id} has another baseline, other suites or other gates than this job file")
    job = job_in(row.document)
    itself = job.arms[Arm.CANDIDATE] == job.arms[Arm.BASELINE] and not job.arms[Arm.BASELINE].recorded
    arms = list(Arm) if itself else [Arm.BASELINE]
    each = len(arms) * job.trials
    if each < 2:
        raise InputError(f"job {row.id} asked its baseline once a case: set trials = 2 in it, or leave out --job")
    return arms, each
