"""Samples of Inspect: ``{"input", "target", "choices", "id", "metadata"}``.

Choices are written under the question with letters; a target is then a letter, or an option's text or number.
"""

from __future__ import annotations

from evalsvc.suites.row_format import Draft, rest_of, row_format
from evalsvc.suites.strict_json import Fault
from evalsvc.suites.tables import Row

_KNOWN = ("input", "target", "choices", "id", "metadata")
_NEEDS_SANDBOX = ("sandbox", "files", "setup")


def _fits(row: Row) -> bool:
    return "input" in row and not row.keys().isdisjoint(("target", "choices", *_NEEDS_SANDBOX))


@row_format("inspect", _fits, names={"expected": ("target",)})
def inspect_samples(row: Row) -> Draft:
    """The sample in a native row's words. Raises `Fault` for one that needs a sandbox."""
    for key in _NEEDS_SANDBOX:
        if row.get(key):
            raise Fault("a sample that runs in a sandbox cannot be read: models are asked, nothing is executed", (key,))
    metadata = row.get("metadata")
    more = rest_of(row, *_KNOWN, *_NEEDS_SANDBOX)
    draft = {
        "id": row.get("id"),
        "expected": row.get("target"),
        "choices": row.get("choices") or None,
        "metadata": {**metadata, **more} if isinstance(metadata, dict) and more else metadata or more,
    }
    return {**draft, "input": row["input"]} if "input" in row else draft
