"""The openai SDK for what needs it: ``/responses``, and Azure with its deployments and API versions.

Importing it takes most of a second, so only the factory does, when a request needs it. It builds and signs the request;
the answer is read by our own mapping. Latency runs from the call of the SDK to the last byte: its own work on a request
(about a millisecond) is part of it, unlike on the direct path.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import aiohttp
import httpx2
import openai

from evalsvc.core.records import Completion, Request
from evalsvc.errors import DeadlineExceeded, Garbled, ProviderError, Unreachable
from evalsvc.providers.aiohttp_transport import error_of
from evalsvc.providers.openai_http import body_of
from evalsvc.providers.replies import completion_of, raise_for
from evalsvc.providers.responses import StreamedResponse, flat_tool, response_of
from evalsvc.providers.secrets import Secrets
from evalsvc.providers.streams import StreamedAnswer
from evalsvc.providers.transport import CONNECT_S, Feed, Reply, is_stream, too_big

_NAMED = ("model", "messages", "prompt", "input", "stream")


class OpenAISDKProvider:
    """One endpoint asked through the SDK, its retries off, on aiohttp.

    Args:
        base_url: as for `OpenAIProvider`; with ``azure_api_version`` the resource's root (``https://NAME.openai.azure.com``).
        api_key: None sends none.
        connections: most connections at once.
        timeout_s: hard limit of one attempt in seconds.
        max_bytes: most bytes of a body; a compressed one is refused, for none was asked for.
        secrets: further keys that no answer may hold.
        azure_api_version: set for Azure's classic, versioned API.
    """

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str | None,
        connections: int,
        timeout_s: float,
        max_bytes: int,
        secrets: Iterable[str] = (),
        azure_api_version: str | None = None,
    ) -> None:
        self._secrets = Secrets([*secrets, api_key or ""])
        omit = openai.Omit()
        self._extra_headers = {} if api_key else {"Authorization": omit, "api-key": omit}
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
        common: dict[str, Any] = {
            "api_key": api_key or "none",
            "max_retries": 0,
            "timeout": httpx2.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s)),
            "http_client": _Client(max_bytes, limits=limits, trust_env=False, follow_redirects=False),
            "default_headers": {"Accept-Encoding": "identity"},
        }
        self._client: openai.AsyncOpenAI
        if azure_api_version is None:
            self._client = openai.AsyncOpenAI(base_url=base_url, **common)
        else:
            self._client = openai.AsyncAzureOpenAI(azure_endpoint=base_url, api_version=azure_api_version, **common)

    async def complete(self, request: Request) -> Completion:
        """See `Provider.complete`."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return self._secrets.completion(await self._ask(request))
        except TimeoutError:
            raise DeadlineExceeded(f"no whole answer within {self._timeout_s:g} s") from None
        except ProviderError as error:
            raise self._secrets.error(error) from error.__cause__
        except (openai.OpenAIError, httpx2.HTTPError, aiohttp.ClientError) as error:
            raise self._secrets.error(_meaning(error)) from error

    async def _ask(self, request: Request) -> Completion:
        answer = StreamedResponse() if request.api == "responses" else StreamedAnswer()
        feed = Feed(answer.take, self._max_bytes)
        try:
            create = self._resource(request.api).with_streaming_response.create
            async with create(**_arguments(request), extra_headers=self._extra_headers) as raw:
                response: httpx2.Response = raw.http_response
                feed.head(response.status_code, response.headers)
                if not request.stream or not is_stream(response.status_code, response.headers):
                    reply = self._secrets.reply(feed.whole(await response.aread()))
                    return response_of(reply) if request.api == "responses" else completion_of(reply)
                async for piece in response.aiter_bytes():
                    if feed.piece(piece):
                        break
                return answer.completion(feed.whole(b""))
        except openai.APIStatusError as error:
            reply = Reply(error.status_code, error.response.headers, error.response.content, 0.0, 0.0)
            raise_for(self._secrets.reply(reply))
        except (httpx2.HTTPError, aiohttp.ClientError) as error:
            return answer.completion(feed.broken_by(_meaning(error)))

    def _resource(self, api: str) -> Any:
        if api == "responses":
            return self._client.responses
        return self._client.chat.completions if api == "chat" else self._client.completions

    async def aclose(self) -> None:
        """See `Provider.aclose`."""
        await self._client.close()


def _arguments(request: Request) -> dict[str, Any]:
    """What the SDK's ``create`` is called with: what it insists on by name, the rest as it is."""
    if request.api == "responses":
        body: dict[str, Any] = {"model": request.model, "input": request.messages}
        if request.case.tools:
            body["tools"] = [flat_tool(tool) for tool in request.case.tools]
        body |= {**request.params, **({"stream": True} if request.stream else {})}
    else:
        body = body_of(request)
    named: dict[str, Any] = {key: body.pop(key) for key in _NAMED if key in body}
    return {**named, "extra_body": body}


def _meaning(error: Exception) -> ProviderError:
    """What a failure of the SDK means: told by what aiohttp said first, for the layers between rename it."""
    first: BaseException = error
    while first.__cause__ is not None:
        first = first.__cause__
    if isinstance(first, ProviderError):
        return first
    if isinstance(first, aiohttp.ClientError | OSError):
        return error_of(first)
    if isinstance(first, httpx2.TransportError | openai.APIConnectionError):
        return Unreachable(f"the connection broke: {type(first).__name__}")
    return Garbled(f"the SDK refused the answer: {type(first).__name__}")


class _Client(openai.DefaultAioHttpClient):
    """The SDK's client on aiohttp; no body passes that is over the limit or packed."""

    def __init__(self, max_bytes: int, **options: Any) -> None:
        super().__init__(**options)
        self._max_bytes = max_bytes

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        response = await super().send(request, **{**options, "stream": True})
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            raise Garbled("a compressed answer that was not asked for", status=response.status_code)
        response.stream = _Capped(response.stream, self._max_bytes)
        if not options.get("stream"):
            await response.aread()
        return response


class _Capped(httpx2.AsyncByteStream):
    def __init__(self, inner: Any, max_bytes: int) -> None:
        self._inner = inner
        self._max_bytes = max_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._inner:
            size += len(chunk)
            if size > self._max_bytes:
                raise too_big(self._max_bytes)
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()
