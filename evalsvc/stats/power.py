"""Power: what a number of cases can show, before any of them is asked.

Everything here is the probability that a claim is proven (its interval's lower bound lies above the threshold) if the
truth is as assumed, or a search over that probability. It is computed from the very rule the gates apply, by
enumeration where scores are 0 or 1. Sources: Cohen (1988), Statistical Power Analysis for the Behavioral Sciences;
Miller (2024), arXiv 2411.00640, for paired differences and clusters; Kish (1965), Survey Sampling, for design effects.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, isfinite, log, prod, sqrt

import numpy as np
from scipy.special import betainc, betaincinv, gammaln, nctdtr, ndtr, ndtri, stdtrit, xlog1py, xlogy

from evalsvc.stats.binomial import at_least
from evalsvc.stats.bounded import gaffke
from evalsvc.stats.enumerated import tango_exact_p_values
from evalsvc.stats.interval import Interval
from evalsvc.stats.paired import tango_p_values
from evalsvc.stats.quantiles import quantile_interval
from evalsvc.stats.rates import MOST_CASES
from evalsvc.stats.search import first_true

#: Standard deviations around its mean within which a count is summed; what lies beyond adds less than 1e-11.
_REACH = 7.0
#: Pairs up to which, and wins or losses up to which, Tango's exact companion is asked, too.
_EXACT_PAIRS = 200
_FEW = 10
#: Points at which the distribution of an order statistic is integrated.
_POINTS = 512
#: Fewer graded cases are no matter for t, as in `paired.t_holds`; so many stand for a distribution.
_FEWEST_FOR_T = 20
_SHAPE = 64
_SURE = 0.999
#: How finely a smallest effect is told: a hundredth of a point.
_EFFECT = 1e-4

#: Whether so many wins and losses prove a claim; more wins never unprove it, more losses never prove it.
Proves = Callable[[int, int], bool]


def tango_power(
    n: int, difference: float, discordance: float, threshold: float, *, level: float = 0.95, exact: bool = True
) -> float:
    """P(Tango proves "difference > threshold") when the paired difference is truly ``difference``, scores 0 or 1.

    Where few pairs speak for one side its exact companion must agree, as in the gates; with many, or among many pairs,
    it hardly ever differs and is left out (by enumeration, n = 50 to 600: at most 0.01 of power).

    Args:
        n: pairs.
        difference: P(win) - P(loss), in [-1, 1].
        discordance: P(win) + P(loss), at least ``abs(difference)``.
        threshold: of the claim "difference > threshold".
        level: of the two-sided interval.
        exact: False leaves the exact companion out, which is many times faster.

    Raises:
        ValueError: no win and loss probabilities have this difference and discordance.
    """
    alpha = (1 - level) / 2

    def proves(wins: int, losses: int) -> bool:
        if tango_p_values(wins, losses, n, threshold)[0] >= alpha:
            return False
        if not exact or n > _EXACT_PAIRS or min(wins, losses) > _FEW:
            return True
        return tango_exact_p_values(wins, losses, n, threshold)[0] < alpha

    return paired_power(n, difference, discordance, proves)


def paired_power(n: int, difference: float, discordance: float, proves: Proves) -> float:
    """P(the wins and losses of ``n`` pairs prove a claim): exact, over the trinomial distribution of both.

    For each number of losses the fewest wins that prove it are found; given the losses, wins are binomial.

    Raises:
        ValueError: as `tango_power`.
    """
    win, loss = (discordance + difference) / 2, (discordance - difference) / 2
    if min(win, loss) < 0 or discordance > 1:
        raise ValueError(f"no pairs have the difference {difference} at the discordance {discordance}")
    losses = _likely(n, loss)
    weights = _binomial(n, loss, losses)
    wins = first_true(lambda w: proves(w, losses[0]), 0, n - losses[0] + 1)
    total, share = 0.0, win / (1 - loss) if loss < 1 else 0.0
    for lost, weight in zip(losses, weights, strict=True):
        while wins <= n - lost and not proves(wins, lost):
            wins += 1
        total += weight * at_least(wins, n - lost, min(1.0, share))
    return min(1.0, total)


def t_power(n: int, distance: float, sd: float, *, level: float = 0.95) -> float:
    """P(the paired t's lower bound > threshold) when the true mean lies ``distance`` above it; noncentral t.

    Exact for normal differences of standard deviation ``sd``; 0 for fewer than two cases, and without a spread.
    """
    if n < 2 or sd <= 0:
        return 0.0
    critical = float(stdtrit(n - 1, 0.5 + level / 2))
    power = 1.0 - float(nctdtr(n - 1, sqrt(n) * distance / sd, critical))
    return power if isfinite(power) else float(ndtr(sqrt(n) * distance / sd - critical))


def graded_power(n: int, difference: float, sd: float, threshold: float, *, level: float = 0.95) -> float:
    """P(a graded claim is proven): by t as often as the gates let t speak (`paired.t_holds`), else by Gaffke's bound.

    Gaffke's bound is taken of evenly spread normal differences and moves with their mean; the sample's own standard
    deviation, on which the choice hangs, scatters by 1/√(2n). By simulation right to some 5 points.

    Args:
        n: cases.
        difference: the true mean difference.
        sd: standard deviation of one case's difference, whose distribution is not lopsided.
        threshold: of the claim "mean > threshold".
        level: of the two-sided interval.
    """
    if n < 2 or sd <= 0:
        return 0.0
    error, share = sd / sqrt(n), 0.0
    if n >= _FEWEST_FOR_T:
        reach = float(stdtrit(n - 1, 0.5 + level / 2)) * error * n / log(2 / (1 - level))
        share = float(ndtr((reach - 1) * sqrt(2 * n)))
    by_t = t_power(n, difference - threshold, sd, level=level)
    if share > _SURE:
        return by_t
    spread = ndtri((np.arange(_SHAPE) + 0.5) / _SHAPE)
    low = gaffke(np.clip(difference + sd * spread, -1.0, 1.0), level=level, cases=n).low or 0.0
    return share * by_t + (1 - share) * float(ndtr((low - threshold) / error))


def rate_power(n: int, rate: float, threshold: float, *, level: float = 0.95) -> float:
    """P(Clopper and Pearson's lower bound > threshold) at a true ``rate``: exact."""
    alpha = (1 - level) / 2
    passes = first_true(lambda k: at_least(k, n, threshold) < alpha, 0, n + 1)
    return at_least(passes, n, rate)


def quantile_ratio_power(
    n: int, q: float, ratio: float, spread: float, threshold: float, *, level: float = 0.95, point: bool = False
) -> float:
    """P(the upper bound of a ratio of two q-quantiles < threshold), by the order statistics that bound it.

    Both arms have ``n`` lognormal values whose logarithms have the standard deviation ``spread``. An order statistic of
    n uniform values is Beta(r, n - r + 1); the baseline's is integrated over.

    Args:
        n: values of each arm.
        q: the quantile, inside (0, 1).
        ratio: the true ratio of the two quantiles.
        spread: standard deviation of the logarithm of a value, the same in both arms; greater than 0.
        threshold: of the claim "ratio < threshold".
        level: of the two-sided interval, split between the arms.
        point: the estimates stand for their bounds.
    """
    high, low = _ratio_ranks(n, q, level, point=point)
    if high is None or low is None:
        return 0.0
    room = log(threshold / ratio) / spread
    baseline = betaincinv(low, n - low + 1, (np.arange(_POINTS) + 0.5) / _POINTS)
    return float(betainc(high, n - high + 1, ndtr(ndtri(baseline) + room)).mean())


def joint_power(powers: list[float]) -> float:
    """P(all claims are proven) if they were independent: the product. Claims on the same cases do better than that."""
    return prod(powers)


def power_each(joint: float, claims: int) -> float:
    """Power that each of several claims needs so that all are proven with probability ``joint`` (Bonferroni)."""
    return 1 - (1 - joint) / max(1, claims)


def design_effect(cluster_size: float, icc: float) -> float:
    """How many times more cases clusters need than independent cases: 1 + (m - 1)·icc (Kish 1965).

    Args:
        cluster_size: mean cases of a cluster (one document, one user), at least 1.
        icc: intraclass correlation of the differences within a cluster.
    """
    return 1 + (cluster_size - 1) * icc


def cases_for(power_at: Callable[[int], float], power: float, *, start: int, most: int = MOST_CASES) -> int | None:
    """Cases at which ``power_at`` reaches ``power``; None where ``most`` are not enough.

    Powers of exact tests climb in a sawtooth: at the number returned the power is reached, and it is the smallest up to
    the height of one tooth.
    """
    high = max(2, start)
    while power_at(high) < power:
        if high >= most:
            return None
        high = min(most, high * 2)
    return first_true(lambda n: power_at(n) >= power, 2, high)


def smallest_effect(power_at: Callable[[float], float], power: float, low: float, high: float) -> float | None:
    """Smallest effect in (low, high] whose power is at least ``power``, a hundredth of a point exact; None if none is.

    ``power_at`` climbs with the effect.
    """
    if power_at(high) < power:
        return None
    while high - low > _EFFECT:
        middle = (low + high) / 2
        if power_at(middle) >= power:
            high = middle
        else:
            low = middle
    return high


def _likely(n: int, p: float) -> range:
    """The counts of Bin(n, p) that are worth summing."""
    middle, reach = n * p, _REACH * sqrt(n * p * (1 - p)) + _REACH
    return range(max(0, int(middle - reach)), min(n, ceil(middle + reach)) + 1)


def _binomial(n: int, p: float, counts: range) -> list[float]:
    """Probabilities of these counts."""
    k = np.arange(counts.start, counts.stop)
    logs = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1) + xlogy(k, p) + xlog1py(n - k, -p)
    probabilities: list[float] = np.exp(logs).tolist()
    return probabilities


def _ratio_ranks(n: int, q: float, level: float, *, point: bool) -> tuple[float | None, float | None]:
    """Ranks of the candidate's upper and the baseline's lower bound; None where there is none."""
    if point:
        rank = 1.0 + round((n - 1) * q)
        return rank, rank
    alpha, ranks = (1 - level) / 4, np.arange(1.0, n + 1)
    bounds: Interval = quantile_interval(ranks, q, alpha_low=alpha, alpha_high=alpha)
    return bounds.high, bounds.low
