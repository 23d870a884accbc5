"""Outcomes wait for a disk that is full, are lost on none, and are told of only once they are durable."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from evalsvc.core.progress import Progress
from evalsvc.core.states import JobState
from evalsvc.engine import recorder as module
from evalsvc.engine.pauses import Pauses
from evalsvc.engine.recorder import Recorder
from evalsvc.errors import StoreFull

pytestmark = pytest.mark.anyio


class Store:
    """A table on a disk that may be full."""

    def __init__(self) -> None:
        self.full = False
        self.rows: list[Any] = []
        self.tried = anyio.Event()

    async def add(self, _: str, outcomes: Sequence[Any]) -> None:
        if self.full:
            self.tried.set()
            raise StoreFull("no room")
        self.rows += outcomes


class Jobs:
    """Where states are filed; on the same disk."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.states: list[tuple[JobState, str | None]] = []

    async def move(self, _: str, to: JobState, *, reason: str | None = None) -> None:
        if self.store.full:
            raise StoreFull("no room")
        self.states.append((to, reason))


class Told:
    def __init__(self) -> None:
        self.outcomes: list[Any] = []

    def add(self, outcomes: Sequence[Any]) -> None:
        self.outcomes += outcomes


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LINGER_S", 0.001)
    monkeypatch.setattr(module, "_LOOK_S", 0.001)


def outcome(number: int) -> Any:
    return SimpleNamespace(number=number, completion=None)


def parts(patience_s: float | None = None) -> tuple[Store, Jobs, Progress, Told, Recorder]:
    store, told, progress = Store(), Told(), Progress()
    jobs: Any = Jobs(store)
    table: Any = store
    return (
        store,
        jobs,
        progress,
        told,
        Recorder(table, "j", told, Pauses(jobs, "j", progress), patience_s=patience_s),
    )


async def test_a_full_disk_pauses_and_nothing_is_lost_or_told_of_too_soon() -> None:
    store, jobs, progress, told, recorder = parts()
    async with anyio.create_task_group() as group:
        group.start_soon(recorder.run)
        store.full = True
        for number in range(10):
            await recorder.put(outcome(number))
        await store.tried.wait()
        await anyio.sleep(0.01)
        assert (progress.paused, told.outcomes) == ("no room", [])
        for number in range(10, 20):
            await recorder.put(outcome(number))
        store.full = False
        recorder.close()
    assert [each.number for each in store.rows] == list(range(20))
    assert told.outcomes == store.rows
    assert progress.paused is None
    assert jobs.states == []  # while it could not be filed it was over


async def test_whoever_has_no_patience_is_told() -> None:
    store, _, _, told, recorder = parts(patience_s=0.005)
    store.full = True
    await recorder.put(outcome(1))
    with pytest.raises(StoreFull), anyio.fail_after(10):
        await recorder.run()
    assert told.outcomes == []


async def test_what_waits_for_room_when_it_is_cancelled_is_tried_once_more() -> None:
    store, _, _, told, recorder = parts()
    store.full = True
    async with anyio.create_task_group() as group:
        group.start_soon(recorder.run)
        await recorder.put(outcome(1))
        await store.tried.wait()
        await anyio.wait_all_tasks_blocked()
        store.full = False
        group.cancel_scope.cancel()
    assert [each.number for each in told.outcomes] == [1]


async def test_reasons_of_several_kinds_add_up() -> None:
    _, jobs, progress, _, _ = parts()
    table: Any = jobs
    pauses = Pauses(table, "j", progress)
    assert not pauses
    await pauses.begin("endpoint a is down")
    await pauses.begin("endpoint b is down")
    assert progress.paused == "endpoint a is down; endpoint b is down"
    await pauses.end("endpoint a is down")
    assert (bool(pauses), progress.paused) == (True, "endpoint b is down")
    await pauses.end("endpoint b is down")
    await pauses.begin("again")
    await pauses.over()
    assert progress.paused is None
    assert [state for state, _ in jobs.states] == ["paused", "running", "paused", "running"]
