"""What every way to a model keeps: a completion or one `ProviderError`, whatever the server says, and no key told."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import pytest

from evalsvc.core.records import Arm, Case, Completion, Request
from evalsvc.errors import (
    AuthenticationFailed,
    ConfigError,
    ContentRefused,
    ContextOverflow,
    DeadlineExceeded,
    Garbled,
    ModelNotFound,
    Overloaded,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
    Unreachable,
)
from evalsvc.providers.base import Provider
from evalsvc.providers.factory import TransportName, make_provider

pytestmark = pytest.mark.anyio
FAST = pytest.param(
    "pyreqwest", marks=pytest.mark.skipif(find_spec("pyreqwest") is None, reason="the extra [fast] is not installed")
)
every_transport = pytest.mark.parametrize("transport", ["aiohttp", FAST])
every_way = pytest.mark.parametrize(
    ("api", "stream"), [(api, stream) for api in ("chat", "completions", "responses") for stream in (False, True)]
)
KEY = "very-secret-key"
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def request(
    api: str = "chat", *, stream: bool = False, tools: Any = None, messages: Any = None, **params: Any
) -> Request:
    return Request(
        case=Case(suite="s", id="1", category="c", input="?", tools=tools),
        arm=Arm.CANDIDATE,
        job="j",
        trial=0,
        step="answer",
        endpoint="e",
        model="m",
        messages=messages or [{"role": "user", "content": "hello"}],
        params=params,
        api=api,
        stream=stream,
    )


@asynccontextmanager
async def provider(
    url: str,
    transport: TransportName = "aiohttp",
    *,
    key: str | None = KEY,
    max_bytes: int = 2**20,
    timeout_s: float = 20,
    azure: str | None = None,
) -> AsyncIterator[Provider]:
    made = make_provider(
        base_url=url,
        api_key=key,
        connections=4,
        timeout_s=timeout_s,
        max_bytes=max_bytes,
        transport=transport,
        azure_api_version=azure,
    )
    try:
        yield made
    finally:
        await made.aclose()


async def ask(url: str, what: Request, transport: TransportName = "aiohttp", **more: Any) -> Completion:
    async with provider(url, transport, **more) as made:
        return await made.complete(what)


@every_transport
@every_way
@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (429, b'{"error":{"message":"slow down"}}', RateLimited),
        (429, b'{"error":{"code":"insufficient_quota"}}', QuotaExhausted),
        (500, b"", Overloaded),
        (401, b'{"error":{"message":"wrong key very-secret-key"}}', AuthenticationFailed),
        (404, b"{}", ModelNotFound),
        (400, b'{"error":{"code":"context_length_exceeded"}}', ContextOverflow),
        (400, b'{"error":{"code":"content_filter"}}', ContentRefused),
        (422, b"<html>", RequestRejected),
        (302, b"", Garbled),
        (200, b"", Garbled),
        (200, b"<!DOCTYPE html>", Garbled),
        (200, b"[" * 100_000, Garbled),
        (200, b"null", Garbled),
        (200, b"{}", Garbled),
        (200, b'{"error":{"code":503,"message":"very-secret-key"}}', Overloaded),
        (200, b'{"choices":[{"message":{"content":"' + b"x" * 2**20 + b'"}}]}', Garbled),
    ],
)
async def test_every_answer_that_is_none_is_one_error(
    api: str,
    stream: bool,
    transport: TransportName,
    status: int,
    body: bytes,
    error: type[ProviderError],
    upstream: Callable[..., Any],
) -> None:
    model = upstream(lambda _: (status, body))
    with pytest.raises(ProviderError) as caught:
        await ask(model.url, request(api, stream=stream), transport)
    assert type(caught.value) is error
    assert KEY not in str(caught.value)
    assert len(model.asked) == 1


@every_transport
@every_way
async def test_no_server_at_all_is_unreachable(api: str, stream: bool, transport: TransportName) -> None:
    with pytest.raises(Unreachable):
        await ask("http://127.0.0.1:9/v1", request(api, stream=stream), transport)


@every_way
async def test_the_deadline_is_hard(api: str, stream: bool, upstream: Callable[..., Any]) -> None:
    release = threading.Event()
    model = upstream(lambda _: (release.wait(10), (200, b"{}"))[1])
    with pytest.raises(DeadlineExceeded):
        await ask(model.url, request(api, stream=stream), timeout_s=0.3)
    release.set()


@every_transport
@pytest.mark.parametrize("key", [KEY, None])
@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_a_key_is_sent_as_a_bearer_token_or_not_at_all(
    api: str, transport: TransportName, key: str | None, upstream: Callable[..., Any]
) -> None:
    model = upstream(lambda _: (500, b""))
    with pytest.raises(Overloaded):
        await ask(model.url, request(api), transport, key=key)
    assert model.keys == [f"Bearer {KEY}" if key else None]


async def test_what_a_chat_request_holds(upstream: Callable[..., Any], chat: Callable[..., bytes]) -> None:
    model = upstream(lambda _: (200, chat("42")))
    own: dict[str, Any] = {"tools": [{"type": "mine"}], "tool_choice": "none", "seed": 7, "logprobs": True}
    with_own = replace(request(tools=[TOOL]), params=own)
    for what in (request(temperature=0, tools=[TOOL]), with_own, request(stream=True)):
        assert (await ask(model.url, what)).text == "42"
    base = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
    assert model.asked == [
        {**base, "tools": [TOOL], "temperature": 0},
        {**base, **own},
        {**base, "stream": True, "stream_options": {"include_usage": True}},
    ]


async def test_a_plain_chat_answer_with_everything(upstream: Callable[..., Any]) -> None:
    message = {"content": None, "reasoning_content": "hm", "tool_calls": [{"id": "1"}]}
    choice = {"message": message, "finish_reason": "length", "logprobs": {"content": [{"logprob": -1}]}}
    got = await ask(upstream(lambda _: (200, json.dumps({"choices": [choice]}).encode())).url, request())
    assert (got.text, got.reasoning, got.fault, got.tool_calls) == ("", "hm", "truncated", [{"id": "1"}])
    assert got.logprobs == {"content": [{"logprob": -1}]}


async def test_completions_send_the_one_text_and_keep_logprobs(upstream: Callable[..., Any]) -> None:
    logprobs = {"tokens": ["hello"], "token_logprobs": [None]}
    body = {"choices": [{"text": "hello world", "finish_reason": "stop", "logprobs": logprobs}]}
    model = upstream(lambda _: (200, json.dumps(body).encode()))
    got = await ask(model.url, request("completions", echo=True, logprobs=1))
    assert (got.text, got.logprobs) == ("hello world", logprobs)
    assert model.asked == [{"model": "m", "prompt": "hello", "echo": True, "logprobs": 1}]


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}],
        [{"role": "user", "content": [{"type": "text", "text": "a"}]}],
        [{"role": "assistant", "content": "a"}],
    ],
)
async def test_completions_refuse_what_only_a_chat_template_could_join(
    messages: Any, upstream: Callable[..., Any]
) -> None:
    model = upstream(lambda _: (200, b"{}"))
    with pytest.raises(RequestRejected, match='use api = "chat"'):
        await ask(model.url, request("completions", messages=messages))
    assert model.asked == []


async def test_a_request_that_is_no_json_is_rejected(upstream: Callable[..., Any]) -> None:
    with pytest.raises(RequestRejected):
        await ask(upstream(lambda _: (200, b"{}")).url, request(messages=[{"role": "user", "content": "\ud800"}]))


def response(status: str = "completed", output: Any = None, **more: Any) -> dict[str, Any]:
    text = {"type": "output_text", "text": "42", "logprobs": [{"token": "42", "logprob": -0.1}]}
    output = output or [{"type": "message", "content": [text]}]
    usage = {"input_tokens": 9, "output_tokens": 1}
    return {"id": "r", "object": "response", "model": "m-1", "status": status, "output": output, "usage": usage, **more}


async def test_responses_are_read_in_the_words_of_chat(upstream: Callable[..., Any]) -> None:
    output = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        *response()["output"],
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"x":1}'},
    ]
    model = upstream(lambda _: (200, json.dumps(response(output=output)).encode()))
    got = await ask(model.url, request("responses", tools=[TOOL], temperature=0))
    assert (got.text, got.reasoning, got.finish_reason, got.model) == ("42", "hm", "tool_calls", "m-1")
    assert got.tool_calls == [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}]
    assert got.logprobs == {"content": [{"token": "42", "logprob": -0.1}]}
    assert (got.input_tokens, got.output_tokens, got.first_token_s) == (9, 1, None)
    assert 0 < (got.first_byte_s or 0) <= got.latency_s
    flat = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    messages = [{"role": "user", "content": "hello"}]
    assert model.asked == [{"model": "m", "input": messages, "tools": [flat], "temperature": 0}]


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (response("incomplete", incomplete_details={"reason": "max_output_tokens"}), "truncated"),
        (response("incomplete", incomplete_details={"reason": "content_filter"}), "refused"),
        (response(output=[{"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}]), "refused"),
        (response(output=[{"type": "reasoning"}]), "empty"),
        (response(), None),
    ],
)
async def test_what_counts_as_a_model_error_in_responses(
    body: dict[str, Any], fault: str | None, upstream: Callable[..., Any]
) -> None:
    assert (await ask(upstream(lambda _: (200, json.dumps(body).encode())).url, request("responses"))).fault == fault


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (response("failed", error={"code": "server_error", "message": "x"}), Overloaded),
        (response("in_progress"), Garbled),
        (response(output="no"), Garbled),
    ],
)
async def test_a_response_that_is_none_is_an_error(
    body: dict[str, Any], error: type[ProviderError], upstream: Callable[..., Any]
) -> None:
    with pytest.raises(error):
        await ask(upstream(lambda _: (200, json.dumps(body).encode())).url, request("responses"))


async def test_azure_is_asked_by_deployment_and_version(
    upstream: Callable[..., Any], chat: Callable[..., bytes]
) -> None:
    model = upstream(lambda _: (200, chat("42")))
    root = model.url.removesuffix("/v1")
    got = await ask(root, request(), azure="2024-10-21")
    assert (got.text, got.input_tokens, model.keys) == ("42", 10, [None])
    assert model.asked[0]["messages"] == [{"role": "user", "content": "hello"}]


async def test_a_transport_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "evalsvc.providers.pyreqwest_transport", None)
    with pytest.raises(ConfigError, match=r"evalsvc\[fast\]"):
        make_provider(base_url="http://x", api_key=None, connections=1, timeout_s=1, max_bytes=1, transport="pyreqwest")


def test_the_direct_path_loads_no_sdk() -> None:
    code = "import sys, evalsvc.providers.factory; sys.exit('openai' in sys.modules or 'pyreqwest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
