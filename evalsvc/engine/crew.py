"""The workers of a job: one for each request that may be in flight now, and one for each that waits for a retry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

import anyio

#: Does one piece of work; False when there is none left.
Step = Callable[[], Awaitable[bool]]


class Crew:
    """A bounded set of workers that all take from one plan. An async context: leaving it waits for them.

    Args:
        size: how many should be at work now.
        resting: how many more there may be, one for each that rests. A limit that was cut to a few is no reason to
            have a few long rests stop all work.
    """

    def __init__(self, size: Callable[[], int], *, resting: int) -> None:
        self._size = size
        self._most_resting = resting
        self._group = anyio.create_task_group()
        self._step: Step | None = None
        self._workers = 0
        self._resting = 0

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, sort: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._group.__aexit__(sort, error, trace)

    def start(self, step: Step) -> None:
        """Set the workers to work."""
        self._step = step
        for _ in range(self._size()):
            self._add()

    def stop(self) -> None:
        """Cancel all work."""
        self._group.cancel_scope.cancel()

    async def rest(self, seconds: float) -> None:
        """Sleep; somebody else works meanwhile."""
        self._resting += 1
        self._fill()
        try:
            await anyio.sleep(seconds)
        finally:
            self._resting -= 1

    def _wanted(self) -> int:
        return self._size() + min(self._resting, self._most_resting)

    def _fill(self) -> None:
        if self._workers < self._wanted():
            self._add()

    def _add(self) -> None:
        self._workers += 1
        self._group.start_soon(self._work)

    async def _work(self) -> None:
        assert self._step is not None
        while await self._step():
            wanted = self._wanted()
            if self._workers > wanted:
                break
            if self._workers < wanted:
                self._add()
        self._workers -= 1
