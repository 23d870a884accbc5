"""Who waits: first come first served within a job, the jobs in turn."""

from __future__ import annotations

from collections import deque
from math import inf

import anyio

from evalsvc.engine.limits.admission import Admission


class Waiter:
    """A request that waits for its admission; it looks again at ``alarm_at``, or once ``woken`` is set."""

    __slots__ = (
        "admission",
        "alarm_at",
        "chars",
        "gone",
        "job",
        "max_tokens",
        "model",
        "quota_stall",
        "since",
        "woken",
    )

    def __init__(
        self, job: str, model: str, chars: int, max_tokens: int | None, *, since: float, quota_stall: float
    ) -> None:
        self.job = job
        self.model = model
        self.chars = chars
        self.max_tokens = max_tokens
        self.since = since
        self.quota_stall = quota_stall
        self.alarm_at = inf
        self.admission: Admission | None = None
        self.gone = False
        self.woken = anyio.Event()


class Line:
    """All waiters of an endpoint; ``size`` is how many. A job new in the line gets its turn after all others."""

    __slots__ = ("_jobs", "_turns", "size")

    def __init__(self) -> None:
        self.size = 0
        self._jobs: dict[str, deque[Waiter]] = {}
        self._turns: deque[str] = deque()

    def join(self, waiter: Waiter) -> None:
        """Stand at the end of the job's own row."""
        row = self._jobs.get(waiter.job)
        if row is None:
            row = self._jobs[waiter.job] = deque()
            self._turns.append(waiter.job)
        row.append(waiter)
        self.size += 1

    def head(self) -> Waiter | None:
        """The one whose turn it is."""
        while self._turns:
            row = self._jobs[self._turns[0]]
            while row and row[0].gone:
                row.popleft()
            if row:
                return row[0]
            del self._jobs[self._turns.popleft()]
        return None

    def serve(self) -> None:
        """The head leaves, and its job goes to the end of the turns."""
        self._jobs[self._turns[0]].popleft()
        self._turns.rotate(-1)
        self.size -= 1

    def leave(self, waiter: Waiter) -> None:
        """A waiter gives up. It is taken out when its turn comes: a thousand may leave at once."""
        waiter.gone = True
        self.size -= 1
