"""Which jobs run, in what order, and what becomes of them: a real database, jobs that do as they are told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from evalsvc.core.records import Arm, ArmSpec, Case, Job
from evalsvc.core.states import JobState
from evalsvc.engine import dispatcher as module
from evalsvc.engine.dispatcher import Dispatcher, Running
from evalsvc.errors import Drained, IllegalTransition, JobNotFound, JobStopped, StoreBroken, StoreFull
from evalsvc.store.database import open_database
from evalsvc.store.jobs import JobStore, Submission

pytestmark = pytest.mark.anyio

Work = Callable[["Scene", str, Running], Awaitable[None]]


@dataclass(slots=True)
class Scene:
    """Jobs of one database; each does what ``work`` does, and may be told to end."""

    jobs: JobStore
    work: Work
    began: list[str] = field(default_factory=list)
    may_end: dict[str, anyio.Event] = field(default_factory=dict)
    changed: anyio.Event = field(default_factory=anyio.Event)
    dispatcher: Dispatcher = field(init=False)

    async def submit(self, *ids: str, priority: int = 0, cases: int = 0) -> None:
        for job_id in ids:
            self.may_end[job_id] = anyio.Event()
            job = Job(
                name=job_id,
                seed=1,
                trials=1,
                spec_sha256=job_id,
                arms={arm: ArmSpec(endpoint="e", model="m") for arm in Arm},
                suites=(),
                gates=(),
            )
            sent = Submission(source="", priority=priority)
            placed = [(k, Case(suite="s", id=str(k), category="a", input="q", position=k)) for k in range(cases)]
            await self.jobs.create(job, placed, job_id=job_id, endpoints={}, now=len(self.may_end), submission=sent)

    async def run(self, job_id: str, running: Running) -> None:
        self.began.append(job_id)
        self.ring()
        await self.work(self, job_id, running)

    def ring(self, _: str = "") -> None:
        self.changed.set()
        self.changed = anyio.Event()

    async def until(self, holds: Callable[[], bool]) -> None:
        with anyio.fail_after(10):
            while not holds():
                await self.changed.wait()

    async def state(self, job_id: str) -> tuple[str, str | None]:
        row = await self.jobs.get(job_id)
        return row.state.value, row.reason

    async def until_state(self, job_id: str, state: JobState) -> None:
        with anyio.fail_after(10):
            while (await self.jobs.get(job_id)).state is not state:
                with anyio.move_on_after(0.05):  # the change may have been just now
                    await self.changed.wait()


async def obedient(scene: Scene, job_id: str, _: Running) -> None:
    """Runs until it may end, then is decided."""
    await scene.jobs.start(job_id, now=1)
    await scene.may_end[job_id].wait()
    await scene.jobs.move(job_id, JobState.DECIDING)
    await scene.jobs.finish(job_id, {}, now=2)


@asynccontextmanager
async def stage(path: Path, work: Work, *ids: str, at_once: int = 2) -> AsyncIterator[Scene]:
    async with open_database(path / "e.db") as database:
        scene = Scene(JobStore(database), work)
        scene.jobs = JobStore(database, scene.ring)
        scene.dispatcher = Dispatcher(scene.jobs, scene.run, at_once=at_once)
        await scene.submit(*ids)
        await scene.dispatcher.recover()
        async with anyio.create_task_group() as group:
            group.start_soon(scene.dispatcher.run)
            yield scene
            group.cancel_scope.cancel()


async def test_so_many_at_once_and_the_others_in_line(tmp_path: Path) -> None:
    async with stage(tmp_path, obedient, "a", "b", "c", "d") as scene:
        await scene.until(lambda: len(scene.began) == 2)
        await scene.submit("urgent", priority=1)
        scene.dispatcher.wake()
        assert list(scene.dispatcher.in_hand) == ["a", "b"]
        scene.may_end["b"].set()
        await scene.until(lambda: len(scene.began) == 3)
        assert scene.began == ["a", "b", "urgent"]
        for event in scene.may_end.values():
            event.set()
        await scene.until_state("d", JobState.DONE)
        assert scene.began == ["a", "b", "urgent", "c", "d"]


async def test_a_job_ten_times_smaller_than_any_in_hand_overtakes(tmp_path: Path) -> None:
    async with stage(tmp_path, obedient, at_once=1) as scene:
        await scene.submit("big", cases=1010)
        scene.dispatcher.wake()
        await scene.until(lambda: scene.began == ["big"])
        await scene.submit("also big", cases=101, priority=9)
        await scene.submit("middling", cases=100)
        await scene.submit("as middling", cases=100)
        await scene.submit("small", cases=9)
        await scene.submit("as small", cases=1)
        scene.dispatcher.wake()
        await scene.until(lambda: len(scene.began) == 3)
        assert scene.began == ["big", "middling", "small"]  # the last is not ten times smaller than `small`
        scene.may_end["small"].set()
        await scene.until(lambda: len(scene.began) == 4)
        assert scene.began[-1] == "as small"
        for ended, following in (("as small", None), ("middling", "as middling"), ("as middling", None)):
            scene.may_end[ended].set()
            await scene.until_state(ended, JobState.DONE)
            await scene.until(lambda: following is None or scene.began[-1] == following)  # noqa: B023 - awaited here
        assert list(scene.dispatcher.in_hand) == ["big"]
        scene.may_end["big"].set()
        await scene.until(lambda: scene.began[-1] == "also big")


async def test_those_far_down_the_line_overtake_too(tmp_path: Path) -> None:
    async with stage(tmp_path, obedient, at_once=1) as scene:
        await scene.submit("big", cases=1010)
        await scene.submit(*[f"m{k}" for k in range(20)], cases=100)
        await scene.submit("small", cases=9)
        scene.dispatcher.wake()
        await scene.until(lambda: len(scene.began) == 3)
        assert scene.began == ["big", "m0", "small"]


async def test_what_is_left_counts_and_a_paused_job_does_not(tmp_path: Path) -> None:
    async def work(scene: Scene, job_id: str, running: Running) -> None:
        running.progress.total = running.waiting
        running.progress.recorded = {"nearly done": 990, "paused": 5}.get(job_id, 0)
        running.progress.paused = {"paused": "down"}.get(job_id)
        await obedient(scene, job_id, running)

    async with stage(tmp_path, work, at_once=2) as scene:
        await scene.submit("paused", cases=3)
        await scene.submit("nearly done", cases=500)
        scene.dispatcher.wake()
        await scene.until(lambda: len(scene.began) == 2)
        assert [each.left for each in scene.dispatcher.in_hand.values()] == [1, 10]
        await scene.submit("takes the paused one's place", cases=50)
        await scene.submit("no tenth of 10", cases=1)
        await scene.submit("tiny", cases=0)
        scene.dispatcher.wake()
        await scene.until(lambda: len(scene.began) == 4)
        assert scene.began[2:] == ["takes the paused one's place", "tiny"]


async def test_paused_jobs_leave_their_places_and_where_all_are_paused_nobody_overtakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAUSED_A_PLACE", 1)

    async def work(scene: Scene, job_id: str, running: Running) -> None:
        running.progress.paused = "down"
        await obedient(scene, job_id, running)

    async with stage(tmp_path, work, at_once=1) as scene:
        for job_id, cases in (("big", 500), ("other", 500), ("third", 500), ("small", 1)):
            await scene.submit(job_id, cases=cases)
            scene.dispatcher.wake()
            await scene.until_state(job_id, JobState.QUEUED)
        await scene.until(lambda: len(scene.began) == 2)
        scene.dispatcher.wake()
        await anyio.wait_all_tasks_blocked()
        assert (list(scene.dispatcher.in_hand), scene.dispatcher._least_left()) == (["big", "other"], 0)
        assert scene.dispatcher.why_wait == "waits for a place: 0 running and 2 paused, jobs_at_once = 1"
        scene.may_end["big"].set()
        await scene.until(lambda: len(scene.began) == 3)
        assert scene.began[2] == "third"


async def test_more_jobs_may_be_paused_than_run_and_a_healthy_one_begins(tmp_path: Path) -> None:
    async def work(scene: Scene, job_id: str, running: Running) -> None:
        running.progress.paused = None if job_id == "healthy" else "down"
        scene.dispatcher.wake()
        await obedient(scene, job_id, running)

    async with stage(tmp_path, work, at_once=3) as scene:
        assert scene.dispatcher.why_wait is None
        await scene.submit(*[f"down{k}" for k in range(6)], "healthy", cases=5)
        scene.dispatcher.wake()
        await scene.until(lambda: "healthy" in scene.began)
        assert scene.dispatcher.why_wait is None


async def test_a_killed_process_s_jobs_come_first_and_those_of_run_are_left_alone(tmp_path: Path) -> None:
    async with open_database(tmp_path / "e.db") as database:
        jobs = JobStore(database)
        scene = Scene(jobs, obedient)
        await scene.submit("new", "old", "decided", "stuck")
        for job_id in ("old", "decided", "stuck"):
            await jobs.start(job_id, now=1)
        await jobs.move("decided", JobState.DECIDING)
        await jobs.move("stuck", JobState.PAUSED, reason="down")
        await database.write(("UPDATE jobs SET source = NULL WHERE id = 'stuck'", [()]))
    async with stage(tmp_path, obedient, at_once=9) as scene:
        scene.may_end = {job_id: anyio.Event() for job_id in ("new", "old", "decided")}
        await scene.until(lambda: len(scene.began) == 3)
        assert scene.began == ["old", "decided", "new"]
        assert await scene.state("stuck") == ("paused", "down")
        assert (await scene.jobs.get("old")).resumes <= 1


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (JobStopped("401"), "401"),
        (ValueError("a bug"), "internal error: ValueError: a bug"),
        (ExceptionGroup("g", [ExceptionGroup("h", [JobStopped("in a group")])]), "in a group"),
    ],
)
async def test_what_becomes_of_one_harms_no_other(tmp_path: Path, error: Exception, reason: str) -> None:
    async def work(scene: Scene, job_id: str, running: Running) -> None:
        if job_id == "bad":
            await scene.jobs.start(job_id, now=1)
            raise error
        await obedient(scene, job_id, running)

    async with stage(tmp_path, work, "bad", "good") as scene:
        await scene.until_state("bad", JobState.FAILED)
        assert await scene.state("bad") == ("failed", reason)
        scene.may_end["good"].set()
        await scene.until_state("good", JobState.DONE)
        await scene.dispatcher.resume("bad")
        await scene.until(lambda: scene.began.count("bad") == 2)
        with pytest.raises(IllegalTransition, match="only a paused or failed job"):
            await scene.dispatcher.resume("good")


async def test_a_job_of_run_is_not_resumed_here(tmp_path: Path) -> None:
    async with stage(tmp_path, obedient) as scene:
        await scene.submit("a")
        await scene.jobs.move("a", JobState.FAILED)
        await scene.jobs._db.write(("UPDATE jobs SET source = NULL", [()]))
        with pytest.raises(IllegalTransition, match="evalsvc run"):
            await scene.dispatcher.resume("a")
        with pytest.raises(JobNotFound):
            await scene.dispatcher.resume("none")


async def test_a_cancelled_job_ends_whether_it_runs_or_waits(tmp_path: Path) -> None:
    async with stage(tmp_path, obedient, "a", "b", at_once=1) as scene:
        await scene.until(lambda: scene.began == ["a"])
        await scene.dispatcher.cancel("b")
        await scene.dispatcher.cancel("a")
        assert dict(scene.dispatcher.in_hand) == {}
        assert [(await scene.state(job_id))[0] for job_id in "ab"] == ["cancelled", "cancelled"]
        await scene.submit("c")
        scene.dispatcher.wake()
        await scene.until(lambda: scene.began == ["a", "c"])
        with pytest.raises(IllegalTransition):
            await scene.dispatcher.cancel("a")


async def test_a_full_disk_is_waited_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_S", 0.001)
    seen: list[str | None] = []

    async def work(scene: Scene, job_id: str, running: Running) -> None:
        seen.append(running.progress.paused)
        if len(scene.began) < 4:
            raise StoreFull("no room")
        await obedient(scene, job_id, running)

    async with stage(tmp_path, work, "a") as scene:
        scene.may_end["a"].set()
        await scene.until_state("a", JobState.DONE)
        assert seen == [None] * 4


async def test_a_broken_disk_ends_everything(tmp_path: Path) -> None:
    async def work(scene: Scene, job_id: str, running: Running) -> None:
        if job_id == "a":
            raise StoreBroken("EIO")
        await obedient(scene, job_id, running)

    with pytest.raises(ExceptionGroup) as caught:
        async with stage(tmp_path, work, "a", "b"):
            await anyio.sleep_forever()
    assert caught.group_contains(StoreBroken)


async def test_drained_jobs_have_their_grace_and_are_given_back(tmp_path: Path) -> None:
    async def work(scene: Scene, job_id: str, running: Running) -> None:
        if job_id != "good":
            return await obedient(scene, job_id, running)
        await scene.jobs.start(job_id, now=1)
        while not running.draining:
            await scene.changed.wait()
        raise Drained("left off")

    async with stage(tmp_path, work, "good", "stubborn", "waits") as scene:
        await scene.until_state("good", JobState.RUNNING)
        await scene.until_state("stubborn", JobState.RUNNING)
        async with anyio.create_task_group() as group:
            group.start_soon(scene.dispatcher.drain, 0.05)
            while not scene.dispatcher._draining:
                await anyio.lowlevel.checkpoint()
            scene.ring()
        assert dict(scene.dispatcher.in_hand) == {}
        stopped = ("queued", "the daemon was stopped")
        assert [await scene.state(job_id) for job_id in ("good", "stubborn", "waits")] == [
            stopped,
            stopped,
            ("queued", None),
        ]
        scene.dispatcher.wake()
        await anyio.wait_all_tasks_blocked()
        assert "waits" not in scene.began


async def test_nothing_is_to_be_drained_twice(tmp_path: Path) -> None:
    async with stage(tmp_path, obedient) as scene:
        with anyio.fail_after(5):
            await scene.dispatcher.drain(60)


async def test_telling_a_job_that_has_not_begun_to_drain_is_remembered() -> None:
    class Spy:
        told = 0

        def drain(self) -> None:
            self.told += 1

    running = Running()
    running.drain()
    assert running.draining
    spy: Any = Spy()
    running.scheduler = spy
    running.drain()
    assert spy.told == 1
