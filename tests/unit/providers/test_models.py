from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from evalsvc.errors import AuthenticationFailed, Garbled, ModelNotFound, Overloaded, ProviderError, Unreachable
from evalsvc.providers.models import list_models


@asynccontextmanager
async def server(answer: bytes) -> AsyncIterator[str]:
    """Answers anything with these bytes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            if not answer:
                await reader.read()  # until the client has had enough
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        ended.set()

    ended = asyncio.Event()
    listening = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    finally:
        listening.close()
        await ended.wait()


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


@pytest.mark.anyio
async def test_the_models_of_an_endpoint() -> None:
    async with server(ok(b'{"data": [{"id": "b"}, {"id": "a", "more": 1}]}')) as url:
        assert await list_models(url, "key", timeout_s=10) == ["b", "a"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n", AuthenticationFailed),
        (b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n", ModelNotFound),
        (b"HTTP/1.1 502 No\r\ncontent-length: 0\r\n\r\n", Overloaded),
        (b"HTTP/1.1 302 No\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n", ProviderError),
        (ok(b"<html>"), Garbled),
        (ok(b'{"data": {"id": 1}}'), Garbled),
        (ok(b"[" * 100_000), Garbled),
        (ok(b" " * (9 * 2**20)), Garbled),
        (b"220 smtp ready\r\n\r\n", Garbled),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", Unreachable),
        (b"", Unreachable),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
async def test_what_is_no_list_of_models(answer: bytes, error: type[ProviderError]) -> None:
    async with server(answer) as url:
        with pytest.raises(error) as raised:
            await list_models(url, "sk-secret", timeout_s=0.5 if not answer else 10)
    assert "sk-secret" not in str(raised.value)
