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
    """What a chat request asks: the model, the last user message's text, and how many characters all messages have."""

    model: str
    prompt: str
    characters: int


def read_question(body: bytes) -> Question:
    """Reads a chat completion request. Raises ValueError with a sentence for the client."""
    match orjson.loads(body):
        case {"stream": True}:
            raise ValueError("this simulator does not stream")
        case {"model": str(model), "messages": list(messages)}:
            prompt = last_user_text(messages)
        case _:
            raise ValueError("a request needs model (a string) and messages (a list)")
    if prompt is None:
        raise ValueError("messages hold no user message")
    characters = sum(len(text_of(message.get("content"))) for message in messages if isinstance(message, dict))
    return Question(model=model, prompt=prompt, characters=characters)


def completion(question: Question, reply: Reply, *, created: int, fingerprint: str) -> dict[str, Any]:
    """A chat completion in OpenAI's shape; tokens are estimated as a quarter of the characters, rounded up."""
    prompt_tokens, completion_tokens = usage(question, reply)
    message = {
        "role": "assistant",
        "content": None if reply.refusal else reply.text,
        "refusal": reply.refusal,
    }
    return {
        "id": reply.id,
        "object": "chat.completion",
        "created": created,
        "model": question.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reply.finish_reason}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
        "system_fingerprint": fingerprint,
    }


def usage(question: Question, reply: Reply) -> tuple[int, int]:
    """(prompt tokens, completion tokens)."""
    return _tokens(question.characters), _tokens(len(reply.refusal or reply.text))


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
