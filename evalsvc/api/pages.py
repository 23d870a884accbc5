"""Pages for people: the jobs, one job live, the report of a finished one."""

from __future__ import annotations

import re
from base64 import b64encode
from functools import partial
from hashlib import sha256
from http import HTTPStatus
from importlib import resources
from typing import Annotated, Any

from fastapi import Path, Query, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import Response

from evalsvc.api.guard import Access, Door, needs
from evalsvc.api.jobs import JobId, Jobs
from evalsvc.api.problems import ApiError
from evalsvc.api.reports import Reports
from evalsvc.api.service import Service
from evalsvc.api.waiting import for_client
from evalsvc.core.states import ENDED
from evalsvc.reports.inert import visible

_JOBS = 50
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_STATIC = {"app.css": "text/css", "app.js": "text/javascript", "icon.svg": "image/svg+xml"}


def _drawn(value: Any) -> Any:
    """Every text that enters a page: hidden characters made visible (escaping follows, by autoescape)."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


_TEMPLATES = Environment(
    loader=PackageLoader("evalsvc.api", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=_drawn,
    trim_blocks=True,
    lstrip_blocks=True,
)


class Pages:
    """The routes outside ``/api``.

    Args:
        service: the daemon behind them.
        jobs: how a job is shown.
        door: whether somebody is signed in.
        reports: draws the report of a finished job; None: nothing does.
    """

    def __init__(self, service: Service, jobs: Jobs, door: Door, reports: Reports | None) -> None:
        self._service, self._jobs, self._door, self._reports = service, jobs, door, reports

    @needs(Access.VIEW)
    async def start(
        self, request: Request, after: Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = None
    ) -> Response:
        """The jobs, newest first."""
        rows = await self._service.jobs(limit=_JOBS + 1, after=after)
        older = rows[_JOBS - 1].id if len(rows) > _JOBS else None
        return self._page(request, "jobs", jobs=[self._jobs.shown(row) for row in rows[:_JOBS]], older=older)

    @needs(Access.VIEW)
    async def job(self, request: Request, job_id: JobId) -> Response:
        """One job, live."""
        row = await self._service.job(job_id)
        live = row.state not in ENDED
        return self._page(request, "job", job=self._jobs.shown(row), record=row.record, live=live)

    @needs(Access.VIEW)
    async def report(self, request: Request, job_id: JobId) -> Response:
        """The report of a finished job: one file that loads nothing and may do nothing."""
        row = await self._service.job(job_id)
        if row.record is None or self._reports is None:
            raise ApiError(409, f"the job is {row.state}: there is no report yet", code="not_decided")
        html = await for_client(request.receive, partial(self._reports.page, job_id))
        return Response(html, media_type="text/html", headers={"Content-Security-Policy": policy_of(html)})

    @needs(Access.PUBLIC)
    async def static(self, name: Annotated[str, Path(max_length=40)]) -> Response:
        """Style and script of the pages."""
        if name not in _STATIC:
            raise ApiError(404, "no such file")
        body = resources.files("evalsvc.api").joinpath("static", name).read_bytes()
        return Response(body, media_type=_STATIC[name], headers={"Cache-Control": "no-cache"})

    def problem(self, request: Request, error: ApiError) -> Response | None:
        """An error as a page, where a browser asks for one."""
        if request.url.path.startswith("/api/") or "text/html" not in request.headers.get("accept", ""):
            return None
        title = "Sign in" if error.status == 401 else HTTPStatus(error.status).phrase
        page = self._page(request, "problem", title=title, message=error.message, sign_in=error.status == 401)
        page.status_code = error.status
        page.headers.update(error.headers or {})
        return page

    def _page(self, request: Request, name: str, **values: Any) -> Response:
        signed_in = self._door.cookie in request.cookies
        html = _TEMPLATES.get_template(f"{name}.html.j2").render(signed_in=signed_in, **values)
        return Response(html, media_type="text/html")


def policy_of(html: str) -> str:
    """The policy of a report: its one style by hash, no script, no request, an origin of its own."""
    style = _STYLE.search(html)
    digest = b64encode(sha256((style[1] if style else "").encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; sandbox"
    )
