"""Does the event loop keep up? Latencies measured while it did not are tainted, and said to be."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import anyio

_TICK_S = 0.02
_LIMIT_S = 0.1


class LoopLag:
    """A probe that wakes 50 times a second and notices when it wakes more than 100 ms late.

    Args:
        told: is told each time how late it was, in seconds (0 when in time).
    """

    def __init__(self, told: Callable[[float], None] = lambda _: None) -> None:
        self._told = told
        self._last_tick = perf_counter()
        self._last_lagged = float("-inf")

    async def run(self) -> None:
        """Probe until cancelled."""
        self._last_tick = perf_counter()
        while True:
            await anyio.sleep(_TICK_S)
            now = perf_counter()
            lag = now - self._last_tick - _TICK_S
            self._told(max(0.0, lag))
            if lag > _LIMIT_S:
                self._last_lagged = now
            self._last_tick = now

    def tainted(self, started: float, ended: float) -> bool:
        """Whether the loop lagged at some time between two readings of `time.perf_counter`."""
        overdue = ended - self._last_tick > _TICK_S + _LIMIT_S  # the probe itself has not come round yet
        return overdue or self._last_lagged >= started
