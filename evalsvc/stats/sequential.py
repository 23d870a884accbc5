"""Betting: evidence that stays valid however often one looks, and with any number of cases.

A mixture of twelve bettors, each staking a fixed share c of what a value in [0, 1] may lose. With H0 "mean ≤ μ"

    E_n(μ) = (1/12) Σ_j Π_i (1 + c_j (x_i/μ - 1))

is a non-negative supermartingale under H0, so P(E_n ≥ 1/α at any n) ≤ α (Ville). A paired difference d in [-1, 1]
enters as x = (1 + d)/2. E depends on the values only through their counts, not on their order. Source: Waudby-Smith
and Ramdas (2024), JRSS B 86, 1 (arXiv 2010.09686), their diversified bets.
"""

from __future__ import annotations

from math import exp, inf, log

import numpy as np
from numpy.typing import NDArray

from evalsvc.stats.interval import Interval
from evalsvc.stats.search import last_true
from evalsvc.stats.unit import unit_counts

_STAKES: NDArray[np.float64] = np.geomspace(0.05, 0.95, 12)[:, None]
_OUTCOMES: NDArray[np.float64] = np.array([0.0, 0.5, 1.0])  # a loss, a tie, a win


def log_e_value(differences: NDArray[np.float64], threshold: float) -> float:
    """Natural logarithm of the e-value against H0 "mean difference ≤ threshold".

    Infinite where the values refute H0 outright (threshold -1 and a value above it); 0 without data.

    Raises:
        ValueError: a difference is not in [-1, 1].
    """
    return _log_mixture(*unit_counts(differences), (1 + threshold) / 2)


def counts_log_e_value(wins: int, losses: int, ties: int, threshold: float) -> float:
    """`log_e_value` of so many differences of +1, -1 and 0: as fast for a million cases as for ten.

    Raises:
        ValueError: a negative count.
    """
    return _log_mixture(_OUTCOMES, _outcome_counts(wins, losses, ties), (1 + threshold) / 2)


def rate_log_e_value(passes: int, n: int, threshold: float) -> float:
    """Natural logarithm of the e-value against H0 "rate ≤ threshold"; 0 without data.

    Raises:
        ValueError: ``passes`` is not in [0, n].
    """
    if not 0 <= passes <= n:
        raise ValueError(f"passes must be in [0, n]: {passes} of {n}")
    return _log_mixture(np.array([0.0, 1.0]), np.array([n - passes, passes], dtype=np.float64), threshold)


def lower_bound(differences: NDArray[np.float64], *, alpha: float) -> float:
    """Lower confidence bound of the mean difference, valid at every n: the root of E_n = 1/alpha; -1 without data.

    Raises:
        ValueError: a difference is not in [-1, 1].
    """
    return _lower_bound(*unit_counts(differences), alpha)


def counts_lower_bound(wins: int, losses: int, ties: int, *, alpha: float) -> float:
    """`lower_bound` of so many differences of +1, -1 and 0.

    Raises:
        ValueError: a negative count.
    """
    return _lower_bound(_OUTCOMES, _outcome_counts(wins, losses, ties), alpha)


def betting_interval(differences: NDArray[np.float64], *, level: float = 0.95) -> Interval:
    """Confidence interval of the mean difference within [-1, 1], from two one-sided bounds; valid at every n.

    Raises:
        ValueError: a difference is not in [-1, 1].
    """
    alpha = (1 - level) / 2
    return Interval(lower_bound(differences, alpha=alpha), -lower_bound(-differences, alpha=alpha))


def counts_betting_interval(wins: int, losses: int, ties: int, *, level: float = 0.95) -> Interval:
    """`betting_interval` of so many differences of +1, -1 and 0.

    Raises:
        ValueError: a negative count.
    """
    alpha = (1 - level) / 2
    low, high = (counts_lower_bound(*pair, ties, alpha=alpha) for pair in ((wins, losses), (losses, wins)))
    return Interval(low, -high)


def betting_p_values(differences: NDArray[np.float64], threshold: float) -> tuple[float, float]:
    """Anytime p-values min(1, 1/E).

    Returns:
        ``(p_pass, p_fail)`` for H0 "mean ≤ threshold" and H0 "mean ≥ threshold".

    Raises:
        ValueError: a difference is not in [-1, 1].
    """
    against_low, against_high = log_e_value(differences, threshold), log_e_value(-differences, -threshold)
    return min(1.0, exp(-max(0.0, against_low))), min(1.0, exp(-max(0.0, against_high)))


def _outcome_counts(wins: int, losses: int, ties: int) -> NDArray[np.float64]:
    if min(wins, losses, ties) < 0:
        raise ValueError(f"counts cannot be negative: {wins} wins, {losses} losses, {ties} ties")
    return np.array([losses, ties, wins], dtype=np.float64)


def _lower_bound(values: NDArray[np.float64], counts: NDArray[np.float64], alpha: float) -> float:
    if counts.sum() == 0:
        return -1.0
    mean, limit = float(values @ counts / counts.sum()), log(1 / alpha)
    # E falls in μ, and at the observed mean no bettor has won anything
    return 2 * last_true(lambda mu: _log_mixture(values, counts, mu) >= limit, 0.0, mean) - 1


def _log_mixture(values: NDArray[np.float64], counts: NDArray[np.float64], mean: float) -> float:
    """Logarithm of E for values in [0, 1] against H0 "mean ≤ ``mean``"."""
    if mean <= 0 and values @ counts > 0:
        return inf
    ratio = values / mean if mean > 0 else np.zeros_like(values)
    wealth = np.log1p(_STAKES * (ratio - 1)) @ counts
    richest = float(wealth.max())
    return richest + log(float(np.exp(wealth - richest).mean()))
