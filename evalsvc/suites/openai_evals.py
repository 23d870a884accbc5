"""Samples of openai/evals: ``{"input": text or [messages], "ideal": text or [texts]}``; any ideal will do."""

from __future__ import annotations

from evalsvc.suites.row_format import Draft, rest_of, row_format
from evalsvc.suites.tables import Row


@row_format("openai-evals", lambda row: "input" in row and "ideal" in row, names={"expected": ("ideal",)})
def openai_evals(row: Row) -> Draft:
    """The row in a native row's words; what is neither input nor ideal is metadata."""
    draft = {"expected": row.get("ideal"), "metadata": rest_of(row, "input", "ideal")}
    return {**draft, "input": row["input"]} if "input" in row else draft
