"""Rows of OpenAI's hosted Evals: ``{"item": {...}, "sample": {...}}``.

An item has the keys its owner chose. Those called like a native case's are taken; the others are named in the job,
where a prompt can be written as the hosted eval has it, with ``{{item.question}}`` in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalsvc.suites.cases import KEYS
from evalsvc.suites.row_format import Draft, rest_of, row_format
from evalsvc.suites.tables import Row
from evalsvc.suites.values import missing_or_wrong


def _scope(row: Row) -> Mapping[str, Any]:
    item = row.get("item")
    return {**item, **row} if isinstance(item, dict) else row


@row_format("hosted-evals", lambda row: isinstance(row.get("item"), dict), scope=_scope)
def hosted_evals(row: Row) -> Draft:
    """The item in a native row's words; without an input, the messages that were sampled from (``sample.input``)."""
    item = row.get("item")
    if not isinstance(item, dict):
        raise missing_or_wrong(row, "item", "an object")
    draft = {key: item[key] for key in KEYS if item.get(key) is not None}
    sample = row.get("sample")
    if "input" not in draft and isinstance(sample, dict) and sample.get("input") is not None:
        draft["input"] = sample["input"]
    return {"metadata": rest_of(item, *KEYS), **draft}
