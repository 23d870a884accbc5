"""Input files of OpenAI's Batch API: ``{"custom_id", "method", "url", "body"}``, each body a request.

Its messages are the input, its tools and its JSON Schema are the case's. Everything else in a body (model, temperature,
...) is metadata: how an arm is asked is the job's to say.
"""

from __future__ import annotations

from typing import Any

from evalsvc.suites.row_format import Draft, prompt_of, rest_of, row_format
from evalsvc.suites.tables import Row
from evalsvc.suites.values import missing_or_wrong

_KNOWN = ("messages", "input", "prompt", "tools")


def _fits(row: Row) -> bool:
    return "custom_id" in row and isinstance(row.get("body"), dict)


@row_format("openai-batch", _fits, names={"id": ("custom_id",), "input": ("body",), "tools": ("body",)})
def openai_batch(row: Row) -> Draft:
    """The request in a native row's words."""
    body = row.get("body")
    if not isinstance(body, dict):
        raise missing_or_wrong(row, "body", "an object: the request")
    asked = next((body[key] for key in _KNOWN[:3] if body.get(key) is not None), None)
    if asked is None:
        raise missing_or_wrong(body, "messages", "messages, input or prompt: what is asked", ("body",))
    return {
        "id": row.get("custom_id"),
        "input": prompt_of(asked) if isinstance(asked, list) else asked,
        "tools": body.get("tools"),
        "schema": _schema(body),
        "metadata": {"request": rest_of(body, *_KNOWN)},
    }


def _schema(body: dict[str, Any]) -> Any:
    """The JSON Schema the answer must follow, or None."""
    wanted = body.get("response_format")
    inner = wanted.get("json_schema") if isinstance(wanted, dict) else None
    return inner.get("schema") if isinstance(inner, dict) else None
