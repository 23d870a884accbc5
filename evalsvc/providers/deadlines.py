"""One hard time limit for thousands of calls at the cost of one timer."""

from __future__ import annotations

import asyncio
from time import perf_counter
from types import TracebackType
from typing import Self

from evalsvc.errors import DeadlineExceeded


class Deadlines:
    """Ends calls that take longer than ``seconds``.

    All have the same limit, so the first to begin is the first to expire: one timer watches that one. A timer for each
    call costs a tenth of the whole call.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._running: dict[Limit, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def limit(self) -> Limit:
        """A context for one call. Raises `DeadlineExceeded` when its time is up."""
        return Limit(self)

    def enter(self, call: Limit) -> None:
        """Watch a call."""
        self._running[call] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.seconds, self._expire)

    def leave(self, call: Limit) -> None:
        """Watch it no more."""
        del self._running[call]

    def _expire(self) -> None:
        self._timer = None
        now = perf_counter()
        for call in self._running:
            rest = call.started + self.seconds - now
            if rest > 0:
                self._timer = asyncio.get_running_loop().call_later(rest, self._expire)
                return
            call.expire()

    def close(self) -> None:
        """Let go of the timer; no call may be running."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Limit:
    """The time of one call; what asyncio.timeout does, without a timer of its own."""

    __slots__ = ("_cancelling", "_deadlines", "_expired", "_task", "started")

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._expired = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None, "calls are made in tasks"
        self._task = task
        self._cancelling = task.cancelling()
        self.started = perf_counter()
        self._deadlines.enter(self)
        return self

    def expire(self) -> None:
        """End the call."""
        if not self._expired:
            self._expired = True
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadlines.leave(self)
        # somebody else's cancellation goes first
        if self._expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise DeadlineExceeded(f"no whole answer within {self._deadlines.seconds:g} s") from error
