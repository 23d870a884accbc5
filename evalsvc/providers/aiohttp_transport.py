"""The default transport: aiohttp's pool, TLS and parser, one hard time limit for each attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from time import perf_counter

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from evalsvc.errors import DeadlineExceeded, Garbled, ProviderError, Unreachable
from evalsvc.providers.deadlines import Deadlines
from evalsvc.providers.exchange import Answer, Exchanges
from evalsvc.providers.transport import CONNECT_S, DRAIN_S, Feed, Reply, Take, is_stream, too_big


class AiohttpTransport:
    """aiohttp with its ceilings moved: as many connections as requests in flight, one hard time limit per attempt.

    Args:
        connections: most connections at once.
        timeout_s: hard limit of one attempt in seconds, connecting and the last byte included.
        max_bytes: most bytes of a body, after decompression.
    """

    def __init__(self, *, connections: int, timeout_s: float, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._deadlines = Deadlines(timeout_s)
        self._exchanges = Exchanges(connections=connections, connect_s=min(CONNECT_S, timeout_s))

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """See `Transport.post`."""
        try:
            with self._deadlines.limit() as limit, await self._exchanges.post(url, headers, body) as answer:
                first_byte = perf_counter() - limit.started
                content = await self._read(answer)
                return Reply(answer.status, answer.headers, content, first_byte, perf_counter() - limit.started)
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            raise error_of(error) from error

    async def stream(self, url: str, headers: Mapping[str, str], body: bytes, take: Take) -> Reply:
        """See `Transport.stream`."""
        feed = Feed(take, self._max_bytes)
        try:
            with self._deadlines.limit(), await self._exchanges.post(url, headers, body) as answer:
                feed.head(answer.status, answer.headers)
                if not is_stream(answer.status, answer.headers):
                    return feed.whole(await self._read(answer))
                async for chunk in answer.content.iter_any():
                    if feed.piece(chunk):
                        await _drain(answer)
                        break
                return feed.whole(b"")
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            return feed.broken_by(error_of(error))
        except DeadlineExceeded as error:
            return feed.broken_by(error)

    async def _read(self, answer: Answer) -> bytes:
        length = answer.headers.get("Content-Length", "")
        if length.isdecimal() and int(length) <= self._max_bytes and "Content-Encoding" not in answer.headers:
            return await answer.content.read()
        chunks: list[bytes] = []
        size = 0
        async for chunk in answer.content.iter_any():
            size += len(chunk)
            if size > self._max_bytes:
                raise too_big(self._max_bytes)
            chunks.append(chunk)
        return b"".join(chunks)

    async def aclose(self) -> None:
        """See `Transport.aclose`."""
        self._deadlines.close()
        await self._exchanges.aclose()


async def _drain(answer: Answer) -> None:
    if answer.content.at_eof():
        return
    with suppress(aiohttp.ClientError, OSError):
        async with asyncio.timeout(DRAIN_S):
            async for _ in answer.content.iter_any():
                pass


def error_of(error: aiohttp.ClientError | HttpProcessingError | OSError) -> ProviderError:
    """What a failure of aiohttp means. Of its words only those are kept that quote nothing foreign."""
    if isinstance(error, TimeoutError):
        return Unreachable("no connection within the time limit for connecting")
    if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        return Garbled(f"not HTTP: {error.message.partition(':')[0][:100] or type(error).__name__}")
    if isinstance(error, aiohttp.ClientPayloadError):
        return Unreachable("the connection broke off in the middle of the answer")
    if isinstance(error, aiohttp.ClientConnectorError):
        return Unreachable(f"cannot connect: {error.os_error.strerror or error.os_error}")
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return Unreachable("the connection broke: closed before the answer")
    reason = error.strerror if isinstance(error, OSError) else None
    return Unreachable(f"the connection broke: {reason or type(error).__name__}")
