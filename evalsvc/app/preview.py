"""The first requests of a job as they would be sent, without sending them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from evalsvc.app.prepare import PreparedJob
from evalsvc.core.records import Arm, Case, Request
from evalsvc.engine.plan import Plan, planned_positions
from evalsvc.errors import RequestRejected
from evalsvc.providers.openai_http import body_of
from evalsvc.providers.responses import flat_tool
from evalsvc.reports import preview_text


async def preview(prepared: PreparedJob, count: int) -> list[dict[str, Any]]:
    """The first ``count`` requests of each arm that is asked, in planned order; of a case's trials the first only.

    Returns:
        Per request: arm, suite, case, category, endpoint, and its body, or why it would be rejected.
    """
    job = prepared.job
    plan = Plan(job, "preview", _first(prepared, count), done=set())
    shown: list[dict[str, Any]] = []
    while (request := await plan.take()) is not None:
        if request.trial == 0 and not job.arms[request.arm].recorded:
            shown.append(_shown(request))
    return sorted(shown, key=lambda request: list(Arm).index(request["arm"]))


def preview_as_text(requests: list[dict[str, Any]], *, color: bool, width: int) -> str:
    """The requests for a terminal."""
    return preview_text.render(requests, color=color, width=width)


async def _first(prepared: PreparedJob, count: int) -> AsyncIterator[list[Case]]:
    """The first ``count`` cases of the planned order, as one chunk."""
    positions = planned_positions(prepared.counts, seed=prepared.job.seed, limit=prepared.job.limit)
    cases = [
        replace(case, position=position)
        for suite, places in positions.items()
        for case, position in zip(prepared.cases(suite), places, strict=False)
        if 0 <= position < count
    ]
    yield sorted(cases, key=lambda case: case.position)


def _shown(request: Request) -> dict[str, Any]:
    case = request.case
    about = {"arm": request.arm, "endpoint": request.endpoint, "api": request.api, "suite": case.suite}
    about |= {"case": case.id, "category": case.category}
    try:
        return {**about, "body": _body(request), "rejected": None}
    except RequestRejected as error:
        return {**about, "body": None, "rejected": str(error)}


def _body(request: Request) -> dict[str, Any]:
    if request.api != "responses":
        return body_of(request)
    tools = {"tools": [flat_tool(tool) for tool in request.case.tools]} if request.case.tools else {}
    return {"model": request.model, "input": request.messages, **tools, **request.params}
