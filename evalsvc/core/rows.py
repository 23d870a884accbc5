"""One recorded outcome with its case, as exports write it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeRow:
    """An outcome and its case.

    ``input``, ``text`` and whatever else a model or a data set wrote are hostile until made inert. ``score`` is the
    primary one, None where it is missing; ``scores`` are {label: {"value", "explanation"}}, the primary first; times
    are seconds, ``finished_at`` Unix seconds; ``attempts`` counts HTTP tries.
    """

    suite: str
    case_id: str
    category: str
    position: int
    arm: str
    trial: int
    step: str
    status: str
    kind: str | None
    detail: str | None
    score: float | None
    scores: Mapping[str, Mapping[str, Any]]
    input: Any
    expected: Any
    text: str | None
    tool_calls: Any
    finish_reason: str | None
    refusal: str | None
    reasoning: str | None
    latency_s: float | None
    first_token_s: float | None
    since_scheduled_s: float
    input_tokens: int | None
    output_tokens: int | None
    attempts: int
    model: str | None
    fingerprint: str | None
    simulated: bool
    tainted: bool
    repaired: str | None
    finished_at: float

    @property
    def explanation(self) -> str:
        """Why the primary score is what it is."""
        first = next(iter(self.scores.values()), {})
        return str(first.get("explanation") or "")
