"""Which jobs there are, how one is meant, how far each is."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Any

import pytest

from evalsvc.core.records import Arm
from evalsvc.core.states import JobState
from evalsvc.errors import JobNotFound
from evalsvc.store.listing import Listing, held

pytestmark = pytest.mark.anyio


async def test_an_entry_says_how_far_a_job_is(filing: Any) -> None:
    cases = filing.cases([("s", "c0"), ("s", "c1"), ("s", "c2")])
    outcomes = [filing.outcome(cases[0][1], arm, 1.0) for arm in Arm]
    await filing.file("J", filing.job("s", trials=2), cases, outcomes)
    entry = await Listing(filing.database).entry("J")
    assert (entry.recorded, entry.total, entry.state, entry.decision) == (2, 12, JobState.RUNNING, None)
    assert entry.models == {Arm.CANDIDATE: "m-candidate", Arm.BASELINE: "m-baseline"}
    assert (entry.created_at, entry.started_at, entry.finished_at) == (5, 6, None)
    assert entry.simulated is None
    record = {"decision": "HOLD", "job": {"simulated": True}, "evidence": {"outcomes": 11}}
    await filing.decide("J", record)
    entry = await Listing(filing.database).entry("J")
    assert (entry.recorded, entry.state, entry.decision, entry.simulated) == (11, JobState.DONE, "HOLD", True)
    assert await Listing(filing.database).record("J") == record
    assert entry.as_json()["progress"] == {"recorded": 11, "total": 12}
    assert entry.as_json()["finished_at"] == "1970-01-01T00:00:09.000Z"


async def test_a_follow_up_is_no_answer_of_its_own(filing: Any) -> None:
    cases = filing.cases([("s", "c0")])
    outcomes = [filing.outcome(cases[0][1], "candidate", 1.0, step=step) for step in ("answer", "judge")]
    await filing.file("J", filing.job("s"), cases, outcomes)
    assert (await Listing(filing.database).entry("J")).recorded == 1


async def test_the_newest_come_first_and_no_more_than_asked(filing: Any) -> None:
    for k, name in enumerate(("b", "a", "c")):
        await filing.file(name, filing.job("s"), filing.cases([("s", "c0")]), now=float(k))
    listing = Listing(filing.database)
    assert [entry.id for entry in await listing.newest(2)] == ["c", "a"]
    assert await listing.count() == 3


async def test_a_job_is_meant_by_id_beginning_or_latest(filing: Any) -> None:
    for k, name in enumerate(("abc", "abcd", "x%_1", "zz")):
        await filing.file(name, filing.job("s"), [], now=float(k))
    listing = Listing(filing.database)
    for wanted, meant in {
        "abc": "abc",
        "abcd": "abcd",
        "x": "x%_1",
        "x%": "x%_1",
        "latest": "zz",
        "latest~1": "x%_1",
        "latest~3": "abc",
    }.items():
        assert await listing.find(wanted) == meant
    with pytest.raises(JobNotFound, match="2 jobs begin with 'ab': abcd, abc"):
        await listing.find("ab")
    for wanted in ("nope", "", "%", "ABC", "latest~4", "latest~", "latest~1234567", "abcde", "\udcff", "\x00"):
        with pytest.raises(JobNotFound, match=r"there are zz, x%_1, abcd, abc$"):
            await listing.find(wanted)


async def test_of_many_jobs_some_are_named_and_the_rest_counted(filing: Any) -> None:
    for k in range(9):
        await filing.file(f"j{k}", filing.job("s"), [], now=float(k))
    listing = Listing(filing.database)
    with pytest.raises(JobNotFound, match=r"there are j8, j7, j6, j5, j4 and 4 more$"):
        await listing.find("x")
    with pytest.raises(JobNotFound, match=r"9 jobs begin with 'j': j8, j7, j6, j5, j4 and 4 more$"):
        await listing.find("j")


async def test_an_empty_database_says_so_and_an_odd_id_is_shown_harmless(filing: Any) -> None:
    with pytest.raises(JobNotFound, match="there is none") as caught:
        await Listing(filing.database).find("\x1b[2J\u202e")
    assert str(caught.value).isprintable()
    assert str(caught.value).isascii()


async def test_the_job_comes_back_as_it_was_filed(filing: Any) -> None:
    job = filing.job("s", "t", trials=3, limit=7)
    await filing.file("J", job, [])
    listing = Listing(filing.database)
    assert await listing.job("J") == job
    assert await listing.record("J") is None
    for ask in (listing.job, listing.record, listing.entry):
        with pytest.raises(JobNotFound):
            await ask("K")


async def test_answers_are_tallied_by_arm_and_end(filing: Any) -> None:
    cases = filing.cases([("s", f"c{k}") for k in range(3)])
    outcomes = [filing.outcome(case, "candidate", 1.0) for _, case in cases[:2]]
    outcomes.append(filing.outcome(cases[2][1], "candidate", None))
    await filing.file("J", filing.job("s"), cases, outcomes)
    assert await Listing(filing.database).tallies("J") == [
        (Arm.CANDIDATE, "ok", None, 2),
        (Arm.CANDIDATE, "infra_error", "network", 1),
    ]


def test_the_lock_is_seen_without_being_touched(tmp_path: Path) -> None:
    assert held(tmp_path / "e.db") is False
    (tmp_path / "link.db").symlink_to(tmp_path / "e.db")
    with (tmp_path / "e.db.lock").open("w") as lock:
        assert held(tmp_path / "e.db") is False
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert held(tmp_path / "e.db") is True
        assert held(tmp_path / "link.db") is True
    assert held(tmp_path / "e.db") is False
