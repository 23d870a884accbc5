"""What stands before every route: names, sites, load, time, headers."""

from __future__ import annotations

import io
import json
import re
from typing import Any
from unittest.mock import AsyncMock

import anyio
import pytest

from evalsvc.api.front import POLICY
from evalsvc.api.tokens import Role
from evalsvc.core.settings import TelemetrySettings
from evalsvc.core.states import JobState
from evalsvc.telemetry.log import logging_to

pytestmark = pytest.mark.anyio

JOBS = "/api/v1/jobs"


async def test_every_answer_has_the_headers(house: Any) -> None:
    async with house.client() as client:
        answers = [
            await client.get(path, headers=headers)
            for path, headers in (
                ("/", {}),
                (JOBS, {}),
                ("/nothing", {}),
                ("/healthz", {}),
                ("/static/app.js", {}),
                (JOBS, {"Host": "evil.example"}),
                (JOBS, {"Sec-Fetch-Site": "cross-site"}),
                ("/api/v1/jobs?limit=x", {}),
            )
        ]
    for answer in answers:
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["x-request-id"])
        assert "access-control-allow-origin" not in answer.headers
        assert not answer.is_redirect
    assert answers[1].headers["cache-control"] == "no-store"
    assert len({answer.headers["x-request-id"] for answer in answers}) == len(answers)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (["ci-7.a_B"], True),
        (["x" * 64], True),
        (["x" * 65], False),
        (['a"b'], False),
        (["a b"], False),
        ([""], False),
        (["one", "two"], False),
        (["\xe9"], False),
    ],
)
async def test_a_request_keeps_the_id_it_came_with(house: Any, given: list[str], taken: bool) -> None:
    async with house.client() as client:
        answer = await client.get(JOBS, headers=[("x-request-id", each.encode("latin-1")) for each in given])
    assert (answer.headers["x-request-id"] == given[0]) is taken


async def test_every_line_about_a_request_has_its_id(house: Any) -> None:
    house.service.add("j", state=JobState.RUNNING)
    stream = io.StringIO()
    with logging_to(stream, TelemetrySettings()):
        for name in ("first", "second"):
            async with house.client() as client:
                await client.post(f"{JOBS}/j/cancel", headers={"x-request-id": name})
                await client.get(JOBS, headers={"x-request-id": f"{name}-bad", "Authorization": "Bearer x"})
            house.service.add("j", state=JobState.RUNNING)
            await house.tokens.create("a", Role.ADMIN)
    said = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["request"], line["event"]) for line in said] == [
        ("first", "http.answered"),
        ("second-bad", "http.refused"),
    ]


