"""A job's events as a stream of server-sent events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from functools import partial

import anyio
import orjson
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from evalsvc.api.limits import ApiLimits
from evalsvc.api.problems import ApiError, Where
from evalsvc.api.service import Event
from evalsvc.errors import EvalsvcError
from evalsvc.telemetry.log import get_log

_LOG = get_log("evalsvc.api")

#: Milliseconds a browser waits before it comes back.
_RETRY = b"retry: 2000\n\n"
_HEARTBEAT = b": still here\n\n"
_MOST = 2**63 - 1


def last_event_id(header: str | None) -> int:
    """The id after which a client wants to go on; 0 from the first. Raises `ApiError`."""
    text = (header or "0").strip()
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > _MOST:
        raise ApiError(422, "must be the id of an event", where=Where(key="Last-Event-ID"))
    return int(text)


def frame(event: Event) -> bytes:
    """One event as it goes over the wire: its data is one line, whatever it holds."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.id, event.name.encode(), orjson.dumps(event.data))


class EventStream(Response):
    """Events until the job ends, the reader goes or the daemon stops.

    A reader that lags never holds up the job: at most ``stream_queue`` events wait for it, the next ones stay in the
    database, and one that takes nothing for ``stream_write_s`` is dropped; it comes back with `Last-Event-ID`.

    Args:
        events: from the service.
        first: one taken from it before.
        limits: the bounds above, and how often silence is broken.
        closing: set when the daemon stops.
        ended: called once when the stream is over.
    """

    def __init__(
        self,
        events: AsyncIterator[Event],
        limits: ApiLimits,
        closing: anyio.Event,
        ended: Callable[[], None],
        *,
        first: Event | None = None,
    ) -> None:
        super().__init__(media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._events, self._limits, self._closing, self._ended = events, limits, closing, ended
        self._first = first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Streams."""
        feed, queue = anyio.create_memory_object_stream[Event](self._limits.stream_queue)
        try:
            async with feed, queue, anyio.create_task_group() as tasks:
                tasks.start_soon(self._pump, feed)
                for over in (partial(_gone, receive), self._closing.wait):
                    tasks.start_soon(_then, over, tasks.cancel_scope.cancel)
                await self._write(queue, send)
                tasks.cancel_scope.cancel()
        finally:
            self._ended()

    async def _pump(self, feed: MemoryObjectSendStream[Event]) -> None:
        try:
            if self._first is not None:
                await feed.send(self._first)
            async for event in self._events:
                await feed.send(event)
        except EvalsvcError as error:
            _LOG.warning("stream.broken_off", reason=str(error))
        finally:
            feed.close()
            if isinstance(self._events, AsyncGenerator):  # left half-way it would wait for the garbage collector
                with anyio.CancelScope(shield=True):
                    await self._events.aclose()

    async def _write(self, queue: MemoryObjectReceiveStream[Event], send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        piece: bytes | None = _RETRY
        while piece is not None:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            piece = await self._next(queue)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _next(self, queue: MemoryObjectReceiveStream[Event]) -> bytes | None:
        """The next event, a sign of life where none comes for a while, None at the end."""
        with anyio.move_on_after(self._limits.heartbeat_s):
            try:
                return frame(await queue.receive())
            except anyio.EndOfStream:
                return None
        return _HEARTBEAT


async def _then(wait: Callable[[], Awaitable[object]], act: Callable[[], None]) -> None:
    await wait()
    act()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
