"""Two finished jobs, case by case: refused where they do not ask alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsvc.app.reading import record_of, run
from evalsvc.core.listing import JobEntry
from evalsvc.core.pairing import Coverage, PairedScores
from evalsvc.core.records import Arm, Job
from evalsvc.decide.alike import differences, same_asked, uncovered
from evalsvc.decide.two_jobs import Finding, SuiteChange, changes
from evalsvc.errors import InputError
from evalsvc.reports import comparison
from evalsvc.reports.comparison import Comparison
from evalsvc.reports.inert import fit
from evalsvc.store.database import Reader, open_reader
from evalsvc.store.listing import Listing
from evalsvc.store.pairing import Pairing


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """One of the two jobs."""

    entry: JobEntry
    job: Job
    record: Mapping[str, Any]


def compare(
    database: Path, first: str, second: str, *, arm: str = "candidate", only_shared: bool = False, flips: int = 10
) -> Comparison:
    """One arm of two jobs of a database over the cases they share.

    Args:
        database: the file both are in.
        first: the job that is compared against, by id, the beginning of one, or ``latest``.
        second: the job whose change is told.
        arm: ``candidate`` or ``baseline``, of both jobs.
        only_shared: compare the cases both have, although they do not have the same.
        flips: at most so many of the cases that differ.

    Raises:
        InputError: they are one job, or what must be alike is not; the message lists it.
        StoreError: a job is not there or not decided.
    """

    async def read() -> Comparison:
        async with open_reader(database) as reader:
            listing = Listing(reader)
            ids = await listing.find(first), await listing.find(second)
            if ids[0] == ids[1]:
                raise InputError(f"{ids[0]} cannot be compared with itself: name two jobs")
            sides = await _side(listing, ids[0]), await _side(listing, ids[1])
            return await _compare(reader, *sides, Arm(arm), only_shared=only_shared, flips=flips)

    return run(read)


def render(found: Comparison, *, color: bool, width: int) -> str:
    """The comparison for a terminal."""
    return comparison.render(found, color=color, width=width)


async def _side(listing: Listing, job_id: str) -> _Side:
    record = await record_of(listing, job_id)
    return _Side(entry=await listing.entry(job_id), job=await listing.job(job_id), record=record)


async def _compare(
    reader: Reader, first: _Side, second: _Side, arm: Arm, *, only_shared: bool, flips: int
) -> Comparison:
    ids, pairing = (first.entry.id, second.entry.id), Pairing(reader)
    scores = await pairing.scores(*ids, second.job, arm)
    _refuse(ids, [*_unlike(first, second, arm), *([] if only_shared else _uncovered(scores))])
    if not any(each.shared for each in scores.coverage):
        raise InputError(f"{ids[0]} and {ids[1]} share no case: nothing can be compared")
    other = Arm.BASELINE if arm is Arm.CANDIDATE else Arm.CANDIDATE
    alike = same_asked(first.job.arms[other], second.job.arms[other])
    drift = changes((await pairing.scores(*ids, second.job, other)).tables) if alike else []
    found, total = await pairing.flips(*ids, arm, limit=flips)
    return Comparison(
        first=first.entry,
        second=second.entry,
        records=(first.record, second.record),
        arm=arm,
        changes=changes(scores.tables),
        drift=drift,
        coverage=scores.coverage,
        notes=[*_drifted(drift, other), *_left_out(scores.coverage), *_notes(first, second, arm)],
        flips=found,
        flips_total=total,
    )


def _unlike(first: _Side, second: _Side, arm: Arm) -> Iterable[str]:
    simulated = bool(first.entry.simulated), bool(second.entry.simulated)
    for each in differences(first.job, second.job, arm, simulated=simulated):
        yield f"{fit(each.what, 60)}: {fit(each.first, 100)} in the first job, {fit(each.second, 100)} in the second"


def _uncovered(scores: PairedScores) -> list[str]:
    found = [f"cases of {fit(each.suite, 60)}: {uncovered(each)}" for each in scores.coverage if not each.whole]
    shared = sum(each.shared for each in scores.coverage)
    return [*found, f"--only-shared compares the {shared:,} cases they share"] if found and shared else found


def _refuse(ids: tuple[str, str], reasons: list[str]) -> None:
    if reasons:
        listed = "".join(f"\n  - {reason}" for reason in reasons)
        raise InputError(f"{ids[0]} and {ids[1]} cannot be compared:{listed}")


def _drifted(drift: Iterable[SuiteChange], arm: Arm) -> list[str]:
    suites = [each.whole.suite for each in drift if each.whole.finding in {Finding.BETTER, Finding.WORSE}]
    said = "the same model asked alike, changed too: not all that changed is the other model's doing"
    return [f"the {arm.value}, {said} (suites: {', '.join(suites)})"] if suites else []


def _left_out(coverage: Iterable[Coverage]) -> list[str]:
    return [f"left out of {each.suite}: cases {uncovered(each)}" for each in coverage if not each.whole]


def _notes(first: _Side, second: _Side, arm: Arm) -> Iterable[str]:
    """What could explain a difference away, or makes it less sure."""
    if first.job.trials != second.job.trials:
        yield f"{first.job.trials} and {second.job.trials} trials a case: one job's scores are noisier than the other's"
    if {first.job.stop, second.job.stop} != {"never"}:
        yield "a job could stop early: how many cases it asked hung on its scores, and the intervals do not know that"
    served = [side.record["arms"][arm]["served_models"] for side in (first, second)]
    specs = [side.job.arms[arm] for side in (first, second)]
    if specs[0].model == specs[1].model and served[0] != served[1]:
        yield f"{specs[0].model} was served as {', '.join(served[0])} and as {', '.join(served[1])}"
    if specs[0].endpoint != specs[1].endpoint:
        yield f"asked at two endpoints: {specs[0].endpoint} and {specs[1].endpoint}"
    makers = [side.record["environment"]["evalsvc"] for side in (first, second)]
    if makers[0] != makers[1]:
        yield f"scored by evalsvc {makers[0]} and by evalsvc {makers[1]}"
    for name, side in (("first", first), ("second", second)):
        yield from (f"{name} job: {warning}" for warning in side.record["warnings"])
