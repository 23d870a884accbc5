"""Who follows a job is woken when something happens to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

import anyio

T = TypeVar("T")


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


class _Reading(Generic[T]):
    __slots__ = ("done", "found")

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.found: T | None = None


class News(Generic[T]):
    """What many who follow a job read at the same moment is read once: between two rings it is the same."""

    def __init__(self) -> None:
        self._readings: WeakKeyDictionary[anyio.Event, dict[int, _Reading[T]]] = WeakKeyDictionary()

    async def since(self, next_ring: anyio.Event, after: int, read: Callable[[], Awaitable[T]]) -> T:
        """What ``read`` gives those who have come as far as ``after`` and wait for the same ring. Raises as it does."""
        readings = self._readings.setdefault(next_ring, {})
        while (reading := readings.get(after)) is not None:
            await reading.done.wait()
            if reading.found is not None:
                return reading.found
        reading = readings[after] = _Reading()
        try:
            reading.found = await read()
            return reading.found
        finally:
            if reading.found is None:  # somebody else has to
                del readings[after]
            reading.done.set()
