"""How uvicorn serves the app: with the limits on a connection that uvicorn itself does not have."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from http import HTTPStatus
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from evalsvc.api.front import HEAD_BYTES, Front, new_request_id
from evalsvc.api.limits import ApiLimits
from evalsvc.api.problems import ApiError

_INCOMPLETE = "ASGI callable returned without completing response."
#: How uvicorn's lines begin that tell of what a client did wrong: it is told so, and anybody could fill the log.
_OF_CLIENTS = ("Invalid HTTP request", "Unsupported upgrade request", "No supported WebSocket library")
_CLOSING = (
    b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nx-request-id: %s\r\n"
    b"connection: close\r\n\r\n%s"
)


def server_config(app: Front, limits: ApiLimits | None = None, *, grace_s: float = 5) -> uvicorn.Config:
    """The settings for ``uvicorn.Server``.

    Call ``app.close()`` before the server is told to stop: streams end at once then.

    Args:
        app: from `make_app`.
        limits: the same the app has.
        grace_s: seconds that requests under way may still take when the server stops.
    """
    logging.getLogger("uvicorn.error").addFilter(_EXPECTED)
    bounds, addresses = limits or ApiLimits(), Counter[str]()

    class Protocol(TimedProtocol):
        limits = bounds
        by_address = addresses

    return uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        forwarded_allow_ips="127.0.0.1,::1",  # a proxy on this machine says who asks; nobody else is believed
        timeout_keep_alive=int(bounds.idle_s),
        timeout_graceful_shutdown=max(1, round(grace_s)),
    )


class _Expected(logging.Filter):
    """Drops uvicorn's lines about bad requests, and about answers broken off on purpose: who did it has said why."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line stays."""
        error = record.exc_info[1] if record.exc_info else None
        expected = record.msg == _INCOMPLETE or str(record.msg).startswith(_OF_CLIENTS)
        return not expected and not isinstance(error, asyncio.CancelledError)


_EXPECTED = _Expected()


class TimedProtocol(HttpToolsProtocol):
    """A connection whose requests arrive in time or not at all.

    uvicorn waits for ever for a head that trickles in, and reads one of any size (Kludex/uvicorn#157). Here head and
    body have deadlines from their first byte (a new connection: from its start), and connections are counted.
    """

    limits: ApiLimits
    by_address: Counter[str]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._head_bytes: int | None = 0  # None: not in a head
        self._address = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Count it; one too many is closed."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self.by_address[self._address] += 1
        crowd = len(self.connections) > self.limits.connections
        if crowd or self.by_address[self._address] > self.limits.connections_per_address:
            self._refuse(503, "too many connections")
        else:
            self._within(self.limits.header_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._within(None)
        self.by_address[self._address] -= 1
        if not self.by_address[self._address]:
            del self.by_address[self._address]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes; a head may only have so many."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse(431, "the head of the request is too large")

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._head_bytes = 0
        if self._deadline is None:
            self._within(self.limits.header_s)

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._head_bytes = None
        self._within(self.limits.body_s + self.limits.header_s)  # the app answers 408 before
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is there."""
        self._within(None)
        super().on_message_complete()

    def _within(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is told so in the one shape."""
        self._refuse(400, msg)

    def _refuse(self, status: int, message: str) -> None:
        self._within(None)
        body = bytes(ApiError(status, message).response.body)
        said = f"{status} {HTTPStatus(status).phrase}".encode()
        self.transport.write(_CLOSING % (said, len(body), new_request_id().encode(), body))
        self.transport.close()
