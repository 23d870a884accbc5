"""The app holds what its OpenAPI document says, whatever it is sent."""

from __future__ import annotations

from typing import Any
from unittest.mock import AsyncMock

import anyio
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi import checks

from evalsvc.core.states import JobState

_CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
]
#: Operations that are asked; a test holds this list and the document together.
OPERATIONS = [
    ("POST", "/api/v1/jobs"),
    ("GET", "/api/v1/jobs"),
    ("GET", "/api/v1/jobs/{job_id}"),
    ("GET", "/api/v1/jobs/{job_id}/outcomes"),
    ("GET", "/api/v1/jobs/{job_id}/decision"),
    ("GET", "/api/v1/jobs/{job_id}/report"),
    ("GET", "/api/v1/jobs/{job_id}/compare/{second_id}"),
    ("GET", "/api/v1/jobs/{job_id}/calibration"),
    ("POST", "/api/v1/jobs/{job_id}/calibration"),
    ("GET", "/api/v1/jobs/{job_id}/events"),
    ("POST", "/api/v1/jobs/{job_id}/cancel"),
    ("POST", "/api/v1/jobs/{job_id}/resume"),
    ("GET", "/api/v1/tokens"),
    ("POST", "/api/v1/tokens"),
    ("POST", "/api/v1/tokens/{token_id}/revoke"),
    ("POST", "/api/v1/session"),
    ("DELETE", "/api/v1/session"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
]


@pytest.fixture
def described(build: Any, make_record: Any) -> tuple[Any, dict[str, str]]:
    """The app's own description, and the headers of an admin."""

    async def prepare() -> tuple[Any, str]:
        house = await build(
            metrics=AsyncMock(return_value=("text/plain; version=1.0.0", b"up 1\n")), failures_a_minute=10_000
        )
        house.service.add("0", state=JobState.DONE, record=make_record())
        house.service.add("1", state=JobState.FAILED, reason="why")
        house.service.filed = [{"seq": 1, "text": "t"}]
        return house, await house.token("admin")

    house, token = anyio.run(prepare)
    return (
        schemathesis.openapi.from_asgi("/api/v1/openapi.json", house.app, headers={"Host": "localhost"}),
        {
            "Authorization": f"Bearer {token}",
            "Host": "localhost",
        },
    )


def test_every_operation_is_asked(described: Any) -> None:
    schema, _ = described
    assert [(each.ok().method.upper(), each.ok().path) for each in schema.get_all_operations()] == OPERATIONS


@pytest.mark.parametrize("mode", ["POSITIVE", "NEGATIVE"])
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_answers_are_as_described(described: Any, method: str, path: str, mode: str) -> None:
    schema, headers = described
    operation = schema[path][method]
    if mode == "NEGATIVE" and not (operation.body or "{" in path or operation.query):
        return  # it takes nothing that could be wrong

    @settings(max_examples=20, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy(generation_mode=schemathesis.GenerationMode[mode]), st.sampled_from(["0", "1", None]))
    def ask(case: Any, job_id: str | None) -> None:
        if job_id is not None and "job_id" in case.path_parameters:
            case.path_parameters["job_id"] = job_id  # one that is there
        case.call_and_validate(headers=headers, checks=_CHECKS)

    ask()
