from __future__ import annotations

from itertools import pairwise
from time import perf_counter

import anyio
import pytest

from evalsvc.engine.pace import Pace

pytestmark = pytest.mark.anyio


async def test_without_a_rate_a_request_is_due_when_it_is_taken() -> None:
    before = perf_counter()
    due = await Pace(None).turn()
    assert before <= due <= perf_counter()


async def test_arrivals_keep_their_distance_and_nobody_starts_early() -> None:
    pace = Pace(500)
    turns: list[tuple[float, float]] = []

    async def take() -> None:
        due = await pace.turn()
        turns.append((due, perf_counter()))

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(take)
    dues = sorted(due for due, _ in turns)
    assert all(later - earlier == pytest.approx(1 / 500) for earlier, later in pairwise(dues))
    assert all(started >= due - 1e-3 for due, started in turns)


async def test_an_arrival_that_is_taken_late_keeps_the_time_it_was_due() -> None:
    pace = Pace(1000)
    first = await pace.turn()
    while perf_counter() < first + 0.005:
        await anyio.lowlevel.checkpoint()
    assert await pace.turn() == pytest.approx(first + 0.001)
