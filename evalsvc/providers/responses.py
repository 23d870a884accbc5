"""Answers of ``/responses`` → completions, in the words of ``/chat/completions``."""

from __future__ import annotations

from typing import Any

import orjson

from evalsvc.core.records import Completion
from evalsvc.errors import Garbled, Unreachable
from evalsvc.providers.quota import quota_of
from evalsvc.providers.replies import count, parse, raise_for, raise_for_error_in_200, string
from evalsvc.providers.sse import EventParser
from evalsvc.providers.transport import Reply, is_stream

_FIRST = ("response.output_text.delta", "response.refusal.delta", "response.function_call_arguments.delta")
_LAST = ("response.completed", "response.incomplete", "response.failed")


class StreamedResponse:
    """Takes a stream's pieces (a `Take`); its last event holds the whole answer."""

    def __init__(self) -> None:
        self.first_token_s: float | None = None
        self._events = EventParser()
        self._last: dict[str, Any] | None = None

    def take(self, piece: bytes, at: float) -> bool:
        """See `Take`. Raises what an error inside the stream means, or `Garbled`."""
        for _, data in self._events.feed(piece):
            if data.strip() != b"[DONE]":
                self._event(parse(data)[0], at)
        return self._last is not None

    def _event(self, event: dict[str, Any], at: float) -> None:
        sort = event.get("type")
        if sort == "error" or event.get("error"):
            raise_for_error_in_200(event.get("error") or event)
        if sort in _LAST and isinstance(event.get("response"), dict):
            self._last = event["response"]
        elif self.first_token_s is None and (sort in _FIRST or str(sort).startswith("response.reasoning")):
            self.first_token_s = at

    def completion(self, reply: Reply) -> Completion:
        """The completion, once the reply is there. Raises the `ProviderError` that the reply means."""
        if not is_stream(reply.status, reply.headers):
            return response_of(reply)
        if self._last is None:
            raise reply.broken or Unreachable("the stream broke off", status=200)
        return _completion(self._last, reply, None, self.first_token_s)


def response_of(reply: Reply) -> Completion:
    """The completion in an answer of ``/responses``. Raises the `ProviderError` that the answer means."""
    if reply.status != 200:
        raise_for(reply)
    data, mended = parse(reply.body)
    return _completion(data, reply, mended, None)


def _completion(data: dict[str, Any], reply: Reply, mended: str | None, first_token_s: float | None) -> Completion:
    if data.get("error"):
        raise_for_error_in_200(data["error"])
    output = data.get("output")
    if not isinstance(output, list):
        raise Garbled("the answer has no output", status=200)
    items = [item for item in output if isinstance(item, dict)]
    parts = [part for item in items if item.get("type") == "message" for part in _dicts(item.get("content"))]
    calls = [_call(item) for item in items if item.get("type") == "function_call"]
    usage = data.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return Completion(
        text=_joined(parts, "output_text", "text"),
        finish_reason=_finish_reason(data, calls),
        refusal=_joined(parts, "refusal", "refusal") or None,
        tool_calls=calls or None,
        reasoning=_reasoning(items),
        logprobs=_logprobs(parts),
        model=string(data.get("model")),
        input_tokens=count(usage.get("input_tokens")),
        output_tokens=count(usage.get("output_tokens")),
        latency_s=reply.total_s,
        first_byte_s=reply.first_byte_s,
        first_token_s=first_token_s,
        quota=quota_of(reply.headers),
        simulated="x-evalsvc-simulated" in reply.headers,
        repaired=mended,
    )


def _finish_reason(data: dict[str, Any], calls: list[dict[str, Any]]) -> str | None:
    status = data.get("status")
    if status == "incomplete":
        details = data.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        return "length" if reason == "max_output_tokens" else string(reason) or "length"
    if status in ("failed", "cancelled", "queued", "in_progress"):
        raise Garbled(f"the response is {status}", status=200)
    return "tool_calls" if calls else "stop"


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []


def _joined(parts: list[dict[str, Any]], sort: str, key: str) -> str:
    return "".join(string(part.get(key)) or "" for part in parts if part.get("type") == sort)


def _reasoning(items: list[dict[str, Any]]) -> str | None:
    texts = [
        string(part.get("text")) or ""
        for item in items
        if item.get("type") == "reasoning"
        for part in (*_dicts(item.get("summary")), *_dicts(item.get("content")))
    ]
    return "\n".join(filter(None, texts)) or None


def _logprobs(parts: list[dict[str, Any]]) -> dict[str, Any] | None:
    content = [entry for part in parts for entry in _dicts(part.get("logprobs"))]
    return {"content": content} if content else None


def _call(item: dict[str, Any]) -> dict[str, Any]:
    arguments = item.get("arguments")
    arguments = arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()
    function = {"name": item.get("name"), "arguments": arguments}
    return {"id": item.get("call_id") or item.get("id"), "type": "function", "function": function}


def flat_tool(tool: dict[str, Any]) -> dict[str, Any]:
    """A tool of ``/chat/completions`` as ``/responses`` wants it; others as they are."""
    function = tool.get("function")
    return {"type": "function", **function} if isinstance(function, dict) else tool
