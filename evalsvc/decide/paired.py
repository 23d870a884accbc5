"""Gates on the difference between the arms, case by case: target_improvement and general_regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from evalsvc.core.evidence import Evidence
from evalsvc.core.records import Role, Verdict
from evalsvc.decide.cases import Pairs, pairs_of, primaries
from evalsvc.decide.categories import category_verdicts, judge_cells
from evalsvc.decide.clustered import described, estimate_pairs, in_words
from evalsvc.decide.compare import wins_losses_ties
from evalsvc.decide.conclude import Finding, conclude, tails, unmeasured
from evalsvc.decide.mix import heterogeneity, hinges_on_the_mix
from evalsvc.decide.reach import needed, seen_words, settled_by, smallest_seen
from evalsvc.decide.verdict import Bounded, CategoryVerdict, Estimate, GateResult, Settings, against, gates
from evalsvc.decide.words import count, limit, number, points, span
from evalsvc.stats.interval import Interval
from evalsvc.stats.paired import point_rule_pass_probability


@gates.register("target_improvement")
def target_improvement(evidence: Evidence, settings: Settings) -> GateResult:
    """Candidate - baseline > margin on the target suites.

    Where no difference is found, the reason says how small a one this job could have seen.
    """
    tables = primaries(evidence, Role.TARGET)
    if not tables:
        return _no_suite(settings, Role.TARGET)
    goal = f"an improvement of more than {limit(settings.threshold)} points" if settings.threshold else "an improvement"
    pairs = pairs_of(tables)
    result = conclude(settings, _finding(pairs, Role.TARGET, settings, tails(settings, goal)))
    if settings.glance or settings.anytime or not result.n:
        return result
    smallest = smallest_seen(pairs, settings)
    said = seen_words(result, smallest, settings)
    return replace(
        result,
        reason=f"{result.reason.removesuffix('.')}{said}.",
        extra={**result.extra, "smallest_effect": smallest},
    )


@gates.register("general_regression")
def general_regression(evidence: Evidence, settings: Settings) -> GateResult:
    """Candidate - baseline > -margin on the general suites, and no category that fails the same claim.

    The rule on missing answers holds for the categories too: `PASS` needs that none fails at the worst or the best.
    """
    tables = primaries(evidence, Role.GENERAL)
    if not tables:
        return _no_suite(settings, Role.GENERAL)
    cells = judge_cells(tables, settings)
    categories = category_verdicts(cells)
    pooled = _finding(pairs_of(tables), Role.GENERAL, settings, _drop_tails(settings, categories))
    verdicts = Bounded(
        *(
            Verdict.FAIL if Verdict.FAIL in by_category.values() else verdict
            for by_category, verdict in zip(cells, pooled.verdicts, strict=True)
        )
    )
    result = conclude(settings, replace(pooled, verdicts=verdicts, categories=categories))
    mix = None if settings.glance else heterogeneity(tables)
    return replace(
        result,
        warnings=(*_proven_drop(result), *hinges_on_the_mix(result.name, result.estimate, mix)),
        extra={**result.extra, "heterogeneity": mix},
    )


def _finding(pairs: Pairs, role: Role, settings: Settings, said: Mapping[Verdict, str]) -> Finding:
    estimates = estimate_pairs(pairs, settings)
    complete = pairs.at(pairs.complete)
    return Finding(
        claim=_claim(settings),
        estimates=estimates,
        verdicts=estimates.map(lambda estimate: against(estimate, settings)),
        missing=pairs.missing,
        says=_says(estimates.complete, role, in_words(complete.clusters)),
        tails=said,
        needed=needed(complete, estimates.complete, settings),
        settle=settled_by(estimates.complete, "difference"),
        point=settings.point,
        extra={
            **_point_rule(pairs, settings),
            **_clusters(complete),
        },
    )


def _clusters(complete: Pairs) -> Mapping[str, Any]:
    if complete.clusters is None:
        return {}
    return described(complete.candidate.mean - complete.baseline.mean, complete.clusters)


def _claim(settings: Settings) -> str:
    return f"candidate - baseline > {number(settings.threshold)}"


def _no_suite(settings: Settings, role: Role) -> GateResult:
    why = f"The job has no {role.value} suite"
    needs = f"a suite with the role {role.value} would measure it"
    return unmeasured(settings, claim=_claim(settings), method="tango", why=why, needs=needs)


def _says(estimate: Estimate, role: Role, clusters: str) -> str:
    value, interval = estimate.value or 0.0, estimate.interval
    word = "Better by" if value > 0 else "No difference:"
    if value < 0:
        turned = (None if bound is None else -bound for bound in (interval.high, interval.low))
        word, value, interval = "Worse by", -value, Interval(*turned)
    cases = f"{count(estimate.n, f'{role.value} case')}{clusters}"
    return f"{word} {points(value)} points ({span(interval, points)}) on {cases}"


def _point_rule(pairs: Pairs, settings: Settings) -> Mapping[str, float]:
    candidate, baseline = pairs.bounded().complete
    n = len(candidate)
    if not (settings.point and n) or pairs.clusters is not None:
        return {}  # of cases that belong together it is not known
    wins, losses, _ = wins_losses_ties(candidate, baseline)
    held = 0.5 / n if settings.strictly else settings.threshold  # a surplus of one case, or of so many
    return {"point_rule_false_pass": point_rule_pass_probability(n, (wins + losses) / n, held)}


def _drop_tails(settings: Settings, categories: Sequence[CategoryVerdict]) -> dict[Verdict, str]:
    drop = f"a drop of {limit(-settings.threshold)} points" if settings.threshold else "a drop"
    failed = [f"{each.suite} / {each.category}" for each in categories if each.verdict is Verdict.FAIL]
    proven = "was seen" if settings.point else "is proven"
    where = f" in {', '.join(failed)}" if failed else ""
    return {
        Verdict.PASS: ": no category fails" if settings.point else f": {drop} is ruled out, no category fails",
        Verdict.FAIL: f": {drop} or more {proven}{where}",
        Verdict.INCONCLUSIVE: f": {drop} is neither proven nor ruled out",
    }


def _proven_drop(result: GateResult) -> tuple[str, ...]:
    high = result.interval.high
    if result.verdict is not Verdict.PASS or high is None or high >= 0:
        return ()
    return (f"{result.name}: a drop is proven, within the margin",)
