from __future__ import annotations

import anyio
import pytest

from evalsvc.engine.limits import EndpointLimits

pytestmark = pytest.mark.anyio


async def test_never_more_in_flight_than_allowed_and_first_come_first_served() -> None:
    limits = EndpointLimits(3)
    order: list[int] = []
    most = 0

    async def hold(number: int) -> None:
        nonlocal most
        async with limits.slot():
            order.append(number)
            most = max(most, limits.in_flight)
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(hold, number)
    assert (most, order, limits.in_flight) == (3, list(range(20)), 0)


async def test_a_cancelled_wait_costs_no_slot() -> None:
    limits = EndpointLimits(1)

    async def wait() -> None:
        async with limits.slot():
            await anyio.sleep_forever()

    for release_first in (False, True):
        slot = limits.slot()
        await slot.__aenter__()
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            if release_first:  # the slot is handed over, and the one it goes to is cancelled before it wakes
                await slot.__aexit__(None, None, None)
            group.cancel_scope.cancel()
        if not release_first:
            await slot.__aexit__(None, None, None)
        assert limits.in_flight == 0
    async with limits.slot():
        assert limits.in_flight == 1
