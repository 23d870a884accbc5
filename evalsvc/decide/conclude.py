"""From what a gate found to its entry in the record: verdict, reason and what is still needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evalsvc.core.records import Arm, Verdict
from evalsvc.decide.verdict import (
    NOTHING,
    Bounded,
    CategoryVerdict,
    Estimate,
    GateResult,
    Missing,
    Settings,
    missing_rule,
)
from evalsvc.decide.words import count, percent
from evalsvc.stats.interval import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a gate found, before the rule on missing answers.

    ``says`` is what was seen, ``tails`` what follows it by verdict; ``needed`` is the number of cases that would
    settle the complete cases' verdict, None where that cannot be told, and ``settle`` ends "about N more cases ...".
    """

    claim: str
    estimates: Bounded[Estimate]
    verdicts: Bounded[Verdict]
    missing: Missing
    says: str
    tails: Mapping[Verdict, str]
    needed: int | None
    settle: str
    point: bool
    categories: tuple[CategoryVerdict, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


def conclude(settings: Settings, finding: Finding) -> GateResult:
    """The gate's result: both rules applied, put into words."""
    verdict, remark = missing_rule(finding.missing, finding.verdicts)
    complete, n_needed = finding.estimates.complete, _n_needed(verdict, finding)
    return GateResult(
        name=settings.spec.name,
        required=settings.spec.required,
        waived=settings.spec.waived,
        verdict=verdict,
        claim=finding.claim,
        threshold=settings.threshold,
        estimate=complete.value,
        interval=complete.interval,
        interval_missing=_envelope(finding.estimates.worst.interval, finding.estimates.best.interval),
        level=settings.level,
        p_pass=complete.p_pass,
        p_fail=complete.p_fail,
        n=complete.n,
        n_needed=n_needed,
        method=f"point:{complete.method}" if finding.point else complete.method,
        missing=finding.missing.counts,
        reason=_waived(settings) + _reason(verdict, remark, finding),
        needs=_needs(verdict, finding, n_needed, settings.threshold),
        futile=all(estimate.futile for estimate in finding.estimates),
        categories=finding.categories,
        extra=finding.extra,
    )


def unmeasured(settings: Settings, *, claim: str, method: str, why: str, needs: str) -> GateResult:
    """The result of a gate the job gave no evidence for."""
    return GateResult(
        name=settings.spec.name,
        required=settings.spec.required,
        waived=settings.spec.waived,
        verdict=Verdict.NOT_MEASURED,
        claim=claim,
        threshold=settings.threshold,
        estimate=None,
        interval=NOTHING,
        interval_missing=NOTHING,
        level=settings.level,
        p_pass=None,
        p_fail=None,
        n=0,
        n_needed=None,
        method=method,
        missing=dict.fromkeys(Arm, 0),
        reason=f"{_waived(settings)}{why}.",
        needs=needs,
    )


def tails(settings: Settings, goal: str) -> dict[Verdict, str]:
    """How a sentence goes on by verdict; ``goal`` is the claim in words ("more than 85%")."""
    if settings.point:
        return {Verdict.PASS: "", Verdict.FAIL: f": short of {goal}", Verdict.INCONCLUSIVE: ": too few to tell"}
    return {
        Verdict.PASS: "",
        Verdict.FAIL: f": {goal} is ruled out",
        Verdict.INCONCLUSIVE: f": {goal} is neither proven nor ruled out",
    }


def _envelope(worst: Interval, best: Interval) -> Interval:
    lows, highs = (worst.low, best.low), (worst.high, best.high)
    return Interval(
        min((low for low in lows if low is not None), default=None) if None not in lows else None,
        max((high for high in highs if high is not None), default=None) if None not in highs else None,
    )


def _waived(settings: Settings) -> str:
    waived = settings.spec.waived
    return "" if waived is None else f"Waived: {waived.rstrip('.')}. "


def _reason(verdict: Verdict, remark: str, finding: Finding) -> str:
    if verdict is Verdict.NOT_MEASURED:
        seen = f"; among the others: {finding.says}" if finding.estimates.complete.n else ""
        return f"{remark or 'No case was measured'}{seen}."
    parts = [finding.says + finding.tails[verdict], remark, _point_rule(finding)]
    return "; ".join(part for part in parts if part) + "."


def _point_rule(finding: Finding) -> str:
    if not finding.point:
        return ""
    said = "judged by the point rule: the estimate alone decides, whatever its interval"
    chance = finding.extra.get("point_rule_false_pass")
    if chance is None:
        return said
    often = percent(chance) if chance >= 0.001 else "less than 0.1%"
    return f"{said}, which passes this gate {often} of the time when the truth is no difference"


def _n_needed(verdict: Verdict, finding: Finding) -> int | None:
    if verdict is not Verdict.INCONCLUSIVE:
        return None
    n = finding.estimates.complete.n
    if finding.verdicts.complete is not Verdict.INCONCLUSIVE:
        return n  # there are cases enough: it is the missing answers that leave the gate open
    return None if finding.needed is None else max(finding.needed, n + 1)


def _needs(verdict: Verdict, finding: Finding, n_needed: int | None, threshold: float) -> str | None:
    if verdict is Verdict.NOT_MEASURED:
        return "a run in which at most 2% of the answers are missing, alike in both arms, would measure it"
    if verdict is not Verdict.INCONCLUSIVE:
        return None
    if n_needed is None and finding.estimates.complete.value == threshold:
        return "no number of cases settles what lies on the threshold: another candidate or another threshold would"
    if n_needed is None:
        return "more cases may settle it; how many cannot be told from these"
    more = n_needed - finding.estimates.complete.n
    if not more:
        return f"the {count(finding.missing.total, 'missing answer')} would settle it"
    return f"about {count(more, 'more case')} {finding.settle}"
