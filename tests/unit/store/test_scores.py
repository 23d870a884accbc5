"""Scores read along a job's order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from math import isnan
from pathlib import Path

import pytest

from evalsvc.core.evidence import ArmScores, ExtractCount, ScoreTable
from evalsvc.core.records import (
    NOTHING_EXTRACTED,
    Arm,
    ArmSpec,
    Case,
    Completion,
    Job,
    Outcome,
    Role,
    Score,
    ScorerSpec,
    Status,
    SuiteSpec,
)
from evalsvc.store.database import Database, open_database
from evalsvc.store.jobs import JobStore
from evalsvc.store.outcomes import OutcomeStore
from evalsvc.store.views import Views

pytestmark = pytest.mark.anyio

LABELS = ("exact_match", "shape")


def suite(name: str, *labels: str) -> SuiteSpec:
    scorers = tuple(ScorerSpec(name=label, label=label) for label in labels)
    return SuiteSpec(name=name, role=Role.TARGET, dataset="d", format="auto", scorers=scorers)


JOB = Job(
    name="j",
    seed=1,
    trials=2,
    arms={arm: ArmSpec(endpoint="e", model="m") for arm in Arm},
    suites=(suite("one", *LABELS), suite("two", "exact_match")),
    gates=(),
)


def case(position: int) -> Case:
    suite = "one" if position % 3 else "two"
    return Case(suite=suite, id=f"c{position}", category="ab"[position % 2], input="q", position=position)


def outcome(position: int, arm: Arm, trial: int) -> Outcome:
    missing = position % 7 == 3 and trial == 1
    value = None if missing else ((position + trial) % 4) / 3
    return Outcome(
        case=case(position),
        arm=arm,
        trial=trial,
        step="answer",
        status=Status.OK,
        kind=None,
        detail=None,
        completion=Completion(text="a"),
        scores={"exact_match": Score(value=value), "shape": Score(value=float(arm is Arm.BASELINE))},
        attempts=(),
        since_scheduled_s=position / 10,
        finished_at=1.0,
    )


@pytest.fixture
async def views(tmp_path: Path) -> AsyncIterator[Views]:
    async with open_database(tmp_path / "e.db") as database:
        await filed(database)
        yield Views(database)


async def filed(database: Database) -> None:
    await JobStore(database).create(JOB, [(p, case(p)) for p in range(40)], job_id="J", endpoints={}, now=1.0)
    outcomes = [outcome(p, arm, trial) for trial in (1, 0) for p in reversed(range(40)) for arm in Arm]
    await OutcomeStore(database).add("J", outcomes)


def said(tables: tuple[ScoreTable, ...]) -> list[object]:
    """What tables hold, NaN made equal to itself."""

    def plain(scores: ArmScores) -> list[list[str]]:
        return [[repr(value) for value in values] for values in (scores.mean, scores.low, scores.high)]

    return [
        (each.suite, each.label, each.categories, list(each.category), [plain(each.arms[arm]) for arm in Arm])
        for each in tables
    ]


@pytest.mark.parametrize("stretch", [1, 7, 40, 100])
async def test_read_by_stretches_is_read_whole(views: Views, stretch: int) -> None:
    reader = views.scores(JOB, "J")
    for until in range(stretch, 40, stretch):
        await reader.read(until)
    assert said(await reader.read()) == said((await views.evidence(JOB, "J")).tables)
    assert reader.rows == 160


async def test_a_prefix_holds_the_cases_before_its_end(views: Views) -> None:
    tables = await views.scores(JOB, "J").read(10)
    assert [len(table.category) for table in tables] == [6, 6, 4]
    (one, shape, two) = tables
    assert list(one.arms[Arm.CANDIDATE].mean)[:2] == pytest.approx([(1 + 2) / 6, (2 + 3) / 6])
    assert list(shape.arms[Arm.BASELINE].low) == [1.0] * 6
    scores = two.arms[Arm.CANDIDATE]  # the case at position 3 lacks a trial
    assert isnan(scores.mean[1])
    assert (scores.low[1], scores.high[1]) == (0.5, 1.0)


async def test_a_suite_may_end_before_the_others(views: Views) -> None:
    evidence = await views.evidence(JOB, "J", ends={"two": 10})
    assert [len(table.category) for table in evidence.tables] == [26, 26, 4]
    assert evidence.outcomes == 160
    assert evidence.totals[Arm.CANDIDATE].requests == 80
    waits = list(evidence.latency[Arm.CANDIDATE].scheduled)
    assert sorted(round(10 * wait) for wait in waits) == [p for p in range(40) if p % 3 or p < 10]


async def test_cases_and_answers_are_counted_by_stretch(views: Views) -> None:
    assert await views.sizes("J") == {"one": 26, "two": 14}
    cases, answers = await views.stretches("J", 10)
    assert cases == {(0, "one"): 6, (0, "two"): 4, (1, "one"): 7, (1, "two"): 3, (2, "one"): 7} | {
        (2, "two"): 3,
        (3, "one"): 6,
        (3, "two"): 4,
    }
    assert answers == {key: 4 * count for key, count in cases.items()}


@pytest.mark.parametrize("label", ["exact_match", '$x"[0]', "1"])
async def test_answers_in_which_extract_found_nothing_are_counted(tmp_path: Path, label: str) -> None:
    plain = ScorerSpec(name="exact_match", label="plain")
    drawn = ScorerSpec(name="exact_match", label=label, options={"extract": "x"})
    one, two = replace(suite("one"), scorers=(drawn, plain)), replace(suite("two"), scorers=(plain, drawn))
    nothing = {label: Score(value=0.0, explanation=NOTHING_EXTRACTED), "plain": Score(value=0.0)}
    found = {label: Score(value=0.0, explanation="other"), "plain": Score(value=0.0, explanation=NOTHING_EXTRACTED)}
    rows = [
        replace(outcome(p, arm, trial), scores=nothing if arm is Arm.BASELINE or p > 10 else found)
        for p in range(20)
        for arm in Arm
        for trial in range(2)
    ]
    late = replace(rows[-1], case=case(19), trial=2, status=Status.MODEL_ERROR, kind="empty", completion=None)
    async with open_database(tmp_path / "e.db") as database:
        job = replace(JOB, suites=(one, two))
        await JobStore(database).create(job, [(p, case(p)) for p in range(20)], job_id="J", endpoints={}, now=1.0)
        await OutcomeStore(database).add("J", [*rows, late])
        counted = (await Views(database).evidence(job, "J")).extracts
    asked, nothing_in = (2 * sum(case(p).suite == "one" for p in range(first, 20)) for first in (0, 11))
    assert counted == (
        ExtractCount(suite="one", arm=Arm.BASELINE, answers=asked, nothing=asked),
        ExtractCount(suite="one", arm=Arm.CANDIDATE, answers=asked, nothing=nothing_in),
    )
