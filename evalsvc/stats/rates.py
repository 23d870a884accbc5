"""Rates: passes out of cases, held against a threshold in [0, 1].

Sources: Clopper and Pearson (1934), Biometrika 26, 404; Wilson (1927), JASA 22, 209. The exact binomial tails and
the Clopper-Pearson bounds are inversions of each other: ``p_pass < (1 - level) / 2`` says the same as
``low > threshold``.
"""

from __future__ import annotations

from math import ceil, floor, log, sqrt

from scipy.special import betainccinv, betaincinv, ndtri

from evalsvc.stats.binomial import at_least, at_most
from evalsvc.stats.interval import Interval
from evalsvc.stats.search import first_true

#: More cases than anybody will ask: beyond this a number of cases is no longer advice.
MOST_CASES = 10_000_000


def clopper_pearson(passes: int, n: int, *, level: float = 0.95) -> Interval:
    """Exact interval of a rate; its coverage is at least ``level`` for every true rate (Clopper and Pearson 1934).

    Raises:
        ValueError: ``passes`` is not in [0, n].
    """
    _require_counts(passes, n)
    alpha = (1 - level) / 2
    low = 0.0 if passes == 0 else float(betaincinv(passes, n - passes + 1, alpha))
    high = 1.0 if passes == n else float(betainccinv(passes + 1, n - passes, alpha))
    return Interval(low, high)


def wilson(passes: int, n: int, *, level: float = 0.95) -> Interval:
    """Score interval of a rate, for display: narrower than the exact one, right on average (Wilson 1927).

    Raises:
        ValueError: ``passes`` is not in [0, n].
    """
    _require_counts(passes, n)
    if n == 0:
        return Interval(0.0, 1.0)
    rate, z = passes / n, float(ndtri(0.5 + level / 2))
    middle = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    low = 0.0 if passes == 0 else middle - half
    high = 1.0 if passes == n else middle + half
    return Interval(low, high)


def rate_p_values(passes: int, n: int, threshold: float) -> tuple[float, float]:
    """Exact binomial p-values of a rate.

    Returns:
        ``(p_pass, p_fail)``: P(X ≥ passes) for H0 "rate ≤ threshold" and P(X ≤ passes) for H0 "rate ≥ threshold",
        both at the threshold; (1, 1) for n = 0.

    Raises:
        ValueError: ``passes`` is not in [0, n] or ``threshold`` not in [0, 1].
    """
    _require_counts(passes, n)
    _require_rate(threshold)
    return at_least(passes, n, threshold), at_most(passes, n, threshold)


def cases_to_prove_rate(threshold: float, *, level: float = 0.95) -> int:
    """Fewest cases, all passing, whose Clopper-Pearson lower bound is above ``threshold``: threshold^n < (1-level)/2.

    Raises:
        ValueError: ``threshold`` is not in [0, 1): a rate of exactly 1 cannot be proven.
    """
    if not 0 <= threshold < 1:
        raise ValueError(f"only a rate in [0, 1) can be proven, not {threshold}")
    alpha = (1 - level) / 2
    return 1 if threshold == 0 else floor(log(alpha) / log(threshold)) + 1


def cases_to_resolve_rate(rate: float, threshold: float, *, level: float = 0.95, power: float = 0.8) -> int | None:
    """Cases at which the exact test tells a true ``rate`` from ``threshold``, on whichever side it lies.

    The power of an exact test climbs in a sawtooth. At the number returned it is at least ``power``, and that
    number is smallest up to the height of one tooth. The search starts from the normal formula.

    Returns:
        A number of cases, or None if ``rate`` is the threshold or more than ``MOST_CASES`` would be needed.

    Raises:
        ValueError: ``rate`` or ``threshold`` is not in [0, 1].
    """
    _require_rate(rate)
    _require_rate(threshold)
    if rate == threshold:
        return None
    # On either side the proof is that something happens more rarely than the threshold allows: failures or passes.
    truth, null = (1 - rate, 1 - threshold) if rate > threshold else (rate, threshold)
    return _cases_to_show_rarer(truth, null, alpha=(1 - level) / 2, power=power)


def _cases_to_show_rarer(truth: float, null: float, *, alpha: float, power: float) -> int | None:
    """Cases at which events of probability ``truth`` < ``null`` are proven rarer than ``null`` with ``power``."""
    if truth >= null:  # they differ by less than 1 - rate can tell
        return None
    z_alpha, z_power, limit = float(ndtri(1 - alpha)), float(ndtri(power)), -log(alpha)
    spread = z_alpha * sqrt(null * (1 - null)) + z_power * sqrt(truth * (1 - truth))
    distance = null - truth
    if spread > sqrt(MOST_CASES) * distance:  # compared before squaring, which may overflow
        return None
    normal = (spread / distance) ** 2

    def cases_for(events: int) -> int:
        """Fewest cases with which that many events are still proof: a tip of the sawtooth."""
        # not proof while the median reaches the events; proof at the latest where Chernoff's bound says so
        enough = (events + limit + sqrt(limit**2 + 2 * limit * events)) / null
        return first_true(lambda n: at_most(events, n, null) < alpha, int(events / null), ceil(enough) + 1)

    def powerful(events: int) -> bool:
        return at_most(events, cases_for(events), truth) >= power

    high = int(normal * truth) + 1
    while not powerful(high):
        high *= 2
    cases = cases_for(first_true(powerful, 0, high))
    return cases if cases <= MOST_CASES else None


def _require_counts(passes: int, n: int) -> None:
    if not 0 <= passes <= n:
        raise ValueError(f"passes must be in [0, n]: {passes} of {n}")


def _require_rate(value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"a rate must be in [0, 1]: {value}")
