"""The difference between two arms over the same cases: its estimate and how many cases would settle a claim on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from evalsvc.core.records import Verdict
from evalsvc.decide.betting import MORE_CASES, bet
from evalsvc.decide.cases import Floats
from evalsvc.decide.verdict import NOISE, NOTHING, Estimate, Settings, against
from evalsvc.stats.bounded import gaffke, gaffke_p_values
from evalsvc.stats.enumerated import tango_exact_p_values
from evalsvc.stats.interval import Interval
from evalsvc.stats.paired import (
    cases_to_resolve_mean,
    has_spread,
    paired_t,
    paired_t_p_values,
    t_holds,
    tango,
    tango_p_values,
)
from evalsvc.stats.search import first_true
from evalsvc.stats.sequential import betting_interval, betting_p_values

#: Wanted probability of a verdict in every "about N more cases".
POWER = 0.8
#: Where the search for a number of cases that are all alike, or spread as these are, ends.
MOST_ALIKE = 100_000
#: Interval and p-values of a mean difference of graded scores, by method.
_GRADED: Mapping[str, tuple[Callable[..., Interval], Callable[[Floats, float], tuple[float, float]]]] = {
    "t": (paired_t, paired_t_p_values),
    "gaffke": (gaffke, gaffke_p_values),
    "betting": (betting_interval, betting_p_values),
}


def compare(candidate: Floats, baseline: Floats, threshold: float, level: float) -> Estimate:
    """Mean of candidate - baseline over complete pairs, by the method its scores call for.

    Tango where every score is 0 or 1, together with its exact companion where that disagrees (`binary`); else t; where
    t would lie, Gaffke's interval (few, hardly spread or lopsided differences: `t_holds`) or, where all differences are
    alike, the betting interval.

    Args:
        candidate: scores in [0, 1], no NaN.
        baseline: the same cases in the same order.
        threshold: what ``p_pass`` and ``p_fail`` are held against.
        level: of the interval.
    """
    n = len(candidate)
    if not n:
        return Estimate(n=0, value=None, interval=NOTHING, method="tango")
    if binary_scores(candidate, baseline):
        return binary(*wins_losses_ties(candidate, baseline), threshold, level)
    differences = candidate - baseline
    method = "betting" if not has_spread(differences) else "t" if t_holds(differences, level=level) else "gaffke"
    interval_of, p_values_of = _GRADED[method]
    p_pass, p_fail = p_values_of(differences, threshold)
    interval = interval_of(differences, level=level)
    return Estimate(
        n=n, value=float(differences.mean()), interval=interval, method=method, p_pass=p_pass, p_fail=p_fail
    )


def binary(wins: int, losses: int, ties: int, threshold: float, level: float) -> Estimate:
    """Share of wins - share of losses, by Tango.

    What Tango settles must be settled by its exact p-value too: among few unlike pairs the approximation says PASS up
    to twice as often as it may. Where the two disagree the exact one stands (method ``tango-exact``), and the interval
    is drawn out to the threshold, which it has not excluded.
    """
    n, alpha = wins + losses + ties, (1 - level) / 2
    interval, p = tango(wins, losses, n, level=level), tango_p_values(wins, losses, n, threshold)
    found = Estimate(
        n=n, value=(wins - losses) / n if n else None, interval=interval, method="tango", p_pass=p[0], p_fail=p[1]
    )
    if min(p) >= alpha:
        return found
    exact = tango_exact_p_values(wins, losses, n, threshold)
    if min(exact) < alpha:
        return found
    assert interval.low is not None
    assert interval.high is not None
    drawn_out = Interval(min(interval.low, threshold), max(interval.high, threshold))
    return replace(found, method="tango-exact", interval=drawn_out, p_pass=exact[0], p_fail=exact[1])


def for_correction(estimate: Estimate, counts: tuple[int, int, int], settings: Settings) -> Estimate:
    """The estimate with a ``p_fail`` that stands being multiplied for many looks.

    That asks for p-values far below 0.025, where Tango's may be half of what they should be among few unlike pairs:
    the larger one of its own and the exact one. ``counts`` are wins, losses and ties.
    """
    if estimate.p_fail is None or not estimate.method.startswith("tango"):
        return estimate
    wins, losses, _ = counts
    exact = tango_exact_p_values(wins, losses, sum(counts), settings.threshold)[1]
    return replace(estimate, p_fail=max(estimate.p_fail, exact))


def estimate_by(settings: Settings, candidate: Floats, baseline: Floats) -> Estimate:
    """Mean of candidate - baseline over complete pairs, as the settings ask: by `compare`, or by betting."""
    if settings.anytime:
        return bet(candidate - baseline, settings)
    return compare(candidate, baseline, settings.threshold, settings.level)


def wins_losses_ties(candidate: Floats, baseline: Floats) -> tuple[int, int, int]:
    """How many cases the candidate wins, loses and ties, by the sign of the difference."""
    if binary_scores(candidate, baseline):  # the usual case needs no array of differences
        wins, losses = int((candidate > baseline).sum()), int((candidate < baseline).sum())
    else:
        differences = candidate - baseline
        wins, losses = int((differences > NOISE).sum()), int((differences < -NOISE).sum())
    return wins, losses, len(candidate) - wins - losses


def cases_needed(candidate: Floats, baseline: Floats, estimate: Estimate, settings: Settings) -> int | None:
    """Cases that would settle the claim if the difference stays as estimated; None where no number can be told."""
    if settings.glance or estimate.value is None or against(estimate, settings) is not Verdict.INCONCLUSIVE:
        return None
    differences = candidate - baseline
    if not has_spread(differences):
        return _cases_needed_alike(float(differences[0]), estimate.method, settings)
    variance = float(differences.var(ddof=1))
    needed = cases_to_resolve_mean(variance, estimate.value, settings.threshold, level=settings.level, power=POWER)
    if needed is not None and settings.anytime:
        return needed * MORE_CASES
    if needed is None or estimate.method != "gaffke":
        return needed
    return _cases_needed_lopsided(differences, needed, settings)


def _cases_needed_lopsided(differences: Floats, normal: int, settings: Settings) -> int | None:
    """No fewer than the normal formula says, and so many that Gaffke's interval of such differences settles it."""

    def settles(n: int) -> bool:
        estimate = Estimate(
            n=n, value=0.0, interval=gaffke(differences, level=settings.level, cases=n), method="gaffke"
        )
        return against(estimate, settings) is not Verdict.INCONCLUSIVE

    cases = first_true(settles, 2, MOST_ALIKE)
    return None if cases == MOST_ALIKE else max(cases, normal)


def binary_scores(*arms: Floats) -> bool:
    """Whether all scores are 0 or 1."""
    return all(((scores == 0.0) | (scores == 1.0)).all() for scores in arms)  # np.isin takes ten times the memory


def _cases_needed_alike(difference: float, method: str, settings: Settings) -> int | None:
    def interval(n: int) -> Interval:
        if method.startswith("tango"):
            wins, losses = n * (difference > 0), n * (difference < 0)
            return binary(wins, losses, n - wins - losses, settings.threshold, settings.level).interval
        return betting_interval(np.full(n, difference), level=settings.level)

    def settles(n: int) -> bool:
        estimate = Estimate(n=n, value=difference, interval=interval(n), method=method)
        return against(estimate, settings) is not Verdict.INCONCLUSIVE

    cases = first_true(settles, 2, MOST_ALIKE)
    return None if cases == MOST_ALIKE else cases
