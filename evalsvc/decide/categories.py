"""The regression claim per category: Holm over the family for FAIL, each category's own interval for PASS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from evalsvc.core.evidence import ScoreTable
from evalsvc.core.records import Verdict
from evalsvc.decide.cases import Pairs, categories_of, pairs_of
from evalsvc.decide.clustered import estimate_pairs
from evalsvc.decide.compare import for_correction, wins_losses_ties
from evalsvc.decide.verdict import Bounded, CategoryVerdict, Estimate, Settings, against, agreed
from evalsvc.stats.multiplicity import holm

#: (suite, category)
Cell = tuple[str, str]


def judge_cells(tables: Sequence[ScoreTable], settings: Settings) -> Bounded[dict[Cell, Verdict]]:
    """Every category's verdict over the complete cases, and with what is missing at its worst and best.

    A category without a case in one of the three has no entry there.
    """
    found = {cell: _for_holm(pairs, settings) for cell, pairs in _cells(tables)}

    def judged(which: int) -> dict[Cell, Verdict]:
        return _with_holm({cell: each[which] for cell, each in found.items() if each[which].n}, settings)

    if all(each.complete is each.worst for each in found.values()):
        return Bounded(*[judged(0)] * 3)
    return Bounded(*(judged(which) for which in range(3)))


def _for_holm(pairs: Pairs, settings: Settings) -> Bounded[Estimate]:
    bounded, estimates = pairs.bounded(), estimate_pairs(pairs, settings)
    if estimates.complete is estimates.worst is estimates.best:
        return estimates.map(lambda estimate: for_correction(estimate, wins_losses_ties(*bounded.complete), settings))
    each = zip(bounded, estimates, strict=True)
    return Bounded(*(for_correction(estimate, wins_losses_ties(*arms), settings) for arms, estimate in each))


def category_verdicts(cells: Bounded[dict[Cell, Verdict]]) -> tuple[CategoryVerdict, ...]:
    """One verdict per category: what holds whatever the missing answers would have said."""
    return tuple(
        CategoryVerdict(
            suite=suite,
            category=category,
            verdict=agreed(Bounded(*(verdicts.get((suite, category), Verdict.NOT_MEASURED) for verdicts in cells))),
        )
        for suite, category in cells.worst
    )


def _cells(tables: Sequence[ScoreTable]) -> Iterator[tuple[Cell, Pairs]]:
    for table in tables:
        pairs = pairs_of([table])
        for category, chosen in categories_of(table).items():
            yield (table.suite, category), pairs.at(chosen)


def _with_holm(estimates: Mapping[Cell, Estimate], settings: Settings) -> dict[Cell, Verdict]:
    verdicts = {cell: against(estimate, settings) for cell, estimate in estimates.items()}
    if settings.point:
        return verdicts
    adjusted = holm([1.0 if estimate.p_fail is None else estimate.p_fail for estimate in estimates.values()])
    for cell, p_fail in zip(estimates, adjusted, strict=True):
        if verdicts[cell] is Verdict.FAIL and p_fail > settings.alpha:
            verdicts[cell] = Verdict.INCONCLUSIVE
    return verdicts
