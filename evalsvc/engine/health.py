"""Is an endpoint down? A breaker that opens on a run of like failures and closes on the first answer.

It opens when at least 20 calls of 20 cases in a row failed alike over 10 s with no success between. (An endpoint that
cannot be reached at all is down for a smaller job too, once every one of its cases has failed.) While it is open,
requests wait; one at a time goes through as the probe.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager
from math import inf
from time import perf_counter

import anyio

_CALLS = 20
_SECONDS = 10.0
_FIRST_PROBE_S = 1.0
_LONGEST_PROBE_S = 15.0


class EndpointHealth:
    """What the last calls of one endpoint say of it.

    Args:
        cases: how many cases the smallest job on it has, for whoever does not say it with `asked_by`.
    """

    def __init__(self, cases: int = _CALLS) -> None:
        self.reason: str | None = None
        self._cases = cases
        self._jobs: list[int] = []
        self._kind = self._why = ""
        self._failed: set[Hashable] = set()
        self._calls = 0
        self._since = 0.0
        self._last_success = -inf
        self._probing = anyio.Lock()
        self._probe_s = _FIRST_PROBE_S
        self._opened = anyio.Event()
        self._closed = anyio.Event()

    @property
    def down(self) -> bool:
        """Requests must wait."""
        return self.reason is not None

    @contextmanager
    def asked_by(self, cases: int) -> Iterator[None]:
        """Meanwhile a job of so many cases asks it."""
        self._jobs.append(cases)
        self._cases = min(self._jobs)
        try:
            yield
        finally:
            self._jobs.remove(cases)
            self._cases = min(self._jobs, default=_CALLS)

    def succeeded(self) -> None:
        """A call was answered."""
        self._last_success = perf_counter()
        self._failed.clear()
        if self.reason is not None:
            self.reason = None
            self._probe_s = _FIRST_PROBE_S
            self._closed.set()
            self._opened = anyio.Event()

    def failed(self, case: Hashable, kind: str, why: str) -> None:
        """A call of ``case`` failed with an error of ``kind``; cases of all jobs count: say (job, position)."""
        if not self._failed or kind != self._kind:
            self._kind, self._since, self._calls = kind, perf_counter(), 0
            self._failed.clear()
        if len(self._failed) < _CALLS:
            self._failed.add(case)
        self._calls += 1
        self._why = why
        self._judge()

    def undecided(self, kind: str, since: float) -> bool:
        """Whether it is open yet if a request, failing since ``since``, or the endpoint is to blame."""
        if self._last_success >= since or kind != self._kind or not self._failed:
            return False
        self._judge()
        return self.down or (perf_counter() - self._since < _SECONDS and self._cases >= self._needed())

    def answered_since(self, since: float) -> bool:
        """Whether it answered anyone after ``since``."""
        return self._last_success >= since

    def _needed(self) -> int:
        return min(_CALLS, self._cases) if self._kind == "network" else _CALLS

    def _judge(self) -> None:
        full = min(len(self._failed), self._calls) >= self._needed()
        if self.reason is None and full and perf_counter() - self._since >= _SECONDS:
            self.reason = self._why
            self._closed = anyio.Event()
            self._opened.set()

    @asynccontextmanager
    async def probe(self) -> AsyncIterator[None]:
        """Wait for a turn while the endpoint is down; whoever gets one may ask once."""
        async with self._probing:
            if self.down:
                await anyio.sleep(self._probe_s)
                self._probe_s = min(2 * self._probe_s, _LONGEST_PROBE_S)
            yield

    async def wait_down(self) -> str:
        """Wait until the endpoint is down; says why."""
        await self._opened.wait()
        return self.reason or ""

    async def wait_up(self) -> None:
        """Wait until it answers again."""
        await self._closed.wait()
