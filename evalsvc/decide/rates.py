"""Gates on how many cases the candidate passes: exact_match, adversarial_robustness and schema_compliance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from evalsvc.core.evidence import Evidence, ScoreTable
from evalsvc.core.records import Arm, Role, Verdict
from evalsvc.decide.betting import MORE_CASES, bet_on_rate, cases_to_bet_rate
from evalsvc.decide.cases import (
    Flags,
    Ints,
    Pairs,
    Scores,
    clusters_of,
    joined,
    pairs_of,
    passing,
    primaries,
    scores_of,
)
from evalsvc.decide.clustered import clustered_rate, described, in_words, rate_cases_in_clusters
from evalsvc.decide.compare import POWER
from evalsvc.decide.conclude import Finding, conclude, tails, unmeasured
from evalsvc.decide.reach import settled_by
from evalsvc.decide.verdict import NOTHING, Bounded, Estimate, GateResult, Settings, against, gates
from evalsvc.decide.words import count, limit, number, percent, span
from evalsvc.stats.rates import cases_to_prove_rate, cases_to_resolve_rate, clopper_pearson, rate_p_values, wilson

METHOD = "clopper-pearson"
#: Scorers that say which arm is better, and of no answer whether it is right.
_COMPARE = frozenset({"judge_pair"})

#: (passes, cases)
Passes = tuple[int, int]
#: Of each case whether it passes, and which cluster it is of where cases come in clusters.
Flagged = tuple[Flags, Ints | None]


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
    flagged = _flagged([(pairs.candidate, 1.0)], clusters_of(_one_a_suite(tables)))
    passes = flagged.map(_counted)
    outside = passes.best[1] - passes.best[0]
    estimates = flagged.map(lambda each: replace(_estimate(each, settings), p_pass=None, p_fail=None))
    return conclude(
        settings,
        Finding(
            claim=claim,
            estimates=estimates,
            verdicts=flagged.map(lambda each: _schema_verdict(each, outside, settings)),
            missing=pairs.missing,
            says=_schema_says(passes, outside, in_words(flagged.complete[1])),
            tails={
                Verdict.PASS: "",
                Verdict.FAIL: "",
                Verdict.INCONCLUSIVE: f": more than {limit(settings.threshold)}% is not proven",
            },
            needed=_provable_in(flagged.complete, estimates.complete, settings),
            settle="without a failure would settle it",
            point=False,
            extra=_shown(flagged.complete, settings),
        ),
    )


def _rate_gate(evidence: Evidence, settings: Settings, role: Role) -> GateResult:
    claim, tables = f"candidate > {number(settings.threshold)}", primaries(evidence, role)
    if not tables:
        why, needs = f"The job has no {role.value} suite", f"a suite with the role {role.value} would measure it"
        return unmeasured(settings, claim=claim, method=METHOD, why=why, needs=needs)
    tables = tuple(table for table in tables if table.scorer not in _COMPARE)
    if not tables:
        why = f"The scorer of the {role.value} suites compares the arms: it says of no answer whether it is right"
        needs = "a suite with a scorer of single answers would measure it"
        return unmeasured(settings, claim=claim, method=METHOD, why=why, needs=needs)
    parts = [(scores_of([table], Arm.CANDIDATE), table.pass_at) for table in tables]
    flagged = _flagged(parts, clusters_of(tables))
    estimates = flagged.map(lambda each: _estimate(each, settings))
    return conclude(
        settings,
        Finding(
            claim=claim,
            estimates=estimates,
            verdicts=estimates.map(lambda estimate: against(estimate, settings)),
            missing=pairs_of(tables).missing,
            says=_says(flagged.complete, estimates.complete, role),
            tails=tails(settings, f"more than {limit(settings.threshold)}%"),
            needed=_needed(flagged.complete, estimates.complete, settings),
            settle=settled_by(estimates.complete, "rate"),
            point=settings.point,
            extra=_shown(flagged.complete, settings),
        ),
    )


def _flagged(parts: Sequence[tuple[Scores, float]], clusters: Ints | None) -> Bounded[Flagged]:
    """Which of (scores, pass_at) pass, laid end to end: complete cases, then all at their worst and best."""
    complete = np.concatenate([~np.isnan(part.mean) for part, _ in parts])
    whole = all(part.whole for part, _ in parts)
    columns = Bounded(*["mean"] * 3) if whole else Bounded("mean", "low", "high")
    found = columns.map(
        lambda which: (np.concatenate([passing(getattr(part, which), least) for part, least in parts]), clusters)
    )
    if complete.all():
        return found
    known = found.complete[0][complete], None if clusters is None else clusters[complete]
    return found._replace(complete=known)


def _counted(flagged: Flagged) -> Passes:
    return int(flagged[0].sum()), len(flagged[0])


def _estimate(flagged: Flagged, settings: Settings) -> Estimate:
    passes, n = _counted(flagged)
    if settings.anytime:
        return bet_on_rate(passes, n, settings)
    if not n:
        return Estimate(n=0, value=None, interval=NOTHING, method=METHOD)
    p_pass, p_fail = rate_p_values(passes, n, settings.threshold)
    interval = clopper_pearson(passes, n, level=settings.level)
    alone = Estimate(n=n, value=passes / n, interval=interval, method=METHOD, p_pass=p_pass, p_fail=p_fail)
    return alone if flagged[1] is None else clustered_rate(flagged[0], flagged[1], settings, alone)


def _says(flagged: Flagged, estimate: Estimate, role: Role) -> str:
    passes, n = _counted(flagged)
    rate = f", {percent(estimate.value)} ({span(estimate.interval, percent)})" if estimate.value is not None else ""
    return f"{passes} of {count(n, f'{role.value} case')}{in_words(flagged[1])} pass{rate}"


def _needed(flagged: Flagged, estimate: Estimate, settings: Settings) -> int | None:
    if flagged[1] is not None:
        return _needed_in_clusters(flagged[0], flagged[1], estimate, settings)
    least = _provable(settings)
    if estimate.value is None or least is None:
        return None
    needed = cases_to_resolve_rate(estimate.value, settings.threshold, level=settings.level, power=POWER)
    return None if needed is None else max(needed * (MORE_CASES if settings.anytime else 1), least)


def _provable(settings: Settings) -> int | None:
    """Fewest cases, all passing, that prove the rate; None where no number does, or at a glance."""
    if settings.glance:
        return None
    if settings.anytime:
        return cases_to_bet_rate(settings.threshold, level=settings.level)
    return cases_to_prove_rate(settings.threshold, level=settings.level) if settings.threshold < 1 else None


def _needed_in_clusters(passes: Flags, labels: Ints, estimate: Estimate, settings: Settings) -> int | None:
    if settings.glance or estimate.value is None or against(estimate, settings) is not Verdict.INCONCLUSIVE:
        return None
    return rate_cases_in_clusters(passes, labels, estimate, settings)


def _shown(flagged: Flagged, settings: Settings) -> dict[str, Any]:
    """Wilson's interval, which holds for one look at independent cases, and what there is to say of clusters."""
    flags, clusters = flagged
    if clusters is not None:
        return {"wilson": None, **described(flags.astype(np.float64), clusters)}
    if settings.anytime:
        return {"wilson": None}
    passes, n = _counted(flagged)
    interval = wilson(passes, n, level=settings.level)
    return {"wilson": [interval.low, interval.high] if n else None}


def _one_a_suite(tables: Sequence[ScoreTable]) -> list[ScoreTable]:
    """The first table of each suite, in their order."""
    return list({table.suite: table for table in reversed(tables)}.values())[::-1]


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


def _provable_in(flagged: Flagged, estimate: Estimate, settings: Settings) -> int | None:
    """Fewest cases that prove compliance when none fails, in clusters as large as these where they come in some."""
    if flagged[1] is None or not flagged[0].all():
        return _provable(settings)
    return _needed_in_clusters(flagged[0], flagged[1], estimate, settings)


def _schema_verdict(flagged: Flagged, outside: int, settings: Settings) -> Verdict:
    passes, n = _counted(flagged)
    return Verdict.FAIL if outside or passes < n else against(_estimate(flagged, settings), settings)


def _schema_says(passes: Bounded[Passes], outside: int, clusters: str) -> str:
    if outside:
        return f"{outside} of {count(passes.best[1], 'case')}{clusters} have an answer outside its schema"
    return f"All answers to {count(passes.complete[1], 'case')}{clusters} satisfy their schema"
