"""The shared timer ends what is late, nothing else, and gives way to other cancellations."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from evalsvc.errors import DeadlineExceeded
from evalsvc.providers.deadlines import Deadlines

pytestmark = pytest.mark.anyio
FOREVER = 60.0


async def test_a_late_call_ends_and_its_task_goes_on() -> None:
    deadlines = Deadlines(0.01)
    task = asyncio.current_task()
    assert task is not None
    for _ in range(2):
        with pytest.raises(DeadlineExceeded, match=r"within 0\.01 s"), deadlines.limit():
            await asyncio.sleep(FOREVER)
    assert task.cancelling() == 0
    await asyncio.sleep(0)
    deadlines.close()


async def test_each_call_has_its_own_time() -> None:
    deadlines, ended = Deadlines(0.05), []

    async def call(name: str, after: float) -> None:
        await asyncio.sleep(after)
        with pytest.raises(DeadlineExceeded), deadlines.limit():
            await asyncio.sleep(FOREVER)
        ended.append(name)

    await asyncio.gather(call("second", 0.03), call("first", 0), call("third", 0.06))
    assert ended == ["first", "second", "third"]
    deadlines.close()


async def test_a_call_in_time_is_left_alone_and_so_is_what_follows() -> None:
    deadlines = Deadlines(0.02)
    with deadlines.limit():
        await asyncio.sleep(0)
    await asyncio.sleep(0.04)
    deadlines.close()


async def test_its_own_errors_pass() -> None:
    deadlines = Deadlines(FOREVER)
    with pytest.raises(KeyError), deadlines.limit():
        raise KeyError
    deadlines.close()


async def test_a_cancellation_from_outside_goes_first() -> None:
    deadlines = Deadlines(0.01)

    async def call() -> None:
        with deadlines.limit():
            await asyncio.sleep(FOREVER)

    task = asyncio.ensure_future(call())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    deadlines.close()


async def test_both_at_once_is_a_cancellation() -> None:
    deadlines = Deadlines(FOREVER)

    async def call() -> None:
        with deadlines.limit() as limit:
            limit.expire()
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(FOREVER)

    with pytest.raises(asyncio.CancelledError):
        await asyncio.ensure_future(call())
    deadlines.close()


async def test_anyio_scopes_outside_and_inside_work() -> None:
    deadlines = Deadlines(0.05)
    with anyio.move_on_after(0.01) as outer, deadlines.limit():
        await anyio.sleep(FOREVER)
    assert outer.cancelled_caught
    with deadlines.limit():
        with anyio.move_on_after(0.01) as inner:
            await anyio.sleep(FOREVER)
        assert inner.cancelled_caught
    deadlines.close()
