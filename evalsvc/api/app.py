"""The daemon's HTTP as one ASGI app: every route, with the access it needs, in one table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from shutil import rmtree
from typing import Any

import anyio
from fastapi import FastAPI
from starlette.responses import Response

from evalsvc import __version__
from evalsvc.api import access, jobs
from evalsvc.api.bind import Names
from evalsvc.api.front import UPLOAD_PATH, Front
from evalsvc.api.guard import Access, Door, GuardedRoute, needs
from evalsvc.api.limits import ApiLimits
from evalsvc.api.pages import Pages
from evalsvc.api.problems import ApiError, add_handlers, as_json, declared, problem_schemas
from evalsvc.api.reports import MEDIA, ReportRoutes, Reports
from evalsvc.api.service import Service
from evalsvc.api.tokens import TokenBook

#: Renders the Prometheus exposition: content type and body.
Metrics = Callable[[], Awaitable[tuple[str, bytes]]]

#: Answers of a route by status, as OpenAPI declares them.
_Answers = dict[int | str, dict[str, Any]]

_V1 = "/api/v1"
_SUBMITTED = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["job"],
                "properties": {"job": {"type": "string", "format": "binary", "description": "the text of job.toml"}},
                "additionalProperties": {
                    "type": "string",
                    "format": "binary",
                    "description": "a file the job names; the part is named by its path in the job",
                },
            }
        }
    },
}


def make_app(
    service: Service,
    *,
    tokens: TokenBook,
    folder: Path,
    host: str = "127.0.0.1",
    limits: ApiLimits | None = None,
    reports: Reports | None = None,
    metrics: Metrics | None = None,
) -> Front:
    """The app; `Front.close` ends its streams when the daemon stops. Serve it with `evalsvc.api.server`.

    Args:
        service: the daemon behind it.
        tokens: who may come in: ``await TokenBook.load(TokenStore(database))``.
        folder: where uploads lie while they arrive, on the disk where data sets stay; made when it is not there.
        host: the address the server is bound to (`evalsvc.api.bind.check_bind` says whether it may be).
        limits: what is taken from one client.
        reports: draws reports; without it there are none.
        metrics: the exposition; without it ``/metrics`` is 404.
    """
    bounds = limits or ApiLimits()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for left in folder.glob(f"{jobs.INCOMING}*"):  # of a daemon that was killed while they arrived
        rmtree(left, ignore_errors=True)
    closing = anyio.Event()
    app = routes(service, tokens, folder, bounds, closing, reports, metrics)
    return Front(app, Names(host, bounds.hosts), bounds, closing)


def routes(
    service: Service,
    tokens: TokenBook,
    folder: Path,
    limits: ApiLimits,
    closing: anyio.Event,
    reports: Reports | None,
    metrics: Metrics | None,
) -> FastAPI:
    """All routes, without what stands before them."""
    app = FastAPI(
        title="evalsvc",
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.router.route_class = GuardedRoute
    door = app.state.door = Door(tokens, limits)
    each = jobs.Jobs(service, folder, limits, closing)
    keys = access.Tokens(tokens, door, limits)
    pages = Pages(service, each, door, reports)
    drawn = ReportRoutes(service, reports)
    daemon = _Daemon(app, service, closing, metrics)
    add = _Adder(app)

    job = f"{UPLOAD_PATH}/{{job_id}}"
    filed: _Answers = {200: {"model": jobs.JobBody, "description": "the same request was sent before: that job"}}
    stream: _Answers = {
        200: {"content": {"text/event-stream": {}}},
        204: {"description": "the job has ended, nothing came since"},
    }
    add("POST", UPLOAD_PATH, each.submit, jobs.FiledBody, 409, 415, 422, status=201, more=filed, body=_SUBMITTED)
    add("GET", UPLOAD_PATH, each.list, jobs.JobPage, 422)
    add("GET", job, each.get, jobs.JobBody, 404, 422)
    add("GET", f"{job}/outcomes", each.outcomes, jobs.OutcomePage, 404, 422)
    add("GET", f"{job}/decision", each.decision, dict[str, Any], 404, 409, 422)
    file: _Answers = {200: {"content": {kind: {} for kind in MEDIA.values()}, "description": "the file"}}
    add("GET", f"{job}/report", drawn.report, None, 404, 409, 422, more=file)
    add("GET", f"{job}/compare/{{second_id}}", drawn.compare, None, 404, 409, 422, more=file)
    add("GET", f"{job}/calibration", each.calibration, dict[str, Any], 404, 422)
    add("POST", f"{job}/calibration", each.calibrate, dict[str, Any], 404, 409, 422)
    add("GET", f"{job}/events", each.events, None, 404, 422, more=stream)
    add("POST", f"{job}/cancel", each.cancel, jobs.JobBody, 404, 409, 422)
    add("POST", f"{job}/resume", each.resume, jobs.JobBody, 404, 409, 422)
    add("GET", f"{_V1}/tokens", keys.list, access.TokenList)
    add("POST", f"{_V1}/tokens", keys.create, access.MadeToken, 422, status=201)
    add("POST", f"{_V1}/tokens/{{token_id}}/revoke", keys.revoke, access.TokenBody, 404, 422)
    add("POST", f"{_V1}/session", keys.sign_in, None, 422, status=204)
    add("DELETE", f"{_V1}/session", keys.sign_out, None, status=204)
    add("GET", "/healthz", daemon.healthz, dict[str, str])
    add("GET", "/readyz", daemon.readyz, dict[str, str])
    plain: _Answers = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
    add("GET", "/metrics", daemon.metrics, None, 404, more=plain)
    for path, page in (
        (f"{_V1}/openapi.json", daemon.openapi),
        ("/", pages.start),
        ("/jobs/{job_id}", pages.job),
        ("/jobs/{job_id}/report", pages.report),
        ("/static/{name}", pages.static),
    ):
        app.add_api_route(path, page, methods=["GET"], include_in_schema=False, response_model=None)
    add_handlers(app, page_errors=pages.problem)
    return app


class _Adder:
    """Adds routes that stand in OpenAPI."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def __call__(
        self,
        method: str,
        path: str,
        endpoint: Callable[..., Any],
        model: Any,
        *errors: int,
        status: int = 200,
        more: _Answers | None = None,
        body: dict[str, Any] | None = None,
    ) -> None:
        good: _Answers = {status: {"model": model}} if model is not None else {}
        security: list[dict[str, list[str]]] = [] if endpoint.access is Access.PUBLIC else [{"bearer": []}]  # type: ignore[attr-defined]
        self._app.add_api_route(
            path,
            endpoint,
            methods=[method],
            status_code=status,
            response_model=None,
            responses={**declared(*errors), **good, **(more or {})},
            openapi_extra={"security": security, **({"requestBody": body} if body else {})},
        )


