"""What a report shows beside the record: filled by the store, drawn by `reports`."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evalsvc.core.records import Arm


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerView:
    """One arm's answer to one case (trial 0). ``text`` is model output: hostile until drawn inert."""

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
