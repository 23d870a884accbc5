"""The endpoints a job asks, connected; the built-in simulator is started for those without a URL."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio

from evalsvc.app.prepare import PreparedJob
from evalsvc.engine.endpoints import Endpoint
from evalsvc.engine.health import EndpointHealth
from evalsvc.engine.limits import EndpointLimits
from evalsvc.engine.retries import RetryBudget
from evalsvc.errors import ConfigError
from evalsvc.providers.factory import make_provider
from evalsvc.providers.settings import EndpointSettings

#: What the record keeps as the URL of the built-in simulator, whose port differs from run to run.
_SIMULATOR = "built-in simulator"


def urls_of(endpoints: Mapping[str, EndpointSettings]) -> dict[str, str]:
    """The URL of each endpoint, as the record keeps it."""
    return {name: endpoint.base_url or _SIMULATOR for name, endpoint in endpoints.items()}


@asynccontextmanager
async def connected(prepared: PreparedJob) -> AsyncIterator[dict[str, Endpoint]]:
    """The endpoints a job asks, connected; the built-in simulator is started for those without a URL."""
    cases = sum(min(count, prepared.job.limit or count) for count in prepared.counts.values())
    async with AsyncExitStack() as stack:
        endpoints = {}
        for name, settings in prepared.endpoints.items():
            url = settings.base_url
            if url is None:
                url = await stack.enter_async_context(_simulator(prepared.path))
            provider = make_provider(
                base_url=url,
                api_key=prepared.keys[name],
                connections=settings.max_in_flight,
                timeout_s=settings.timeout_s,
                max_bytes=prepared.config.engine.max_response_mb * 2**20,
                transport=prepared.config.engine.transport,
                azure_api_version=settings.azure_api_version,
            )
            stack.push_async_callback(provider.aclose)
            endpoints[name] = Endpoint(
                name=name,
                provider=provider,
                limits=EndpointLimits(settings.max_in_flight, rpm=settings.rpm, tpm=settings.tpm),
                health=EndpointHealth(cases),
                budget=RetryBudget(),
            )
        yield endpoints


@asynccontextmanager
async def _simulator(job_path: Path) -> AsyncIterator[str]:
    """The simulator as a process of its own, so that it takes no time from the loop that measures it; gives its URL."""
    command = [sys.executable, "-m", "evalsvc", "sim", "--port", "0", "--job", str(job_path), "--with-parent"]
    async with await anyio.open_process(command, stdin=-1, stdout=-1, stderr=None, start_new_session=True) as process:
        try:
            line = b""
            while not line.endswith(b"\n"):
                line += await process.stdout.receive()  # type: ignore[union-attr]  # it is a pipe
            yield line.split()[-1].decode()
        except anyio.EndOfStream:
            raise ConfigError("the built-in simulator did not start") from None
        finally:
            process.terminate()
