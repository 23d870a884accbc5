from __future__ import annotations

import anyio
import pytest

from evalsvc.engine.crew import Crew

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("resting", [2, 5])
async def test_whoever_rests_is_replaced_up_to_a_bound_however_few_may_work(resting: int) -> None:
    """One place, and requests that rest for an hour: the others are worked on until all who may rest do."""
    done: list[int] = []
    numbers = iter(range(20))
    at_rest = 0

    async def step() -> bool:
        nonlocal at_rest
        number = next(numbers, None)
        if number is None:
            crew.stop()
            return False
        if number % 4 == 0:
            at_rest += 1
            await crew.rest(3600)
        done.append(number)
        await anyio.lowlevel.checkpoint()
        return True

    with anyio.move_on_after(0.5) as idle:
        async with Crew(lambda: 1, resting=resting) as crew:
            crew.start(step)
    assert at_rest == (3 if resting == 2 else 5)
    assert idle.cancelled_caught == (resting == 2)
    assert len(done) == (6 if resting == 2 else 15)
