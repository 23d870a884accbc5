"""Paired differences: candidate minus baseline, case by case.

Binary scores go through Tango (1998), Statistics in Medicine 17, 891: it keeps its size where t does not (few
discordant pairs, or none at all). Graded scores go through the paired t where it holds. The number of cases a mean
needs is the normal formula as in Miller (2024), arXiv 2411.00640.
"""

from __future__ import annotations

from math import ceil, copysign, hypot, inf, log, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, gammaln, ndtr, ndtri, stdtr, stdtrit, xlog1py, xlogy

from evalsvc.stats.binomial import at_most
from evalsvc.stats.interval import Interval
from evalsvc.stats.rates import MOST_CASES
from evalsvc.stats.search import last_true

#: Pairs up to which the point rule's probability is summed exactly.
_EXACT_PAIRS = 2000
#: Differences of scores in [0, 1] that agree this closely differ only by rounding.
_ROUNDING = 1e-12
#: Fewer graded cases than this are no matter for t.
_FEWEST_FOR_T = 20
#: Largest |skewness|/√n for t. The first Edgeworth term (Hall 1992, The Bootstrap and Edgeworth Expansion, 2.3) adds
#: φ(z)(2z² + 1)/6 times it to a one-sided error: at 0.06 that makes 3.0% of 2.5%.
_MOST_SKEW = 0.06


def tango(wins: int, losses: int, n: int, *, level: float = 0.95) -> Interval:
    """Score interval of the difference of two paired proportions, in [-1, 1] (Tango 1998).

    By enumeration at level 0.95 (n = 20 to 400), a true difference of exactly the threshold falsely passes it in
    at most 3.1% of runs for thresholds ≤ 0; for 0.05 and 0.10 in up to 5.3%, worst where hardly any pair is a loss.
    `enumerated.tango_exact_p_values` tells those apart.

    Args:
        wins: pairs only the candidate has right.
        losses: pairs only the baseline has right.
        n: all pairs.
        level: confidence level, two-sided.

    Raises:
        ValueError: counts that no n pairs can have.
    """
    _require_pairs(wins, losses, n)
    if n == 0:
        return Interval(-1.0, 1.0)
    z = float(ndtri(0.5 + level / 2))
    return Interval(_tango_low(wins, losses, n, z), -_tango_low(losses, wins, n, z))


def tango_p_values(wins: int, losses: int, n: int, threshold: float) -> tuple[float, float]:
    """Score test of the difference of two paired proportions; at threshold 0 it is McNemar's z (Tango 1998).

    Returns:
        ``(p_pass, p_fail)`` for H0 "difference ≤ threshold" and H0 "difference ≥ threshold". They invert ``tango``.
        (1, 1) for n = 0; a threshold outside [-1, 1] is settled without data.

    Raises:
        ValueError: counts that no n pairs can have.
    """
    _require_pairs(wins, losses, n)
    if n == 0:
        return 1.0, 1.0
    z = _tango_z(wins, losses, n, threshold) if abs(threshold) <= 1 else copysign(inf, -threshold)
    return float(ndtr(-z)), float(ndtr(z))


def mcnemar_exact(wins: int, losses: int) -> float:
    """Two-sided exact McNemar p-value: wins ~ Bin(wins + losses, 1/2); 1 without a discordant pair.

    Raises:
        ValueError: a negative count.
    """
    _require_pairs(wins, losses, wins + losses)
    return min(1.0, 2 * at_most(min(wins, losses), wins + losses, 0.5))


def has_spread(differences: NDArray[np.float64]) -> bool:
    """Whether t may speak: at least two finite differences that do not all agree (up to rounding)."""
    return differences.size >= 2 and bool(np.isfinite(differences).all()) and float(np.ptp(differences)) > _ROUNDING


def t_holds(differences: NDArray[np.float64], *, level: float = 0.95) -> bool:
    """Whether t keeps its promise on differences in [-1, 1]; else `bounded.gaffke` does.

    By simulation (docs/statistics.md: ten shapes of differences, n = 20 to 500) t alone passes false claims in up to
    55% of runs in place of 2.5%; t where it holds and `gaffke` elsewhere in at most 3.2%. Three things make t lie:

    - fewer than 20 cases, or no spread;
    - what was not seen: anything rarer than ln(1/α)/n may have been missed altogether (a candidate that fails one
      answer in fifty), and may move the mean by as much; t may speak where its interval reaches that far;
    - what was seen on one side only: |skewness|/√n > 0.06.
    """
    n = differences.size
    if n < _FEWEST_FOR_T or not has_spread(differences):
        return False
    _, error, freedom = _mean_and_error(differences)
    half, unseen = float(stdtrit(freedom, 0.5 + level / 2)) * error, log(2 / (1 - level)) / n
    centred = differences - differences.mean()
    skewness = float((centred**3).mean() / (centred**2).mean() ** 1.5)
    return half >= unseen and abs(skewness) <= _MOST_SKEW * sqrt(n)


def paired_t(differences: NDArray[np.float64], *, level: float = 0.95) -> Interval:
    """Student's t interval of the mean difference, n - 1 degrees of freedom.

    Raises:
        ValueError: ``has_spread`` is false. Without spread t claims certainty it does not have; use
            ``sequential.betting_interval``.
    """
    mean, error, freedom = _mean_and_error(differences)
    half = float(stdtrit(freedom, 0.5 + level / 2)) * error
    return Interval(mean - half, mean + half)


