"""What telemetry shows of jobs follows the database."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from counted import A, a_job, an_outcome, value

from evalsvc.app import gauges as module
from evalsvc.app.gauges import Gauges
from evalsvc.core.progress import Progress
from evalsvc.core.records import Case
from evalsvc.core.states import JobState
from evalsvc.errors import StoreError
from evalsvc.store.database import Database, open_database
from evalsvc.store.jobs import JobStore
from evalsvc.store.outcomes import OutcomeStore
from evalsvc.telemetry import Telemetry, make_telemetry

pytestmark = pytest.mark.anyio

ARM = {"endpoint": "up", "model": "m"}
SUITE = {"name": "s", "role": "target", "dataset": "d", "scorer": {"name": "f1", "pass_at": 0.5}}
JOB = {"name": "a job", "candidate": ARM, "baseline": ARM, "suites": [SUITE]}
DOCUMENT = json.dumps({"job": JOB, "files": {}, "limit": None})
RECORD = {"decision": "SHIP", "gates": [], "arms": {}}


@dataclass
class House:
    """A database, what follows it, and what that shows."""

    database: Database
    jobs: JobStore
    gauges: Gauges
    telemetry: Telemetry

    async def file(self, job_id: str, scores: list[float], document: str = DOCUMENT) -> None:
        job = a_job()
        cases = [(k, Case(suite="s", id=str(k), category="a", input="q", position=k)) for k in range(len(scores))]
        await self.jobs.create(job, cases, job_id=job_id, endpoints={}, now=1.0, document=document)
        await self.jobs.start(job_id, now=2.0)
        outcomes = [replace(an_outcome(score), case=case) for score, (_, case) in zip(scores, cases, strict=True)]
        await OutcomeStore(self.database).add(job_id, outcomes)

    async def decide(self, job_id: str) -> None:
        await self.jobs.move(job_id, JobState.DECIDING)
        await self.jobs.finish(job_id, RECORD, now=3.0)

    async def until(self, holds: Callable[[], bool]) -> None:
        with anyio.fail_after(10):
            while not holds():  # noqa: ASYNC110 - what it waits for has no event
                await anyio.sleep(0.001)

    def __call__(self, name: str, /, **labels: str) -> float | None:
        return value(self.telemetry, name, **labels)


@pytest.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(module, "_TOGETHER_S", 0.0)
    async with open_database(tmp_path / "e.db") as database:
        telemetry = make_telemetry()
        gauges = Gauges(database, telemetry)
        yield House(database, JobStore(database, gauges.told), gauges, telemetry)


async def test_a_new_daemon_shows_what_is_there(house: House) -> None:
    await house.file("j1", [1.0, 0.5, 0.4, 0.0])
    await house.file("j2", [1.0])
    await house.decide("j2")
    await house.gauges.seed()
    assert house("evalsvc_jobs", state="running") == house("evalsvc_jobs", state="done") == 1
    assert house("evalsvc_job_decision", eval_job="j2", decision="SHIP") == 1
    assert house("evalsvc_job_pass_ratio", eval_job="j1") == 0.5  # before anything is counted on top
    house.telemetry.follow("j1", a_job(), Progress(), {}).add([an_outcome(0.0)])
    assert house("evalsvc_job_pass_ratio", eval_job="j1") == 0.4


async def test_ended_jobs_are_counted_behind(house: House) -> None:
    await house.file("j2", [1.0, 0.0])
    await house.decide("j2")
    await house.gauges.seed()
    assert house("evalsvc_job_pass_ratio") is None
    async with anyio.create_task_group() as group:
        group.start_soon(house.gauges.run)
        await house.until(lambda: house("evalsvc_job_pass_ratio", eval_job="j2") == 0.5)
        group.cancel_scope.cancel()


async def test_changes_are_followed(house: House) -> None:
    await house.gauges.seed()
    async with anyio.create_task_group() as group:
        group.start_soon(house.gauges.run)
        await house.file("j1", [1.0])
        await house.until(lambda: house("evalsvc_job_state", eval_job="j1", state="running") == 1)
        assert house("evalsvc_jobs", state="running") == 1
        await house.decide("j1")
        await house.until(lambda: house("evalsvc_job_decision", decision="SHIP") == 1)
        assert house("evalsvc_jobs", state="running") == 0
        await house.jobs.remove("j1")
        await house.until(lambda: house("evalsvc_job_state") is None)
        assert house("evalsvc_jobs") == 0
        group.cancel_scope.cancel()


async def test_what_cannot_be_read_is_looked_at_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.file("j1", [1.0])
    rows, failures = house.database.rows, 3

    async def failing(*arguments: Any) -> Any:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise StoreError("the database cannot be read")
        return await rows(*arguments)

    monkeypatch.setattr(house.database, "rows", failing)
    async with anyio.create_task_group() as group:
        group.start_soon(house.gauges.run)
        await house.until(lambda: house("evalsvc_job_state", state="running") == 1)
        group.cancel_scope.cancel()


async def test_a_job_that_cannot_be_read_any_more_is_left_out(house: House) -> None:
    await house.file("j1", [1.0], document="{}")
    await house.gauges.seed()
    assert house("evalsvc_job_state") is None
    assert house("evalsvc_jobs", state="running") == 1


async def test_more_than_are_shown_are_no_trouble(house: House) -> None:
    for number in range(25):
        await house.file(f"j{number:02}", [1.0])
    await house.gauges.seed()
    assert house("evalsvc_job_state") == 20
    assert house("evalsvc_jobs", state="running") == 25
    assert A in house.telemetry.jobs["j24"].models


async def test_jobs_in_hand_are_shown_however_many_wait(house: House) -> None:
    await house.file("a-running", [1.0])
    for number in range(25):
        await house.jobs.create(a_job(), [], job_id=f"b{number:02}", endpoints={}, now=2.0, document=DOCUMENT)
    await house.gauges.seed()
    assert house("evalsvc_job_state", eval_job="a-running", state="running") == 1
    assert house("evalsvc_job_pass_ratio", eval_job="a-running") == 1
    assert house("evalsvc_job_state") == 20
    assert house("evalsvc_job_state", eval_job="b24", state="queued") == 1
