"""What stands before every route: whose request is heard at all, how much of it, how long; headers on every answer."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evalsvc.api.bind import Names, host_of
from evalsvc.api.limits import ApiLimits
from evalsvc.api.problems import ApiError, Where
from evalsvc.telemetry.log import bind, get_log

_LOG = get_log("evalsvc.api")

#: Pages load their own script and style and nothing else; a report brings its own policy.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
#: On every answer, and as ``request`` in every line that is logged about it.
REQUEST_ID = "x-request-id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SAFE = {"GET", "HEAD", "OPTIONS"}
#: Answered however busy the daemon is: whoever watches it has to get through.
_ALWAYS = ("/healthz", "/readyz", "/metrics")
UPLOAD_PATH = "/api/v1/jobs"
#: The largest head of a request.
HEAD_BYTES = 64 * 1024


class Front:
    """The whole ASGI app: the framework's inside, with what it leaves open closed around it.

    Args:
        app: the routes.
        names: the names requests may be meant for.
        limits: sizes and times.
        closing: set when the daemon stops; streams end then.
    """

    def __init__(self, app: ASGIApp, names: Names, limits: ApiLimits, closing: anyio.Event) -> None:
        self.app = app
        self._names, self._limits, self._closing = names, limits, closing
        self._running = 0

    def close(self) -> None:
        """End all streams, so that the server can stop without waiting for those who watch."""
        self._closing.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _request_id(headers)
        bind(request=request_id)  # each request has a task of its own, and what the server logs of it comes later
        answer = _Answer(send, self._limits.stream_write_s, request_id)
        refusal = self._refusal(scope, headers)
        try:
            if refusal is not None:
                await refusal.response(scope, receive, answer.send)
                return
            with self._counted():
                await self.app(scope, _Body(receive, self._cap(scope), self._limits.body_s).receive, answer.send)
        except* _SlowReader:  # a stream's task group hands it on as a group
            _LOG.info("stream.dropped", took_nothing_s=self._limits.stream_write_s)

    def _refusal(self, scope: Scope, headers: Headers) -> ApiError | None:
        if _head_bytes(scope) > HEAD_BYTES:  # one that came in pieces the server has refused before
            return ApiError(431, "the head of the request is too large")
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._names.allow(hosts[0]):
            message = "not a name of this daemon; [server] hosts in config.toml lists the names it answers to"
            return ApiError(400, message, code="unknown_host", where=Where(key="Host"))
        if _of_another_site(scope, headers):
            return ApiError(403, "another site's page may not ask this", code="cross_site")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length[:20]) > self._cap(scope):
            return too_large(self._cap(scope))
        if self._running >= self._limits.requests_at_once and scope["path"] not in _ALWAYS:
            return ApiError(503, "too many requests at once", code="busy", headers={"Retry-After": "1"})
        return None

    def _cap(self, scope: Scope) -> int:
        upload = scope["method"] == "POST" and scope["path"] == UPLOAD_PATH
        return self._limits.body_bytes if upload else self._limits.small_body_bytes

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1


def _head_bytes(scope: Scope) -> int:
    target = len(scope["path"]) + len(scope.get("query_string", b""))
    return target + sum(len(name) + len(value) for name, value in scope["headers"])


def new_request_id() -> str:
    """What a request is called that brings no usable name."""
    return secrets.token_hex(8)


def _request_id(headers: Headers) -> str:
    given = headers.getlist(REQUEST_ID)
    return given[0] if len(given) == 1 and _REQUEST_ID.fullmatch(given[0]) else new_request_id()


def too_large(cap: int) -> ApiError:
    """More bytes than are taken."""
    size = f"{cap // 2**20} MiB" if cap >= 2**20 else f"{cap // 1024} KiB"
    return ApiError(413, f"the body may be {size} at most", headers={"Connection": "close"})


def _of_another_site(scope: Scope, headers: Headers) -> bool:
    """Whether a page of another origin asks (its browser says so); following a link to a page is everybody's right."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    safe = scope["method"] in _SAFE
    if site is not None and site not in ("same-origin", "none"):
        visit = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        return not (safe and visit)
    if origin is None or (safe and site is not None):
        return False
    try:
        asked = urlsplit(origin).netloc
    except ValueError:
        return True
    return asked.lower() != headers.get("host", "").lower() or host_of(asked) is None


class _Body:
    """A request's body: at most so many bytes, all there within so many seconds."""

    def __init__(self, receive: Receive, cap: int, seconds: float) -> None:
        self._receive, self._cap, self._left = receive, cap, cap
        self._deadline = anyio.current_time() + seconds
        self._whole = False

    async def receive(self) -> Message:
        if self._whole:
            return await self._receive()  # waits for the client to go
        with anyio.move_on_at(self._deadline) as scope:
            message = await self._receive()
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                raise too_large(self._cap)
            self._whole = not message.get("more_body", False)
            return message
        assert scope.cancelled_caught
        raise ApiError(408, "the request took too long to arrive", headers={"Connection": "close"})


class _SlowReader(Exception):
    """Nobody takes the answer."""


class _Answer:
    """An answer on its way: with the headers every answer has, and a limit on how long a reader takes for a piece."""

    def __init__(self, send: Send, seconds: float, request_id: str) -> None:
        self._send, self._seconds = send, seconds
        self._headers = {**_HEADERS, REQUEST_ID: request_id}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in self._headers.items():
                headers.setdefault(name, value)
        with anyio.move_on_after(self._seconds) as scope:
            await self._send(message)
        if scope.cancelled_caught:
            raise _SlowReader
