"""The seam to the network: bytes out, bytes in, timed on the monotonic clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

from evalsvc.errors import Garbled, ProviderError

#: Longest wait for a connection, seconds.
CONNECT_S = 30.0
#: Longest wait for the end of a stream whose answer is complete, seconds: a connection read to its end is used again.
DRAIN_S = 0.25

#: Takes a piece of a streamed answer and the seconds since hand-over; says whether the answer is now complete.
Take = Callable[[bytes, float], bool]


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer. ``first_byte_s`` and ``total_s`` run from the hand-over of the request to its last byte.

    ``headers`` are looked up in lower case. ``body`` is what no `Take` was given; ``broken`` is what ended a stream
    before its end, None for a whole one.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    first_byte_s: float
    total_s: float
    broken: ProviderError | None = None


class Transport(Protocol):
    """Something that can POST: once, with one hard deadline, following nothing."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """The whole answer. Raises `Unreachable`, `DeadlineExceeded` or `Garbled`."""
        ...

    async def stream(self, url: str, headers: Mapping[str, str], body: bytes, take: Take) -> Reply:
        """The same, a streamed answer (`is_stream`) handed to ``take`` piece by piece as it comes.

        A stream that breaks off raises nothing: `Reply.broken` says why, for its answer may be complete all the same.
        What ``take`` raises passes through.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


def is_stream(status: int, headers: Mapping[str, str]) -> bool:
    """Whether an answer is read piece by piece: an error is not, nor plain JSON, which some servers send instead."""
    return status == 200 and "json" not in headers.get("content-type", "").lower()


class Feed:
    """A stream on its way into a `Take`: counts its bytes and keeps the time of its last piece.

    Raises `Garbled` from ``piece`` when there are more than ``max_bytes``.
    """

    def __init__(self, take: Take, max_bytes: int) -> None:
        self.started = perf_counter()
        self._take = take
        self._max_bytes = max_bytes
        self._size = 0
        self._head: tuple[int, Mapping[str, str]] | None = None
        self._first = self._last = 0.0

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """The answer's headers have come."""
        self._head = status, headers
        self._first = self._last = perf_counter() - self.started

    def piece(self, chunk: bytes) -> bool:
        """Hand a piece over; says whether the answer is complete."""
        self._last = perf_counter() - self.started
        self._size += len(chunk)
        if self._size > self._max_bytes:
            raise too_big(self._max_bytes)
        return self._take(chunk, self._last)

    def whole(self, body: bytes) -> Reply:
        """The answer, ``body`` being what was not handed over."""
        assert self._head is not None
        total = perf_counter() - self.started if body else self._last
        return Reply(*self._head, body, self._first, total)

    def broken_by(self, error: ProviderError) -> Reply:
        """What came before the stream broke. Raises ``error`` when that is nothing."""
        if self._head is None or not is_stream(*self._head):
            raise error
        return Reply(*self._head, b"", self._first, self._last, error)


def too_big(max_bytes: int) -> Garbled:
    """The error for a body over the limit."""
    return Garbled(f"an answer of more than {max_bytes} bytes", status=200)
