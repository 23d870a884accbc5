"""What one exchange over aiohttp's connections keeps to, beside what all transports do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
from aiohttp.client_proto import ResponseHandler

from evalsvc.errors import Garbled
from evalsvc.providers.exchange import Exchanges

pytestmark = pytest.mark.anyio
HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer k"}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    """The URL of a server that does so with each connection."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/chat?x=1"


@asynccontextmanager
async def opened(connections: int = 2) -> AsyncIterator[Exchanges]:
    exchanges = Exchanges(connections=connections, connect_s=5)
    try:
        yield exchanges
    finally:
        await exchanges.aclose()


async def request_of(reader: asyncio.StreamReader) -> tuple[list[str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
    length = next(int(line.split(":")[1]) for line in head if line.startswith("Content-Length:"))
    return head, await reader.readexactly(length)


async def test_a_request_is_whole_and_says_its_own_length() -> None:
    asked = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            asked.append(await request_of(reader))
            writer.write(OK)

    async with serving(serve) as url, opened() as exchanges:
        for body in (b'{"a": 1}', b"", "é".encode()):
            with await exchanges.post(url, HEADERS, body) as answer:
                assert (answer.status, await answer.content.read()) == (200, b"{}")
    assert [body for _, body in asked] == [b'{"a": 1}', b"", "é".encode()]
    head = asked[0][0]
    assert head[0] == "POST /v1/chat?x=1 HTTP/1.1"
    assert {line.split(":")[0].lower() for line in head[1:]} == {
        *("host", "content-type", "authorization", "accept", "accept-encoding", "content-length")
    }
    assert "Authorization: Bearer k" in head
    assert len({line.split(":")[0].lower() for line in head[1:]}) == len(head) - 1, "no header twice"


async def test_other_headers_are_another_head() -> None:
    asked = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            asked.append((await request_of(reader))[0])
            writer.write(OK)

    async with serving(serve) as url, opened() as exchanges:
        for key in ("one", "two"):
            with await exchanges.post(url, {"Authorization": key}, b"") as answer:
                await answer.content.read()
    assert [f"Authorization: {key}" in head for key, head in zip(("one", "two"), asked, strict=True)] == [True, True]


@pytest.mark.parametrize("value", ["k\r\nX-Injected: 1", "k\n", "k\x00"])
async def test_nothing_breaks_out_of_a_header(value: str) -> None:
    async with opened() as exchanges:
        with pytest.raises(ValueError, match="control character"):
            await exchanges.post("http://127.0.0.1:9/", {"Authorization": value}, b"")


async def test_a_connection_with_unread_content_is_not_used_again() -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await request_of(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}")

    async with serving(serve) as url, opened() as exchanges:
        for _ in range(2):
            with await exchanges.post(url, HEADERS, b""):
                pass
    assert connections == 2


async def test_an_answer_before_the_request_is_read_spoils_the_connection() -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await anyio.sleep_forever()

    async with serving(serve) as url, opened() as exchanges:
        for _ in range(2):
            with anyio.fail_after(10):
                answer = await exchanges.post(url, HEADERS, bytes(64 * 2**20))
            with answer:
                assert answer.status == 413
        assert connections == 2, "what is left of the first request would be read as the second"


async def test_a_connection_that_closed_while_idle_is_replaced() -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await request_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")

    async with serving(serve) as url, opened(1) as exchanges:
        for _ in range(3):
            with await exchanges.post(url, HEADERS, b"") as answer:
                assert await answer.content.read() == b"{}"
    assert connections == 3


async def test_a_server_that_speaks_first_is_no_endless_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ResponseHandler, "should_close", property(lambda _: True))

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(serve) as url, opened(3) as exchanges:
        with pytest.raises(Garbled, match="before it is asked"):
            await exchanges.post(url, HEADERS, b"")


async def test_a_cancelled_exchange_gives_its_place_back() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, body = await request_of(reader)
        if body == b"hang":
            await anyio.sleep_forever()
        writer.write(OK)

    async with serving(serve) as url, opened(1) as exchanges:
        for _ in range(3):
            with anyio.move_on_after(0.01):
                await exchanges.post(url, HEADERS, b"hang")
        with anyio.fail_after(5), await exchanges.post(url, HEADERS, b"") as answer:
            assert await answer.content.read() == b"{}"
