"""The simulator over real HTTP on loopback."""

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from evalsvc.core.records import Case
from evalsvc.simulator.answers import AnswerBook
from evalsvc.simulator.profile import Errors, Latency, ModelProfile, Profile
from evalsvc.simulator.replay import Replay
from evalsvc.simulator.server import build_app, serve

pytestmark = pytest.mark.anyio

BOOK = AnswerBook.from_cases(
    Case(suite="s", id=str(number), category="c", input=f"question {number}", expected=f"answer {number}")
    for number in range(40)
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[httpx2.AsyncClient]:
    listening, ports = anyio.Event(), []

    def ready(port: int) -> None:
        ports.append(port)
        listening.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(serve, app, "127.0.0.1", 0, ready=ready))
        await listening.wait()
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{ports[0]}", trust_env=False, timeout=30) as client:
            yield client
        tasks.cancel_scope.cancel()


def playing(**models: ModelProfile) -> ASGIApp:
    return build_app(profile=Profile(seed=3, models=models), book=BOOK)


def broken(**rates: float) -> ASGIApp:
    return playing(m=ModelProfile(accuracy=1, errors=Errors(**rates)))


async def ask(client: httpx2.AsyncClient, content: Any, model: str = "m", path: str = "/v1") -> httpx2.Response:
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": content}]
    response = await client.post(f"{path}/chat/completions", json={"model": model, "messages": messages})
    assert response.headers.get_list("x-evalsvc-simulated") == ["1"]
    return response


def text(response: httpx2.Response) -> str:
    assert response.status_code == 200
    content = response.json()["choices"][0]["message"]["content"]
    assert isinstance(content, str)
    return content


def assert_openai_error(response: httpx2.Response, status: int, code: str | None) -> None:
    assert response.status_code == status
    assert response.headers["x-evalsvc-simulated"] == "1"
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    assert response.json()["error"]["code"] == code


