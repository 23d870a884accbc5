"""When each request should start: as fast as it is taken, or at a fixed arrival rate whatever the answers do."""

from __future__ import annotations

from time import perf_counter

import anyio


class Pace:
    """The arrivals of one job.

    Args:
        rate: requests a second (open loop); None starts each as soon as somebody takes it.
    """

    def __init__(self, rate: float | None) -> None:
        self._interval = None if rate is None else 1 / rate
        self._next: float | None = None

    async def turn(self) -> float:
        """Wait for the next arrival; gives the time it was due, on `time.perf_counter`.

        An arrival that comes late, because nobody was free to take it, keeps the time it was due: waiting that the
        asker causes is part of what a user would have felt.
        """
        now = perf_counter()
        if self._interval is None:
            return now
        due = now if self._next is None else self._next
        self._next = due + self._interval
        if due > now:
            await anyio.sleep(due - now)
        return due
