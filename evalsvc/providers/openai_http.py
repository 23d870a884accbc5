"""OpenAI-compatible ``/chat/completions`` and ``/completions`` on the direct path: no SDK before the socket."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from evalsvc.core.records import Completion, Request
from evalsvc.errors import ProviderError, RequestRejected
from evalsvc.providers.replies import completion_of
from evalsvc.providers.secrets import Secrets
from evalsvc.providers.streams import StreamedAnswer
from evalsvc.providers.transport import Transport


class OpenAIProvider:
    """One endpoint.

    Args:
        base_url: up to and with the version (``https://api.openai.com/v1``).
        api_key: sent as a bearer token; None sends none.
        transport: owned by this provider, closed with it.
        secrets: further keys that no answer may hold.
    """

    def __init__(
        self, *, base_url: str, api_key: str | None, transport: Transport, secrets: Iterable[str] = ()
    ) -> None:
        self._chat_url = f"{base_url.rstrip('/')}/chat/completions"
        self._text_url = f"{base_url.rstrip('/')}/completions"
        self._secrets = Secrets([*secrets, api_key or ""])
        self._transport = transport
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if api_key is not None:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._stream_headers = {**self._headers, "Accept": "text/event-stream"}

    async def complete(self, request: Request) -> Completion:
        """See `Provider.complete`."""
        try:
            url = self._chat_url if request.api == "chat" else self._text_url
            body = _encoded(body_of(request))
            if not request.stream:
                reply = self._secrets.reply(await self._transport.post(url, self._headers, body))
                completion = completion_of(reply)
                return self._secrets.completion(completion) if b"\\" in reply.body else completion
            answer = StreamedAnswer()
            reply = await self._transport.stream(url, self._stream_headers, body, answer.take)
            return self._secrets.completion(answer.completion(self._secrets.reply(reply)))
        except ProviderError as error:
            raise self._secrets.error(error) from error.__cause__

    async def aclose(self) -> None:
        """See `Provider.aclose`."""
        await self._transport.aclose()


def _encoded(body: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError as error:
        raise RequestRejected(f"the request cannot be written as JSON: {error}") from None


def body_of(request: Request) -> dict[str, Any]:
    """The JSON body of a request for ``/chat/completions`` or ``/completions``; ``params`` have the last word.

    Raises `RequestRejected` for a conversation that ``/completions`` cannot be asked.
    """
    body: dict[str, Any] = {"model": request.model}
    if request.api == "chat":
        body["messages"] = request.messages
        if request.case.tools:
            body["tools"] = request.case.tools
    else:
        body["prompt"] = prompt_of(request)
    if request.stream:
        body["stream_options"] = {"include_usage": True}
    body.update(request.params)
    if request.stream:
        body["stream"] = True
    return body


def prompt_of(request: Request) -> str:
    """The one text of a request for ``/completions``. Raises `RequestRejected` for anything longer."""
    if len(request.messages) == 1:
        message = request.messages[0]
        if message.get("role") == "user" and isinstance(message.get("content"), str):
            return str(message["content"])
    raise RequestRejected(
        'api = "completions" takes one text and no system prompt: how a chat becomes a prompt is the model\'s own'
        ' template; use api = "chat"'
    )
