"""What a job does with an answer that waits for the other arm's, when that is not asked for any more."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import anyio
import pytest

from evalsvc.core.progress import Progress
from evalsvc.core.records import (
    NOT_COMPARED,
    Arm,
    ArmSpec,
    Case,
    Completion,
    Job,
    Outcome,
    Request,
    Role,
    Score,
    ScorerSpec,
    Status,
    SuiteSpec,
)
from evalsvc.engine import scheduler
from evalsvc.engine.follow_ups import FollowUps
from evalsvc.errors import Drained
from evalsvc.scoring.base import AskingScorer
from evalsvc.store.database import Database, open_database
from evalsvc.store.follow_ups import FollowUpRows
from evalsvc.store.jobs import JobStore
from evalsvc.store.outcomes import OutcomeStore
from evalsvc.store.views import Views

pytestmark = pytest.mark.anyio

JOB = Job(
    name="j", seed=1, trials=1, spec_sha256="abc", gates=(),
    arms={arm: ArmSpec(endpoint="e", model=arm.value) for arm in Arm},
    suites=(
        SuiteSpec(name="s", role=Role.TARGET, dataset="d", format="auto", scorers=(ScorerSpec(name="d", label="d"),)),
    ),
)  # fmt: skip


class Duel(AskingScorer):
    """The candidate wins; nobody is asked."""

    paired: ClassVar[bool] = True

    def check(self, _: Case) -> str | None:
        return None

    def follow_up_pair(self, *_: Any) -> Score:
        return Score(value=1.0)


class Asked:
    """In the executor's place: every answer comes, and ``then`` happens before the one of that number does."""

    def __init__(self, number: int, then: Callable[[], Awaitable[None]]) -> None:
        self.requests: list[Request] = []
        self._number = number
        self._then = then

    async def run(self, request: Request, *_: object) -> Outcome:
        self.requests.append(request)
        if len(self.requests) == self._number:
            await self._then()
        return Outcome(
            case=request.case, arm=request.arm, trial=0, step="answer", status=Status.OK, kind=None, detail=None,
            completion=Completion(text="x"), scores={}, attempts=(), since_scheduled_s=0.0, finished_at=1.0,
        )  # fmt: skip


class Closing:
    """Looks that close the suite when told."""

    def __init__(self) -> None:
        self.stopping = SimpleNamespace(closed={}, reason=None)
        self.expected = 0
        self._due, self._closed = anyio.Event(), anyio.Event()

    async def take(self) -> None:
        pass

    async def run(self, closed: Callable[[], None]) -> None:
        await self._due.wait()
        self.stopping = SimpleNamespace(closed={"s": 1}, reason="decided")
        closed()
        self._closed.set()

    def add(self, _: object) -> None:
        pass

    async def close(self) -> None:
        self._due.set()
        await self._closed.wait()


async def never(*_: object) -> str:
    await anyio.sleep_forever()
    raise AssertionError


def made(database: Database, asked: Asked) -> scheduler.Scheduler:
    """One worker: the arms of a case are asked one after the other."""
    rows = FollowUpRows(database)
    endpoint = SimpleNamespace(
        name="e",
        limits=SimpleNamespace(limit=1, max_in_flight=1),
        health=SimpleNamespace(asked_by=lambda _: anyio.CancelScope(), wait_down=never),
    )
    progress = Progress()
    executor: Any = asked
    return scheduler.Scheduler(
        jobs=JobStore(database),
        outcomes=OutcomeStore(database),
        views=Views(database),
        endpoints={"e": endpoint},  # type: ignore[dict-item]
        executor=executor,
        progress=progress,
        follow_ups=FollowUps(job=JOB, executor=executor, scorers={"s": [("d", Duel())]}, rows=rows, judge=None),
        patience_s=None,
    )


async def filed(database: Database) -> None:
    cases = [Case(suite="s", id=f"c{n}", category="", input=f"q{n}", position=n) for n in range(3)]
    await JobStore(database).create(
        JOB, [(case.position, case) for case in cases], job_id="J", endpoints={"e": "http://x"}, now=1.0
    )


async def rows_of(database: Database) -> list[tuple[str, dict[str, Any]]]:
    found = await database.rows("SELECT case_id, scores FROM outcomes ORDER BY position, arm")
    return [(case_id, json.loads(scores)["d"]) for case_id, scores in found]


async def test_what_is_held_when_a_look_closes_its_suite_is_recorded_without_the_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = Closing()

    async def opened(*_: object) -> Closing:
        return looks

    monkeypatch.setattr(scheduler, "open_looks", opened)
    async with open_database(tmp_path / "e.db") as database:
        await filed(database)
        asked = Asked(3, looks.close)  # the first arm of the second case is under way
        await made(database, asked).run(JOB, "J")
        assert len(asked.requests) == 3
        *whole, held = await rows_of(database)
    assert [(case_id, score["value"]) for case_id, score in whole] == [("c0", 0.0), ("c0", 1.0)]
    assert (held[0], held[1]["value"], held[1]["explanation"]) == ("c1", None, NOT_COMPARED)


async def test_what_is_held_when_a_job_is_drained_is_asked_again_with_the_other_arm(tmp_path: Path) -> None:
    async with open_database(tmp_path / "e.db") as database:
        await filed(database)

        async def drain() -> None:
            first.drain()

        asked = Asked(3, drain)
        first = made(database, asked)
        with pytest.raises(Drained):
            await first.run(JOB, "J")
        assert [case_id for case_id, _ in await rows_of(database)] == ["c0", "c0"]
        again = Asked(0, drain)
        await made(database, again).run(JOB, "J")
        assert [request.case.id for request in again.requests] == ["c1", "c1", "c2", "c2"]
        assert [score["value"] for _, score in await rows_of(database)] == [0.0, 1.0] * 3
