"""The limits against a simulator that enforces quotas, over real HTTP, with the real provider.

What counts is what the server says: how many requests it let through, and how many it refused.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any

import anyio
import httpx2
import pytest

from evalsvc.core.records import Arm, Case, Completion, Request
from evalsvc.engine.limits import EndpointLimits, Result
from evalsvc.errors import ProviderError, RateLimited
from evalsvc.providers.aiohttp_transport import AiohttpTransport
from evalsvc.providers.openai_http import OpenAIProvider
from evalsvc.simulator.profile import Latency, ModelProfile, Profile
from evalsvc.simulator.quota import QuotaTerms, Tier
from evalsvc.simulator.server import build_app, serve

pytestmark = pytest.mark.anyio

LATENCY = Latency(median_s=0.05, sigma=0.3)
WORKERS = 48


@dataclass
class Endpoint:
    """An endpoint of the simulator as a client sees it: its limits, its provider, the server's own counts."""

    limits: EndpointLimits
    provider: OpenAIProvider
    client: httpx2.AsyncClient
    done: Counter[str] = field(default_factory=Counter)

    async def counts(self) -> tuple[float, dict[str, int]]:
        answer = (await self.client.get("/sim/stats")).json()["models"]["m"]
        return perf_counter(), answer

    async def span(self, seconds: float) -> tuple[float, float, float]:
        """(requests taken a second, tokens taken a second, share of 429s) over the next seconds, by the server."""
        since, before = await self.counts()
        await anyio.sleep(seconds)
        until, after = await self.counts()
        new = {name: after[name] - before[name] for name in after}
        taken = until - since
        return new["answered"] / taken, new["tokens"] / taken, new["rate_limited"] / max(1, new["requests"])


def request(job: str, number: int) -> Request:
    text = f"{job} {number} " + "word " * (number % 40)
    return Request(
        job=job,
        case=Case(suite="s", id=str(number), category="c", input=text),
        arm=Arm.CANDIDATE,
        trial=0,
        step="answer",
        endpoint="sim",
        model="m",
        messages=[{"role": "user", "content": text}],
        params={},
        chars=len(text),
    )


async def ask(endpoint: Endpoint, job: str, number: int) -> None:
    """One request to its answer, as the executor does it: admit, complete, finish, again after the hint."""
    asked = request(job, number)
    for attempt in range(50):
        form = (job, asked.model, asked.chars, None)
        admission = endpoint.limits.admit_now(*form) or await endpoint.limits.admit(*form)
        result: Result = "other"
        answer: Completion | None = None
        quota = None
        hint = 0.0
        try:
            answer = await endpoint.provider.complete(asked)
            result, quota = "ok", answer.quota
        except ProviderError as error:
            result = "rate_limited" if isinstance(error, RateLimited) else "transient"
            hint, quota = getattr(error, "retry_after", None) or 0.0, error.quota
        finally:
            endpoint.limits.finish(
                admission,
                result=result,
                input_tokens=answer.input_tokens if answer else None,
                output_tokens=answer.output_tokens if answer else None,
                quota=quota,
            )
        if answer is not None:
            endpoint.done[job] += 1
            return
        await anyio.sleep(hint + random.uniform(0, 0.5 * 2 ** min(attempt, 4)))


async def work(endpoint: Endpoint, job: str, numbers: Any) -> None:
    for number in numbers:
        await ask(endpoint, job, number)


@asynccontextmanager
async def endpoint(quota: QuotaTerms | None, **limits: Any) -> AsyncIterator[Endpoint]:
    listening, ports = anyio.Event(), []

    def ready(port: int) -> None:
        ports.append(port)
        listening.set()

    app = build_app(profile=Profile(models={"m": ModelProfile(accuracy=1, latency=LATENCY, quota=quota)}))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(serve, app, "127.0.0.1", 0, ready=ready))
        await listening.wait()
        url = f"http://127.0.0.1:{ports[0]}"
        transport = AiohttpTransport(connections=WORKERS, timeout_s=30, max_bytes=2**20)
        provider = OpenAIProvider(base_url=f"{url}/v1", api_key=None, transport=transport)
        try:
            async with httpx2.AsyncClient(base_url=url, trust_env=False) as client:
                yield Endpoint(EndpointLimits(WORKERS, **limits), provider, client)
        finally:
            await provider.aclose()
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def busy(target: Endpoint, job: str = "job", workers: int = WORKERS) -> AsyncIterator[None]:
    """Endless work in the background."""
    async with anyio.create_task_group() as tasks:
        for worker in range(workers):
            tasks.start_soon(work, target, job, range(worker, 10**9, workers))
        yield
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("configured", [True, False])
async def test_requests_a_minute(configured: bool) -> None:
    async with endpoint(QuotaTerms(rpm=9000), **({"rpm": 9000} if configured else {})) as target, busy(target):
        await anyio.sleep(1.5)
        taken, _, refused = await target.span(4)
    assert taken >= 0.95 * 150
    assert refused <= 0.01


@pytest.mark.parametrize("configured", [True, False])
async def test_tokens_a_minute(configured: bool) -> None:
    async with endpoint(QuotaTerms(tpm=300_000), **({"tpm": 300_000} if configured else {})) as target, busy(target):
        await anyio.sleep(1.5)
        _, tokens, refused = await target.span(4)
    assert tokens >= 0.95 * 5000
    assert refused <= 0.01


async def test_a_tier_that_changes_up_and_down() -> None:
    terms = QuotaTerms(rpm=6000, then=(Tier(after_s=2.5, rpm=15_000), Tier(after_s=5, rpm=4500)))
    async with endpoint(terms) as target, busy(target):
        await anyio.sleep(1)
        spans = []
        for seconds, settle in ((1.3, 0.5), (1.7, 1.0), (2.0, 0.0)):
            spans.append(await target.span(seconds))
            await anyio.sleep(settle)
    for (taken, _, refused), allowed in zip(spans, (100, 250, 75), strict=True):
        assert taken >= 0.95 * allowed
        assert refused <= 0.01


async def test_a_limit_that_nobody_tells() -> None:
    async with endpoint(QuotaTerms(rpm=6000, headers="none")) as target, busy(target):
        await anyio.sleep(3)
        taken, _, refused = await target.span(4)
    assert taken >= 0.8 * 100
    assert refused <= 0.05


async def test_two_jobs_share_an_endpoint_and_the_small_one_is_done_early() -> None:
    async with endpoint(QuotaTerms(rpm=9000), rpm=9000) as target, busy(target, "big", workers=WORKERS):
        await anyio.sleep(1)
        before = target.done["big"]
        async with anyio.create_task_group() as tasks:
            for worker in range(12):
                tasks.start_soon(work, target, "small", range(worker, 150, 12))
        beside = target.done["big"] - before
    assert target.done["small"] == 150
    # half of the rate each: in its time the big one had no more than its turns
    assert 0.6 * 150 <= beside <= 1.6 * 150


async def test_one_throttled_endpoint_does_not_slow_another() -> None:
    async with endpoint(QuotaTerms(rpm=300)) as slow, endpoint(None) as fast, busy(slow):
        await anyio.sleep(0.5)
        async with anyio.create_task_group() as tasks:
            for worker in range(10):
                tasks.start_soon(work, fast, "job", range(worker, 400, 10))
        assert slow.limits.waiting
        assert slow.limits.reason == "rpm"
        assert fast.limits.reason == ""
        assert (await fast.counts())[1] == {"requests": 400, "rate_limited": 0, "answered": 400} | {
            "tokens": (await fast.counts())[1]["tokens"]
        }
        assert fast.done["job"] == 400
        assert slow.done["job"] < 100
