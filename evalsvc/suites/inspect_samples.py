"""Samples of Inspect: ``{"input", "target", "choices", "id", "metadata"}``.

Choices are written under the question with letters; a target is then a letter, or an option's text or number.
"""

from __future__ import annotations

from typing import Any

import orjson

from evalsvc.suites.row_format import Draft, prompt_of, rest_of, row_format
from evalsvc.suites.strict_json import Fault
from evalsvc.suites.tables import Row

_KNOWN = ("input", "target", "choices", "id", "metadata")
_NEEDS_SANDBOX = ("sandbox", "files", "setup")
#: What an API takes of a message.
_OF_MESSAGE = ("role", "content", "name", "tool_calls", "tool_call_id")


def _fits(row: Row) -> bool:
    return "input" in row and not row.keys().isdisjoint(("target", "choices", *_NEEDS_SANDBOX))


@row_format("inspect", _fits, names={"expected": ("target",)})
def inspect_samples(row: Row) -> Draft:
    """The sample in a native row's words. Raises `Fault` for one that needs a sandbox."""
    for key in _NEEDS_SANDBOX:
        if row.get(key):
            raise Fault("a sample that runs in a sandbox cannot be read: models are asked, nothing is executed", (key,))
    if row.get("expected") is not None and row.get("target") is not None:
        said = 'both "expected" and "target" say what is right; remove one, or name the format that is meant'
        raise Fault(said, ("target",))
    if row.get("choices") and isinstance(row.get("target"), list) and len(row["target"]) > 1:
        said = (
            "several right choices cannot be read: they are to be given together, and one of them would be taken here"
        )
        raise Fault(said, ("target",))
    metadata = row.get("metadata")
    more = rest_of({key: value for key, value in row.items() if value is not None}, *_KNOWN, *_NEEDS_SANDBOX)
    draft = {
        "id": row.get("id"),
        "expected": row.get("target"),
        "choices": row.get("choices") or None,
        "metadata": {**metadata, **more} if isinstance(metadata, dict) and more else metadata or more,
    }
    return {**draft, "input": _asked(row["input"])} if "input" in row else draft


def _asked(value: Any) -> Any:
    """Messages as an API takes them: Inspect's own have more keys, and calls of another shape."""
    return prompt_of([_message(each) for each in value]) if isinstance(value, list) else value


def _message(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    found = {key: message[key] for key in _OF_MESSAGE if message.get(key) is not None}
    calls = found.get("tool_calls")
    return {**found, "tool_calls": [_call(call) for call in calls]} if isinstance(calls, list) else found


def _call(call: Any) -> Any:
    if not isinstance(call, dict) or not isinstance(call.get("function"), str):
        return call
    written = orjson.dumps(call.get("arguments") or {}).decode()
    return {"id": call.get("id"), "type": "function", "function": {"name": call["function"], "arguments": written}}
