"""One HTTP exchange on a connection of aiohttp's pool: its pool, TLS, parser and decompression, and nothing between.

aiohttp's session makes an object of every request and of every answer that is ready for redirects, cookies, proxies,
uploads and tracing. A model call needs none of them, and they are two thirds of what one costs (benchmarks/README.md).
What is the same for all requests to a URL is therefore written out once; each brings its body only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import lru_cache
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from evalsvc.errors import Garbled

#: Kinds of requests whose head is kept: a URL and its headers.
_TARGETS = 32
#: The answer whose message ends an exchange as a protocol (101), the last that may come before the true one.
_SWITCHING, _LAST_INTERIM = 101, 199


class Answer:
    """The head of an answer, its content still on its way. A context: it gives the connection back, or closes it."""

    __slots__ = ("_connection", "content", "headers", "status")

    def __init__(
        self, connection: Connection, status: int, headers: Mapping[str, str], content: aiohttp.StreamReader
    ) -> None:
        self._connection = connection
        self.status = status
        self.headers = headers
        self.content = content

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        transport = self._connection.transport
        # what is not read to its end, or not written to its end, would be taken for part of the next exchange
        if kind is None and self.content.is_eof() and transport is not None and not transport.get_write_buffer_size():
            self._connection.release()
        else:
            self._connection.close()


class Exchanges:
    """Sends requests and gives the heads of their answers, over as many connections as there are requests in flight.

    Args:
        connections: most connections at once.
        connect_s: longest wait for one, in seconds.
    """

    def __init__(self, *, connections: int, connect_s: float) -> None:
        self._connections = connections
        self._connector = aiohttp.TCPConnector(limit=connections, ttl_dns_cache=60)
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_s)
        self._target = lru_cache(_TARGETS)(_Target)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send a POST and wait for the head of its answer.

        Raises:
            aiohttp.ClientError, OSError: no connection, or it broke.
            aiohttp.http_exceptions.HttpProcessingError: what came is not HTTP.
        """
        target = self._target(url, tuple(headers.items()))
        connection = await self._clean(target)
        try:
            assert connection.protocol is not None
            return Answer(connection, *await _asked(connection.protocol, target.request(body)))
        except BaseException:
            connection.close()
            raise

    async def _clean(self, target: _Target) -> Connection:
        """A connection without an answer on it already, which would be read as the next one's."""
        for _ in range(self._connections + 1):
            connection = await self._connector.connect(target.template, [], self._timeout)
            if connection.protocol is not None and not connection.protocol.should_close:
                return connection
            connection.close()
        raise Garbled("the server speaks before it is asked")

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connector.close()
        await asyncio.sleep(0)  # lets closed sockets be reaped before the loop ends


class _Target:
    """Where requests of one kind go, all but their bodies written out."""

    __slots__ = ("_head", "template")

    def __init__(self, url: str, headers: tuple[tuple[str, str], ...]) -> None:
        loop = asyncio.get_running_loop()
        self.template = aiohttp.ClientRequest(
            "POST", URL(url), headers=headers, skip_auto_headers=("User-Agent",), loop=loop
        )
        lines = [f"POST {self.template.url.raw_path_qs} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in self.template.headers.items() if name != "Content-Length"]
        for line in lines:
            if not line.isprintable():
                raise ValueError("a control character in the head of a request")
        self._head = "\r\n".join([*lines, "Content-Length: "]).encode()

    def request(self, body: bytes) -> bytes:
        """The whole request as it goes over the wire."""
        return b"%b%d\r\n\r\n%b" % (self._head, len(body), body)


async def _asked(protocol: ResponseHandler, request: bytes) -> tuple[int, Mapping[str, str], aiohttp.StreamReader]:
    """Status, headers and content of the answer to a request on an idle connection."""
    if protocol.transport is None or protocol.transport.is_closing():
        raise aiohttp.ClientConnectionResetError("closed while it was idle")
    protocol.set_response_params(read_until_eof=True)
    protocol.transport.write(request)
    while True:
        message, content = await protocol.read()
        if message.code > _LAST_INTERIM or message.code == _SWITCHING:
            return message.code, message.headers, content
