"""Who follows a job is woken when something happens to it."""

from __future__ import annotations

from weakref import WeakValueDictionary

import anyio


class Bell:
    """Wakes those who follow a job when something has happened to it."""

    def __init__(self) -> None:
        self._waiting: WeakValueDictionary[str, anyio.Event] = WeakValueDictionary()  # gone with whoever waits
        self.closed = False

    def next(self, job_id: str) -> anyio.Event:
        """Is set by the next thing that happens."""
        event = self._waiting.setdefault(job_id, anyio.Event())
        if self.closed:
            event.set()
        return event

    def ring(self, job_id: str) -> None:
        """Something has happened."""
        event = self._waiting.pop(job_id, None)
        if event is not None:
            event.set()

    def close(self) -> None:
        """Nothing will happen any more."""
        self.closed = True
        for job_id in list(self._waiting):
            self.ring(job_id)
