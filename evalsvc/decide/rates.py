"""Gates on how many cases the candidate passes: exact_match, adversarial_robustness and schema_compliance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from evalsvc.core.evidence import Evidence, ScoreTable
from evalsvc.core.records import Arm, Role, Verdict
from evalsvc.decide.cases import Pairs, Scores, joined, pairs_of, passed, primaries, scores_of
from evalsvc.decide.compare import POWER
from evalsvc.decide.conclude import Finding, conclude, tails, unmeasured
from evalsvc.decide.verdict import NOTHING, Bounded, Estimate, GateResult, Settings, against, gates
from evalsvc.decide.words import count, limit, number, percent, span
from evalsvc.stats.rates import cases_to_prove_rate, cases_to_resolve_rate, clopper_pearson, rate_p_values, wilson

METHOD = "clopper-pearson"

#: (passes, cases)
Passes = tuple[int, int]


@gates.register("exact_match")
def exact_match(evidence: Evidence, settings: Settings) -> GateResult:
    """The candidate's rate of passes on the target suites."""
    return _rate_gate(evidence, settings, Role.TARGET)


@gates.register("adversarial_robustness")
def adversarial_robustness(evidence: Evidence, settings: Settings) -> GateResult:
    """The candidate's rate of passes on the adversarial suites."""
    return _rate_gate(evidence, settings, Role.ADVERSARIAL)


@gates.register("schema_compliance")
def schema_compliance(evidence: Evidence, settings: Settings) -> GateResult:
    """No answer of the candidate outside its schema in any suite, and a proven rate above the floor.

    One answer outside is `FAIL`, also where another trial of its case is missing. The point rule does not reach here.
    """
    claim = f"no failure, candidate > {number(settings.threshold)}"
    tables = [t for t in evidence.tables if t.scorer == "json_schema" and t.role is not Role.TRAIN]
    if not tables:
        why, needs = "No suite is scored by json_schema", "a suite with the scorer json_schema would measure it"
        return unmeasured(settings, claim=claim, method=METHOD, why=why, needs=needs)
    settings = replace(settings, evidence="interval")
    pairs = Pairs(candidate=_strictest(tables, Arm.CANDIDATE), baseline=_strictest(tables, Arm.BASELINE))
    passes = _passes([(pairs.candidate, 1.0)])
    outside = passes.best[1] - passes.best[0]
    return conclude(
        settings,
        Finding(
            claim=claim,
            estimates=passes.map(lambda counts: replace(_estimate(counts, settings), p_pass=None, p_fail=None)),
            verdicts=passes.map(lambda counts: _schema_verdict(counts, outside, settings)),
            missing=pairs.missing,
            says=_schema_says(passes, outside),
            tails={
                Verdict.PASS: "",
                Verdict.FAIL: "",
                Verdict.INCONCLUSIVE: f": more than {limit(settings.threshold)}% is not proven",
            },
            needed=_provable(settings),
            settle="without a failure would settle it",
            point=False,
            extra=_wilson(passes.complete, settings),
        ),
    )


def _rate_gate(evidence: Evidence, settings: Settings, role: Role) -> GateResult:
    claim, tables = f"candidate > {number(settings.threshold)}", primaries(evidence, role)
    if not tables:
        why, needs = f"The job has no {role.value} suite", f"a suite with the role {role.value} would measure it"
        return unmeasured(settings, claim=claim, method=METHOD, why=why, needs=needs)
    passes = _passes([(scores_of([table], Arm.CANDIDATE), table.pass_at) for table in tables])
    estimates = passes.map(lambda counts: _estimate(counts, settings))
    return conclude(
        settings,
        Finding(
            claim=claim,
            estimates=estimates,
            verdicts=estimates.map(lambda estimate: against(estimate, settings)),
            missing=pairs_of(tables).missing,
            says=_says(passes.complete, estimates.complete, role),
            tails=tails(settings, f"more than {limit(settings.threshold)}%"),
            needed=_needed(estimates.complete, settings),
            settle="would settle it if the rate stays",
            point=settings.point,
            extra=_wilson(passes.complete, settings),
        ),
    )


def _passes(parts: Sequence[tuple[Scores, float]]) -> Bounded[Passes]:
    """Passes and cases of (scores, pass_at) laid end to end: complete cases, then all at their worst and best."""
    cases = sum(len(scores.mean) for scores, _ in parts)
    return Bounded(
        complete=(
            sum(passed(scores.mean, pass_at) for scores, pass_at in parts),
            cases - sum(scores.missing for scores, _ in parts),
        ),
        worst=(sum(passed(scores.low, pass_at) for scores, pass_at in parts), cases),
        best=(sum(passed(scores.high, pass_at) for scores, pass_at in parts), cases),
    )


def _estimate(counts: Passes, settings: Settings) -> Estimate:
    passes, n = counts
    if not n:
        return Estimate(n=0, value=None, interval=NOTHING, method=METHOD)
    p_pass, p_fail = rate_p_values(passes, n, settings.threshold)
    interval = clopper_pearson(passes, n, level=settings.level)
    return Estimate(n=n, value=passes / n, interval=interval, method=METHOD, p_pass=p_pass, p_fail=p_fail)


def _says(counts: Passes, estimate: Estimate, role: Role) -> str:
    passes, n = counts
    rate = f", {percent(estimate.value)} ({span(estimate.interval, percent)})" if estimate.value is not None else ""
    return f"{passes} of {count(n, f'{role.value} case')} pass{rate}"


def _needed(estimate: Estimate, settings: Settings) -> int | None:
    least = _provable(settings)
    if estimate.value is None or least is None:
        return None
    needed = cases_to_resolve_rate(estimate.value, settings.threshold, level=settings.level, power=POWER)
    return None if needed is None else max(needed, least)


def _provable(settings: Settings) -> int | None:
    """Fewest cases, all passing, that prove the rate; None where no number does."""
    return cases_to_prove_rate(settings.threshold, level=settings.level) if settings.threshold < 1 else None


def _wilson(counts: Passes, settings: Settings) -> dict[str, list[float | None] | None]:
    passes, n = counts
    interval = wilson(passes, n, level=settings.level)
    return {"wilson": [interval.low, interval.high] if n else None}


def _strictest(tables: Sequence[ScoreTable], arm: Arm) -> Scores:
    """One score a case: where a suite is held against several schemas, the lowest of them."""
    suites: dict[str, list[Scores]] = {}
    for table in tables:
        suites.setdefault(table.suite, []).append(scores_of([table], arm))
    return joined(
        Scores(
            mean=np.minimum.reduce([scores.mean for scores in group]),
            low=np.minimum.reduce([scores.low for scores in group]),
            high=np.minimum.reduce([scores.high for scores in group]),
        )
        for group in suites.values()
    )


def _schema_verdict(counts: Passes, outside: int, settings: Settings) -> Verdict:
    passes, n = counts
    return Verdict.FAIL if outside or passes < n else against(_estimate(counts, settings), settings)


def _schema_says(passes: Bounded[Passes], outside: int) -> str:
    if outside:
        return f"{outside} of {count(passes.best[1], 'case')} have an answer outside its schema"
    return f"All answers to {count(passes.complete[1], 'case')} satisfy their schema"
