"""The seam to the network: bytes out, bytes in, timed on the monotonic clock. aiohttp stands behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

import aiohttp

from evalsvc.errors import DeadlineExceeded, Garbled, ProviderError, Unreachable
from evalsvc.providers.deadlines import Deadlines

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


class _SpoiltError(aiohttp.ClientConnectionError):
    """The connection from the pool has been talked into while it was idle; nothing was sent on it."""


class _CleanRequest(aiohttp.ClientRequest):
    """A request that takes no connection with an answer on it already, which would be read as its own."""

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        """Send on ``conn``. Raises `_SpoiltError` instead when it is not clean."""
        if conn.protocol is not None and conn.protocol.should_close:
            conn.close()
            raise _SpoiltError
        return await super().send(conn)


class AiohttpTransport:
    """aiohttp with its ceilings moved: as many connections as requests in flight, one hard time limit per attempt.

    Args:
        connections: most connections at once.
        timeout_s: hard limit of one attempt in seconds, connecting and the last byte included.
        max_bytes: most bytes of a body, after decompression.
    """

    def __init__(self, *, connections: int, timeout_s: float, max_bytes: int) -> None:
        self._connect_s = min(CONNECT_S, timeout_s)
        self._max_bytes = max_bytes
        self._deadlines = Deadlines(timeout_s)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ttl_dns_cache=60),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            request_class=_CleanRequest,
            skip_auto_headers=("User-Agent",),
        )

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """See `Transport.post`."""
        post = self._session.post(url, data=body, headers=headers, allow_redirects=False)
        try:
            with self._deadlines.limit() as limit:
                async with post as response:
                    first_byte = perf_counter() - limit.started
                    content = await self._read(response)
                    total = perf_counter() - limit.started
                    return Reply(response.status, response.headers, content, first_byte, total)
        except _SpoiltError:
            return await self.post(url, headers, body)
        except (aiohttp.ClientError, OSError) as error:
            raise error_of(error) from error

    async def stream(self, url: str, headers: Mapping[str, str], body: bytes, take: Take) -> Reply:
        """See `Transport.stream`."""
        feed = Feed(take, self._max_bytes)
        try:
            with self._deadlines.limit():
                async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                    feed.head(response.status, response.headers)
                    if not is_stream(response.status, response.headers):
                        return feed.whole(await self._read(response))
                    async for chunk in response.content.iter_any():
                        if feed.piece(chunk):
                            await _drain(response)
                            break
                    return feed.whole(b"")
        except _SpoiltError:
            return await self.stream(url, headers, body, take)
        except (aiohttp.ClientError, OSError) as error:
            return feed.broken_by(error_of(error))
        except DeadlineExceeded as error:
            return feed.broken_by(error)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        length = response.content_length
        if length is not None and length <= self._max_bytes and "Content-Encoding" not in response.headers:
            return await response.read()
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > self._max_bytes:
                raise too_big(self._max_bytes)
            chunks.append(chunk)
        return b"".join(chunks)

    async def aclose(self) -> None:
        """See `Transport.aclose`."""
        self._deadlines.close()
        await self._session.close()
        await asyncio.sleep(0)  # lets closed sockets be reaped before the loop ends


async def _drain(response: aiohttp.ClientResponse) -> None:
    if response.content.at_eof():
        return
    with suppress(aiohttp.ClientError, OSError):
        async with asyncio.timeout(DRAIN_S):
            async for _ in response.content.iter_any():
                pass


def too_big(max_bytes: int) -> Garbled:
    """The error for a body over the limit."""
    return Garbled(f"an answer of more than {max_bytes} bytes", status=200)


def error_of(error: aiohttp.ClientError | OSError) -> ProviderError:
    """What a failure of aiohttp means. Of its words only those are kept that quote nothing foreign."""
    if isinstance(error, TimeoutError):
        return Unreachable("no connection within the time limit for connecting")
    if isinstance(error, aiohttp.ClientResponseError):
        return Garbled(f"not HTTP: {error.message.partition(':')[0][:100] or type(error).__name__}")
    if isinstance(error, aiohttp.ClientPayloadError):
        return Unreachable("the connection broke off in the middle of the answer")
    if isinstance(error, aiohttp.ClientConnectorError):
        return Unreachable(f"cannot connect: {error.os_error.strerror or error.os_error}")
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return Unreachable("the connection broke: closed before the answer")
    reason = error.strerror if isinstance(error, OSError) else None
    return Unreachable(f"the connection broke: {reason or type(error).__name__}")