def test_the_policy_lets_nothing_inline_run() -> None:
    rules = dict(rule.split(" ", 1) for rule in POLICY.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert "unsafe" not in POLICY


async def test_a_large_head_is_refused_however_fast_it_comes(house: Any, problem: Any) -> None:
    async with house.client() as client:
        problem(await client.get(JOBS, headers={"x": "y" * 65_536}), 431)
        problem(await client.get(JOBS, params={"x": "y" * 60_000}, headers={"x": "y" * 6_000}), 431)
        assert (await client.get(JOBS, headers={"x": "y" * 60_000})).status_code == 200


async def test_a_name_that_is_not_ours(house: Any, problem: Any) -> None:
    async with house.client() as client:
        for path in (JOBS, "/healthz", "/", "/nothing"):
            error = problem(await client.get(path, headers={"Host": "evil.example:8321"}), 400)
            assert error["code"] == "unknown_host"


async def test_two_names_are_none(house: Any) -> None:
    answers: list[Any] = []

    async def send(message: Any) -> None:
        answers.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    for hosts in ([], [b"localhost", b"localhost"]):
        scope = {"type": "http", "method": "GET", "path": JOBS, "headers": [(b"host", host) for host in hosts]}
        answers.clear()
        await house.app(scope, receive, send)
        assert answers[0]["status"] == 400


ATTACKS: list[tuple[str, dict[str, str], bool]] = [
    ("POST", {}, True),
    ("POST", {"Sec-Fetch-Site": "same-origin"}, True),
    ("POST", {"Sec-Fetch-Site": "none"}, True),
    ("POST", {"Sec-Fetch-Site": "cross-site"}, False),
    ("POST", {"Sec-Fetch-Site": "same-site"}, False),
    ("POST", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, False),
    ("POST", {"Origin": "http://127.0.0.1:8321"}, True),
    ("POST", {"Origin": "http://127.0.0.1:9999"}, False),
    ("POST", {"Origin": "http://localhost:8321"}, False),
    ("POST", {"Origin": "https://evil.example"}, False),
    ("POST", {"Origin": "null"}, False),
    ("POST", {"Origin": ""}, False),
    ("POST", {"Origin": "http://[::1"}, False),
    ("POST", {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"}, False),
    ("DELETE", {"Origin": "https://evil.example"}, False),
    ("PUT", {"Sec-Fetch-Site": "cross-site"}, False),
    ("GET", {"Sec-Fetch-Site": "cross-site"}, False),
    ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, False),
    ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, True),
    ("GET", {"Sec-Fetch-Site": "same-origin"}, True),
    ("GET", {"Origin": "https://evil.example"}, False),
]


@pytest.mark.parametrize(("method", "headers", "heard"), ATTACKS)
async def test_pages_of_other_sites_are_not_heard(
    house: Any, problem: Any, method: str, headers: dict[str, str], heard: bool
) -> None:
    house.service.add("j", state=JobState.RUNNING)
    path = "/api/v1/jobs/j/cancel" if method != "GET" else JOBS
    async with house.client() as client:
        answer = await client.request(method, path, headers=headers)
    if heard:
        assert answer.status_code == 200
    else:
        assert problem(answer, 403)["code"] == "cross_site"
        assert house.service.rows["j"].state is JobState.RUNNING


async def test_no_other_origin_is_told_it_may_read(house: Any) -> None:
    async with house.client() as client:
        answer = await client.options(
            JOBS, headers={"Origin": "https://e.example", "Access-Control-Request-Method": "POST"}
        )
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_too_many_at_once(build: Any, problem: Any) -> None:
    house = await build(requests_at_once=0, metrics=AsyncMock(return_value=("text/plain", b"")))
    async with house.client() as client:
        answer = await client.get(JOBS)
        assert problem(answer, 503)["code"] == "busy"
        assert answer.headers["retry-after"] == "1"
        for path in ("/healthz", "/readyz", "/metrics"):  # who watches the daemon gets through
            assert (await client.get(path)).status_code == 200


async def test_a_body_that_trickles_in_is_cut_off(build: Any, problem: Any) -> None:
    house = await build(body_s=0.05)

    async def trickle() -> Any:
        yield b""
        await anyio.sleep_forever()

    async with house.client() as client:
        for path, kind in ((JOBS, "multipart/form-data; boundary=b"), ("/api/v1/session", "application/json")):
            answer = await client.post(path, content=trickle(), headers={"Content-Type": kind})
            problem(answer, 408)
    assert list(house.folder.iterdir()) == []


async def test_a_length_that_is_none(house: Any, problem: Any) -> None:
    async with house.client() as client:
        for length in ("-1", "x", "99999999999999999999999", "1e3"):
            problem(await client.post(JOBS, content=b"", headers={"Content-Length": length}), 413)


async def test_websockets_are_closed(house: Any) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await house.app({"type": "websocket", "path": "/", "headers": []}, send, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_who_hangs_up_in_an_upload_raises_nothing_and_leaves_nothing(house: Any) -> None:
    sent: list[Any] = []
    told = iter([{"type": "http.request", "body": b"--b\r\n", "more_body": True}, {"type": "http.disconnect"}])

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return next(told)

    kind = b"multipart/form-data; boundary=b"
    scope = {
        "type": "http",
        "method": "POST",
        "path": JOBS,
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", kind)],
        "client": ("127.0.0.1", 1),
    }
    await house.app(scope, receive, send)  # an error that came out here would stand in the log with its traceback
    assert sent[0]["status"] == 400
    assert house.service.uploads == []
    assert list(house.folder.iterdir()) == []
