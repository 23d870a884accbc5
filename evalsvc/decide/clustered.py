"""Cases in clusters (one document, template, user, attack family): the unit that was sampled is the cluster.

The estimate stays the mean over cases and n stays cases; the interval and the p-values come from what varies between
clusters, by t with CR1 and G - 1 degrees of freedom. Fewer than 6 clusters prove nothing; of fewer than 20, the exact
flip of signs must agree. Cases in clusters never prove more than they would if each stood for itself: the interval is
drawn out to that one. Where all clusters agree or lean to one side, t would lie: Gaffke's bound is then put on the
clusters in place of cases.
"""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalsvc.decide.cases import Floats, Ints, Pairs
from evalsvc.decide.compare import POWER, compare, estimate_by
from evalsvc.decide.verdict import NOTHING, TOO_FEW, Bounded, Estimate, Settings
from evalsvc.stats.bounded import gaffke_p_values
from evalsvc.stats.clusters import (
    FEWEST_CLUSTERS,
    ClusterRule,
    cluster_rule,
    clustered_mean,
    clustered_p_values,
    clustered_t,
    intraclass_correlation,
    sign_flip_p_values,
)
from evalsvc.stats.interval import Interval
from evalsvc.stats.paired import cases_to_resolve_mean, has_spread
from evalsvc.stats.search import first_true, last_true

#: How closely a bound without a formula is searched for: a ten-thousandth of a point.
_RESOLUTION = 1e-6
#: Skewness of the clusters beyond which t is not asked, in its standard errors √(6/G).
_MOST_SKEW = 2.5
#: Where the search for a number of cases ends, in times of those there are.
_MOST_TIMES = 1_000


def estimate_pairs(pairs: Pairs, settings: Settings) -> Bounded[Estimate]:
    """Mean of candidate - baseline, over complete pairs and at what is missing: by cases, or by clusters if any."""
    bounded = pairs.bounded()
    if pairs.clusters is None:
        return bounded.map(lambda arms: estimate_by(settings, *arms))
    labels = Bounded(pairs.clusters[pairs.complete], pairs.clusters, pairs.clusters)
    return Bounded(
        *(
            clustered(arms[0] - arms[1], each, settings, compare(*arms, settings.threshold, settings.level))
            for arms, each in zip(bounded, labels, strict=True)
        )
    )


def clustered_rate(passes: NDArray[np.bool_], labels: Ints, settings: Settings, alone: Estimate) -> Estimate:
    """A rate of passes, seen as the mean of values +1 for a pass and -1 for none; ``alone`` is that of lone cases."""
    if not len(passes):
        return replace(alone, method=TOO_FEW)
    values = np.where(passes, 1.0, -1.0)
    found = clustered(values, labels, _for_values(settings), replace(alone, interval=_stretched(alone.interval)))
    low, high = (None if bound is None else (1 + bound) / 2 for bound in (found.interval.low, found.interval.high))
    return replace(found, value=alone.value, interval=Interval(low, high))


def clustered(values: Floats, labels: Ints, settings: Settings, alone: Estimate) -> Estimate:
    """Mean of values in [-1, 1], one a case, by what varies between clusters.

    Methods: ``cluster-t``; ``cluster-flips`` where the flips of signs do not settle what t does (the interval is drawn
    out to the threshold); ``cluster-gaffke`` where t would lie; ``clusters`` for too few.

    Args:
        values: no NaN.
        labels: which cluster each is of.
        settings: level and threshold.
        alone: the estimate if each case stood for itself.
    """
    if not len(values):
        return replace(alone, method=TOO_FEW)
    found = clustered_mean(values, labels.tolist())
    made = replace(alone, interval=NOTHING, method=TOO_FEW, p_pass=1.0, p_fail=1.0)
    rule = cluster_rule(found.clusters)
    if rule is ClusterRule.TOO_FEW:
        return made
    units = _Units(values, labels)
    if not units.t_holds(found.mean):
        return replace(made, **_bounded(units, found.mean, settings))
    p = clustered_p_values(found, settings.threshold)
    p_pass, p_fail = max(p[0], alone.p_pass or 0.0), max(p[1], alone.p_fail or 0.0)
    interval = _hull(clustered_t(found, level=settings.level), alone.interval)
    made = replace(made, method="cluster-t", interval=interval, p_pass=p_pass, p_fail=p_fail)
    return made if rule is ClusterRule.T else _flipped(made, values, labels, settings)


