"""One arm of two jobs over the cases they share: what differs, how surely, and nothing about shipping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from evalsvc.core.evidence import ScoreTable
from evalsvc.core.records import Arm, GateSpec, Role, Verdict
from evalsvc.decide.cases import Pairs, categories_of, pairs_of
from evalsvc.decide.clustered import estimate_pairs
from evalsvc.decide.compare import wins_losses_ties
from evalsvc.decide.verdict import LEVEL, Bounded, Estimate, Settings, against, missing_rule
from evalsvc.stats.interval import Interval
from evalsvc.stats.multiplicity import holm

#: "Better at all": the difference against zero.
_SETTINGS = Settings(spec=GateSpec(name="two_jobs", threshold=0.0))


class Finding(StrEnum):
    """What the shared cases show of the second job against the first."""

    BETTER = "better"
    WORSE = "worse"
    OPEN = "open"
    NOT_MEASURED = "not measured"


_FINDINGS = {
    Verdict.PASS: Finding.BETTER,
    Verdict.FAIL: Finding.WORSE,
    Verdict.INCONCLUSIVE: Finding.OPEN,
    Verdict.NOT_MEASURED: Finding.NOT_MEASURED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Second − first over the shared cases of a suite, or of one ``category`` of it.

    ``n`` cases have a score in both jobs; means, difference, interval (95%) and the counts ``better``, ``worse`` and
    ``same`` (by the sign of a case's difference) are over those. ``missing`` scores: the first's, the second's.
    ``clusters`` is how many clusters those cases are of (the interval is by clusters then), None where each stands for
    itself.
    ``p_value`` (of "no difference", two-sided) and ``finding`` are corrected for how many are looked at.
    """

    suite: str
    role: Role
    category: str | None
    cases: int
    n: int
    first: float | None
    second: float | None
    difference: float | None
    interval: Interval
    method: str
    better: int
    worse: int
    same: int
    missing: tuple[int, int]
    clusters: int | None
    finding: Finding
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteChange:
    """One suite and its categories by name."""

    whole: Change
    categories: tuple[Change, ...]


def changes(tables: Sequence[ScoreTable]) -> list[SuiteChange]:
    """What changed, suite by suite.

    A finding has to hold whatever the missing answers would have said (`missing_rule`), and after Holm's correction
    over all suites, or over all categories of all suites.

    Args:
        tables: the second job stands where the candidate stands, the first where the baseline does.
    """
    suites = _corrected([_change(table, None, pairs_of([table])) for table in tables])
    parts = _corrected(
        [
            _change(table, name, pairs_of([table]).at(chosen))
            for table in tables
            for name, chosen in categories_of(table).items()
        ]
    )
    return [
        SuiteChange(whole=suite, categories=tuple(part for part in parts if part.suite == suite.suite))
        for suite in suites
    ]


def _change(table: ScoreTable, category: str | None, pairs: Pairs) -> Change:
    bounded = pairs.bounded()
    estimates = estimate_pairs(pairs, _SETTINGS)
    verdict, _ = missing_rule(pairs.missing, estimates.map(lambda estimate: against(estimate, _SETTINGS)))
    second, first = bounded.complete
    better, worse, same = wins_losses_ties(second, first)
    estimate = estimates.complete
    return Change(
        suite=table.suite,
        role=table.role,
        category=category,
        cases=len(pairs.complete),
        n=estimate.n,
        first=float(first.mean()) if estimate.n else None,
        second=float(second.mean()) if estimate.n else None,
        difference=estimate.value,
        interval=estimate.interval,
        method=estimate.method,
        better=better,
        worse=worse,
        same=same,
        missing=(pairs.missing.counts[Arm.BASELINE], pairs.missing.counts[Arm.CANDIDATE]),
        clusters=None if pairs.clusters is None else len(np.unique(pairs.clusters[pairs.complete])),
        finding=_FINDINGS[verdict],
        p_value=_two_sided(estimates),
    )


def _two_sided(estimates: Bounded[Estimate]) -> float:
    """Of "no difference", over the complete cases; 1 where there is none."""
    sides = [p for p in (estimates.complete.p_pass, estimates.complete.p_fail) if p is not None]
    return min(1.0, 2 * min(sides)) if sides else 1.0


def _corrected(found: list[Change]) -> list[Change]:
    adjusted = holm([change.p_value for change in found])
    return [
        replace(change, p_value=p, finding=Finding.OPEN)
        if change.finding in {Finding.BETTER, Finding.WORSE} and p > 1 - LEVEL
        else replace(change, p_value=p)
        for change, p in zip(found, adjusted, strict=True)
    ]
