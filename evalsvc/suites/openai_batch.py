"""Input files of OpenAI's Batch API: ``{"custom_id", "method", "url", "body"}``, each body a request.

Its messages are the input, its tools and its JSON Schema are the case's. Everything else in a body (model, temperature,
...) is metadata: how an arm is asked is the job's to say.
"""

from __future__ import annotations

from typing import Any

from evalsvc.core.toml_source import KeyPath
from evalsvc.suites.chat_finetune import turns
from evalsvc.suites.row_format import Draft, prompt_of, rest_of, row_format
from evalsvc.suites.strict_json import Fault
from evalsvc.suites.tables import Row
from evalsvc.suites.values import describe, missing_or_wrong

_KNOWN = ("messages", "input", "prompt", "tools", "instructions")
#: Endpoints that answer with no text.
_NO_ANSWER = ("/v1/embeddings", "/v1/moderations", "/v1/images/generations", "/v1/images/edits")


def _fits(row: Row) -> bool:
    return "custom_id" in row and isinstance(row.get("body"), dict)


@row_format("openai-batch", _fits, names={"id": ("custom_id",), "input": ("body",), "tools": ("body",)})
def openai_batch(row: Row) -> Draft:
    """The request in a native row's words."""
    body = row.get("body")
    if not isinstance(body, dict):
        raise missing_or_wrong(row, "body", "an object: the request")
    if row.get("url") in _NO_ANSWER:
        raise Fault(f"requests of {row['url']} cannot be read: what comes back is no answer to score", ("url",))
    asked = next((body[key] for key in _KNOWN[:3] if body.get(key) is not None), None)
    if asked is None:
        raise missing_or_wrong(body, "messages", "messages, input or prompt: what is asked", ("body",))
    return {
        "id": row.get("custom_id"),
        "input": _asked(asked, body.get("instructions")),
        "tools": body.get("tools"),
        "schema": _schema(body),
        "metadata": {"request": rest_of(body, *_KNOWN)},
    }


def _asked(asked: Any, instructions: Any) -> Any:
    """Of the Responses API, too: ``instructions`` are its system prompt, its parts of text have a type of their own."""
    if isinstance(asked, list):
        asked = [_message(each, ("body", "input", index)) for index, each in enumerate(asked)]
    if instructions is not None:
        asked = [{"role": "system", "content": instructions}, *turns(asked)]
    return prompt_of(asked) if isinstance(asked, list) else asked


def _message(message: Any, path: KeyPath) -> Any:
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list):
        return message
    return {**message, "content": [_part(part, (*path, "content", index)) for index, part in enumerate(content)]}


def _part(part: Any, path: KeyPath) -> Any:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in {"input_text", "output_text"}:
        return {"type": "text", "text": part.get("text")}
    if kind == "input_image" and isinstance(part.get("image_url"), str):
        return {"type": "image_url", "image_url": {"url": part["image_url"]}}
    if isinstance(kind, str) and kind.startswith("input_"):
        raise Fault(f"must be a text or a picture by its URL, got {describe(kind)}", (*path, "type"))
    return part


def _schema(body: dict[str, Any]) -> Any:
    """The JSON Schema the answer must follow, or None."""
    wanted, of_responses = body.get("response_format"), body.get("text")
    inner = wanted.get("json_schema") if isinstance(wanted, dict) else None
    if isinstance(of_responses, dict):
        inner = of_responses.get("format")
    return inner.get("schema") if isinstance(inner, dict) else None
