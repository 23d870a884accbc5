"""The endpoints jobs ask, connected; the built-in simulator is started for those without a URL."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Hashable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Self

import anyio

from evalsvc.app.work import Rehearsal, Work
from evalsvc.config import known_secrets
from evalsvc.core.records import RECORDED
from evalsvc.engine.endpoints import Endpoint
from evalsvc.engine.health import EndpointHealth
from evalsvc.engine.limits import EndpointLimits
from evalsvc.engine.retries import RetryBudget
from evalsvc.errors import ConfigError
from evalsvc.providers.base import Provider
from evalsvc.providers.factory import make_provider
from evalsvc.providers.recorded import RecordedProvider
from evalsvc.providers.settings import EndpointSettings

#: What the record keeps as the URL of the built-in simulator, whose port differs from run to run.
_SIMULATOR = "built-in simulator"
#: Recorded answers are there at once: a few workers are enough to read and score them.
_RECORDED_IN_FLIGHT = 8


def urls_of(endpoints: Mapping[str, EndpointSettings]) -> dict[str, str]:
    """The URL of each endpoint, as the record keeps it."""
    return {name: endpoint.base_url or _SIMULATOR for name, endpoint in endpoints.items()}


class EndpointPool:
    """The endpoints of the configuration, each connected when it is first asked and shared by all jobs that ask it.

    Limits, health and retries of an endpoint are one for all jobs: it does not care whose requests it gets. An async
    context; leaving it closes the connections.
    """

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._shared: dict[str, Endpoint] = {}
        self._keys: dict[str, tuple[str | None, tuple[str, ...]]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def shared(self) -> Mapping[str, Endpoint]:
        """Those connected so far, by alias."""
        return self._shared

    @asynccontextmanager
    async def connected(self, work: Work) -> AsyncIterator[dict[str, Endpoint]]:
        """The endpoints a job asks. The built-in simulator is started for this job, where it asks one without a URL.

        Arms whose answers were recorded share one more endpoint, which gives those.
        """
        async with AsyncExitStack() as stack:
            found = {}
            if work.answers:
                found[RECORDED] = _recorded(work)
                stack.push_async_callback(found[RECORDED].provider.aclose)
            for name, settings in work.endpoints.items():
                if settings.base_url is not None:
                    found[name] = self._endpoint(name, settings.base_url, work)
                    continue
                url = await stack.enter_async_context(_simulator(work.rehearsal))
                found[name] = _fresh(name, settings, _provider(url, name, work))
                stack.push_async_callback(found[name].provider.aclose)
            yield found

    def _endpoint(self, name: str, url: str, work: Work) -> Endpoint:
        known = self._shared.get(name)
        keys = work.keys[name], known_secrets(work.config, os.environ)
        if known is not None and self._keys[name] == keys:
            return known
        provider = _provider(url, name, work)
        self._stack.push_async_callback(provider.aclose)
        # a key that was changed meanwhile: what was learnt of the endpoint still holds
        made = _fresh(name, work.endpoints[name], provider) if known is None else replace(known, provider=provider)
        self._shared[name], self._keys[name] = made, keys
        return made


@asynccontextmanager
async def connected(work: Work) -> AsyncIterator[dict[str, Endpoint]]:
    """The endpoints of a job that runs alone."""
    async with EndpointPool() as pool, pool.connected(work) as endpoints:
        yield endpoints


def _provider(url: str, name: str, work: Work) -> Provider:
    settings, engine = work.endpoints[name], work.config.engine
    return make_provider(
        base_url=url,
        api_key=work.keys[name],
        connections=settings.max_in_flight,
        timeout_s=settings.timeout_s,
        max_bytes=engine.max_response_mb * 2**20,
        transport=engine.transport,
        secrets=known_secrets(work.config, os.environ),
        azure_api_version=settings.azure_api_version,
    )


def _fresh(name: str, settings: EndpointSettings, provider: Provider) -> Endpoint:
    return Endpoint(
        name=name,
        provider=provider,
        limits=EndpointLimits(settings.max_in_flight, rpm=settings.rpm, tpm=settings.tpm),
        health=EndpointHealth(),
        budget=RetryBudget(),
    )


def _recorded(work: Work) -> Endpoint:
    return Endpoint(
        name=RECORDED,
        provider=RecordedProvider(work.answers),
        limits=EndpointLimits(_RECORDED_IN_FLIGHT),
        health=_AlwaysUp(),
        budget=RetryBudget(),
    )


class _AlwaysUp(EndpointHealth):
    """A recording cannot be down: an answer that is not in it is not in it, however many there are of these."""

    def failed(self, case: Hashable, kind: str, why: str) -> None:
        """Nothing follows for the others."""


@asynccontextmanager
async def _simulator(rehearsal: Rehearsal) -> AsyncIterator[str]:
    """The simulator as a process of its own, so that it takes no time from the loop that measures it; gives its URL."""
    command = [sys.executable, "-m", "evalsvc", "sim", "--port", "0", "--with-parent", *rehearsal.arguments]
    async with await anyio.open_process(command, stdin=-1, stdout=-1, stderr=None, start_new_session=True) as process:
        try:
            line = b""
            if rehearsal.line:
                await process.stdin.send(rehearsal.line)  # type: ignore[union-attr]  # it is a pipe
            while not line.endswith(b"\n"):
                line += await process.stdout.receive()  # type: ignore[union-attr]  # it is a pipe
            yield line.split()[-1].decode()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            raise ConfigError("the built-in simulator did not start") from None
        finally:
            process.terminate()
