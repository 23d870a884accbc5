"""Cases that belong together: questions about one document, cases of one template, turns of one user.

Such cases are alike, so they say less than as many independent ones, and the unit that was sampled is the cluster. The
error of a mean then comes from the sums of residuals per cluster (Miller 2024, arXiv 2411.00640, appendix A; Cameron
and Miller 2015, J. Human Resources 50, 317, for the correction CR1 and t with G - 1 degrees of freedom).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from evalsvc.stats.interval import Interval

#: Fewer clusters than this prove nothing: with five, no flip of signs is rarer than 1 in 32.
FEWEST_CLUSTERS = 6
#: From so many clusters on, t with CR1 stands alone (simulated: 4.9 to 6.1% for a nominal 5%).
MANY_CLUSTERS = 20
#: Clusters up to which all flips of signs are gone through.
MOST_FLIPPED = 20
#: Scores, and relative to their size sums of them, that agree this closely differ only by rounding.
_ROUNDING = 1e-12

_Floats = NDArray[np.float64]


class ClusterRule(StrEnum):
    """What a verdict on so many clusters needs."""

    #: No verdict is possible: INCONCLUSIVE.
    TOO_FEW = "too few"
    #: t with CR1 and the sign-flip test must agree.
    T_AND_SIGN_FLIPS = "t and sign flips"
    #: t with CR1.
    T = "t"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusteredMean:
    """A mean over cases in clusters, in the unit of its values.

    ``cr0`` and ``cr1`` are its standard errors from cluster sums without and with the correction G/(G - 1) for few
    clusters; ``naive`` is what it would be if the cases were independent. None where there are too few to tell.
    """

    mean: float
    cases: int
    clusters: int
    naive: float | None
    cr0: float | None
    cr1: float | None


def cluster_rule(clusters: int) -> ClusterRule:
    """What a verdict on so many clusters needs: fewer than 6, none is possible; fewer than 20, sign flips too."""
    if clusters < FEWEST_CLUSTERS:
        return ClusterRule.TOO_FEW
    return ClusterRule.T_AND_SIGN_FLIPS if clusters < MANY_CLUSTERS else ClusterRule.T


def clustered_mean(values: _Floats, labels: Sequence[object]) -> ClusteredMean:
    """Mean of ``values`` and its errors.

    Args:
        values: one a case.
        labels: the case's cluster, in the same order.

    Raises:
        ValueError: no values, or not one label a value.
    """
    sums, sizes = _per_cluster(values, labels)
    n, clusters, mean = values.size, len(sums), float(values.mean())
    naive = float(values.std(ddof=1)) / sqrt(n) if n > 1 else None
    if clusters < 2:
        return ClusteredMean(mean=mean, cases=n, clusters=clusters, naive=naive, cr0=None, cr1=None)
    cr0 = sqrt(float(((sums - sizes * mean) ** 2).sum())) / n
    cr1 = cr0 * sqrt(clusters / (clusters - 1))
    return ClusteredMean(mean=mean, cases=n, clusters=clusters, naive=naive, cr0=cr0, cr1=cr1)


def clustered_t(found: ClusteredMean, *, level: float = 0.95) -> Interval:
    """Student's t interval from CR1, G - 1 degrees of freedom; without bounds where there is no error to go by."""
    if found.cr1 is None or found.cr1 <= _ROUNDING:  # one cluster, or clusters that all agree: t would claim certainty
        return Interval(None, None)
    half = float(stdtrit(found.clusters - 1, 0.5 + level / 2)) * found.cr1
    return Interval(found.mean - half, found.mean + half)


def clustered_p_values(found: ClusteredMean, threshold: float) -> tuple[float, float]:
    """``(p_pass, p_fail)`` of the same t, for H0 "mean ≤ threshold" and H0 "mean ≥ threshold"; (1, 1) without error."""
    if found.cr1 is None or found.cr1 <= _ROUNDING:
        return 1.0, 1.0
    t = (found.mean - threshold) / found.cr1
    return float(stdtr(found.clusters - 1, -t)), float(stdtr(found.clusters - 1, t))


def sign_flip_p_values(values: _Floats, labels: Sequence[object], threshold: float) -> tuple[float, float]:
    """Exact test of "symmetric about the threshold": the share of flips of signs with so large a sum (Fisher 1935).

    All cases of a cluster turn together; with one case a cluster it is the paired sign-flip test.

    Returns:
        ``(p_pass, p_fail)``.

    Raises:
        ValueError: as `clustered_mean`, or more than `MOST_FLIPPED` clusters.
    """
    sums, _ = _per_cluster(values - threshold, labels)
    if len(sums) > MOST_FLIPPED:
        raise ValueError(f"flips of {len(sums)} clusters are too many to go through; at most {MOST_FLIPPED}")
    flipped = np.zeros(1)
    for each in sums:
        flipped = np.concatenate([flipped + each, flipped - each])
    observed, slack = float(sums.sum()), _ROUNDING * float(np.abs(sums).sum())
    return float((flipped >= observed - slack).mean()), float((flipped <= observed + slack).mean())


def intraclass_correlation(values: _Floats, labels: Sequence[object]) -> float | None:
    """ICC(1) by analysis of variance: how alike the cases of a cluster are (Donner 1986, Int. Stat. Rev. 54, 67).

    1: cases of a cluster are copies of each other; about 0: no more alike than any cases (it may be a little negative).
    `power.design_effect` turns it into how many times more cases are needed. None with one cluster, with one case in
    every cluster, or where all values are equal.

    Raises:
        ValueError: as `clustered_mean`.
    """
    sums, sizes = _per_cluster(values, labels)
    n, clusters = values.size, len(sums)
    if clusters < 2 or clusters == n:
        return None
    between = float((sizes * (sums / sizes - values.mean()) ** 2).sum()) / (clusters - 1)
    within = float((values**2).sum() - (sums**2 / sizes).sum()) / (n - clusters)
    typical_size = (n - float((sizes**2).sum()) / n) / (clusters - 1)
    total = between + (typical_size - 1) * within
    return (between - within) / total if float(np.ptp(values)) > _ROUNDING else None


def _per_cluster(values: _Floats, labels: Sequence[object]) -> tuple[_Floats, _Floats]:
    """Sum and size of each cluster."""
    if values.size == 0 or len(labels) != values.size:
        raise ValueError(f"needs values and one label a value: {values.size} values, {len(labels)} labels")
    places = {label: place for place, label in enumerate(dict.fromkeys(labels))}
    index = np.array([places[label] for label in labels])
    return np.bincount(index, weights=values).astype(np.float64), np.bincount(index).astype(np.float64)
