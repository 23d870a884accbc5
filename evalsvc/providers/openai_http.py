"""Any OpenAI-compatible ``/chat/completions`` on the direct path: no SDK between the request and the socket."""

from __future__ import annotations

import orjson

from evalsvc.core.records import Completion, Request
from evalsvc.errors import ProviderError
from evalsvc.providers.replies import completion_of
from evalsvc.providers.transport import Transport


class OpenAIProvider:
    """One endpoint.

    Args:
        base_url: up to and with the version (``https://api.openai.com/v1``).
        api_key: sent as a bearer token; None sends none.
        transport: owned by this provider, closed with it.
    """

    def __init__(self, *, base_url: str, api_key: str | None, transport: Transport) -> None:
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._key = api_key
        self._transport = transport
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if api_key is not None:
            self._headers["Authorization"] = f"Bearer {api_key}"

    async def complete(self, request: Request) -> Completion:
        """See `Provider.complete`."""
        body = orjson.dumps({"model": request.model, "messages": request.messages, **request.params})
        try:
            return completion_of(await self._transport.post(self._url, self._headers, body))
        except ProviderError as error:
            raise self._without_key(error) from error.__cause__

    def _without_key(self, error: ProviderError) -> ProviderError:
        if self._key:
            error.args = tuple(str(part).replace(self._key, "[key]") for part in error.args)
        return error

    async def aclose(self) -> None:
        """See `Provider.aclose`."""
        await self._transport.aclose()