async def test_both_paths_answer_in_openais_shape() -> None:
    async with serving(playing(m=ModelProfile(accuracy=1), n=ModelProfile(accuracy=0))) as client:
        assert text(await ask(client, "question 5", path="")) == "answer 5"
        response = await ask(client, "question 5")
        assert text(response) == "answer 5"
        body = response.json()
        assert body["model"] == "m"
        assert body["usage"] == {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
        assert body["system_fingerprint"] == "fp_sim_3"
        assert text(await ask(client, [{"type": "text", "text": "question 6"}])) == "answer 6"
        assert text(await ask(client, "question 5", "n")) != "answer 5"
        listed = await client.get("/v1/models")
        assert [model["id"] for model in listed.json()["data"]] == ["m", "n"]
        assert (await client.get("/healthz")).headers["x-evalsvc-simulated"] == "1"


async def test_errors_have_openais_shape_and_the_header() -> None:
    async with serving(playing(m=ModelProfile(accuracy=1))) as client:
        assert_openai_error(await ask(client, "question 1", "other"), 404, "model_not_found")
        assert_openai_error(await client.post("/v1/chat/completions", content=b"{"), 400, None)
        assert_openai_error(await client.get("/v1/chat/completions"), 405, None)
        assert_openai_error(await client.get("/nowhere"), 404, None)


async def test_a_key_is_asked_for_when_one_is_set() -> None:
    async with serving(build_app(profile=Profile.default(), api_key="ключ-1")) as client:
        assert_openai_error(await ask(client, "x", "sim-twin"), 401, "invalid_api_key")
        assert_openai_error(await client.get("/v1/models"), 401, "invalid_api_key")
        client.headers["authorization"] = "Bearer wrong"
        assert_openai_error(await ask(client, "x", "sim-twin"), 401, "invalid_api_key")
        assert (await client.get("/healthz")).status_code == 200
    async with serving(build_app(profile=Profile.default(), api_key="key-1")) as client:
        client.headers["authorization"] = "Bearer key-1"
        assert text(await ask(client, "x", "sim-twin")) == "x"


async def test_concurrent_askers_get_what_a_single_one_gets() -> None:
    model = ModelProfile(
        accuracy=0.5, flaky=0.5, latency=Latency(median_s=0.002, sigma=1), errors=Errors(rate_5xx=0.2, rate_refused=0.1)
    )

    async def put(client: httpx2.AsyncClient, number: int, into: dict[int, list[Any]]) -> None:
        for _ in range(3):
            response = await ask(client, f"question {number}")
            into.setdefault(number, []).append((response.status_code, response.json().get("choices")))

    alone: dict[int, list[Any]] = {}
    async with serving(playing(m=model)) as client:
        for number in range(40):
            await put(client, number, alone)
    crowd: dict[int, list[Any]] = {}
    async with serving(playing(m=model)) as client, anyio.create_task_group() as tasks:
        for number in reversed(range(40)):
            tasks.start_soon(put, client, number, crowd)
    assert alone == crowd
    assert {status for replies in alone.values() for status, _ in replies} > {200}


async def test_a_rate_limit_says_when_to_come_back() -> None:
    async with serving(broken(rate_429=1, retry_after_s=1.5)) as client:
        response = await ask(client, "question 1")
    assert_openai_error(response, 429, "rate_limit_exceeded")
    assert response.headers["retry-after"] == "1.5"
    assert response.headers["x-ratelimit-remaining-requests"] == "0"
    assert response.headers["x-ratelimit-reset-requests"] == "1.5s"


async def test_server_errors_of_every_kind() -> None:
    async with serving(broken(rate_5xx=1)) as client:
        responses = [await ask(client, f"question {number}") for number in range(40)]
    assert {response.status_code for response in responses} == {500, 502, 503}
    assert_openai_error(responses[0], responses[0].status_code, None)


async def test_malformed_answers_of_every_kind() -> None:
    async with serving(broken(rate_malformed=1)) as client:
        responses = [await ask(client, f"question {number}") for number in range(40)]
    assert {response.status_code for response in responses} == {200}

    def kind(response: httpx2.Response) -> str:
        if response.headers["content-type"].startswith("text/html"):
            return "html"
        try:
            choices = response.json()["choices"]
        except json.JSONDecodeError:
            return "broken"
        return "no message" if choices else "no choices"

    assert {kind(response) for response in responses} == {"html", "broken", "no choices", "no message"}


@pytest.mark.parametrize(
    ("rate", "message", "finish_reason"),
    [
        ("rate_truncated", {"content": "answ", "refusal": None}, "length"),
        ("rate_refused", {"content": None, "refusal": "I cannot help with that request."}, "stop"),
        ("rate_empty", {"content": "", "refusal": None}, "stop"),
    ],
)
async def test_the_models_own_failures(rate: str, message: dict[str, Any], finish_reason: str) -> None:
    async with serving(broken(**{rate: 1})) as client:
        choice = (await ask(client, "question 1")).json()["choices"][0]
    assert choice["message"] == {"role": "assistant"} | message
    assert choice["finish_reason"] == finish_reason


async def test_a_hang_never_answers_and_does_not_hold_up_others_or_the_stop() -> None:
    models = {"m": ModelProfile(accuracy=1, errors=Errors(rate_hang=1)), "n": ModelProfile(accuracy=1)}
    async with serving(playing(**models)) as client:
        with pytest.raises(httpx2.ReadTimeout):
            await client.post(
                "/v1/chat/completions",
                json={"model": "m", "messages": [{"role": "user", "content": "x"}]},
                timeout=0.2,
            )
        assert text(await ask(client, "question 1", "n")) == "answer 1"


async def test_a_stop_does_not_wait_for_what_hangs() -> None:
    app, asked, listening = broken(rate_hang=1), anyio.Event(), anyio.Event()
    ports: list[int] = []

    async def noticed(scope: Scope, receive: Receive, send: Send) -> None:
        asked.set()
        await app(scope, receive, send)

    def ready(port: int) -> None:
        ports.append(port)
        listening.set()

    async def serve_until_asked() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(serve, noticed, "127.0.0.1", 0, ready=ready))
            await asked.wait()
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve_until_asked)
        await listening.wait()
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{ports[0]}", trust_env=False, timeout=30) as client:
            messages = [{"role": "user", "content": "question 1"}]
            response = await client.post("/v1/chat/completions", json={"model": "m", "messages": messages})
            assert response.status_code == 500


async def test_a_recording_is_replayed(tmp_path: Path) -> None:
    rows = [
        {"model": "a", "prompt": "p", "output": "of a"},
        {"model": "b", "prompt": "p", "output": "NUL \0 and half \ud83d"},
    ]
    path = tmp_path / "recorded.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    async with serving(build_app(replay=Replay.load(path))) as client:
        assert text(await ask(client, "p", "a")) == "of a"
        assert text(await ask(client, [{"type": "text", "text": "p"}], "a")) == "of a"
        assert b"NUL \\u0000 and half \\ud83d" in (await ask(client, "p", "b")).content
        assert_openai_error(await ask(client, "q", "a"), 400, "unknown_prompt")
        assert_openai_error(await ask(client, "p", "c"), 404, "model_not_found")


async def test_a_taken_port_is_an_os_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        await serve(playing(m=ModelProfile(accuracy=1)), "127.0.0.1", taken.getsockname()[1], ready=lambda _: None)


async def test_the_port_is_free_again_after_the_stop() -> None:
    async with serving(playing(m=ModelProfile(accuracy=1))) as client:
        port = client.base_url.port
        assert port is not None
        assert text(await ask(client, "question 1")) == "answer 1"
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port))


async def test_replay_and_profile_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="replay"):
        build_app(profile=Profile.default(), replay=Replay({"m": {}}))
