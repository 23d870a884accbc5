"""The seam to the network: bytes out, bytes in, timed on the monotonic clock. aiohttp stands behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

import aiohttp

from evalsvc.errors import DeadlineExceeded, Garbled, Unreachable

_CONNECT_S = 30.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, whole. ``first_byte_s`` and ``total_s`` run from the hand-over of the request."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    first_byte_s: float
    total_s: float


class Transport(Protocol):
    """Something that can POST."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """POST once, follow nothing. Raises `Unreachable`, `DeadlineExceeded` or `Garbled`."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class AiohttpTransport:
    """aiohttp with its ceilings moved: as many connections as requests in flight, one hard time limit per attempt.

    Args:
        connections: most connections at once.
        timeout_s: hard limit of one attempt in seconds, connecting and the last byte included.
        max_bytes: most bytes of a body, after decompression.
    """

    def __init__(self, *, connections: int, timeout_s: float, max_bytes: int) -> None:
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ttl_dns_cache=60),
            timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(_CONNECT_S, timeout_s)),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            skip_auto_headers=("User-Agent",),
        )

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """See `Transport.post`."""
        started = perf_counter()
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                first_byte = perf_counter()
                content = await self._read(response)
                return Reply(response.status, response.headers, content, first_byte - started, perf_counter() - started)
        except aiohttp.ConnectionTimeoutError as error:
            raise Unreachable(f"no connection within {min(_CONNECT_S, self._timeout_s):g} s") from error
        except TimeoutError as error:
            raise DeadlineExceeded(f"no whole answer within {self._timeout_s:g} s") from error
        except aiohttp.ClientResponseError as error:
            raise Garbled(f"not HTTP: {error.message or type(error).__name__}") from error
        except aiohttp.ClientPayloadError as error:
            raise Unreachable("the connection broke off in the middle of the answer") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(_reason(error)) from error

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        length = response.content_length
        if length is not None and length <= self._max_bytes and "Content-Encoding" not in response.headers:
            return await response.read()
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > self._max_bytes:
                raise Garbled(f"an answer of more than {self._max_bytes} bytes", status=response.status)
            chunks.append(chunk)
        return b"".join(chunks)

    async def aclose(self) -> None:
        """See `Transport.aclose`."""
        await self._session.close()
        await asyncio.sleep(0)  # lets closed sockets be reaped before the loop ends


def _reason(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect: {error.os_error.strerror or error.os_error}"
    return f"the connection broke: {str(error) or type(error).__name__}"
