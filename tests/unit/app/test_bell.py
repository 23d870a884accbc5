from __future__ import annotations

from contextlib import suppress

import anyio
import pytest

from evalsvc.app.bell import Bell, News

pytestmark = pytest.mark.anyio


class Source:
    """Counts how often it is read; nothing comes before somebody lets it."""

    def __init__(self) -> None:
        self.reads = 0
        self.let = anyio.Event()

    async def read(self) -> str:
        self.reads += 1
        number = self.reads
        await self.let.wait()
        return f"reading {number}"


async def test_what_many_read_between_two_rings_is_read_once() -> None:
    bell, news, source = Bell(), News[str](), Source()
    found: list[str] = []

    async def follow(after: int) -> None:
        found.append(await news.since(bell.next("j"), after, source.read))

    ring = bell.next("j")  # somebody waits for it all the time
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(follow, 3)
        await anyio.wait_all_tasks_blocked()
        source.let.set()
    await follow(3)
    assert (found, source.reads) == (["reading 1"] * 21, 1)
    await follow(4)  # one who has not come as far
    assert found[-1] == "reading 2"
    bell.ring("j")
    assert ring.is_set()
    await follow(3)
    assert found[-1] == "reading 3"


@pytest.mark.parametrize("fails", [True, False])
async def test_a_reading_that_fails_or_is_cancelled_is_made_again(fails: bool) -> None:
    ring, news, found = Bell().next("j"), News[str](), list[str]()
    blocked, turns = anyio.Event(), iter(range(9))

    async def read() -> str:
        if next(turns) == 0:
            await blocked.wait()
            raise OSError
        return "read"

    async def first(scope: anyio.CancelScope) -> None:
        with scope, suppress(OSError):
            await news.since(ring, 0, read)

    async def second() -> None:
        found.append(await news.since(ring, 0, read))

    scope = anyio.CancelScope()
    end = blocked.set if fails else scope.cancel
    async with anyio.create_task_group() as group:
        group.start_soon(first, scope)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(second)
        await anyio.wait_all_tasks_blocked()
        assert not found
        end()
    assert found == ["read"]
