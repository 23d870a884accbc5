"""Estimates that hold however often one looks: the betting mixture on differences and on rates.

A job that may stop at any look judges by these. The interval is a confidence sequence: the chance that it ever, at any
number of cases, misses the truth is 1 - level (Waudby-Smith and Ramdas 2024, JRSS B 86, 1).
"""

from __future__ import annotations

from dataclasses import replace
from math import log, sqrt
from statistics import NormalDist

import numpy as np

from evalsvc.decide.cases import Floats
from evalsvc.decide.verdict import LEVEL, NOTHING, Estimate, Settings
from evalsvc.stats.interval import Interval
from evalsvc.stats.search import first_true
from evalsvc.stats.sequential import betting_interval, betting_p_values, log_e_value, rate_log_e_value

METHOD = "betting"
#: E-value against the effect hoped for, beyond which a gate is given up. It can only keep from PASS, never lead to it.
FUTILITY = 20
#: How many standard errors of all planned cases an effect must have for them to prove it in 80% of runs.
REACH = NormalDist().inv_cdf(0.5 + LEVEL / 2) + NormalDist().inv_cdf(0.8)
#: How many times the cases of a fixed design it takes to prove as much by betting: 1.7 to 2.
MORE_CASES = 2
#: Where the search for a number of cases ends.
_MOST = 1_000_000


def bet(values: Floats, settings: Settings, *, threshold: float | None = None) -> Estimate:
    """Mean of values in [-1, 1]; at a glance without its interval.

    Args:
        values: one a case, no NaN.
        settings: level, threshold, and whether futility is asked for.
        threshold: held against in place of the settings' own.
    """
    if not len(values):
        return Estimate(n=0, value=None, interval=NOTHING, method=METHOD)
    held = settings.threshold if threshold is None else threshold
    p_pass, p_fail = betting_p_values(values, held)
    return Estimate(
        n=len(values),
        value=float(values.mean()),
        interval=NOTHING if settings.glance else betting_interval(values, level=settings.level),
        method=METHOD,
        p_pass=p_pass,
        p_fail=p_fail,
        futile=settings.planned is not None and _futile(values, held, settings.planned),
    )


def bet_on_rate(passes: int, n: int, settings: Settings) -> Estimate:
    """A rate, seen as the mean of values +1 for a pass and -1 for none."""
    values = np.repeat([1.0, -1.0], [passes, n - passes])
    found = bet(values, settings, threshold=2 * settings.threshold - 1)
    low, high = found.interval.low, found.interval.high
    if low is None or high is None:
        return replace(found, value=passes / n if n else None)
    return replace(found, value=passes / n, interval=Interval((1 + low) / 2, (1 + high) / 2))


def cases_to_bet_rate(threshold: float, *, level: float) -> int | None:
    """Fewest cases, all passing, that prove a rate above ``threshold``; None where no number does."""
    limit = log(2 / (1 - level))
    cases = first_true(lambda n: rate_log_e_value(n, n, threshold) > limit, 1, _MOST)
    return None if cases == _MOST else cases


def _futile(values: Floats, threshold: float, planned: int) -> bool:
    """Whether the planned cases can settle it no more: even the smallest effect they could show is refuted.

    The normal formula gives that effect, at the spread seen so far. Giving up can only keep a gate from PASS
    (non-binding), and at such an effect or a larger one it happens in about 1 of `FUTILITY` runs at most. Where what
    was seen lies so low that the planned cases would prove a FAIL, it is asked on: that answer is the clearer one.
    """
    reach = REACH * sqrt(float(values.var()) / planned)
    hoped = threshold + reach
    if not threshold < hoped < 1 or float(values.mean()) <= threshold - reach:
        return False
    return log_e_value(-values, -hoped) >= log(FUTILITY)
