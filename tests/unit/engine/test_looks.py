"""Looks over real stored answers: due when they are all there, the same whatever the order they came in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import anyio
import pytest

from evalsvc.core.records import (
    GATES,
    Arm,
    ArmSpec,
    Case,
    Completion,
    GateSpec,
    Job,
    Outcome,
    Role,
    Score,
    ScorerSpec,
    Status,
    SuiteSpec,
)
from evalsvc.decide.sequential import Stopping
from evalsvc.engine.looks import Looks, open_looks, stored_looks
from evalsvc.store.database import Database, open_database
from evalsvc.store.jobs import JobStore
from evalsvc.store.outcomes import OutcomeStore
from evalsvc.store.views import Views

pytestmark = pytest.mark.anyio

CASES = 200
REQUIRED = {"target_improvement": 0.05, "general_regression": -0.05}


def job(stop: str = "hybrid", trials: int = 1) -> Job:
    def suite(name: str, role: Role) -> SuiteSpec:
        scorers = (ScorerSpec(name="exact_match", label="exact_match"),)
        return SuiteSpec(name=name, role=role, dataset="d", format="auto", scorers=scorers)

    return Job(
        name="j",
        seed=1,
        trials=trials,
        stop=stop,
        arms={arm: ArmSpec(endpoint="e", model="m") for arm in Arm},
        suites=(suite("t", Role.TARGET), suite("g", Role.GENERAL)),
        gates=tuple(
            GateSpec(name=name, threshold=REQUIRED.get(name, 0.5), required=name in REQUIRED) for name in GATES
        ),
    )


def case(position: int) -> Case:
    suite = "tg"[position % 2]
    return Case(suite=suite, id=f"c{position}", category="a", input="q", expected="x", position=position)


def outcome(position: int, arm: Arm, trial: int = 0) -> Outcome:
    """The candidate wins every third target case; on general ones the arms do not differ."""
    won = position % 6 == 0 and arm is Arm.BASELINE
    return Outcome(
        case=case(position),
        arm=arm,
        trial=trial,
        step="answer",
        status=Status.OK,
        kind=None,
        detail=None,
        completion=Completion(text="a"),
        scores={"exact_match": Score(value=0.0 if won else 1.0)},
        attempts=(),
        since_scheduled_s=0.1,
        finished_at=1.0,
    )


def all_outcomes(cases: int = CASES, trials: int = 1) -> list[Outcome]:
    return [outcome(p, arm, trial) for p in range(cases) for arm in Arm for trial in range(trials)]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(tmp_path / "e.db") as database:
        yield database


async def filed(database: Database, asked: Job) -> Looks:
    placed = [(p, case(p)) for p in range(CASES)]
    await JobStore(database).create(asked, placed, job_id="J", endpoints={}, now=1.0)
    looks = await open_looks(Views(database), asked, "J")
    assert looks is not None
    return looks


async def told(database: Database, looks: Looks, outcomes: Sequence[Outcome]) -> Stopping:
    await OutcomeStore(database).add("J", outcomes)
    looks.add(outcomes)
    return await looks.take()


async def test_a_job_that_is_asked_whole_has_no_looks(database: Database) -> None:
    await JobStore(database).create(job("never"), [(0, case(0))], job_id="J", endpoints={}, now=1.0)
    assert await open_looks(Views(database), job("never"), "J") is None
    assert await stored_looks(Views(database), job("never"), "J") is None


async def test_a_look_waits_for_every_answer_up_to_it(database: Database) -> None:
    looks = await filed(database, job())
    missing = outcome(4, Arm.BASELINE)
    others = [each for each in all_outcomes(30) if each.case.position != 4 or each.arm is not Arm.BASELINE]
    assert (await told(database, looks, others)).looks == 0
    assert (await told(database, looks, [missing])).looks == 3


async def test_all_trials_are_waited_for(database: Database) -> None:
    looks = await filed(database, job(trials=2))
    assert (await told(database, looks, [each for each in all_outcomes(10, 2) if each.trial == 0])).looks == 0
    assert (await told(database, looks, [each for each in all_outcomes(10, 2) if each.trial == 1])).looks == 1


@pytest.mark.parametrize("seed", range(4))
async def test_what_looks_say_does_not_hang_on_when_answers_came(database: Database, seed: int) -> None:
    looks = await filed(database, job())
    outcomes = all_outcomes()
    Random(seed).shuffle(outcomes)
    stopping = looks.stopping
    for start in range(0, len(outcomes), 37):
        stopping = await told(database, looks, outcomes[start : start + 37])
        assert stopping == await stored_looks(Views(database), job(), "J")  # a process that takes it up sees the same
    assert stopping.settled["target_improvement"].verdict == "PASS"
    assert stopping.settled["target_improvement"].extra["judged_at"] == 80
    assert stopping.closed == {"t": 80}


async def test_a_suite_that_is_closed_is_not_waited_for(database: Database) -> None:
    looks = await filed(database, job())
    stopping = await told(database, looks, all_outcomes(80))
    assert stopping.open == {"g"}
    assert looks.expected == 2 * (100 + 40)
    later = [each for each in all_outcomes() if each.case.position >= 80 and each.case.suite == "g"]
    assert (await told(database, looks, later)).looks == 19
    evidence = await Views(database).evidence(job(), "J", ends=stopping.closed)
    assert [len(table.category) for table in evidence.tables] == [40, 100]
    assert evidence.outcomes == 160 + 120


async def test_it_takes_looks_as_they_fall_due_and_ends_with_the_last(database: Database) -> None:
    looks = await filed(database, job())
    closed = []
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(looks.run, lambda: closed.append(dict(looks.stopping.closed)))
            for start in range(0, 2 * CASES, 40):
                batch = all_outcomes()[start : start + 40]
                await OutcomeStore(database).add("J", batch)
                looks.add(batch)
    assert closed == [{"t": 80}]
    assert looks.stopping.next_look is None


async def test_follow_ups_are_no_answers(database: Database) -> None:
    looks = await filed(database, job())
    looks.add([replace(each, step="judge") for each in all_outcomes()])
    assert (await looks.take()).looks == 0
