"""``samples_*.jsonl`` of lm-eval (``--log_samples``): the prompt as it was sent, and the target.

Of a task with several filters each document stands there once a filter: those of the first row's count. The answers in
the same file can be the ``outputs`` of a recorded arm.
"""

from __future__ import annotations

from typing import Any

from evalsvc.suites.row_format import Draft, row_format
from evalsvc.suites.strict_json import Fault, loads
from evalsvc.suites.tables import Row
from evalsvc.suites.values import missing_or_wrong

_NAMES = {"id": ("doc_id",), "input": ("arguments",), "expected": ("target",)}


def _fits(row: Row) -> bool:
    return {"doc_id", "arguments"} <= row.keys()


def _same_filter(row: Row, first: Row) -> bool:
    return row.get("filter") == first.get("filter")


@row_format("lm-eval", _fits, names=_NAMES, keep=_same_filter)
def lm_eval(row: Row) -> Draft:
    """The sample in a native row's words. Raises `Fault` for tasks that compare log-likelihoods."""
    if row.get("doc_id") is None:
        raise missing_or_wrong(row, "doc_id", "the number of the document")
    doc = row.get("doc")
    return {
        "id": row["doc_id"],
        "input": _prompt(row),
        "expected": row.get("target"),
        "metadata": {"doc": doc} if doc is not None else None,
    }


def _prompt(row: Row) -> Any:
    arguments = row.get("arguments")
    requests = list(arguments.values()) if isinstance(arguments, dict) else arguments
    if not isinstance(requests, list) or not requests:
        raise missing_or_wrong(row, "arguments", "the arguments of one request")
    if len(requests) > 1 or not isinstance(_argument(requests[0], 1), dict):
        raise Fault("a task that compares log-likelihoods cannot be read: it has no answer to ask for", ("arguments",))
    prompt = _argument(requests[0], 0)
    return _messages(prompt[0]) if isinstance(prompt, list) and len(prompt) == 1 else prompt


def _argument(request: Any, place: int) -> Any:
    if isinstance(request, dict):
        return request.get(f"arg_{place}")
    return request[place] if isinstance(request, list) and len(request) > place else None


def _messages(text: Any) -> Any:
    """A chat as lm-eval sends it: a JSON text inside an array."""
    if not isinstance(text, str):
        return text
    try:
        return loads(text.encode())
    except Fault:
        return text
