"""Real SQLite files: what is filed, what is refused, what another process may do."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from math import inf, isnan
from pathlib import Path

import pytest

from evalsvc.core.records import (
    Arm,
    ArmSpec,
    Attempt,
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
from evalsvc.core.states import JobState
from evalsvc.errors import IllegalTransition, JobNotFound, SchemaMismatch, StoreBusy, StoreError, StoreUnusable
from evalsvc.store.database import APPLICATION_ID, Database, open_database
from evalsvc.store.jobs import JobStore
from evalsvc.store.outcomes import OutcomeStore
from evalsvc.store.views import Views

pytestmark = pytest.mark.anyio

EXACT = ScorerSpec(name="exact_match", label="exact_match")
SCHEMA = ScorerSpec(name="json_schema", label="shape")


def job(trials: int = 1) -> Job:
    return Job(
        name="j",
        seed=1,
        trials=trials,
        spec_sha256="abc",
        arms={arm: ArmSpec(endpoint="e", model=arm.value) for arm in Arm},
        suites=(
            SuiteSpec(name="t", role=Role.TARGET, dataset="t", format="auto", scorers=(EXACT, SCHEMA)),
            SuiteSpec(name="old", role=Role.TRAIN, dataset="o", format="auto", scorers=(EXACT,)),
        ),
        gates=(),
    )


def case(position: int, suite: str = "t", category: str = "a") -> Case:
    return Case(
        suite=suite, id=f"c{position}", category=category, input=f"q{position}", expected="x", position=position
    )


def placed(cases: list[Case]) -> list[tuple[int, Case]]:
    return [(case.position, case) for case in cases]


def outcome(position: int, arm: Arm, value: float | None = 1.0, *, trial: int = 0, suite: str = "t") -> Outcome:
    return Outcome(
        case=case(position, suite),
        arm=arm,
        trial=trial,
        step="answer",
        status=Status.OK,
        kind=None,
        detail=None,
        completion=Completion(text="a\x00b", model="m-1", input_tokens=10, output_tokens=2, latency_s=0.5),
        scores={"exact_match": Score(value=value, explanation="why"), "shape": Score(value=1.0)},
        attempts=(Attempt(seconds=0.1, kind="server", status=500), Attempt(retry_wait_s=1.0, seconds=0.5)),
        since_scheduled_s=1.5,
        finished_at=1.0,
    )


def failed(position: int, arm: Arm, kind: str, status: Status = Status.INFRA_ERROR) -> Outcome:
    score = {"exact_match": Score(value=0.0)} if status is Status.MODEL_ERROR else {}
    return replace(
        outcome(position, arm),
        status=status,
        kind=kind,
        completion=None,
        scores=score,
        attempts=(Attempt(seconds=9.0, kind=kind, tainted=True),),
    )


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(tmp_path / "e.db") as database:
        yield database


@pytest.fixture
async def filed(database: Database) -> Database:
    cases = [case(0), case(1, category="b"), case(2), case(3, "old")]
    await JobStore(database).create(job(), placed(cases), job_id="J", endpoints={"e": "http://x"}, now=5.0)
    return database


async def test_it_is_wal_and_full_and_ours(tmp_path: Path) -> None:
    async with open_database(tmp_path / "e.db") as database:
        rows = [await database.writer.execute_fetchall(f"PRAGMA {name}") for name in ("journal_mode", "synchronous")]
        assert [next(iter(row))[0] for row in rows] == ["wal", 2]
        assert await database.rows("PRAGMA application_id") == [(APPLICATION_ID,)]


async def test_a_second_opener_is_refused_even_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "e.db")
    async with open_database(tmp_path / "e.db"):
        with pytest.raises(StoreBusy, match="in use"):
            async with open_database(tmp_path / "link.db"):
                pass
    async with open_database(tmp_path / "link.db"):
        pass


@pytest.mark.parametrize("make", ["newer", "foreign", "garbage"])
async def test_a_database_it_does_not_know_is_left_alone(tmp_path: Path, make: str) -> None:
    path = tmp_path / "e.db"
    if make == "garbage":
        path.write_bytes(b"no database at all, but long enough to be looked at " * 20)
    elif make == "foreign":
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE theirs (x)")
        connection.close()
    else:
        async with open_database(path) as database:
            await database.writer.execute("PRAGMA user_version = 999")
    before = path.read_bytes()
    with pytest.raises(SchemaMismatch):
        async with open_database(path):
            pass
    assert path.read_bytes()[100:] == before[100:]


async def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="does not exist"):
        async with open_database(tmp_path / "no" / "e.db"):
            pass


async def test_a_job_is_filed_whole_or_not_at_all(database: Database) -> None:
    def cases() -> Iterator[tuple[int, Case]]:
        yield 0, case(0)
        raise RuntimeError("the data set changed")

    with pytest.raises(RuntimeError):
        await JobStore(database).create(job(), cases(), job_id="J", endpoints={}, now=1.0)
    assert await database.rows("SELECT COUNT(*) FROM jobs") == [(0,)]
    with pytest.raises(JobNotFound):
        await JobStore(database).get("J")


async def test_cases_come_back_as_they_went_in_and_in_order(database: Database) -> None:
    sent = [
        replace(case(p), input=[{"role": "user", "content": "é\x00"}], expected=["a", "b"], schema={"type": "object"})
        for p in (2, 0, 1)
    ]
    await JobStore(database).create(job(), placed(sent), job_id="J", endpoints={}, now=1.0)
    got = [case async for chunk in JobStore(database).cases("J") for case in chunk]
    assert got == sorted(sent, key=lambda case: case.position)


async def test_a_job_moves_along_the_table_only(filed: Database) -> None:
    jobs = JobStore(filed)
    with pytest.raises(IllegalTransition):
        await jobs.move("J", JobState.DONE)
    await jobs.start("J", now=7.0)
    await jobs.move("J", JobState.PAUSED, reason="down")
    row = await jobs.get("J")
    assert (row.state, row.reason, row.started_at, row.resumes) == (JobState.PAUSED, "down", 7.0, 0)
    await jobs.start("J", now=8.0)
    row = await jobs.get("J")
    assert (row.state, row.reason, row.started_at, row.resumes) == (JobState.RUNNING, None, 7.0, 1)
    await jobs.move("J", JobState.DECIDING)
    await jobs.finish("J", {"decision": "HOLD"}, now=9.0)
    row = await jobs.get("J")
    assert (row.state, row.record, row.finished_at) == (JobState.DONE, {"decision": "HOLD"}, 9.0)
    with pytest.raises(IllegalTransition):
        await jobs.start("J", now=10.0)


async def test_newest_is_by_spec(filed: Database) -> None:
    jobs = JobStore(filed)
    await jobs.create(job(), [], job_id="K", endpoints={}, now=6.0)
    newest = await jobs.newest("abc")
    assert newest is not None
    assert newest.id == "K"
    assert await jobs.newest("other") is None


async def test_an_outcome_is_filed_once_and_never_changed(filed: Database) -> None:
    store = OutcomeStore(filed)
    await store.add("J", [outcome(0, Arm.CANDIDATE, 1.0)])
    await store.add("J", [outcome(0, Arm.CANDIDATE, 0.0), outcome(1, Arm.BASELINE)])
    assert await filed.rows("SELECT score FROM outcomes ORDER BY position") == [(1.0,), (1.0,)]
    assert await store.done("J") == {(0, Arm.CANDIDATE, 0), (1, Arm.BASELINE, 0)}
    with pytest.raises(sqlite3.IntegrityError, match="final"):
        await filed.writer.execute("UPDATE outcomes SET score = 0")


async def test_a_row_that_cannot_be_refuses_the_whole_batch(filed: Database) -> None:
    wrong = replace(outcome(1, Arm.CANDIDATE), kind="truncated")
    with pytest.raises(StoreError, match="refused to write"):
        await OutcomeStore(filed).add("J", [outcome(0, Arm.CANDIDATE), wrong])
    assert await filed.rows("SELECT COUNT(*) FROM outcomes") == [(0,)]
    await OutcomeStore(filed).add("J", [outcome(0, Arm.CANDIDATE)])


async def test_evidence(filed: Database) -> None:
    await OutcomeStore(filed).add(
        "J",
        [
            outcome(0, Arm.CANDIDATE, 1.0),
            outcome(0, Arm.BASELINE, 0.0),
            failed(1, Arm.CANDIDATE, "timeout"),
            outcome(1, Arm.BASELINE, None),
            failed(2, Arm.CANDIDATE, "truncated", Status.MODEL_ERROR),
            failed(2, Arm.BASELINE, "server"),
            outcome(3, Arm.CANDIDATE, suite="old"),
            outcome(3, Arm.BASELINE, suite="old"),
        ],
    )
    evidence = await Views(filed).evidence(job(), "J")
    assert evidence.outcomes == 8
    exact, shape, old = evidence.tables
    assert (exact.label, exact.primary, shape.label, shape.primary) == ("exact_match", True, "shape", False)
    assert [exact.categories[code] for code in exact.category] == ["a", "b", "a"]
    candidate, baseline = exact.arms[Arm.CANDIDATE], exact.arms[Arm.BASELINE]
    assert [None if isnan(x) else x for x in candidate.mean] == [1.0, None, 0.0]
    assert (list(candidate.low), list(candidate.high)) == ([1.0, 0.0, 0.0], [1.0, 1.0, 0.0])
    assert [None if isnan(x) else x for x in baseline.mean] == [0.0, None, None]
    assert list(old.arms[Arm.CANDIDATE].mean) == [1.0]
    latency = evidence.latency[Arm.CANDIDATE]
    assert (sorted(latency.seconds), latency.missing, latency.tainted) == ([0.5, 9.0, inf], 0, 2)
    assert evidence.latency[Arm.BASELINE].missing == 1
    totals = evidence.totals[Arm.CANDIDATE]
    assert (totals.requests, totals.ok, totals.model_error, totals.infra_error) == (4, 2, 1, 1)
    assert (totals.attempts, totals.retries) == (6, {"server": 2})
    assert (totals.kinds, totals.input_tokens, totals.served_models) == ({"truncated": 1, "timeout": 1}, 20, ("m-1",))
    assert evidence.totals[Arm.BASELINE].scoring_errors == 1


async def test_trials_are_averaged_and_a_missing_one_leaves_bounds(filed: Database) -> None:
    await OutcomeStore(filed).add(
        "J", [outcome(0, Arm.CANDIDATE, 1.0), outcome(0, Arm.CANDIDATE, None, trial=1), outcome(0, Arm.BASELINE, 1.0)]
    )
    table = (await Views(filed).evidence(job(trials=2), "J")).tables[0]
    assert isnan(table.arms[Arm.CANDIDATE].mean[0])
    assert (table.arms[Arm.CANDIDATE].low[0], table.arms[Arm.CANDIDATE].high[0]) == (0.5, 1.0)


async def test_a_model_that_gives_no_usage_has_no_token_count(filed: Database) -> None:
    silent = replace(outcome(0, Arm.CANDIDATE), completion=Completion(text="x"))
    await OutcomeStore(filed).add("J", [silent, outcome(1, Arm.CANDIDATE), outcome(0, Arm.BASELINE)])
    totals = (await Views(filed).evidence(job(), "J")).totals
    assert totals[Arm.CANDIDATE].input_tokens is None
    assert totals[Arm.BASELINE].input_tokens == 10


async def test_the_report_shows_the_worst_flips_first(filed: Database) -> None:
    rows = [
        (0, 0.2, 0.1),
        (1, 0.0, 1.0),
        (2, 0.5, 0.5),
    ]
    await OutcomeStore(filed).add(
        "J",
        [outcome(p, Arm.CANDIDATE, c) for p, c, _ in rows] + [outcome(p, Arm.BASELINE, b) for p, _, b in rows],
    )
    view = await Views(filed).report(job(), "J", {"decision": "HOLD"}, flips=5)
    assert [(flip.case_id, flip.delta) for flip in view.flips] == [("c1", -1.0), ("c0", 0.1)]
    assert view.flips_total == 2
    assert view.flips[0].answers[Arm.CANDIDATE].text == "a\x00b"
    assert view.flips[0].answers[Arm.BASELINE].explanation == "why"
    assert list(view.latency[Arm.CANDIDATE]) == [0.5, 0.5, 0.5]
