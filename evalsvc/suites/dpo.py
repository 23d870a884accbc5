"""Preference pairs: the preferred answer is what is expected, the other one is kept as ``metadata.rejected``.

As OpenAI takes them: ``{"input": {"messages", "tools"}, "preferred_output": [message], "non_preferred_output":
[message]}``. As TRL takes them: ``{"prompt", "chosen", "rejected"}``, ``{"chosen", "rejected"}`` of whole
conversations, ``{"prompt", "completion", "label"}``.
"""

from __future__ import annotations

from typing import Any

from evalsvc.suites.chat_finetune import no_pictures, said, split, turns
from evalsvc.suites.row_format import Draft, rest_of, row_format
from evalsvc.suites.strict_json import Fault
from evalsvc.suites.tables import Row
from evalsvc.suites.values import missing_or_wrong, wrong

_KNOWN = (
    "input", "preferred_output", "non_preferred_output", "prompt", "chosen", "rejected", "completion", "label", "tools",
    "id", "category",
)  # fmt: skip


_NAMES = {"input": ("prompt", "input", "chosen"), "expected": ("chosen", "preferred_output", "completion")}


def _fits(row: Row) -> bool:
    return any(
        keys <= row.keys() for keys in ({"preferred_output"}, {"chosen", "rejected"}, {"prompt", "completion", "label"})
    )


@row_format("dpo", _fits, names=_NAMES)
def dpo(row: Row) -> Draft:
    """The pair in a native row's words."""
    no_pictures(row)
    draft = _openai(row) if "preferred_output" in row else _labelled(row) if "label" in row else _chosen(row)
    metadata = {**(rest_of(row, *_KNOWN) or {}), **(draft.get("metadata") or {})}
    return {"id": row.get("id"), "category": row.get("category"), **draft, "metadata": metadata}


def _openai(row: Row) -> Draft:
    asked = row.get("input")
    messages = asked.get("messages") if isinstance(asked, dict) else None
    if not isinstance(asked, dict) or not isinstance(messages, list):
        raise missing_or_wrong(row, "input", "an object with messages")
    draft = split(messages, turns(row["preferred_output"]), "preferred_output")
    return draft | {"tools": asked.get("tools"), "metadata": _rejected(row, "non_preferred_output")}


def _labelled(row: Row) -> Draft:
    """Of a bad completion nothing is expected but that it does not come again."""
    if type(row["label"]) is not bool:
        raise wrong(("label",), "true or false", row["label"])
    draft = split(turns(row.get("prompt")), turns(row.get("completion"), "assistant"), "completion")
    return draft if row["label"] else {"input": draft["input"], "metadata": {"rejected": draft["expected"]}}


def _chosen(row: Row) -> Draft:
    for key in ("chosen", "rejected"):
        if not isinstance(row.get(key), str | list):
            raise missing_or_wrong(row, key, "an answer: a text or messages")
    chosen = turns(row["chosen"], "assistant")
    if row.get("prompt") is not None:
        draft = split(turns(row["prompt"]), chosen, "chosen")
    elif isinstance(row["chosen"], list):
        draft = split(chosen[:-1], chosen[-1:], "chosen", first=len(chosen) - 1)
    else:
        raise Fault("missing; texts that hold prompt and answer in one cannot be told apart", ("prompt",))
    return draft | {"tools": row.get("tools"), "metadata": _rejected(row, "rejected")}


def _rejected(row: Row, key: str) -> dict[str, Any] | None:
    last = turns(row.get(key), "assistant")[-1:]
    return {"rejected": said(last[0], (key,))} if last and isinstance(last[0], dict) else None