def cases_in_clusters(values: Floats, labels: Ints, estimate: Estimate, settings: Settings) -> int | None:
    """Cases that would settle a claim if clusters stay as large and as unlike as they are; None: cannot be told.

    ``values`` and the settings' threshold are in the same units, those of `clustered`.
    """
    if estimate.method == TOO_FEW:
        return -(-FEWEST_CLUSTERS * len(labels) // len(np.unique(labels)))
    variance, mean = effective_variance(values, labels), float(values.mean())
    normal = cases_to_resolve_mean(variance or 0.0, mean, settings.threshold, level=settings.level, power=POWER)
    if estimate.method in {"cluster-t", "cluster-flips"}:
        return normal
    units = _Units(values, labels).at(settings.threshold)

    def settles(times: int) -> bool:
        return min(gaffke_p_values(np.tile(units, times), settings.threshold)) < settings.alpha

    times = first_true(settles, 1, _MOST_TIMES)
    return None if times == _MOST_TIMES else max(normal or 0, times * len(values))


def rate_cases_in_clusters(
    passes: NDArray[np.bool_], labels: Ints, estimate: Estimate, settings: Settings
) -> int | None:
    """The same of a rate."""
    return cases_in_clusters(np.where(passes, 1.0, -1.0), labels, estimate, _for_values(settings))


def effective_variance(values: Floats, labels: Ints) -> float | None:
    """The variance that independent cases would have to have for the mean's error to be what it is."""
    found = clustered_mean(values, labels.tolist())
    return None if found.cr1 is None else found.cases * found.cr1**2


def described(values: Floats, labels: Ints) -> dict[str, Any]:
    """What the record says of clusters, beside a gate's numbers: how many, and how alike their cases are."""
    if not len(values):
        return {"clusters": {"count": 0, "icc": None}}
    return {"clusters": {"count": len(np.unique(labels)), "icc": intraclass_correlation(values, labels.tolist())}}


def in_words(labels: Ints | None) -> str:
    """`` in 12 clusters``; nothing where cases stand for themselves."""
    if labels is None:
        return ""
    clusters = len(np.unique(labels))
    return f" in {clusters} cluster{'' if clusters == 1 else 's'}"


class _Units:
    """Clusters as values in [-1, 1]: m + (sum - size·m)/largest size, whose mean is m where that of cases is."""

    def __init__(self, values: Floats, labels: Ints) -> None:
        _, index = np.unique(labels, return_inverse=True)
        self._sums = np.bincount(index, weights=values)
        self._sizes = np.bincount(index).astype(np.float64)

    def at(self, mean: float) -> Floats:
        units: Floats = np.clip(mean + (self._sums - self._sizes * mean) / self._sizes.max(), -1.0, 1.0)
        return units

    def turned(self) -> _Units:
        other = object.__new__(_Units)
        other._sums, other._sizes = -self._sums, self._sizes
        return other

    def t_holds(self, mean: float) -> bool:
        units = self.at(mean)
        if not has_spread(units):
            return False
        centred = units - units.mean()
        skewness = float((centred**3).mean() / (centred**2).mean() ** 1.5)
        return abs(skewness) <= _MOST_SKEW * sqrt(6 / len(units))


def _bounded(units: _Units, mean: float, settings: Settings) -> dict[str, Any]:
    p = gaffke_p_values(units.at(settings.threshold), settings.threshold)
    low, high = _low(units, mean, settings.alpha), -_low(units.turned(), -mean, settings.alpha)
    return {"method": "cluster-gaffke", "interval": Interval(low, high), "p_pass": p[0], "p_fail": p[1]}


def _low(units: _Units, mean: float, alpha: float) -> float:
    return last_true(lambda m: gaffke_p_values(units.at(m), m)[0] < alpha, -1.0, mean, resolution=_RESOLUTION)


def _flipped(made: Estimate, values: Floats, labels: Ints, settings: Settings) -> Estimate:
    """With the flips of signs beside t: the larger p-values, and no bound beyond a threshold they do not settle."""
    flips = sign_flip_p_values(values, labels.tolist(), settings.threshold)
    before = made.p_pass or 0.0, made.p_fail or 0.0
    both = max(before[0], flips[0]), max(before[1], flips[1])
    made = replace(made, p_pass=both[0], p_fail=both[1])
    if min(before) >= settings.alpha or min(both) < settings.alpha:
        return made
    at = Interval(settings.threshold, settings.threshold)
    return replace(made, method="cluster-flips", interval=_hull(made.interval, at))


def _hull(one: Interval, other: Interval) -> Interval:
    lows = [each.low for each in (one, other) if each.low is not None]
    highs = [each.high for each in (one, other) if each.high is not None]
    return Interval(min(lows, default=None), max(highs, default=None))


def _for_values(settings: Settings) -> Settings:
    """Settings of a rate as those of the mean of values +1 and -1."""
    return replace(settings, spec=replace(settings.spec, threshold=2 * settings.threshold - 1))


def _stretched(interval: Interval) -> Interval:
    low, high = (None if bound is None else 2 * bound - 1 for bound in (interval.low, interval.high))
    return Interval(low, high)
