"""What a gate says, and the two rules every gate obeys: interval against threshold, and what is missing.

A gate is ``judge(evidence, settings) -> GateResult``, registered under its name with one decorator. It estimates its
quantity three times (`Bounded`): over the complete cases, and with everything missing at its worst and at its best.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from evalsvc.core.evidence import Evidence
from evalsvc.core.records import Arm, GateSpec, Verdict
from evalsvc.core.registry import Registry
from evalsvc.decide.words import count, percent
from evalsvc.stats.interval import Interval
from evalsvc.stats.missing import differential_missingness

#: Level of every interval; each side of a verdict errs with probability (1 - LEVEL) / 2 at most.
LEVEL = 0.95
#: Share of an arm's cases that may be missing before nothing is judged.
MAX_MISSING = 0.02
#: Below this Fisher p the arms miss answers unlike each other.
MAX_UNLIKE = 0.025
#: What adding up binary fractions may do to a score.
NOISE = 1e-12
#: The method of an estimate on too few clusters for any.
TOO_FEW = "clusters"
#: Where nothing was observed.
NOTHING = Interval(None, None)

T = TypeVar("T")
R = TypeVar("R")


class Bounded(NamedTuple, Generic[T]):
    """One thing over the complete cases, and over all cases with what is missing at its worst and at its best."""

    complete: T
    worst: T
    best: T

    def map(self, function: Callable[[T], R]) -> Bounded[R]:
        """The same three, each put through ``function``; once, where nothing is missing and they are one thing."""
        if self.complete is self.worst is self.best:
            return Bounded(*[function(self.complete)] * 3)
        return Bounded(*map(function, self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a gate is judged by. ``evidence`` is ``interval`` or ``point``.

    ``anytime`` asks for an interval that holds however often one looks (a confidence sequence). At a glance only the
    verdict is wanted: p-values stand for the interval, which takes longer. ``planned`` is the number of cases the job
    has for the gate, where it is to be told whether they can still be enough.
    """

    spec: GateSpec
    level: float = LEVEL
    evidence: str = "interval"
    anytime: bool = False
    glance: bool = False
    planned: int | None = None

    @property
    def threshold(self) -> float:
        """The number the claim is held against (never -0.0)."""
        return self.spec.threshold + 0.0

    @property
    def point(self) -> bool:
        """Whether the estimate alone decides."""
        return self.evidence == "point"

    @property
    def strictly(self) -> bool:
        """Whether the estimate itself must be better than its threshold: "better at all" is not "as good as"."""
        return self.spec.name == "target_improvement" and not self.spec.threshold

    @property
    def alpha(self) -> float:
        """Error allowed on one side."""
        return (1 - self.level) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A statistic over ``n`` cases. ``value`` is None where nothing was observed.

    ``futile``: even an effect that the planned cases could just show is refuted (told only where it was asked for).
    """

    n: int
    value: float | None
    interval: Interval
    method: str
    p_pass: float | None = None
    p_fail: float | None = None
    futile: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Cases asked and cases without a score, per arm."""

    cases: Mapping[Arm, int]
    counts: Mapping[Arm, int]

    @property
    def total(self) -> int:
        """Missing answers of both arms."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryVerdict:
    """The regression claim on one category of one suite."""

    suite: str
    category: str
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """One entry of the record's ``gates``; ``needs`` says what would settle an open gate, ``extra`` are more keys.

    ``futile`` is the estimate's, whatever the missing answers would have said.
    """

    name: str
    required: bool
    waived: str | None
    verdict: Verdict
    claim: str
    threshold: float
    estimate: float | None
    interval: Interval
    interval_missing: Interval
    level: float
    p_pass: float | None
    p_fail: float | None
    n: int
    n_needed: int | None
    method: str
    missing: Mapping[Arm, int]
    reason: str
    needs: str | None = None
    futile: bool = False
    warnings: tuple[str, ...] = ()
    categories: tuple[CategoryVerdict, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


Gate = Callable[[Evidence, Settings], GateResult]
gates: Registry[Gate] = Registry("gate")


def against(estimate: Estimate, settings: Settings, *, below: bool = False) -> Verdict:
    """The one rule: wholly on the good side of the threshold, wholly on the bad side, or neither.

    Under ``evidence = "point"`` the estimate stands for its interval and may lie on the threshold. One case proves
    nothing either way, nor do too few clusters. ``below`` is for claims whose good side is the lower one.
    """
    if estimate.n == 0:
        return Verdict.NOT_MEASURED
    if estimate.n == 1 or estimate.method == TOO_FEW:
        return Verdict.INCONCLUSIVE
    above, under = _sides(estimate, settings, below)
    if above == under:
        return Verdict.INCONCLUSIVE
    return Verdict.PASS if above != below else Verdict.FAIL


def _sides(estimate: Estimate, settings: Settings, below: bool) -> tuple[bool, bool]:
    """Whether it lies above the threshold, and whether it lies under it."""
    if settings.point:
        return _point_sides(estimate, settings, below)
    if settings.glance:
        return _below_alpha(estimate.p_pass, settings), _below_alpha(estimate.p_fail, settings)
    low, high = estimate.interval.low, estimate.interval.high
    return low is not None and low > settings.threshold, high is not None and high < settings.threshold


def _below_alpha(p_value: float | None, settings: Settings) -> bool:
    return p_value is not None and p_value < settings.alpha


def _point_sides(estimate: Estimate, settings: Settings, below: bool) -> tuple[bool, bool]:
    if estimate.value is None:
        return False, False
    by = estimate.value - settings.threshold
    above = by > NOISE if below or settings.strictly else by >= -NOISE
    return above, not above


def missing_rule(missing: Missing, verdicts: Bounded[Verdict]) -> tuple[Verdict, str]:
    """The other rule: a verdict must hold whatever the missing answers would have said.

    Returns:
        The gate's verdict and a remark on what is missing ("" when nothing is).
    """
    trouble = _too_much_missing(missing)
    if trouble:
        return Verdict.NOT_MEASURED, trouble
    verdict = agreed(verdicts)
    if not missing.total:
        return verdict, ""
    if verdict in (Verdict.PASS, Verdict.FAIL):
        case = "worst" if verdict is Verdict.PASS else "best"
        return verdict, f"holds in the {case} case of the {count(missing.total, 'answer')} missing"
    if verdicts.complete in (Verdict.PASS, Verdict.FAIL):
        return verdict, f"the {count(missing.total, 'answer')} missing could turn it"
    return verdict, f"{count(missing.total, 'answer')} missing"


def agreed(verdicts: Bounded[Verdict]) -> Verdict:
    """The verdict that stands in all three; NOT_MEASURED where no case is complete, else INCONCLUSIVE."""
    if verdicts.complete is Verdict.NOT_MEASURED or verdicts.complete is verdicts.worst is verdicts.best:
        return verdicts.complete
    return Verdict.INCONCLUSIVE


def _too_much_missing(missing: Missing) -> str:
    for arm, cases in missing.cases.items():
        share = missing.counts[arm] / cases if cases else 0.0
        if share > MAX_MISSING:
            said = f"{missing.counts[arm]} of {cases} answers of the {arm.value} are missing"
            return f"{said} ({percent(share)}, more than 2%)"
    (first, n_first), (second, n_second) = ((arm, missing.cases[arm]) for arm in Arm)
    lost = missing.counts[first], missing.counts[second]
    if n_first and n_second and differential_missingness(lost[0], n_first, lost[1], n_second) < MAX_UNLIKE:
        return (
            f"the arms miss answers unlike each other: {lost[0]} of {n_first} of the {first.value}, "
            f"{lost[1]} of {n_second} of the {second.value}"
        )
    return ""
