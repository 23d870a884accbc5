"""What a report shows beside the record: filled by the store, drawn by `reports`."""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalsvc.core.records import Arm


def said(text: str | None, calls: Sequence[Any] | None) -> str:
    """What an answer says: its text, then its tool calls, ``name(arguments)`` a line, as the model wrote them."""
    return "\n".join([*([text] if text else []), *map(_call, calls or ())])


def _call(call: Any) -> str:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping):
        return json.dumps(call, ensure_ascii=False)
    arguments = function.get("arguments")
    written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return f"{function.get('name')}({written})"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerView:
    """One arm's answer to one case (trial 0). ``text`` is what it `said`: hostile until drawn inert."""

    status: str
    kind: str | None
    text: str
    score: float | None
    explanation: str
    latency_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FlippedCase:
    """A case the arms differ on. ``delta`` is candidate − baseline of the primary score."""

    suite: str
    role: str
    case_id: str
    category: str
    input: str
    expected: str
    delta: float
    answers: Mapping[Arm, AnswerView]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportView:
    """The record, the cases that flipped and the latencies.

    ``flips`` holds the worst for the candidate first, at most as many as were asked for; ``flips_total`` counts all.
    ``latency[arm]`` are sorted samples in seconds (a timeout is +inf).
    """

    record: Mapping[str, Any]
    flips: tuple[FlippedCase, ...]
    flips_total: int
    latency: Mapping[Arm, array[float]]
