"""What every transport keeps: one POST as told, no ceiling of its own, nothing of the environment."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Any

import anyio
import pytest

from evalsvc.providers.factory import TransportName, make_transport
from evalsvc.providers.transport import Transport

pytestmark = pytest.mark.anyio
FAST = pytest.param(
    "pyreqwest", marks=pytest.mark.skipif(find_spec("pyreqwest") is None, reason="the extra [fast] is not installed")
)
every_transport = pytest.mark.parametrize("name", ["aiohttp", FAST])
HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer k"}


@asynccontextmanager
async def opened(name: TransportName, connections: int = 4) -> AsyncIterator[Transport]:
    transport = make_transport(name, connections=connections, timeout_s=20, max_bytes=2**20)
    try:
        yield transport
    finally:
        await transport.aclose()


@every_transport
async def test_a_request_arrives_as_it_is_and_its_answer_too(name: TransportName, upstream: Callable[..., Any]) -> None:
    model = upstream(lambda body: (418, json.dumps(body).encode()))
    async with opened(name) as transport:
        reply = await transport.post(f"{model.url}/x", HEADERS, b'{"a": "\xc3\xa9"}')
    assert (reply.status, json.loads(reply.body), reply.broken) == (418, {"a": "é"}, None)
    assert (model.asked, model.keys) == ([{"a": "é"}], ["Bearer k"])
    assert reply.headers["content-type"] == "application/json"
    assert 0 < reply.first_byte_s <= reply.total_s


@every_transport
async def test_it_has_no_ceiling_but_the_one_it_is_given(name: TransportName, upstream: Callable[..., Any]) -> None:
    together = threading.Barrier(150, timeout=15)

    def answer(_: dict[str, Any]) -> tuple[int, bytes]:
        together.wait()
        return 200, b"{}"

    url, statuses = upstream(answer).url, []
    async with opened(name, 150) as transport, anyio.create_task_group() as group:

        async def ask() -> None:
            statuses.append((await transport.post(url, HEADERS, b"{}")).status)

        for _ in range(150):
            group.start_soon(ask)
    assert statuses == [200] * 150


@every_transport
async def test_proxies_of_the_environment_are_not_used(
    name: TransportName, upstream: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with opened(name) as transport:
        assert (await transport.post(upstream(lambda _: (200, b"{}")).url, HEADERS, b"{}")).status == 200
