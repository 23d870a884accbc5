"""The provider of an endpoint, whatever its requests ask for."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from typing import Any, Literal

from evalsvc.core.records import Completion, Request
from evalsvc.errors import ConfigError
from evalsvc.providers.aiohttp_transport import AiohttpTransport
from evalsvc.providers.base import Provider
from evalsvc.providers.openai_http import OpenAIProvider
from evalsvc.providers.transport import Transport

TransportName = Literal["aiohttp", "pyreqwest"]


def make_provider(
    *,
    base_url: str,
    api_key: str | None,
    connections: int,
    timeout_s: float,
    max_bytes: int,
    transport: TransportName = "aiohttp",
    secrets: Iterable[str] = (),
    azure_api_version: str | None = None,
) -> Provider:
    """The provider of one endpoint; to be called within the event loop it is used on.

    Chat and completions take the direct path on the transport named; ``api = "responses"``, and everything on Azure's
    versioned API, goes through the openai SDK, which is loaded with the first such request.
    Neither the key nor any of ``secrets`` stands in what comes back.

    Raises:
        ConfigError: the transport is not installed.
    """
    limits: dict[str, Any] = {"connections": connections, "timeout_s": timeout_s, "max_bytes": max_bytes}
    asked: dict[str, Any] = {"base_url": base_url, "api_key": api_key, "secrets": tuple(secrets)}
    direct = OpenAIProvider(**asked, transport=make_transport(transport, **limits))
    sdk = {**asked, "azure_api_version": azure_api_version, **limits}
    return _EndpointProvider(direct, sdk)


def make_transport(name: TransportName, *, connections: int, timeout_s: float, max_bytes: int) -> Transport:
    """A transport by name. Raises `ConfigError` when it is not installed."""
    if name == "aiohttp":
        return AiohttpTransport(connections=connections, timeout_s=timeout_s, max_bytes=max_bytes)
    try:
        from evalsvc.providers.pyreqwest_transport import PyreqwestTransport  # noqa: PLC0415 - an extra of its own
    except ImportError:
        raise ConfigError("the transport pyreqwest is not installed: pip install 'evalsvc[fast]'") from None
    return PyreqwestTransport(connections=connections, timeout_s=timeout_s, max_bytes=max_bytes)


class _EndpointProvider:
    """Sends each request the way it needs."""

    def __init__(self, direct: Provider, sdk_options: dict[str, Any]) -> None:
        self._direct = direct
        self._options = sdk_options
        self._all_by_sdk = sdk_options["azure_api_version"] is not None
        self._sdk: Provider | None = None

    def complete(self, request: Request) -> Coroutine[Any, Any, Completion]:
        """See `Provider.complete`."""
        if request.api != "responses" and not self._all_by_sdk:
            return self._direct.complete(request)
        return self._by_sdk().complete(request)

    def _by_sdk(self) -> Provider:
        if self._sdk is None:
            from evalsvc.providers.openai_sdk import OpenAISDKProvider  # noqa: PLC0415 - 0.8 s, and seldom needed

            self._sdk = OpenAISDKProvider(**self._options)
        return self._sdk

    async def aclose(self) -> None:
        """See `Provider.aclose`."""
        await self._direct.aclose()
        if self._sdk is not None:
            await self._sdk.aclose()
