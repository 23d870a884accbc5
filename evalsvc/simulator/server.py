"""The HTTP face of the simulator: Starlette routes, served by uvicorn in the caller's event loop."""

from __future__ import annotations

import hmac
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evalsvc.simulator import wire
from evalsvc.simulator.answers import AnswerBook
from evalsvc.simulator.brain import Brain, Reply, SkilledBrain
from evalsvc.simulator.profile import Profile
from evalsvc.simulator.quota import Meter, stats
from evalsvc.simulator.replay import Replay

#: The header every response carries; it makes a record `"simulated": true`.
SIMULATED_HEADER = "x-evalsvc-simulated"

_SERVER_STATUS = (500, 502, 503)
#: Seconds that requests under way may still take when the server stops; hanging ones are cut off then.
_GRACE_S = 1


def build_app(
    *,
    profile: Profile | None = None,
    book: AnswerBook | None = None,
    replay: Replay | None = None,
    api_key: str | None = None,
) -> ASGIApp:
    """The simulator as an ASGI app.

    Args:
        profile: the models it plays; the built-in ones by default.
        book: the right answers; what it does not know is echoed.
        replay: answers from this recording instead; excludes ``profile`` and ``book``.
        api_key: the bearer token every call but ``/healthz`` must then bring.
    """
    if replay is not None and (profile is not None or book is not None):
        raise ValueError("a replay has no profile and no answer book")
    played = profile or Profile.default()
    brain: Brain = replay or SkilledBrain(played, book or AnswerBook())
    terms = {} if replay else {name: model.quota for name, model in played.models.items()}
    api = _Api(brain, {name: Meter(terms.get(name), time.monotonic) for name in brain.models}, api_key)
    app = Starlette(
        routes=[
            Route("/v1/chat/completions", api.chat, methods=["POST"]),
            Route("/chat/completions", api.chat, methods=["POST"]),
            Route("/v1/models", api.models),
            Route("/sim/stats", api.stats),
            Route("/healthz", _healthz),
        ],
        exception_handlers={HTTPException: _http_error},
    )
    # around the whole app: Starlette's own middleware would not see the answer to a crash
    return _Marked(app)


async def serve(app: ASGIApp, host: str, port: int, *, ready: Callable[[int], None]) -> None:
    """Serves until cancelled; signals stay with the caller.

    Args:
        app: from `build_app`.
        host: address to bind; a name is resolved.
        port: 0 lets the system choose.
        ready: called with the port once connections are accepted.

    Raises:
        OSError: the address cannot be bound.
    """
    listener = _listen(host, port)
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        date_header=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = _Server(config, lambda: ready(listener.getsockname()[1]))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_stop_when_cancelled, server)
        # uvicorn leaves its sockets open when it is cancelled: it is asked to stop instead
        with anyio.CancelScope(shield=True):
            await server.serve(sockets=[listener])
        tasks.cancel_scope.cancel()


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # asyncio switches Nagle's algorithm off only where the socket names its protocol: else 40 ms on every answer
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


async def _stop_when_cancelled(server: uvicorn.Server) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        server.should_exit = True


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


class _Marked:
    """Puts the simulator's header on every response, whoever made it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[SIMULATED_HEADER] = "1"
            await send(message)

        await self._app(scope, receive, marked)


class _Api:
    def __init__(self, brain: Brain, meters: Mapping[str, Meter], api_key: str | None) -> None:
        self._brain = brain
        self._meters = meters
        self._authorization = None if api_key is None else f"Bearer {api_key}".encode()

    async def chat(self, request: Request) -> Response:
        if not self._authorized(request):
            return _wrong_key()
        try:
            question = wire.read_question(await request.body())
        except ValueError as error:
            return _invalid(400, str(error), code=None)
        if question.model not in self._brain.models:
            return _invalid(404, f"The model {question.model!r} does not exist", code="model_not_found", param="model")
        try:
            reply = self._brain.reply(question.model, question.prompt, question.tools)
        except LookupError as error:
            return _invalid(400, str(error), code="unknown_prompt", param="messages")
        return await self._metered(request, question, reply)

    async def _metered(self, request: Request, question: wire.Question, reply: Reply) -> Response:
        meter = self._meters[question.model]
        wait_s = meter.ask(sum(wire.usage(question, reply)))
        told = meter.headers(wait_s)
        if wait_s is not None:
            self._brain.unask(question.model, question.prompt, question.tools)
            return _rate_limited(told)
        if reply.fault == "hang":
            await _disconnected(request)
            return Response()
        if reply.latency_s:
            await anyio.sleep(reply.latency_s)
        response = self._response(question, reply)
        response.headers.update(told)
        return response

    async def stats(self, request: Request) -> Response:
        if not self._authorized(request):
            return _wrong_key()
        return _json(200, wire.encode(stats(self._meters)))

    async def models(self, request: Request) -> Response:
        if not self._authorized(request):
            return _wrong_key()
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "evalsvc"} for name in self._brain.models]
        return _json(200, wire.encode({"object": "list", "data": data}))

    def _authorized(self, request: Request) -> bool:
        if self._authorization is None:
            return True
        given = request.headers.get("authorization", "").encode()
        return hmac.compare_digest(given, self._authorization)

    def _response(self, question: wire.Question, reply: Reply) -> Response:
        match reply.fault:
            case "rate_limited":
                return _rate_limited(_far_from_any_limit(reply.retry_after_s))
            case "server":
                status = _SERVER_STATUS[reply.variant % len(_SERVER_STATUS)]
                message = "The server had an error while processing your request"
                return _json(status, wire.error(message, kind="server_error", code=None))
        body = wire.completion(question, reply, created=int(time.time()), fingerprint=self._brain.fingerprint)
        if reply.fault == "malformed":
            media_type, content = wire.malformed(body, reply.variant)
            return Response(content, media_type=media_type)
        return _json(200, wire.encode(body))


async def _healthz(_request: Request) -> Response:
    return _json(200, b'{"status":"ok"}')


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # registered for nothing else
    return _invalid(error.status_code, error.detail, code=None)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _far_from_any_limit(retry_after_s: float) -> dict[str, str]:
    # the limit is far above what any client reaches here: one that learns budgets from headers must not crawl
    return {
        "retry-after": f"{retry_after_s:g}",
        "x-ratelimit-limit-requests": "1000000",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": f"{retry_after_s:g}s",
    }


def _rate_limited(headers: Mapping[str, str]) -> Response:
    body = wire.error("Rate limit reached for requests", kind="requests", code="rate_limit_exceeded")
    return Response(body, 429, headers, "application/json")


def _wrong_key() -> Response:
    return _invalid(401, "Incorrect API key provided", code="invalid_api_key")


def _invalid(status: int, message: str, *, code: str | None, param: str | None = None) -> Response:
    return _json(status, wire.error(message, kind="invalid_request_error", code=code, param=param))


def _json(status: int, body: bytes) -> Response:
    return Response(body, status, media_type="application/json")
