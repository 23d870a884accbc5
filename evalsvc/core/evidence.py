"""What the outcomes of a job say in numbers: filled by the store, judged by `decide`.

Evidence holds numbers, counts and labels per case, never texts: a job never lies in memory whole. Arrays are
`array.array('d')`, one number a case, NaN where it is missing; two tables of one suite run over the same cases in the
same order.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field

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
    that of streamed answers only; both are shown and never judged, and may be of single precision. ``missing`` cases
    have none; ``tainted`` ones were taken while the event loop lagged.
    """

    seconds: array[float]
    scheduled: array[float]
    first_token: array[float]
    missing: int = 0
    tainted: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmTotals:
    """Counts over all answers of one arm, train suites included. ``kinds`` counts outcomes other than plain `ok`.

    ``scoring_errors`` counts outcomes whose primary scorer raised; ``unanswered`` those whose primary scorer asked for
    a score and got none, by who gave none: ``judge``, ``model``, ``other arm`` (nothing to compare with). ``tokens``
    and ``cost`` count every attempt.
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
    unanswered: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What most of the requests that failed failed of: the ``kind`` of ``count``, and what was said to one of them."""

    kind: str
    count: int
    detail: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUpTotals:
    """Counts over what scores asked of one model beyond the answers: the judge, or an arm's own.

    ``failed`` gave nothing to go by; ``cached`` were taken from an earlier request of the same content: those have no
    attempts, and their tokens are not counted. Tokens are None where a server did not say. ``fault`` is None where none
    failed.
    """

    requests: int
    failed: int
    attempts: int
    cached: int
    input_tokens: int | None
    output_tokens: int | None
    served_models: tuple[str, ...]
    fault: Fault | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryCount:
    """Answers that deserve nothing: how many were ``asked`` about, got a verdict, and ``fooled`` the judge."""

    asked: int = 0
    answered: int = 0
    fooled: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedScores:
    """What is to be known of a judged scorer before its scores are believed.

    ``canaries`` are by name. ``verdicts`` counts all it gave, those on canaries included, by their worth. ``orders``
    counts, of pairs asked in both orders, the two verdicts as they fall to the candidate (1, 0.5, 0), shown first and
    shown second. ``delta`` is the candidate's score minus the baseline's, one a case that both have one of, and
    ``log_length`` the logarithm of how much longer its answer is, in characters.
    """

    suite: str
    label: str
    canaries: Mapping[str, CanaryCount]
    verdicts: Mapping[float, int]
    orders: Mapping[tuple[float, float], int]
    delta: array[float]
    log_length: array[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractCount:
    """In how many of an arm's ``answers`` to a suite (those that came) the primary scorer's `extract` found nothing."""

    suite: str
    arm: Arm
    answers: int
    nothing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything a decision rests on.

    ``outcomes`` counts the rows it was read from; ``extracts`` are of suites whose primary scorer has an `extract`.
    ``judged`` are the scorers that ask a judge; None where nobody asks whether it may be trusted. ``asked_judge`` is
    what they asked it, ``follow_ups`` what scorers asked the model of an arm; neither is counted in ``totals``.
    """

    tables: tuple[ScoreTable, ...]
    latency: Mapping[Arm, LatencySamples]
    totals: Mapping[Arm, ArmTotals]
    outcomes: int
    simulated: bool
    extracts: tuple[ExtractCount, ...] = ()
    judged: tuple[JudgedScores, ...] | None = None
    asked_judge: FollowUpTotals | None = None
    follow_ups: Mapping[Arm, FollowUpTotals] = field(default_factory=dict)
