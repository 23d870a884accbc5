"""The transport against a server that misbehaves on real sockets: each misbehaviour ends in one error, in time."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec

import anyio
import pytest

from evalsvc.errors import DeadlineExceeded, Garbled, ProviderError, Unreachable
from evalsvc.providers.factory import TransportName, make_transport
from evalsvc.providers.transport import Reply, Transport

pytestmark = pytest.mark.anyio

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
TIMEOUT_S = 1.0


@pytest.fixture(
    params=[
        "aiohttp",
        pytest.param(
            "pyreqwest",
            marks=pytest.mark.skipif(find_spec("pyreqwest") is None, reason="the extra [fast] is not installed"),
        ),
    ]
)
def name(request: pytest.FixtureRequest) -> TransportName:
    chosen: TransportName = request.param
    return chosen


@asynccontextmanager
async def server(behaviour: Behaviour) -> AsyncIterator[str]:
    served: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        served[task] = writer
        try:
            await behaviour(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went, or the test is over
        finally:
            writer.close()
            del served[task]

    running = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}/v1"
    finally:
        running.close()
        await asyncio.sleep(0.01)  # who was let in has begun
        for task in (tasks := list(served)):
            task.cancel()
        await asyncio.gather(*tasks)


@asynccontextmanager
async def opened(
    name: TransportName, *, connections: int = 4, timeout_s: float = TIMEOUT_S, max_bytes: int = 2**20
) -> AsyncIterator[Transport]:
    transport = make_transport(name, connections=connections, timeout_s=timeout_s, max_bytes=max_bytes)
    try:
        yield transport
    finally:
        await transport.aclose()


HEADERS = {"Content-Type": "application/json"}


async def post(name: TransportName, url: str) -> Reply:
    async with opened(name) as transport:
        return await transport.post(url, HEADERS, b"{}")


async def stream(name: TransportName, url: str, taken: list[bytes], end: bytes = b"no such end") -> Reply:
    def take(piece: bytes, _: float) -> bool:
        taken.append(piece)
        return end in b"".join(taken)

    async with opened(name) as transport:
        return await transport.stream(url, HEADERS, b"{}", take)


def saying(raw: bytes) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        await writer.drain()

    return behave


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


def endless(head: bytes, piece: bytes, pause_s: float) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return behave


def resetting(said: bytes) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return behave


async def half_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    writer.write_eof()
    await reader.read()


def http(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
BOMB = gzip.compress(b"\0" * (64 * 2**20))

HOSTILE: dict[str, tuple[Behaviour, type[ProviderError]]] = {
    "hang": (hang, DeadlineExceeded),
    "drip in the body": (endless(OK + b"Content-Length: 1000\r\n\r\n", b"x", 0.05), DeadlineExceeded),
    "drip in the headers": (endless(OK, b"x: y\r\n", 0.05), DeadlineExceeded),
    "hints without end": (endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.01), DeadlineExceeded),
    "flood of headers": (endless(OK, b"x: y\r\n" * 1000, 0), Garbled),
    "flood of body": (endless(OK + b"\r\n", b"x" * 2**16, 0), Garbled),
    "cut in the headers": (saying(OK + b"Content-Length: 10\r\n"), Unreachable),
    "cut in the body": (saying(OK + b"Content-Length: 10\r\n\r\nhalf"), Unreachable),
    "half-closed in the body": (half_close, Unreachable),
    "cut in a chunk": (saying(CHUNKED + b"ff\r\nhalf"), Unreachable),
    "no last chunk": (saying(CHUNKED + b"2\r\nhi\r\n"), Unreachable),
    "no chunk": (saying(CHUNKED + b"zz\r\nhalf"), Garbled),
    "closed at once": (saying(b""), Unreachable),
    "reset before the headers": (resetting(b""), Unreachable),
    "reset after the headers": (resetting(OK + b"Content-Length: 10\r\n\r\n"), Unreachable),
    "no HTTP": (saying(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), Garbled),
    "two lengths": (saying(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"), Garbled),
    "gzip bomb": (saying(http(BOMB, "Content-Encoding: gzip")), Garbled),
    "too big": (saying(http(b"x" * 2**21)), Garbled),
    "no gzip": (saying(http(b"not gzip", "Content-Encoding: gzip")), Unreachable),
}


@pytest.mark.parametrize("case", list(HOSTILE))
async def test_misbehaviour_ends_in_one_error_in_time(name: TransportName, case: str) -> None:
    behaviour, error = HOSTILE[case]
    async with server(behaviour) as url:
        with anyio.fail_after(TIMEOUT_S + 1), pytest.raises(ProviderError) as caught:
            await post(name, url)
    assert type(caught.value) is error
    assert str(caught.value).isprintable()


async def whole_stream(name: TransportName, url: str) -> None:
    reply = await stream(name, url, [])
    if reply.broken is not None:
        raise reply.broken


@pytest.mark.parametrize("case", list(HOSTILE))
async def test_a_stream_that_misbehaves_ends_in_the_same_error(name: TransportName, case: str) -> None:
    behaviour, error = HOSTILE[case]
    async with server(behaviour) as url:
        with anyio.fail_after(TIMEOUT_S + 1), pytest.raises(ProviderError) as caught:
            await whole_stream(name, url)
    assert type(caught.value) is error


async def test_hints_before_the_answer_are_passed_over(name: TransportName) -> None:
    async with server(saying(b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" + http(b"ok"))) as url:
        assert (await post(name, url)).body == b"ok"


async def test_headers_of_any_case_and_bytes_are_found_in_lower_case(name: TransportName) -> None:
    raw = http(b"ok", "X-One: 1", "X-Odd: \u00e9").decode().encode("latin-1")
    async with server(saying(raw)) as url:
        headers = (await post(name, url)).headers
    assert (headers["x-one"], headers.get("x-none"), "x-one" in headers) == ("1", None, True)
    assert headers.get("x-odd", "") != "1"
    assert {header.lower(): value for header, value in headers.items()}["x-one"] == "1"


EVENTS = OK + b"Content-Type: text/event-stream\r\n\r\n"


async def test_a_stream_without_an_end_is_broken_by_the_deadline_and_keeps_what_came(name: TransportName) -> None:
    taken: list[bytes] = []
    async with server(endless(EVENTS + b"data: 1\n\n", b": ping\n\n", 0.05)) as url:
        with anyio.fail_after(TIMEOUT_S + 1):
            reply = await stream(name, url, taken)
    assert isinstance(reply.broken, DeadlineExceeded)
    assert b"".join(taken).startswith(b"data: 1\n\n: ping")
    assert reply.first_byte_s < reply.total_s <= TIMEOUT_S + 0.5


async def test_a_complete_stream_is_not_waited_for(name: TransportName) -> None:
    taken: list[bytes] = []
    async with server(endless(EVENTS, b"data: [DONE]\n\n", 10)) as url:
        with anyio.fail_after(TIMEOUT_S):
            reply = await stream(name, url, taken, end=b"[DONE]")
    assert reply.broken is None
    assert b"".join(taken) == b"data: [DONE]\n\n"


async def test_an_error_or_plain_json_is_not_streamed(name: TransportName) -> None:
    taken: list[bytes] = []
    for status, sort in (("500 No", "text/event-stream"), ("200 OK", "application/json; charset=utf-8")):
        async with server(saying(http(b"{}", f"Content-Type: {sort}", status=status))) as url:
            assert (await stream(name, url, taken)).body == b"{}"
    assert taken == []


async def test_what_take_raises_passes_through(name: TransportName) -> None:
    def take(_: bytes, __: float) -> bool:
        raise Garbled("not mine")

    async with server(endless(EVENTS, b"data: 1\n\n", 0.05)) as url, opened(name) as transport:
        with pytest.raises(Garbled, match="not mine"):
            await transport.stream(url, HEADERS, b"{}", take)


async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.readuntil(b"\r\n\r\n{}"):
        writer.write(http(b"ok"))


async def churn(name: TransportName, requests: int) -> None:
    """Cancel so many requests, most while they wait for a connection, then use every connection at once."""
    held, connections = asyncio.Event(), 16
    waiting = 0

    async def first_hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal waiting
        while await reader.readuntil(b"\r\n\r\n{}"):
            waiting += 1
            if not held.is_set() and waiting < connections:
                await held.wait()
            held.set()
            writer.write(http(b"ok"))

    async with server(hang) as deaf, opened(name, connections=connections, timeout_s=0.5) as transport:
        for _ in range(requests // 250):
            calls = [asyncio.ensure_future(transport.post(deaf, HEADERS, b"{}")) for _ in range(250)]
            await asyncio.wait(calls, timeout=0.002)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        # what lives on inside a library has its time limit
        await asyncio.sleep(0.6)
        async with server(first_hang) as url:
            # the server answers none before all are there
            replies = await asyncio.gather(*(transport.post(url, HEADERS, b"{}") for _ in range(connections)))
    assert [reply.body for reply in replies] == [b"ok"] * connections


async def test_the_pool_keeps_its_capacity_after_cancelled_requests(name: TransportName) -> None:
    await churn(name, 2000)


@pytest.mark.long
async def test_the_pool_keeps_its_capacity_after_many_cancelled_requests(name: TransportName) -> None:
    await churn(name, 10_000)


async def test_no_more_connections_than_allowed_are_open_even_after_a_cancel(name: TransportName) -> None:
    most = now = 0

    async def counting(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await reader.read()
        now -= 1

    async with server(counting) as url, opened(name, connections=2, timeout_s=0.3) as transport:
        for _ in range(5):
            with anyio.move_on_after(0.05):
                await transport.post(url, HEADERS, b"{}")
        with pytest.raises(ProviderError):
            await transport.post(url, HEADERS, b"{}")
    assert 1 <= most <= 3  # of six; one that was closed may not have been noticed yet


async def test_an_outer_cancel_scope_ends_a_call(name: TransportName) -> None:
    async with server(hang) as url, opened(name, timeout_s=30) as transport:
        with anyio.fail_after(5):
            with anyio.move_on_after(0.05) as scope:
                await transport.post(url, HEADERS, b"{}")
            assert scope.cancelled_caught


async def test_a_connection_closed_between_requests_is_unreachable_or_renewed_and_never_asked_twice(
    name: TransportName,
) -> None:
    asked = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await reader.readuntil(b"\r\n\r\n{}")
        asked += 1
        writer.write(http(b"ok"))  # keep-alive, and then the server goes

    sent = 0
    async with server(once) as url, opened(name) as transport:
        for _ in range(20):
            sent += 1
            try:
                assert (await transport.post(url, HEADERS, b"{}")).body == b"ok"
            except Unreachable:
                continue
    assert 1 <= asked <= sent


async def test_a_request_read_and_not_answered_is_not_sent_again(name: TransportName) -> None:
    asked = 0

    async def second_lost(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await reader.readuntil(b"\r\n\r\n{}")
        asked += 1
        writer.write(http(b"ok"))
        await reader.readuntil(b"\r\n\r\n{}")
        asked += 1

    async with server(second_lost) as url, opened(name) as transport:
        await transport.post(url, HEADERS, b"{}")
        with pytest.raises(Unreachable):
            await transport.post(url, HEADERS, b"{}")
    assert asked == 2


async def test_connections_are_used_again(name: TransportName) -> None:
    opened_connections = 0

    async def counting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened_connections
        opened_connections += 1
        await answering(reader, writer)

    async with server(counting) as url, opened(name) as transport:
        for _ in range(5):
            await transport.post(url, HEADERS, b"{}")
    assert opened_connections == 1


async def test_a_refused_connection_is_unreachable(name: TransportName) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        with pytest.raises(Unreachable, match="cannot connect"):
            await post(name, url)


async def test_a_redirect_is_not_followed(name: TransportName) -> None:
    asked = []

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(http(b"", "Location: /elsewhere", status="307 Temporary Redirect"))

    async with server(redirect) as url:
        assert (await post(name, url)).status == 307
    assert len(asked) == 1


async def test_latency_runs_to_the_last_byte_and_first_byte_is_apart(name: TransportName) -> None:
    gate = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
        await writer.drain()
        asyncio.get_running_loop().call_later(0.2, gate.set)
        await gate.wait()
        writer.write(b"b")

    async with server(slow) as url:
        reply = await post(name, url)
    assert reply.body == b"ab"
    assert reply.total_s >= 0.2 > reply.first_byte_s


async def test_an_answer_that_nobody_asked_for_is_nobodys_answer(name: TransportName) -> None:
    said, lingering = http(b"first"), http(b"stray")
    idle = asyncio.Event()

    async def talkative(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(2)
            writer.write(said)
            await writer.drain()
            await idle.wait()
            writer.write(lingering)  # on a connection that rests in the pool
            await writer.drain()

    async with server(talkative) as url, opened(name) as transport:
        assert (await transport.post(url, HEADERS, b"{}")).body == b"first"
        idle.set()
        await asyncio.sleep(0.05)  # it arrives while nobody asks anything
        assert (await transport.post(url, HEADERS, b"{}")).body == b"first"
