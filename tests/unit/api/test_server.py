"""Connections that mean no good, over real sockets."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    closing,
    contextmanager,
    suppress,
)
from statistics import median
from time import perf_counter
from typing import Any

import anyio
import pytest
import uvicorn

from evalsvc.api.limits import ApiLimits
from evalsvc.api.server import server_config

pytestmark = pytest.mark.anyio

HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
Serve = Callable[..., AbstractAsyncContextManager[tuple[str, int]]]


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Any:
        yield


@pytest.fixture
def serve(build: Any) -> Serve:
    """Serves the app on a port of loopback."""

    @asynccontextmanager
    async def start(**limits: Any) -> AsyncIterator[tuple[str, int]]:
        house = await build(**limits)
        listener = socket.create_server(("127.0.0.1", 0))
        server = _Server(server_config(house.app, ApiLimits(**limits), grace_s=1))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            with anyio.fail_after(10):
                while not server.started:
                    await anyio.lowlevel.checkpoint()
            yield listener.getsockname()
            house.app.close()
            server.should_exit = True

    return start


async def read_all(stream: anyio.abc.SocketStream) -> bytes:
    """Everything until the other side closes."""
    said = b""
    with anyio.fail_after(10):
        try:
            while True:
                said += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return said


async def test_a_head_that_trickles_in_is_cut_off(serve: Serve) -> None:
    async with serve(header_s=0.2) as address:
        async with await anyio.connect_tcp(*address) as stream:
            with suppress(anyio.BrokenResourceError):
                for byte in (b"GET / HTTP/1.1\r\n", b"Host: localhost\r\n", b"X: y"):
                    await stream.send(byte)
            assert await read_all(stream) == b""
        async with await anyio.connect_tcp(*address) as silent:
            assert await read_all(silent) == b""


async def test_heads_that_trickle_in_hold_up_nobody_else(serve: Serve) -> None:
    async with serve(header_s=60, connections_per_address=100) as address, AsyncExitStack() as stack:

        async def ask() -> float:
            began = perf_counter()
            async with await anyio.connect_tcp(*address) as stream:
                await stream.send(HEAD)
                assert b"200 OK" in await stream.receive()
            return perf_counter() - began

        alone = median([await ask() for _ in range(40)])
        dripping = [  # 300 of them, of three other addresses: each of those has as many as it may
            stack.enter_context(closing(socket.create_connection(address, source_address=(f"127.0.0.{2 + k % 3}", 0))))
            for k in range(300)
        ]
        beside = []
        for byte in b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ":
            for each in dripping:
                each.send(bytes([byte]))
            beside.append(await ask())
        assert median(beside) < 2 * alone + 0.05  # 0.05 s: it takes all their bytes at once
        one_more = socket.create_connection(address, source_address=("127.0.0.2", 0))
        async with await anyio.connect_tcp(*address) as stream:
            await stream.send(HEAD)
            assert b"200 OK" in await stream.receive()  # one_more was met before
        with closing(one_more):
            one_more.settimeout(5)
            assert one_more.recv(12) == b"HTTP/1.1 503"


async def test_a_second_head_has_its_deadline_too(serve: Serve) -> None:
    async with serve(header_s=0.8) as address, await anyio.connect_tcp(*address) as stream:
        await stream.send(HEAD)
        with anyio.fail_after(10):
            assert b"200 OK" in await stream.receive()
        await stream.send(b"GET / HT")
        assert b"HTTP" not in await read_all(stream)


async def test_a_body_nobody_reads_has_its_deadline_too(serve: Serve) -> None:
    async with serve(header_s=0.8, body_s=0.1) as address, await anyio.connect_tcp(*address) as stream:
        await stream.send(b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx")
        said = await read_all(stream)
    assert said.startswith(b"HTTP/1.1 404")


async def test_a_large_head_is_refused(serve: Serve) -> None:
    async with serve(header_s=1000) as address, await anyio.connect_tcp(*address) as stream:
        sent = 0
        try:
            await stream.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
            while sent < 2**24:  # more than any buffer on the way
                await stream.send(b"y" * 10_000)
                sent += 10_000
        except (anyio.BrokenResourceError, anyio.EndOfStream):
            pass
    assert sent < 2**24


async def test_one_address_has_so_many_connections(serve: Serve) -> None:
    async with serve(connections_per_address=2) as address:
        first = await anyio.connect_tcp(*address)
        second = await anyio.connect_tcp(*address)
        async with first, second:
            await second.send(HEAD)
            with anyio.fail_after(10):
                await second.receive()  # both are counted now
            async with await anyio.connect_tcp(*address) as third:
                assert (await read_all(third)).startswith(b"HTTP/1.1 503")
        with anyio.fail_after(10):
            while True:  # as soon as the server has seen them go
                async with await anyio.connect_tcp(*address) as again:
                    await again.send(HEAD)
                    if b"200 OK" in await again.receive():
                        break


async def test_what_is_no_http_is_told_so_in_the_one_shape(serve: Serve) -> None:
    async with serve() as address, await anyio.connect_tcp(*address) as stream:
        await stream.send(b"\x16\x03\x01 hello\r\n\r\n")
        head, _, body = (await read_all(stream)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request")
    assert json.loads(body)["error"]["code"] == "bad_request"


async def test_who_hangs_up_in_the_middle_is_no_fault_of_ours(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    async with serve() as address:
        async with await anyio.connect_tcp(*address) as stream:
            kind = b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\n\r\n--b\r\n"
            await stream.send(b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\n" + kind)
        async with await anyio.connect_tcp(*address) as stream:
            await stream.send(HEAD)
            with anyio.fail_after(10):
                assert b"200 OK" in await stream.receive()
    assert not [record for record in caplog.records if record.exc_info]


async def test_idle_connections_and_pipelines_are_served(serve: Serve) -> None:
    async with serve(header_s=5) as address, await anyio.connect_tcp(*address) as stream:
        await stream.send(HEAD * 3)
        said = b""
        with anyio.fail_after(10):
            while said.count(b"200 OK") < 3:
                said += await stream.receive()


@pytest.mark.parametrize(
    ("said", "error", "stays"),
    [
        ("ASGI callable returned without completing response.", None, False),
        ("Exception in ASGI application\n", asyncio.CancelledError(), False),
        ("Exception in ASGI application\n", ValueError(), True),
        ("something else", None, True),
        ("Invalid HTTP request received.", None, False),
        ("Unsupported upgrade request.", None, False),
    ],
)
async def test_what_was_broken_off_on_purpose_is_no_error_of_the_server(
    build: Any, said: str, error: BaseException | None, stays: bool
) -> None:
    server_config((await build()).app, ApiLimits())
    told = (type(error), error, None) if error else None
    record = logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, said, (), told)
    assert bool(logging.getLogger("uvicorn.error").filter(record)) is stays
