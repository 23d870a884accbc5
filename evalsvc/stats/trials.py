"""Several trials of one case: n is cases, and trials only make each case's score less noisy.

Var(mean) = (ω² + σ²/K)/n: ω² is how much cases differ, σ² how much trials of one case do, K trials a case. More cases
divide both, more trials only the second (Miller 2024, arXiv 2411.00640).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb, sqrt

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialVariance:
    """Where the variance of scores comes from, in squared units of a score.

    ``within``: σ², of one trial around its case's mean. ``between``: ω², of the cases' true means; it may come out
    negative where trials explain all there is, and is 0 then. ``error`` is the standard error of the overall mean.
    """

    cases: int
    trials: int
    mean: float
    within: float
    between: float
    error: float

    def error_with(self, *, cases: int, trials: int) -> float:
        """The standard error that so many cases with so many trials each would have."""
        return sqrt((self.between + self.within / trials) / cases)


def trial_variance(scores: NDArray[np.float64]) -> TrialVariance:
    """Splits the variance of scores, cases × trials, no NaN.

    Raises:
        ValueError: fewer than two cases or two trials: a variance cannot be told.
    """
    if scores.ndim != 2 or min(scores.shape) < 2:
        raise ValueError(f"needs at least two cases with at least two trials each: {scores.shape}")
    cases, trials = scores.shape
    of_means = float(scores.mean(axis=1).var(ddof=1))
    within = float(scores.var(axis=1, ddof=1).mean())
    return TrialVariance(
        cases=cases,
        trials=trials,
        mean=float(scores.mean()),
        within=within,
        between=max(0.0, of_means - within / trials),
        error=sqrt(of_means / cases),
    )


def pass_at_k(passes: int, trials: int, k: int) -> float:
    """Chance that at least one of ``k`` trials passes, from ``passes`` of ``trials``: 1 - C(n - c, k)/C(n, k).

    Unbiased (Chen et al. 2021, arXiv 2107.03374, equation 1).

    Raises:
        ValueError: ``passes`` is not in [0, trials], or ``k`` not in [1, trials].
    """
    if not (0 <= passes <= trials and 1 <= k <= trials):
        raise ValueError(f"needs passes in [0, trials] and k in [1, trials]: {passes} of {trials}, k = {k}")
    return 1 - comb(trials - passes, k) / comb(trials, k)
