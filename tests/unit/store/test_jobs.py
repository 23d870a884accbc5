"""The queue in the database, and the events that come of what is done to a job."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

import evalsvc.store.exports
from evalsvc.core.listing import rfc3339
from evalsvc.core.records import Arm, Completion
from evalsvc.core.states import JobState
from evalsvc.errors import IllegalTransition, JobNotFound, StoreError
from evalsvc.store.events import EventStore
from evalsvc.store.exports import Exports
from evalsvc.store.jobs import JobStore, Submission

pytestmark = pytest.mark.anyio

RECORD: dict[str, Any] = {
    "decision": "HOLD",
    "reasons": ["too few cases"],
    "gates": [{"name": "exact_match", "verdict": "INCONCLUSIVE", "required": True, "waived": None, "n": 3}],
}


async def submit(
    filing: Any, job_id: str, *, now: float = 1, placed: Any = None, trials: int = 1, **other: Any
) -> JobStore:
    jobs = JobStore(filing.database)
    await jobs.create(
        filing.job("s", trials=trials),
        filing.cases([("s", "c1"), ("s", "c2")]) if placed is None else placed,
        job_id=job_id,
        endpoints={},
        now=now,
        document=json.dumps({"files": {"s.jsonl": (job_id * 64)[:64]}}),
        warnings=["a warning"],
        submission=Submission(source="name = 'x'", **other),
    )
    return jobs


async def test_the_queue_is_by_priority_then_by_age_and_what_was_begun_comes_first(filing: Any) -> None:
    for job_id, now, priority in (("a", 1, 0), ("b", 2, 5), ("c", 3, 0), ("d", 4, 0), ("e", 5, -1)):
        await submit(filing, job_id, now=now, priority=priority)
    jobs = JobStore(filing.database)
    await jobs.start("d", now=9)
    await jobs.move("d", JobState.QUEUED)
    await filing.file("of-run", filing.job("s"), [])
    assert [job_id for job_id, _ in await jobs.queue(9)] == ["b", "d", "a", "c", "e"]
    assert [job_id for job_id, _ in await jobs.queue(2)] == ["b", "d"]
    assert await jobs.in_hand() == []
    await jobs.start("b", now=9)
    assert await jobs.in_hand() == ["b"]  # the job of `run` is nobody else's


async def test_the_queue_tells_what_is_left_and_leaves_out_what_has_more(filing: Any) -> None:
    placed = filing.cases([("s", f"c{k}") for k in range(3)])
    jobs = await submit(filing, "begun", now=1, placed=placed)
    await submit(filing, "new", now=2, placed=placed, trials=2)
    await submit(filing, "empty", now=3, placed=[])
    await jobs.start("begun", now=9)
    outcome = filing.outcome
    judged = replace(outcome(placed[0][1], "baseline", 1.0), step="judge")
    await filing.file_outcomes("begun", [outcome(placed[0][1], arm, 1.0) for arm in Arm] + [judged])
    await jobs.move("begun", JobState.QUEUED)
    assert await jobs.queue(9) == [("begun", 4), ("new", 12), ("empty", 0)]
    assert await jobs.queue(9, below=12) == [("begun", 4), ("empty", 0)]
    assert await jobs.queue(1, below=4) == [("empty", 0)]
    row = await jobs.get("new")
    assert (row.requests, row.recorded) == (12, 0)
    assert (await jobs.get("begun")).recorded is None  # has to be counted


async def test_a_key_finds_its_job_and_is_taken_once(filing: Any) -> None:
    jobs = await submit(filing, "a", idempotency_key="k")
    found = await jobs.of_key("k")
    assert found is not None
    assert (found.id, found.source, found.warnings) == ("a", "name = 'x'", ["a warning"])
    assert await jobs.of_key("other") is None
    with pytest.raises(StoreError):
        await submit(filing, "b", idempotency_key="k")
    with pytest.raises(JobNotFound):
        await jobs.get("b")


async def test_pages_are_newest_first_without_gap_or_repeat(filing: Any) -> None:
    for number in range(7):
        await submit(filing, f"j{number}", now=number // 2)
    jobs = JobStore(filing.database)
    first = await jobs.page(limit=4, after=None)
    rest = await jobs.page(limit=4, after=first[-1].id)
    assert [row.id for row in (*first, *rest)] == ["j6", "j5", "j4", "j3", "j2", "j1", "j0"]
    whole = await jobs.get("j6")
    assert first[0] == replace(whole, document="", source="")
    await filing.database.write(("UPDATE jobs SET source = NULL WHERE id = 'j6'", [()]))
    assert (await jobs.page(limit=1, after=None))[0].source is None  # whose job it is shows all the same
    with pytest.raises(JobNotFound):
        await jobs.page(limit=4, after="none")


async def test_every_move_is_an_event_in_the_same_breath(filing: Any) -> None:
    told: list[str] = []
    await submit(filing, "a")
    jobs = JobStore(filing.database, told.append)
    await jobs.start("a", now=2)
    await jobs.move("a", JobState.PAUSED, reason="endpoint up is down")
    with pytest.raises(IllegalTransition):
        await jobs.move("a", JobState.DONE)
    await jobs.move("a", JobState.RUNNING)
    await jobs.move("a", JobState.DECIDING)
    await jobs.finish("a", RECORD, now=3)
    events = await EventStore(filing.database).after("a", 0)
    assert [event.id for event in events] == list(range(1, 9))
    states = [(event.data["state"], event.data["reason"]) for event in events if event.name == "state"]
    assert states == [
        ("queued", None),
        ("running", None),
        ("paused", "endpoint up is down"),
        ("running", None),
        ("deciding", None),
        ("done", None),
    ]
    assert [event.name for event in events[-3:]] == ["gate", "decision", "state"]
    assert events[-3].data["verdict"] == "INCONCLUSIVE"
    assert events[-2].data["decision"] == "HOLD"
    assert all(event.data["at"].endswith("Z") for event in events)
    assert told == ["a"] * 5


async def test_a_job_has_an_end_only_while_it_has_ended(filing: Any) -> None:
    jobs = await submit(filing, "a")
    await jobs.start("a", now=2)
    await jobs.move("a", JobState.FAILED, reason="401", now=7)
    assert (await jobs.get("a")).finished_at == 7
    await jobs.move("a", JobState.QUEUED)
    assert (await jobs.get("a")).finished_at is None
    await jobs.start("a", now=8)
    row = await jobs.get("a")
    assert (row.started_at, row.finished_at, row.resumes) == (2, None, 1)


async def test_progress_keeps_its_newest_event_and_nothing_grows_without_end(filing: Any) -> None:
    jobs = await submit(filing, "a")
    events = EventStore(filing.database)
    for recorded in range(5):
        await events.progress("a", {"recorded": recorded})
    found = await events.after("a", 0)
    assert [(event.id, event.name) for event in found] == [(1, "state"), (6, "progress")]
    assert found[-1].data["recorded"] == 4
    await jobs.start("a", now=1)
    assert [event.id for event in await events.after("a", 6)] == [7]
    assert await events.after("a", 7) == []
    assert [event.id for event in await events.after("a", 0, limit=1)] == [1]
    sql = "INSERT INTO events SELECT 'a', value, 'state', '{}', '' FROM generate"
    many = f"WITH RECURSIVE generate (value) AS (SELECT 8 UNION ALL SELECT value + 1 FROM generate LIMIT 3000) {sql}"
    await filing.database.write((many, [()]))
    await events.progress("a", {})
    assert await filing.database.rows("SELECT COUNT(*), MAX(id) FROM events") == [(1000, 3008)]


async def test_files_are_needed_until_their_job_has_ended(filing: Any) -> None:
    jobs = await submit(filing, "a")
    await submit(filing, "b")
    assert await jobs.files() == {"a" * 64, "b" * 64}
    await jobs.move("b", JobState.FAILED, now=1)
    assert await jobs.files() == {"a" * 64, "b" * 64}
    await jobs.move("b", JobState.CANCELLED, now=1)
    assert await jobs.files() == {"a" * 64}


async def test_only_ended_jobs_are_ever_outdated_and_nothing_of_them_stays(filing: Any) -> None:
    for job_id in ("cancelled", "failed", "queued", "done", "fresh"):
        await submit(filing, job_id)
    jobs = JobStore(filing.database)
    await jobs.move("cancelled", JobState.CANCELLED, now=10)
    await jobs.move("failed", JobState.FAILED, now=10)
    for job_id, now in (("done", 11), ("fresh", 20)):
        await jobs.start(job_id, now=1)
        await filing.decide(job_id, RECORD, now=now)
    assert await jobs.outdated(15) == ["cancelled", "done"]
    await jobs.remove("done")
    for table in ("cases", "events", "outcomes"):
        assert await filing.database.rows(f"SELECT 1 FROM {table} WHERE job_id = 'done'") == []
    assert await jobs.outdated(15) == ["cancelled"]


async def test_outcomes_are_paged_in_the_order_they_were_filed(filing: Any) -> None:
    cases = filing.cases([("s", f"c{k}") for k in range(6)])
    jobs = {name: filing.job("s") for name in ("a", "b")}
    for name, job in jobs.items():
        await filing.file(name, job, cases)
    exports = Exports(filing.database)
    assert await exports.filed("b", after=0, limit=3) == ([], None)
    for number in (5, 0, 3, 1):
        for name in jobs:
            await filing.file_outcomes(name, [filing.outcome(cases[number][1], "candidate", 1.0)])
    first, after = await exports.filed("b", after=0, limit=3)
    assert after is not None
    assert after == first[-1]["seq"]
    rest, end = await exports.filed("b", after=after, limit=3)
    assert [row["case_id"] for row in (*first, *rest)] == ["c5", "c0", "c3", "c1"]
    assert end is None
    assert [len((await exports.filed("b", after=0, limit=limit))[0]) for limit in (4, 5)] == [4, 4]
    assert (await exports.filed("b", after=0, limit=4))[1] is None
    assert await exports.filed("b", after=rest[-1]["seq"], limit=3) == ([], None)
    with pytest.raises(JobNotFound, match="no job none"):
        await exports.filed("none", after=0, limit=3)


async def test_a_page_of_long_answers_ends_early(filing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evalsvc.store.exports, "_PAGE_BYTES", 5000)
    cases = filing.cases([("s", f"c{k}") for k in range(9)])
    longest = [
        replace(filing.outcome(case, "candidate", 1.0), completion=Completion(text="é" * 1000)) for _, case in cases
    ]
    await filing.file("a", filing.job("s"), cases, longest)
    exports, pages = Exports(filing.database), list[list[Any]]()
    after: int | None = 0
    while after is not None:
        page, after = await exports.filed("a", after=after, limit=8)
        pages.append([row["case_id"] for row in page])
    assert pages == [["c0", "c1", "c2"], ["c3", "c4", "c5"], ["c6", "c7", "c8"], []]
    monkeypatch.setattr(evalsvc.store.exports, "_PAGE_BYTES", 1)
    assert len((await exports.filed("a", after=0, limit=8))[0]) == 1  # never none where there is one


async def test_a_filed_outcome_is_the_row_of_the_exports(filing: Any) -> None:
    cases = filing.cases([("s", "c0")], expected={"a": [1]})
    await filing.file("a", filing.job("s"), cases, [filing.outcome(cases[0][1], "candidate", 1.0)])
    exports = Exports(filing.database)
    ((row,),) = [chunk async for chunk in exports.outcomes("a")]
    ((filed,), _) = await exports.filed("a", after=0, limit=1)
    assert filed == {"seq": filed["seq"], **asdict(row), "finished_at": rfc3339(row.finished_at)}


async def test_the_latest_jobs_are_those_in_hand_then_those_that_ended(filing: Any) -> None:
    jobs = JobStore(filing.database)
    for number, job_id in enumerate(("running", "failed", "done", "old", "paused", "new")):
        await submit(filing, job_id, now=number)
    for job_id in ("running", "paused"):
        await jobs.start(job_id, now=10)
    await jobs.move("paused", JobState.PAUSED)
    await jobs.move("failed", JobState.FAILED, now=11)
    await jobs.start("done", now=10)
    await filing.decide("done", RECORD, now=12)
    latest = [row.id for row in await jobs.latest(9)]
    assert latest == ["paused", "running", "done", "failed", "new", "old"]
    assert [row.id for row in await jobs.latest(3)] == latest[:3]
