"""The transport on pyreqwest (Rust), opt-in (the extra ``fast``): HTTP by reqwest, where aiohttp's is not wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from time import perf_counter
from types import coroutine
from typing import Any, TypeVar

from pyreqwest.client import ClientBuilder

# imported only when it raises, at the limit of open files, it would abort the process
from pyreqwest.exceptions import DecodeError, DetailedPyreqwestError, PyreqwestError
from pyreqwest.http import HeaderMap
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response

from evalsvc.errors import DeadlineExceeded, Garbled, ProviderError, Unreachable
from evalsvc.providers.transport import CONNECT_S, DRAIN_S, Feed, Reply, Take, is_stream, too_big

T = TypeVar("T")


class PyreqwestTransport:
    """One reqwest client; HTTP/1.1 only, for over HTTP/2 it sends a POST again by itself.

    A call cancelled before the answer's headers lives on inside reqwest until its time limit: its connection stays
    counted as taken until then, so that never more than ``connections`` are open.

    Args:
        connections: most connections at once.
        timeout_s: hard limit of one attempt in seconds, connecting and the last byte included.
        max_bytes: most bytes of a body, after decompression.
    """

    def __init__(self, *, connections: int, timeout_s: float, max_bytes: int) -> None:
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._free = asyncio.Semaphore(connections)
        self._client = (
            ClientBuilder()
            .timeout(timedelta(seconds=timeout_s))
            .connect_timeout(timedelta(seconds=min(CONNECT_S, timeout_s)))
            .pool_max_idle_per_host(connections)
            .no_proxy()
            .follow_redirects(enable=False)
            .referer(enable=False)
            .http1_only()
            .build()
        )

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """See `Transport.post`."""
        return await _cancelled_as_told(self._post(url, headers, body))

    async def stream(self, url: str, headers: Mapping[str, str], body: bytes, take: Take) -> Reply:
        """See `Transport.stream`."""
        return await _cancelled_as_told(self._stream(url, headers, body, take))

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        started = perf_counter()
        call = await self._call(url, headers, body, started)
        response = await self._open(call, started)
        try:
            first_byte = perf_counter() - started
            content = await self._read(response)
            return Reply(response.status, _plain(response.headers), content, first_byte, perf_counter() - started)
        except PyreqwestError as error:
            raise _broken_off(error, self._timeout_s) from error
        finally:
            await self._close(call)

    async def _stream(self, url: str, headers: Mapping[str, str], body: bytes, take: Take) -> Reply:
        feed = Feed(take, self._max_bytes)
        call = await self._call(url, headers, body, feed.started)
        response = await self._open(call, feed.started)
        try:
            headers = _plain(response.headers)
            feed.head(response.status, headers)
            if not is_stream(response.status, headers):
                return feed.whole(await self._read(response))
            while (chunk := await response.body_reader.read_chunk()) is not None:
                if feed.piece(bytes(chunk)):
                    await _drain(response)
                    break
            return feed.whole(b"")
        except PyreqwestError as error:
            return feed.broken_by(_broken_off(error, self._timeout_s))
        finally:
            await self._close(call)

    async def _call(self, url: str, headers: Mapping[str, str], body: bytes, started: float) -> StreamRequest:
        """A call that has its connection."""
        builder = self._client.post(url).headers(headers).body_bytes(body).streamed_read_buffer_limit(0)
        if not self._free.locked():
            await self._free.acquire()
            return builder.build_streamed()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._free.acquire()
        except TimeoutError:
            raise DeadlineExceeded(f"no connection free within {self._timeout_s:g} s") from None
        rest = max(0.001, self._timeout_s - (perf_counter() - started))
        return builder.timeout(timedelta(seconds=rest)).build_streamed()

    async def _open(self, call: StreamRequest, started: float) -> Response:
        try:
            return await call.__aenter__()
        except PyreqwestError as error:
            self._free.release()
            raise _not_answered(error, self._timeout_s) from error
        except asyncio.CancelledError:
            rest = self._timeout_s - (perf_counter() - started)
            asyncio.get_running_loop().call_later(max(0.0, rest), self._free.release)
            raise

    async def _close(self, call: StreamRequest) -> None:
        self._free.release()
        await call.__aexit__(None, None, None)

    async def _read(self, response: Response) -> bytes:
        # a decoded body has lost its Content-Length
        length = response.headers.get("content-length")
        if length is not None and int(length) <= self._max_bytes:
            return bytes(await response.bytes())
        chunks: list[bytes] = []
        size = 0
        while (chunk := await response.body_reader.read_chunk()) is not None:
            size += len(chunk)
            if size > self._max_bytes:
                raise too_big(self._max_bytes)
            chunks.append(bytes(chunk))
        return b"".join(chunks)

    async def aclose(self) -> None:
        """See `Transport.aclose`."""
        await self._client.close()


def _plain(headers: HeaderMap) -> dict[str, str]:
    """Headers by name in lower case; looked up here, they cost a tenth. Without those that are not ASCII."""
    try:
        return dict(headers.items())
    except ValueError:
        return {name: value for name in headers.keys() if (value := _ascii(headers, name))}  # noqa: SIM118 - it is no dict


def _ascii(headers: HeaderMap, name: str) -> str | None:
    try:
        return headers[name]
    except ValueError:
        return None


@coroutine
def _cancelled_as_told(call: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Await a call; when it is cancelled, raise the very cancellation that came.

    pyreqwest raises one of its own instead, which anyio's cancel scopes do not know for theirs.
    """
    told: asyncio.CancelledError | None = None
    resume = partial(call.send, None)
    try:
        while True:
            waits_for = resume()
            try:
                yield waits_for
                resume = partial(call.send, None)
            except asyncio.CancelledError as error:
                told = error
                resume = partial(call.throw, error)
    except StopIteration as end:
        result: T = end.value
        return result
    except asyncio.CancelledError as error:
        raise told or error from None


def _not_answered(error: PyreqwestError, timeout_s: float) -> ProviderError:
    """What a failure before the headers means.

    Its class alone says little: a reset after sending reads as one of connecting, a missing answer as a timeout of
    connecting. Its causes tell.
    """
    reasons = _reasons(error)
    text = " ".join(reasons).lower()
    if isinstance(error, TimeoutError):
        if "(connect)" in text:
            return Unreachable("no connection within the time limit for connecting")
        return DeadlineExceeded(f"no whole answer within {timeout_s:g} s")
    if isinstance(error, DecodeError):
        return Garbled(f"not HTTP: {reasons[-1][:100]}")
    sort = "cannot connect" if "(connect)" in text else "the connection broke"
    return Unreachable(f"{sort}: {reasons[-1][:100]}")


def _broken_off(error: PyreqwestError, timeout_s: float) -> ProviderError:
    """What a failure within the body means."""
    if isinstance(error, TimeoutError):
        return DeadlineExceeded(f"no whole answer within {timeout_s:g} s")
    reason = _reasons(error)[-1]
    if "chunk size" in reason and "EOF" not in reason:
        return Garbled(f"not HTTP: {reason[:100]}")
    return Unreachable("the connection broke off in the middle of the answer")


def _reasons(error: PyreqwestError) -> list[str]:
    """Messages from the outermost to the first cause."""
    causes = error.details["causes"] if isinstance(error, DetailedPyreqwestError) else None
    return [error.message, *(cause["message"] for cause in causes or ())]


async def _drain(response: Response) -> None:
    with suppress(PyreqwestError, TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            while await response.body_reader.read_chunk() is not None:
                pass