def paired_t_p_values(differences: NDArray[np.float64], threshold: float) -> tuple[float, float]:
    """Student's t test of the mean difference.

    Returns:
        ``(p_pass, p_fail)`` for H0 "mean ≤ threshold" and H0 "mean ≥ threshold".

    Raises:
        ValueError: as ``paired_t``.
    """
    mean, error, freedom = _mean_and_error(differences)
    t = (mean - threshold) / error
    return float(stdtr(freedom, -t)), float(stdtr(freedom, t))


def cases_to_resolve_mean(
    variance: float, estimate: float, threshold: float, *, level: float = 0.95, power: float = 0.8
) -> int | None:
    """Cases at which a mean difference of ``estimate`` is told from ``threshold``: (z+z)²·variance/distance².

    Args:
        variance: of one case's difference (binary: discordance - estimate²).
        estimate: the assumed true mean difference.
        threshold: what it is held against.
        level: confidence level, two-sided.
        power: wanted probability of a verdict.

    Returns:
        At least 2, or None where the formula has no answer: estimate = threshold, no variance seen, or more than
        ``MOST_CASES``.
    """
    distance = estimate - threshold
    if distance == 0 or variance <= 0:
        return None
    z = float(ndtri(0.5 + level / 2)) + float(ndtri(power))
    errors = z * sqrt(variance) / abs(distance)
    return max(2, ceil(errors**2)) if errors <= sqrt(MOST_CASES) else None


def point_rule_pass_probability(n: int, discordance: float, threshold: float) -> float:
    """P(mean difference ≥ threshold) when the truth is no difference at all: how often the naive rule ships noise.

    Each of n pairs is +1 or -1 with probability discordance/2 each, else 0. Exact up to 2000 pairs (the number of
    discordant pairs is binomial, their signs are coin flips), normal with continuity correction beyond. No pairs
    pass nothing: 0.

    Raises:
        ValueError: ``n`` is negative or ``discordance`` not in [0, 1].
    """
    if n < 0 or not 0 <= discordance <= 1:
        raise ValueError(f"needs n ≥ 0 and a discordance in [0, 1]: {n}, {discordance}")
    if n == 0:
        return 0.0
    if discordance == 0:
        return float(threshold <= 0)
    surplus = _least_surplus(n, threshold)
    if n > _EXACT_PAIRS:
        return float(ndtr((0.5 - surplus) / sqrt(n * discordance)))
    return _surplus_probability(n, discordance, surplus)


def _tango_low(wins: int, losses: int, n: int, z: float) -> float:
    """Largest difference the data reject from above: the root of Z = z below the estimate."""
    return last_true(lambda delta: _tango_z(wins, losses, n, delta) >= z, -1.0, (wins - losses) / n)


def _tango_z(wins: int, losses: int, n: int, delta: float) -> float:
    """Tango's Z at a difference in [-1, 1], with the loss probability's restricted MLE."""
    if delta < 0:  # the mirror image: exact symmetry, and no square root of a negative number
        return -_tango_z(losses, wins, n, -delta)
    deviation = wins - losses - n * delta
    b = (2 * n - wins + losses) * delta - wins - losses
    root = hypot(b, sqrt(8 * n * losses * delta * (1 - delta)))
    variance = n * ((root - b) / (2 * n) + delta * (1 - delta))
    if variance > 0:
        return deviation / sqrt(variance)
    return copysign(inf, deviation) if deviation else 0.0


def _mean_and_error(differences: NDArray[np.float64]) -> tuple[float, float, int]:
    """Mean, its standard error, degrees of freedom."""
    if not has_spread(differences):
        raise ValueError("t needs at least two finite differences that are not all equal")
    error = float(differences.std(ddof=1)) / sqrt(differences.size)
    return float(differences.mean()), error, differences.size - 1


def _least_surplus(n: int, threshold: float) -> int:
    """Smallest surplus of wins over losses whose mean reaches the threshold, compared as the rule compares."""
    guess = ceil(n * threshold)
    return next(surplus for surplus in range(guess - 1, guess + 2) if surplus / n >= threshold)


def _surplus_probability(n: int, discordance: float, surplus: int) -> float:
    """P(wins - losses ≥ surplus), summed over the number of discordant pairs."""
    discordant = np.arange(n + 1)
    log_weight = (
        gammaln(n + 1)
        - gammaln(discordant + 1)
        - gammaln(n - discordant + 1)
        + xlogy(discordant, discordance)
        + xlog1py(n - discordant, -discordance)
    )
    needed = -((-surplus - discordant) // 2)  # wins among them: at least half of surplus + discordant, rounded up
    possible = np.clip(needed, 1, discordant.clip(1))
    tail = betainc(possible, np.maximum(discordant - possible + 1, 1), 0.5)
    tail = np.where(needed <= 0, 1.0, np.where(needed > discordant, 0.0, tail))
    return min(1.0, float(np.exp(log_weight) @ tail))


def _require_pairs(wins: int, losses: int, n: int) -> None:
    if wins < 0 or losses < 0 or wins + losses > n:
        raise ValueError(f"no {n} pairs have {wins} wins and {losses} losses")
