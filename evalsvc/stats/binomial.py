"""Both tails of the binomial distribution.

Through the incomplete beta function: ``scipy.special.bdtr`` is off in the eighth digit from a million cases on.
"""

from __future__ import annotations

from scipy.special import betainc, betaincc


def at_most(k: int, n: int, p: float) -> float:
    """P(X ≤ k) for X ~ Bin(n, p)."""
    if k < 0:
        return 0.0
    return 1.0 if k >= n else float(betaincc(k + 1, n - k, p))


def at_least(k: int, n: int, p: float) -> float:
    """P(X ≥ k) for X ~ Bin(n, p)."""
    if k <= 0:
        return 1.0
    return 0.0 if k > n else float(betainc(k, n - k + 1, p))
