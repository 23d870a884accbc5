"""How far a paired gate's cases reach: how many more would settle it, and how small a difference they could show."""

from __future__ import annotations

from math import sqrt

from evalsvc.core.records import Verdict
from evalsvc.decide.betting import REACH
from evalsvc.decide.cases import Floats, Pairs
from evalsvc.decide.clustered import cases_in_clusters, effective_variance
from evalsvc.decide.compare import POWER, binary_scores, cases_needed
from evalsvc.decide.gauges import Spread, paired_chance
from evalsvc.decide.verdict import TOO_FEW, Estimate, GateResult, Settings, against
from evalsvc.decide.words import limit, points
from evalsvc.stats.clusters import FEWEST_CLUSTERS
from evalsvc.stats.power import smallest_effect


def needed(complete: Pairs, estimate: Estimate, settings: Settings) -> int | None:
    """Cases that would settle the claim if the difference stays; None where no number can be told, or none is due."""
    candidate, baseline = complete.candidate.mean, complete.baseline.mean
    if complete.clusters is None:
        return cases_needed(candidate, baseline, estimate, settings)
    if settings.glance or estimate.value is None or against(estimate, settings) is not Verdict.INCONCLUSIVE:
        return None
    return cases_in_clusters(candidate - baseline, complete.clusters, estimate, settings)


def settled_by(estimate: Estimate, what: str) -> str:
    """How "about N more cases" goes on."""
    if estimate.method == TOO_FEW:
        return f"in at least {FEWEST_CLUSTERS} clusters in all are the least that can prove anything"
    return f"would settle it if the {what} stays"


def smallest_seen(pairs: Pairs, settings: Settings) -> float | None:
    """The smallest true improvement that passes in 80% of jobs with so many cases that differ so often.

    None where no improvement would.
    """
    complete = pairs.at(pairs.complete)
    candidate, baseline = complete.candidate.mean, complete.baseline.mean
    n = len(candidate)
    if complete.clusters is not None and n:
        variance = effective_variance(candidate - baseline, complete.clusters)
        smallest = None if not variance else settings.threshold + REACH * sqrt(variance / n)
        return smallest if smallest is not None and smallest <= 1 else None
    spread = _spread(candidate, baseline)

    def chance(difference: float) -> float:
        return paired_chance(n, difference, spread, settings, settings.threshold)

    return smallest_effect(chance, POWER, settings.threshold, 1.0)


def _spread(candidate: Floats, baseline: Floats) -> Spread:
    if not len(candidate):
        return Spread(discordance=0.0, graded=False)
    if binary_scores(candidate, baseline):
        return Spread(discordance=float((candidate != baseline).mean()), graded=False)
    differences = candidate - baseline
    graded = bool(((differences != 0) & (abs(differences) != 1)).any())
    return Spread(discordance=float((differences**2).mean()), graded=graded)


def seen_words(result: GateResult, smallest: float | None, settings: Settings) -> str:
    """What follows the reason where the truth may be no difference at all; nothing where one is proven."""
    low, high = result.interval.low, result.interval.high
    if result.verdict is Verdict.PASS or (low is not None and low > 0) or (high is not None and high < 0):
        return ""
    found = "; no difference was found" if not result.estimate else ""
    if smallest is None:
        return f"{found}; so few cases could not have shown any"
    than = f"proven to be more than {limit(settings.threshold)}" if settings.threshold else "proven"
    said = f"an improvement of {points(smallest)} points is the smallest that so many cases would have {than}"
    return f"{found}{':' if found else ';'} {said} in 80% of such jobs"
