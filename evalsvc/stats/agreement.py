"""Agreement between raters: people, or a judge and people. Agreement is not kappa, and both are named as what they are.

Ratings are an array items × raters of numbers (a category's code, or its value), NaN where a rater did not rate an
item. Where nothing can be told (nobody rated the same item, or every rating is the same and chance alone would give
it) the answer is None, never 1. `categories` names those that nobody happened to use, where they count.

Which one: two raters, complete, unordered categories: Cohen's kappa; ordered ones: with quadratic weights. More raters
or missing ratings: Krippendorff's alpha. One category far more frequent than the others: Gwet's AC1 beside them,
because kappa then falls towards 0 however well raters agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from evalsvc.stats.interval import Interval

#: What is left of 1 - chance where chance alone explains everything.
_ROUNDING = 1e-12

_Floats = NDArray[np.float64]


class Weights(StrEnum):
    """How much two different categories count as agreeing, by how far apart they stand in order."""

    NONE = "none"
    LINEAR = "linear"
    QUADRATIC = "quadratic"
    #: By how many pairs of categories lie between them (Gwet 2014, Handbook of Inter-Rater Reliability, 3.5).
    ORDINAL = "ordinal"


class Scale(StrEnum):
    """What the codes of Krippendorff's alpha mean."""

    NOMINAL = "nominal"
    ORDINAL = "ordinal"
    INTERVAL = "interval"
    RATIO = "ratio"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """A coefficient (1: perfect, 0: as by chance), and its standard error over ``items``.

    ``freedom``: degrees of freedom of its t interval, None for a normal one.
    """

    value: float
    error: float
    items: int
    freedom: int | None

    def interval(self, *, level: float = 0.95) -> Interval:
        """Interval cut at -1 and 1; without bounds for a single item."""
        if self.items < 2:
            return Interval(None, None)
        upper = 0.5 + level / 2
        half = self.error * float(ndtri(upper) if self.freedom is None else stdtrit(self.freedom, upper))
        return Interval(max(-1.0, self.value - half), min(1.0, self.value + half))


def percent_agreement(ratings: _Floats) -> float | None:
    """Mean over items of the share of pairs of their ratings that are equal."""
    counts = _counts(ratings, ())
    twice = counts[counts.sum(axis=1) >= 2]
    return float(_pairs_agreeing(twice, np.eye(counts.shape[1])).mean()) if twice.size else None


def cohen_kappa(
    ratings: _Floats, *, weights: Weights = Weights.NONE, categories: Sequence[float] = ()
) -> Agreement | None:
    """Cohen's kappa of two raters (1960, Educ. Psychol. Meas. 20, 37), weighted or not, over items both rated.

    Its error is that of Fleiss, Cohen and Everitt (1969, Psychological Bulletin 72, 323).

    Raises:
        ValueError: not two raters.
    """
    if ratings.ndim != 2 or ratings.shape[1] != 2:
        raise ValueError(f"Cohen's kappa is of two raters, not {ratings.shape[1:]}")
    both = ratings[~np.isnan(ratings).any(axis=1)]
    if not both.size:
        return None
    scale = _scale(both, categories)
    joint = np.zeros((scale.size, scale.size))
    np.add.at(joint, tuple(np.searchsorted(scale, both).T), 1 / len(both))
    matrix, rows, columns = _matrix(scale.size, weights), joint.sum(axis=1), joint.sum(axis=0)
    seen, chance = float((matrix * joint).sum()), float(rows @ matrix @ columns)
    if 1 - chance <= _ROUNDING:
        return None
    value = (seen - chance) / (1 - chance)
    typical = (matrix @ columns)[:, None] + (rows @ matrix)[None, :]
    spread = float((joint * (matrix - typical * (1 - value)) ** 2).sum()) - (value - chance * (1 - value)) ** 2
    error = sqrt(max(0.0, spread) / len(both)) / (1 - chance)
    return Agreement(value=value, error=error, items=len(both), freedom=None)


def fleiss_kappa(ratings: _Floats) -> Agreement | None:
    """Fleiss' kappa of any number of raters (1971, Psychological Bulletin 76, 378), extended to missing ratings."""
    return _beyond_chance(_counts(ratings, ()), Weights.NONE, lambda matrix, shares: matrix @ shares)


def brennan_prediger(
    ratings: _Floats, *, weights: Weights = Weights.NONE, categories: Sequence[float] = ()
) -> Agreement | None:
    """Agreement against raters who guess evenly (Brennan and Prediger 1981, Educ. Psychol. Meas. 41, 687)."""

    def chance(matrix: _Floats, shares: _Floats) -> _Floats:
        return np.full(shares.size, matrix.sum() / shares.size**2)

    return _beyond_chance(_counts(ratings, categories), weights, chance)


def gwet(ratings: _Floats, *, weights: Weights = Weights.NONE, categories: Sequence[float] = ()) -> Agreement | None:
    """Gwet's AC1, with weights AC2 (2008, Brit. J. Math. Stat. Psychol. 61, 29); ratings may be missing.

    Where all ratings are the same it is 1 with an error of 0: that is its convention, and no proof of anything.
    """

    def chance(matrix: _Floats, shares: _Floats) -> _Floats:
        q = shares.size
        return np.asarray(matrix.sum() / (q * max(1, q - 1)) * (1 - shares), dtype=np.float64)

    return _beyond_chance(_counts(ratings, categories), weights, chance)


