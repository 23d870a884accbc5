"""What the outcomes of a job say in numbers: filled by the store, judged by `decide`.

Evidence holds numbers, counts and labels per case, never texts: a job never lies in memory whole. Arrays are
`array.array('d')`, one number a case, NaN where it is missing; two tables of one suite run over the same cases in the
same order.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass

from evalsvc.core.records import Arm, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmScores:
    """One arm's scores of one scorer, one entry a case.

    ``mean``: over the case's trials, NaN unless every trial has a score. ``low`` and ``high``: the same with each
    missing trial at 0 and at 1 (equal to ``mean`` where nothing is missing).
    """

    mean: array[float]
    low: array[float]
    high: array[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreTable:
    """All scores of one scorer on one suite. ``category[i]`` indexes ``categories``.

    ``cluster`` numbers what each case belongs to, where the suite's cases come in clusters; None where they do not.
    """

    suite: str
    role: Role
    label: str
    scorer: str
    primary: bool
    pass_at: float
    categories: tuple[str, ...]
    category: array[int]
    arms: Mapping[Arm, ArmScores]
    cluster: array[int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencySamples:
    """One sample a case, seconds, in ascending order; a timeout is +inf.

    ``seconds`` is service time; ``scheduled`` the same cases' time since they should have started; ``first_token``
    that of streamed answers only. ``missing`` cases have none; ``tainted`` ones were taken while the event loop lagged.
    """

    seconds: array[float]
    scheduled: array[float]
    first_token: array[float]
    missing: int = 0
    tainted: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmTotals:
    """Counts over all requests of one arm, train suites included. ``kinds`` counts outcomes other than plain `ok`.

    ``scoring_errors`` counts outcomes whose primary scorer raised; ``tokens`` and ``cost`` count every attempt.
    """

    requests: int
    ok: int
    model_error: int
    infra_error: int
    attempts: int
    retries: Mapping[str, int]
    kinds: Mapping[str, int]
    scoring_errors: int
    repaired: int
    served_models: tuple[str, ...]
    fingerprints: tuple[str, ...]
    input_tokens: int | None
    output_tokens: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything a decision rests on. ``outcomes`` counts the rows it was read from."""

    tables: tuple[ScoreTable, ...]
    latency: Mapping[Arm, LatencySamples]
    totals: Mapping[Arm, ArmTotals]
    outcomes: int
    simulated: bool
