"""Scorers: pure functions of (case, completion). One file a family; importing this package registers all of them."""

from evalsvc.scoring import (
    choice,
    edit,
    json_match,
    judge,
    judge_pair,
    match,
    numeric,
    overlap,
    perplexity,
    structured,
    tool_call,
    tool_schema,
    translation,
)

__all__ = [
    "choice",
    "edit",
    "json_match",
    "judge",
    "judge_pair",
    "match",
    "numeric",
    "overlap",
    "perplexity",
    "structured",
    "tool_call",
    "tool_schema",
    "translation",
]