class _Daemon:
    """What the daemon says of itself."""

    def __init__(self, app: FastAPI, service: Service, closing: anyio.Event, metrics: Metrics | None) -> None:
        self._app, self._service, self._closing, self._metrics = app, service, closing, metrics

    @needs(Access.PUBLIC)
    async def healthz(self) -> Response:
        """Whether the process answers."""
        return as_json({"status": "ok"})

    @needs(Access.PUBLIC)
    async def readyz(self) -> Response:
        """Whether the daemon takes work; 503 says why not."""
        reason = "the daemon is stopping" if self._closing.is_set() else self._service.ready()
        if reason is not None:
            raise ApiError(503, reason, code="not_ready", headers={"Retry-After": "5"})
        return as_json({"status": "ok"})

    @needs(Access.VIEW)
    async def metrics(self) -> Response:
        """The Prometheus exposition."""
        if self._metrics is None:
            raise ApiError(404, "this daemon keeps no metrics")
        media_type, body = await self._metrics()
        return Response(body, headers={"Content-Type": media_type})

    @needs(Access.PUBLIC)
    async def openapi(self) -> Response:
        """This API, described."""
        schema = self._app.openapi()
        parts = schema.setdefault("components", {})
        parts["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        parts.setdefault("schemas", {}).update(problem_schemas())
        return as_json(schema)
