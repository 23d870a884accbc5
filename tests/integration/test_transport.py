"""The transport against a server that misbehaves on real sockets: each misbehaviour ends in one error, in time."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from evalsvc.errors import DeadlineExceeded, Garbled, ProviderError, Unreachable
from evalsvc.providers.transport import AiohttpTransport, Reply

pytestmark = pytest.mark.anyio

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
TIMEOUT_S = 1.0


@asynccontextmanager
async def server(behaviour: Behaviour) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behaviour(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    running = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}/v1"
    finally:
        running.close()


async def post(url: str, *, max_bytes: int = 2**20) -> Reply:
    transport = AiohttpTransport(connections=4, timeout_s=TIMEOUT_S, max_bytes=max_bytes)
    try:
        return await transport.post(url, {"Content-Type": "application/json"}, b"{}")
    finally:
        await transport.aclose()


def saying(raw: bytes) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        await writer.drain()

    return behave


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def http(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


BOMB = gzip.compress(b"\0" * (64 * 2**20))


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (hang, DeadlineExceeded),
        (drip, DeadlineExceeded),
        (saying(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n"), Unreachable),
        (saying(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), Unreachable),
        (saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf"), Unreachable),
        (saying(b""), Unreachable),
        (reset, Unreachable),
        (saying(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), Garbled),
        (saying(http(BOMB, "Content-Encoding: gzip")), Garbled),
        (saying(http(b"x" * 2**21)), Garbled),
        (saying(http(b"not gzip", "Content-Encoding: gzip")), Unreachable),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_misbehaviour_ends_in_one_error_in_time(behaviour: Behaviour, error: type[ProviderError]) -> None:
    async with server(behaviour) as url:
        with anyio.fail_after(TIMEOUT_S + 1), pytest.raises(ProviderError) as caught:
            await post(url)
    assert type(caught.value) is error


async def test_a_refused_connection_is_unreachable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        with pytest.raises(Unreachable, match="cannot connect"):
            await post(url)


async def test_a_redirect_is_not_followed() -> None:
    asked = []

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(http(b"", "Location: /elsewhere", status="307 Temporary Redirect"))

    async with server(redirect) as url:
        assert (await post(url)).status == 307
    assert len(asked) == 1


async def test_latency_runs_to_the_last_byte_and_first_byte_is_apart() -> None:
    gate = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
        await writer.drain()
        asyncio.get_running_loop().call_later(0.2, gate.set)
        await gate.wait()
        writer.write(b"b")

    async with server(slow) as url:
        reply = await post(url)
    assert reply.body == b"ab"
    assert reply.total_s >= 0.2 > reply.first_byte_s
