"""The record's ``suites``: every suite's scores, wins and categories over complete pairs, whatever its role."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from evalsvc.core.evidence import Evidence, ScoreTable
from evalsvc.core.records import Arm, GateSpec, SuiteSpec, Verdict
from evalsvc.decide.cases import Pairs, categories_of, pairs_of, passed
from evalsvc.decide.clustered import estimate_pairs
from evalsvc.decide.compare import wins_losses_ties
from evalsvc.decide.verdict import LEVEL, GateResult, Settings
from evalsvc.stats.rates import wilson
from evalsvc.stats.sequential import betting_interval

#: "Different at all": what a category's interval is drawn for.
_AGAINST_NOTHING = Settings(spec=GateSpec(name="category", threshold=0.0))


_NONE: Mapping[str, Collection[str]] = MappingProxyType({})


def suite_rows(
    specs: Sequence[SuiteSpec],
    evidence: Evidence,
    results: Sequence[GateResult],
    stopped: Collection[str] = (),
    no_shares: Mapping[str, Collection[str]] = _NONE,
) -> list[dict[str, Any]]:
    """One row a suite, in the job's order.

    ``results`` lend the verdicts of their categories; ``stopped`` are suites that were not asked whole: their intervals
    are those that hold at every look. ``no_shares`` are, by suite, the labels of scores that reach beyond 0 to 1 (a
    perplexity): nothing passes or fails by them.
    """
    verdicts = {(each.suite, each.category): each.verdict for result in results for each in result.categories}
    return [
        _row(
            spec,
            [table for table in evidence.tables if table.suite == spec.name],
            verdicts,
            spec.name in stopped,
            no_shares.get(spec.name, ()),
        )
        for spec in specs
    ]


def _row(
    spec: SuiteSpec,
    tables: Sequence[ScoreTable],
    verdicts: Mapping[tuple[str, str], Verdict],
    stopped: bool,
    no_shares: Collection[str],
) -> dict[str, Any]:
    primary = [table for table in tables if table.primary]  # one, or none where nothing was recorded
    pairs = pairs_of(primary)
    wins, losses, ties = wins_losses_ties(*pairs.bounded().complete)
    return {
        "name": spec.name,
        "role": spec.role,
        "format": spec.format,
        "cases": len(pairs.complete),
        "primary": spec.scorers[0].label,
        "scores": {table.label: _means(pairs_of([table])) for table in tables},
        "wins": {Arm.CANDIDATE: wins, Arm.BASELINE: losses, "ties": ties},
        "categories": [
            _category(name, pairs.at(chosen), verdicts.get((spec.name, name)), stopped)
            for table in primary
            for name, chosen in categories_of(table).items()
        ],
        "pass_rates": {
            table.label: None if table.label in no_shares else _pass_rates(table, stopped) for table in tables
        },
    }


def _means(pairs: Pairs) -> dict[str, float | None]:
    candidate, baseline = pairs.bounded().complete
    if not len(candidate):
        return {"candidate": None, "baseline": None}
    return {"candidate": float(candidate.mean()), "baseline": float(baseline.mean())}


def _pass_rates(table: ScoreTable, stopped: bool) -> dict[Arm, dict[str, Any]]:
    arms = zip((Arm.CANDIDATE, Arm.BASELINE), pairs_of([table]).bounded().complete, strict=True)
    return {arm: _pass_rate(passed(scores, table.pass_at), len(scores), stopped) for arm, scores in arms}


def _pass_rate(passes: int, n: int, stopped: bool) -> dict[str, Any]:
    interval = wilson(passes, n, level=LEVEL)
    return {
        "passes": passes,
        "n": n,
        "rate": passes / n if n else None,
        "wilson": [interval.low, interval.high] if n and not stopped else None,
    }


def _category(name: str, pairs: Pairs, verdict: Verdict | None, stopped: bool) -> dict[str, Any]:
    candidate, baseline = pairs.bounded().complete
    estimate = estimate_pairs(pairs, _AGAINST_NOTHING).complete
    interval = betting_interval(candidate - baseline, level=LEVEL) if stopped else estimate.interval
    return {
        "name": name,
        "cases": len(pairs.complete),
        **_means(pairs),
        "delta": estimate.value,
        "interval": None if interval.low is None else [interval.low, interval.high],
        "verdict": verdict,
        "n": estimate.n,
    }
