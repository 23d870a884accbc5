"""The difference between two arms over the same cases: its estimate and how many cases would settle a claim on it."""

from __future__ import annotations

import numpy as np

from evalsvc.core.records import Verdict
from evalsvc.decide.cases import Floats
from evalsvc.decide.verdict import NOISE, NOTHING, Estimate, Settings, against
from evalsvc.stats.interval import Interval
from evalsvc.stats.paired import cases_to_resolve_mean, has_spread, paired_t, paired_t_p_values, tango, tango_p_values
from evalsvc.stats.search import first_true
from evalsvc.stats.sequential import betting_interval, betting_p_values

#: Fewer graded cases than this are no matter for t: three alike would settle a margin of 5 points.
FEWEST_FOR_T = 10
#: Wanted probability of a verdict in every "about N more cases".
POWER = 0.8
#: Where the search for a number of cases that are all alike ends.
MOST_ALIKE = 100_000


def compare(candidate: Floats, baseline: Floats, threshold: float, level: float) -> Estimate:
    """Mean of candidate - baseline over complete pairs, by the method its scores call for.

    Tango where every score is 0 or 1; else t; where t would lie (fewer than `FEWEST_FOR_T` cases, no variance, or so
    little that one unlike case would move the mean out of the interval), the betting interval.

    Args:
        candidate: scores in [0, 1], no NaN.
        baseline: the same cases in the same order.
        threshold: what ``p_pass`` and ``p_fail`` are held against.
        level: of the interval.
    """
    n, differences = len(candidate), candidate - baseline
    if not n:
        return Estimate(n=0, value=None, interval=NOTHING, method="tango")
    method, value = _method(candidate, baseline), float(differences.mean())
    if method == "tango":
        wins, losses, _ = wins_losses_ties(candidate, baseline)
        value = (wins - losses) / n
        interval, p = tango(wins, losses, n, level=level), tango_p_values(wins, losses, n, threshold)
    elif method == "betting":
        interval, p = betting_interval(differences, level=level), betting_p_values(differences, threshold)
    else:
        interval, p = paired_t(differences, level=level), paired_t_p_values(differences, threshold)
    return Estimate(n=n, value=value, interval=interval, method=method, p_pass=p[0], p_fail=p[1])


def wins_losses_ties(candidate: Floats, baseline: Floats) -> tuple[int, int, int]:
    """How many cases the candidate wins, loses and ties, by the sign of the difference."""
    wins = int((candidate - baseline > NOISE).sum())
    losses = int((baseline - candidate > NOISE).sum())
    return wins, losses, len(candidate) - wins - losses


def cases_needed(candidate: Floats, baseline: Floats, estimate: Estimate, settings: Settings) -> int | None:
    """Cases that would settle the claim if the difference stays as estimated; None where no number can be told."""
    if estimate.value is None or against(estimate, settings) is not Verdict.INCONCLUSIVE:
        return None
    differences = candidate - baseline
    if not has_spread(differences):
        return _cases_needed_alike(float(differences[0]), estimate.method, settings)
    variance = float(differences.var(ddof=1))
    needed = cases_to_resolve_mean(variance, estimate.value, settings.threshold, level=settings.level, power=POWER)
    return needed if needed is None or estimate.method == "tango" else max(needed, FEWEST_FOR_T)


def _method(candidate: Floats, baseline: Floats) -> str:
    if all(bool(np.isin(scores, (0.0, 1.0)).all()) for scores in (candidate, baseline)):
        return "tango"
    n, differences = len(candidate), candidate - baseline
    if n < FEWEST_FOR_T or not has_spread(differences):
        return "betting"
    # An interval narrower than the weight of one case would not survive one unlike the others, and so few cannot
    # rule that out.
    interval = paired_t(differences, level=0.95)
    assert interval.low is not None
    assert interval.high is not None
    return "betting" if interval.high - interval.low < 1 / n else "t"


def _cases_needed_alike(difference: float, method: str, settings: Settings) -> int | None:
    def interval(n: int) -> Interval:
        if method == "tango":
            return tango(n * (difference > 0), n * (difference < 0), n, level=settings.level)
        return betting_interval(np.full(n, difference), level=settings.level)

    def settles(n: int) -> bool:
        estimate = Estimate(n=n, value=difference, interval=interval(n), method=method)
        return against(estimate, settings) is not Verdict.INCONCLUSIVE

    cases = first_true(settles, 2, MOST_ALIKE)
    return None if cases == MOST_ALIKE else cases
