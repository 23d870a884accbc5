"""Files for supervised fine-tuning: a chat whose last turn is what the model should say.

``{"messages": [..., {"role": "assistant", ...}], "tools"}`` as OpenAI takes it, or ``{"prompt", "completion"}`` of
texts or messages. As a suite of the role ``train`` such a file shows what the model has memorised.
"""

from __future__ import annotations

from typing import Any

from evalsvc.core.toml_source import KeyPath
from evalsvc.suites.row_format import Draft, message_text, prompt_of, rest_of, row_format
from evalsvc.suites.strict_json import Fault, loads
from evalsvc.suites.tables import Row
from evalsvc.suites.values import describe, missing_or_wrong

_KNOWN = ("messages", "prompt", "completion", "tools", "functions", "parallel_tool_calls", "weight", "id", "category")


_NAMES = {"input": ("messages", "prompt"), "expected": ("messages", "completion")}


def _fits(row: Row) -> bool:
    return isinstance(row.get("messages"), list) or ({"prompt", "completion"} <= row.keys() and "label" not in row)


@row_format("chat-finetune", _fits, names=_NAMES)
def chat_finetune(row: Row) -> Draft:
    """The last turn is what is expected: its text, or its tool calls as ``{"name", "arguments"}``."""
    draft = {"id": row.get("id"), "category": row.get("category"), "metadata": rest_of(row, *_KNOWN)}
    no_pictures(row)
    if "messages" not in row and "prompt" in row:
        return draft | split(turns(row["prompt"]), turns(row.get("completion"), "assistant"), "completion")
    messages = row.get("messages")
    if type(messages) is not list or not messages:
        raise missing_or_wrong(row, "messages", "an array of at least two messages")
    tools = row.get("tools")
    if tools is None and isinstance(row.get("functions"), list):
        tools = [{"type": "function", "function": function} for function in row["functions"]]
    return draft | {"tools": tools} | split(messages[:-1], messages[-1:], "messages", first=len(messages) - 1)


def no_pictures(row: Row) -> None:
    """Raises `Fault` for a row whose pictures stand beside its messages, as TRL has them: they would not be asked."""
    for key in ("images", "image"):
        if row.get(key):
            raise Fault("pictures beside the messages cannot be read; put each into its message by URL", (key,))


def turns(value: Any, role: str = "user") -> list[Any]:
    """A text or messages as messages."""
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    return value if isinstance(value, list) else [value]


def split(before: list[Any], answer: list[Any], key: str, *, first: int = 0) -> Draft:
    """Input and expected of a conversation that ends in ``answer``, one turn at ``key[first]``."""
    path: KeyPath = (key, first)
    if len(answer) != 1 or not isinstance(answer[0], dict) or answer[0].get("role") != "assistant":
        found = describe(answer[0].get("role") if answer and isinstance(answer[0], dict) else answer)
        said_of = f"must be one turn of the assistant: what the model should say; its role is {found}"
        hint = '; without answers it is read with format = "native" and [suites.fields] input = "messages"'
        raise Fault(said_of + (hint if key == "messages" else ""), path)
    if not before:
        raise Fault("there is no turn before the answer: nothing to ask", (key,))
    return {"input": prompt_of([_without_weight(turn) for turn in before]), "expected": said(answer[0], path)}


def said(message: dict[str, Any], path: KeyPath) -> Any:
    """What a turn of the assistant says: its tool calls as ``{"name", "arguments"}``, else its text."""
    calls = message.get("tool_calls") or ([message["function_call"]] if message.get("function_call") else None)
    if calls is None:
        return message_text(message, path)
    if not isinstance(calls, list):
        raise Fault(f"must be an array of calls, got {describe(calls)}", (*path, "tool_calls"))
    return [_call(call, (*path, "tool_calls", index)) for index, call in enumerate(calls)]


def _call(call: Any, path: KeyPath) -> dict[str, Any]:
    function = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise Fault(f"must be a call with the name of its function, got {describe(call)}", path)
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = loads(arguments.encode()) if arguments.strip() else {}
        except Fault as fault:
            raise Fault(f"must be JSON: {fault.message}", (*path, "arguments")) from None
    return {"name": function["name"], "arguments": arguments or {}}


def _without_weight(turn: Any) -> Any:
    """A turn as an API takes it: the weight is for training only."""
    return {key: value for key, value in turn.items() if key != "weight"} if isinstance(turn, dict) else turn
