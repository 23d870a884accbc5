"""How many requests an endpoint holds at once."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio


class EndpointLimits:
    """Slots of one endpoint, given out first come, first served.

    Args:
        max_in_flight: most requests at once.
    """

    def __init__(self, max_in_flight: int) -> None:
        self.max_in_flight = max_in_flight
        self.in_flight = 0
        self._waiting: deque[anyio.Event] = deque()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot; wait for one in line if none is free."""
        if self.in_flight >= self.max_in_flight:
            await self._wait()
        else:
            self.in_flight += 1
        try:
            yield
        finally:
            self._release()

    async def _wait(self) -> None:
        turn = anyio.Event()
        self._waiting.append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():
                self._release()  # the slot was handed over while this one was being cancelled
            else:
                self._waiting.remove(turn)
            raise

    def _release(self) -> None:
        if self._waiting:
            self._waiting.popleft().set()  # the slot changes hands, in_flight stays
        else:
            self.in_flight -= 1