def krippendorff_alpha(ratings: _Floats, *, scale: Scale = Scale.NOMINAL) -> float | None:
    """Krippendorff's alpha: 1 - observed/expected disagreement (2004, Content Analysis, ch. 11).

    Any number of raters, ratings may be missing; items with a single rating say nothing and are left out.

    Raises:
        ValueError: a negative value on a ratio scale.
    """
    values, counts = _scale(ratings, ()), _counts(ratings, ())
    if scale is Scale.RATIO and (values < 0).any():
        raise ValueError("a ratio scale has no negative values")
    raters = counts.sum(axis=1)
    counts, raters = counts[raters >= 2], raters[raters >= 2]
    share = counts / (raters - 1)[:, None]
    coincidences = share.T @ counts - np.diag(share.sum(axis=0))
    totals = coincidences.sum(axis=1)
    distance = _distance(values, totals, scale)
    expected = float(totals @ distance @ totals)
    if expected <= 0:
        return None
    return 1 - (float(totals.sum()) - 1) * float((coincidences * distance).sum()) / expected


def bootstrap_interval(
    ratings: _Floats,
    coefficient: Callable[[_Floats], float | None],
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    repeats: int = 2000,
) -> Interval:
    """Percentile bootstrap over items, the interval for coefficients without a formula (Efron 1979).

    Without bounds where the coefficient is undefined on more resamples than a tail holds: then it is hardly defined.
    """
    items = len(ratings)
    drawn = (coefficient(ratings[rng.integers(0, items, items)]) for _ in range(repeats if items > 1 else 0))
    values = np.array([value for value in drawn if value is not None])
    tail = (1 - level) / 2
    if values.size < (1 - tail) * repeats:
        return Interval(None, None)
    low, high = np.quantile(values, (tail, 1 - tail))
    return Interval(float(low), float(high))


def _beyond_chance(
    counts: _Floats, weights: Weights, chance: Callable[[_Floats, _Floats], _Floats]
) -> Agreement | None:
    """(p_a - p_e)/(1 - p_e) and its error by linearization over items (Gwet 2008, eq. 21, as in his irrCAC).

    ``chance(weights, shares of the categories)`` says per category how probable agreement with it is by chance.
    """
    counts = counts[counts.sum(axis=1) > 0]
    raters = counts.sum(axis=1)
    items, twice = len(counts), raters >= 2
    if not twice.any():
        return None
    matrix, given = _matrix(counts.shape[1], weights), counts / raters[:, None]
    by_chance = given @ chance(matrix, given.mean(axis=0))
    agreeing, expected = _pairs_agreeing(counts[twice], matrix), float(by_chance.mean())
    if 1 - expected <= _ROUNDING:
        return None
    value = (float(agreeing.mean()) - expected) / (1 - expected)
    each = np.zeros(items)
    each[twice] = items / twice.sum() * (agreeing - expected) / (1 - expected)
    each -= 2 * (1 - value) * (by_chance - expected) / (1 - expected)
    error = sqrt(float(((each - value) ** 2).sum()) / (items * max(1, items - 1)))
    return Agreement(value=value, error=error, items=items, freedom=max(1, items - 1))


def _pairs_agreeing(counts: _Floats, matrix: _Floats) -> _Floats:
    """Per item the (weighted) share of its pairs of ratings that agree."""
    raters = counts.sum(axis=1)
    return np.asarray((counts * (counts @ matrix - 1)).sum(axis=1) / (raters * (raters - 1)), dtype=np.float64)


def _scale(ratings: _Floats, categories: Sequence[float]) -> _Floats:
    """All categories, ascending."""
    return np.unique(np.concatenate([ratings[~np.isnan(ratings)], np.asarray(categories, dtype=np.float64)]))


def _counts(ratings: _Floats, categories: Sequence[float]) -> _Floats:
    """How many raters gave each category, items × categories."""
    return np.asarray((ratings[:, :, None] == _scale(ratings, categories)).sum(axis=1), dtype=np.float64)


def _matrix(q: int, weights: Weights) -> _Floats:
    """Weights of agreement between categories at places 0 to q - 1: 1 on the diagonal, 0 for the furthest."""
    apart = np.abs(np.subtract.outer(np.arange(q), np.arange(q))).astype(np.float64)
    if weights is Weights.NONE or q == 1:
        return np.eye(q)
    if weights is Weights.ORDINAL:
        apart = apart * (apart + 1) / 2
    return np.asarray(1 - (apart / apart.max()) ** (2 if weights is Weights.QUADRATIC else 1), dtype=np.float64)


def _distance(values: _Floats, totals: _Floats, scale: Scale) -> _Floats:
    """Krippendorff's squared differences between values."""
    if scale is Scale.NOMINAL:
        return 1 - np.eye(values.size)
    if scale is Scale.ORDINAL:
        middles = np.cumsum(totals) - totals / 2
        return np.asarray(np.subtract.outer(middles, middles) ** 2, dtype=np.float64)
    apart = np.subtract.outer(values, values)
    if scale is Scale.RATIO:
        together = np.add.outer(values, values)
        apart = np.divide(apart, together, out=np.zeros_like(apart), where=together != 0)
    return np.asarray(apart**2, dtype=np.float64)
