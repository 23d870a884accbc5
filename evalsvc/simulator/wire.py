"""The bytes on the wire: what is read of an OpenAI chat request, and the bodies of answers, errors and garbage."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import orjson

from evalsvc.simulator.answers import last_user_text, text_of
from evalsvc.simulator.brain import Reply

HTML = b"<!doctype html><html><head><title>502</title></head><body><h1>Bad Gateway</h1></body></html>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a chat request asks: the model, the last user message's text, how long all messages are, the tools."""

    model: str
    prompt: str
    characters: int
    tools: list[Any] | None = None


def read_question(body: bytes) -> Question:
    """Reads a chat completion request. Raises ValueError with a sentence for the client."""
    request = orjson.loads(body)
    match request:
        case {"stream": True}:
            raise ValueError("this simulator does not stream")
        case {"model": str(model), "messages": list(messages)}:
            prompt = last_user_text(messages)
        case _:
            raise ValueError("a request needs model (a string) and messages (a list)")
    if prompt is None:
        raise ValueError("messages hold no user message")
    characters = sum(len(text_of(message.get("content"))) for message in messages if isinstance(message, dict))
    tools = request.get("tools")
    return Question(model=model, prompt=prompt, characters=characters, tools=tools if isinstance(tools, list) else None)


def completion(question: Question, reply: Reply, *, created: int, fingerprint: str) -> dict[str, Any]:
    """A chat completion in OpenAI's shape; tokens are estimated as a quarter of the characters, rounded up."""
    prompt_tokens, completion_tokens = usage(question, reply)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if reply.refusal or (reply.calls and not reply.text) else reply.text,
        "refusal": reply.refusal,
    }
    if reply.calls:
        message["tool_calls"] = _tool_calls(reply)
    return {
        "id": reply.id,
        "object": "chat.completion",
        "created": created,
        "model": question.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_reason(reply)}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
        "system_fingerprint": fingerprint,
    }


def usage(question: Question, reply: Reply) -> tuple[int, int]:
    """(prompt tokens, completion tokens)."""
    written = reply.refusal or reply.text or (json.dumps(reply.calls) if reply.calls else "")
    return _tokens(question.characters), _tokens(len(written))


def _tool_calls(reply: Reply) -> list[dict[str, Any]]:
    """The calls as OpenAI gives them; of an answer that is cut off, the last one is."""
    written = [_written(call["arguments"]) for call in reply.calls]
    if reply.finish_reason == "length":
        written[-1] = written[-1][: len(written[-1]) // 2]
    return [
        {
            "id": f"call_{reply.id}-{place}",
            "type": "function",
            "function": {"name": call["name"], "arguments": arguments},
        }
        for place, (call, arguments) in enumerate(zip(reply.calls, written, strict=True))
    ]


def _written(arguments: Any) -> str:
    """Arguments as a model writes them; those of a recording may be a text, good JSON or not."""
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def _finish_reason(reply: Reply) -> str:
    return "tool_calls" if reply.calls and reply.finish_reason == "stop" else reply.finish_reason


def malformed(body: dict[str, Any], variant: int) -> tuple[str, bytes]:
    """(media type, bytes) of a 200 that is no completion: HTML, half a JSON, no choices, no message, in turn."""
    match variant % 4:
        case 0:
            return "text/html", HTML
        case 1:
            whole = encode(body)
            return "application/json", whole[: len(whole) // 2]
        case 2:
            return "application/json", encode(body | {"choices": []})
        case _:
            return "application/json", encode(body | {"choices": [{"index": 0, "finish_reason": "stop"}]})


def error(message: str, *, kind: str, code: str | None, param: str | None = None) -> bytes:
    """An error body in OpenAI's shape."""
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})


def encode(body: dict[str, Any]) -> bytes:
    """JSON bytes; text that is no Unicode (lone surrogates of a recording) goes out escaped."""
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:
        return json.dumps(body).encode()


def _tokens(characters: int) -> int:
    return -(-characters // 4)
