"""A streamed answer of ``/chat/completions`` or ``/completions``, put together as the plain one would have been."""

from __future__ import annotations

from typing import Any

import orjson

from evalsvc.core.records import Completion
from evalsvc.errors import Garbled, ProviderError, Unreachable
from evalsvc.providers.replies import (
    MENDED,
    completion_from,
    completion_of,
    mend,
    parse_surrogates,
    raise_for_error_in_200,
    string,
)
from evalsvc.providers.sse import Event, EventParser
from evalsvc.providers.transport import Reply, is_stream


class StreamedAnswer:
    """Takes a stream's pieces (a `Take`), gives the completion.

    ``first_token_s`` is when the first piece of text, reasoning, refusal or tool call came, in seconds since hand-over.
    """

    def __init__(self) -> None:
        self.first_token_s: float | None = None
        self._events = EventParser()
        self._done = False
        self._mended: str | None = None
        self._found = False
        self._bytes = 0
        self._top: dict[str, Any] = {}
        self._choice: dict[str, Any] = {}
        self._parts: dict[str, list[str]] = {}
        self._calls: list[dict[str, Any]] = []
        self._call_at: dict[Any, int] = {}

    def take(self, piece: bytes, at: float) -> bool:
        """See `Take`. Raises what an error inside the stream means, or `Garbled`."""
        self._bytes += len(piece)
        for event in self._events.feed(piece):
            self._event(event, at)
        return self._done

    def completion(self, reply: Reply) -> Completion:
        """The completion, once the reply is there.

        Raises:
            ProviderError: the reply is an error, or the stream ended before its answer did.
        """
        if not is_stream(reply.status, reply.headers):
            return completion_of(reply)
        if not self._ended():
            self._take_rest(reply)
        if not self._ended():
            raise reply.broken or self._broken_off()
        if not self._found:
            raise Garbled("the stream holds no answer", status=200)
        data = self._whole()
        return completion_from(mend(data) if self._mended else data, reply, self._mended, self.first_token_s)

    def _ended(self) -> bool:
        return self._done or self._choice.get("finish_reason") is not None

    def _take_rest(self, reply: Reply) -> None:
        """What the stream ended on without an empty line; half an event is none."""
        try:
            for event in self._events.close():
                self._event(event, reply.total_s)
        except Garbled:
            return

    def _broken_off(self) -> ProviderError:
        if self._bytes and not self._found:
            return Garbled("the answer is no stream of events", status=200)
        return Unreachable("the stream broke off", status=200)

    def _event(self, event: Event, at: float) -> None:
        name, data = event
        if data.strip() == b"[DONE]":
            self._done = True
            return
        chunk = self._parse(data)
        if name == b"error" or (chunk.get("error") and not chunk.get("choices")):
            raise_for_error_in_200(chunk.get("error") or chunk)
        self._top.update((key, value) for key, value in chunk.items() if value is not None and key != "choices")
        for choice in chunk.get("choices") or ():
            # a request is for one answer: of more, the first counts
            if isinstance(choice, dict) and choice.get("index", 0) == 0:
                self._take_choice(choice, at)

    def _parse(self, data: bytes) -> dict[str, Any]:
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError:
            chunk, self._mended = parse_surrogates(data), MENDED
        if not isinstance(chunk, dict) or not isinstance(chunk.get("choices") or [], list):
            raise Garbled("the stream holds an event that is no part of an answer", status=200)
        return chunk

    def _take_choice(self, choice: dict[str, Any], at: float) -> None:
        self._found = True
        delta = choice.get("delta")
        delta = delta if isinstance(delta, dict) else {"content": choice.get("text")}
        came = [self._append(key, delta.get(key)) for key in ("content", "refusal", "reasoning_content", "reasoning")]
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict):
                self._take_call(call)
        if self.first_token_s is None and (any(came) or calls):
            self.first_token_s = at
        if choice.get("finish_reason") is not None:
            self._choice["finish_reason"] = choice["finish_reason"]
        if isinstance(choice.get("logprobs"), dict):
            self._take_logprobs(choice["logprobs"])

    def _append(self, key: str, value: Any) -> bool:
        if string(value) is None:
            return False
        self._parts.setdefault(key, []).append(value)
        return True

    def _take_call(self, delta: dict[str, Any]) -> None:
        """Merge by index; an id of its own under a known index (Gemini's servers) is another call."""
        key, identity = delta.get("index"), string(delta.get("id"))
        key = key if isinstance(key, int) else (identity or len(self._calls) - 1)
        at = self._call_at.get(key)
        if at is None or (identity and self._calls[at]["id"] not in (None, identity)):
            at = self._call_at[key] = len(self._calls)
            self._calls.append({"id": identity, "type": "function", "function": {"name": None, "arguments": ""}})
        call = self._calls[at]
        call["id"] = call["id"] or identity
        function = delta.get("function")
        if isinstance(function, dict):
            call["function"]["name"] = call["function"]["name"] or string(function.get("name"))
            call["function"]["arguments"] += string(function.get("arguments")) or ""

    def _take_logprobs(self, delta: dict[str, Any]) -> None:
        whole = self._choice.setdefault("logprobs", {})
        for key, value in delta.items():
            if isinstance(value, list) and isinstance(whole.get(key), list):
                whole[key].extend(value)
            elif value is not None or key not in whole:
                whole[key] = value

    def _whole(self) -> dict[str, Any]:
        message: dict[str, Any] = {key: "".join(parts) for key, parts in self._parts.items()}
        message["tool_calls"] = self._calls
        return {**self._top, "choices": [{**self._choice, "message": message}]}
