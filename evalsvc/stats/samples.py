"""Two samples of different cases (train against held-out, clean against contaminated), and means that are put together.

Paired gates never come here: the same cases asked of both arms belong to `paired`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtri, stdtr, stdtrit

from evalsvc.stats.interval import Interval
from evalsvc.stats.rates import wilson

#: A variance of scores that is nothing but rounding.
_ROUNDING = 1e-24

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A difference of two independent means, its standard error and degrees of freedom."""

    value: float
    error: float
    freedom: float

    def interval(self, *, level: float = 0.95) -> Interval:
        """Student's t interval."""
        half = float(stdtrit(self.freedom, 0.5 + level / 2)) * self.error
        return Interval(self.value - half, self.value + half)

    def p_values(self, threshold: float) -> tuple[float, float]:
        """``(p_pass, p_fail)`` for H0 "difference ≤ threshold" and H0 "difference ≥ threshold"."""
        t = (self.value - threshold) / self.error
        return float(stdtr(self.freedom, -t)), float(stdtr(self.freedom, t))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """Effects of several groups put together.

    ``fixed`` takes them for one effect, ``random`` for draws around a common one with the variance ``between``; each
    with its standard error. ``q`` is Cochran's statistic, ``p_alike`` its p-value of "all effects are the same".
    ``shrunken`` are the groups' effects drawn towards ``random``, the less certain the more: to show, never to gate.
    """

    fixed: float
    fixed_error: float
    random: float
    random_error: float
    between: float
    q: float
    p_alike: float
    shrunken: tuple[float, ...]


def welch(first: _Floats, second: _Floats) -> Difference | None:
    """Mean of ``first`` - mean of ``second``, variances unequal (Welch 1947, Biometrika 34, 28).

    On differences candidate - baseline of train and held-out cases it is the difference in differences: what training
    added where the answers had been seen. None with fewer than two values in either, or without any variance.
    """
    if min(first.size, second.size) < 2:
        return None
    parts = [float(each.var(ddof=1)) / each.size for each in (first, second)]
    variance = sum(parts)
    if variance <= _ROUNDING:
        return None
    freedom = variance**2 / sum(part**2 / (each.size - 1) for part, each in zip(parts, (first, second), strict=True))
    return Difference(value=float(first.mean() - second.mean()), error=sqrt(variance), freedom=freedom)


def newcombe(passes: int, n: int, other_passes: int, other_n: int, *, level: float = 0.95) -> Interval:
    """Interval of a difference of two independent rates, from their Wilson intervals (Newcombe 1998, method 10).

    Source: Statistics in Medicine 17, 873. [-1, 1] where either has no cases.

    Raises:
        ValueError: ``passes`` is not in [0, n], or the same of the other.
    """
    first, second = wilson(passes, n, level=level), wilson(other_passes, other_n, level=level)
    if not n or not other_n:
        return Interval(-1.0, 1.0)
    assert first.low is not None
    assert first.high is not None
    assert second.low is not None
    assert second.high is not None
    rate, other = passes / n, other_passes / other_n
    down = sqrt((rate - first.low) ** 2 + (second.high - other) ** 2)
    up = sqrt((first.high - rate) ** 2 + (other - second.low) ** 2)
    return Interval(rate - other - down, rate - other + up)


def pooled(effects: _Floats, variances: _Floats) -> Pooled:
    """Random-effects pooling by DerSimonian and Laird (1986, Controlled Clinical Trials 7, 177).

    Raises:
        ValueError: fewer than two effects, or a variance that is not positive.
    """
    if effects.size < 2 or effects.size != variances.size or not (variances > 0).all():
        raise ValueError("needs at least two effects, each with a positive variance")
    weights = 1 / variances
    fixed, total = _weighted(effects, weights), float(weights.sum())
    q = float(weights @ (effects - fixed) ** 2)
    excess = q - (effects.size - 1)
    between = max(0.0, excess / (total - float((weights**2).sum()) / total))
    spread = 1 / (variances + between)
    random = _weighted(effects, spread)
    pull = variances / (variances + between)
    return Pooled(
        fixed=fixed,
        fixed_error=1 / sqrt(total),
        random=random,
        random_error=1 / sqrt(float(spread.sum())),
        between=between,
        q=q,
        p_alike=float(chdtrc(effects.size - 1, q)),
        shrunken=tuple((effects + pull * (random - effects)).tolist()),
    )


def reweighted(effects: _Floats, variances: _Floats, shares: _Floats) -> tuple[float, float]:
    """Effect and standard error for another mix of groups: Σ π_k Δ_k and √Σ π_k² v_k (post-stratification).

    Args:
        effects: one a group.
        variances: of the effects, squared standard errors.
        shares: of the groups in the mix wanted; they add up to 1.

    Raises:
        ValueError: the shares do not add up to 1, or are not one a group.
    """
    if not effects.size == variances.size == shares.size or abs(float(shares.sum()) - 1) > 1e-9 or (shares < 0).any():
        raise ValueError("needs one share a group, none negative, adding up to 1")
    return float(shares @ effects), sqrt(float(shares**2 @ variances))


def corrected_judge_mean(judged: _Floats, labelled: _Floats, labels: _Floats, *, level: float = 0.95) -> Interval:
    """Mean score as people would give it, from a judge's scores and a few human labels: the judge's bias is taken off.

    Mean of the judge over all cases + mean of (human - judge) over the labelled ones, normal interval with variances
    of n in the denominator (Angelopoulos et al. 2023, Science 382, 669: prediction-powered inference).

    Args:
        judged: the judge's scores of the cases nobody labelled.
        labelled: the judge's scores of the labelled cases.
        labels: people's scores of the same cases, in the same order.
        level: confidence level, two-sided.

    Raises:
        ValueError: no cases of either kind, or not one label a labelled case.
    """
    if not judged.size or not labels.size or labelled.size != labels.size:
        raise ValueError("needs judged cases, labelled cases, and one label for each of these")
    off = labels - labelled
    value = float(judged.mean() + off.mean())
    half = float(ndtri(0.5 + level / 2)) * sqrt(float(judged.var()) / judged.size + float(off.var()) / off.size)
    return Interval(value - half, value + half)


def _weighted(effects: _Floats, weights: _Floats) -> float:
    return float(effects @ weights / weights.sum())
