"""What each gate can show with so many cases: its power, by the rule the gate itself applies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil, exp, sqrt

import numpy as np

from evalsvc.core.records import Verdict
from evalsvc.decide.betting import bet, cases_to_bet_rate
from evalsvc.decide.compare import MOST_ALIKE, POWER, binary, for_correction
from evalsvc.decide.latency import Q
from evalsvc.decide.verdict import NOISE, Settings, against
from evalsvc.stats.binomial import at_least
from evalsvc.stats.paired import cases_to_resolve_mean
from evalsvc.stats.power import (
    cases_for,
    graded_power,
    paired_power,
    quantile_ratio_power,
    rate_power,
    smallest_effect,
    tango_power,
)
from evalsvc.stats.quantiles import cases_to_prove_quantile
from evalsvc.stats.rates import cases_to_prove_rate, cases_to_resolve_rate, clopper_pearson

#: How far beyond its threshold the truth is assumed to lie, where nobody said: 5 points.
BEYOND = 0.05
#: Share of votes that are ties, assumed.
TIES = 0.2
#: One case proves nothing.
_FEWEST = 2
#: More answered cases than a p99 is planned for.
_MOST_TIMED = 1_000_000
#: Widest ratio of the threshold to a true latency ratio that is looked at, as a logarithm.
_FASTEST = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How the arms differ case by case.

    ``discordance`` is the mean squared difference of their scores; where all scores are 0 or 1 that is the share of
    cases on which they differ. ``graded`` scores lie between, too.
    """

    discordance: float = 0.2
    graded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """The truth a plan is made for.

    ``improvement`` is candidate - baseline on target cases, ``rates`` the candidate's pass rates by gate (where None or
    absent: 5 points beyond the threshold); ``latency_spread`` is the standard deviation of a latency's logarithm.
    """

    target: Spread = Spread()
    general: Spread = Spread()
    improvement: float | None = None
    rates: Mapping[str, float] = field(default_factory=dict)
    compliance: float = 1.0
    latency_ratio: float = 1.0
    latency_spread: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """One gate's power.

    ``least`` cases prove the claim with the best result there can be, None where no number does; ``unchanged`` with no
    case different (general_regression only). ``chance(n)`` is the probability of PASS at the assumed ``truth``;
    ``effect(n)`` the smallest truth that passes with probability `POWER` (general_regression: the drop that is ruled
    out if nothing changed; schema_compliance: the rate proven by n answers without a failure), None where none does.
    ``needed(power)`` cases give that chance.
    """

    truth: float
    least: int | None
    chance: Callable[[int], float]
    effect: Callable[[int], float | None]
    needed: Callable[[float], int | None]
    unchanged: int | None = None


def gauge(settings: Settings, given: Assumptions) -> Gauge | None:
    """The gauge of a gate, or None for one that a plug-in brought."""
    make = _GAUGES.get(settings.spec.name)
    return None if make is None else make(settings, given)


def paired_chance(
    n: int, difference: float, spread: Spread, settings: Settings, threshold: float, *, exact: bool = True
) -> float:
    """P("difference > threshold" is proven) with ``n`` pairs; more of them differ where ``difference`` needs it."""
    if n < _FEWEST:
        return 0.0
    if spread.graded and not settings.point:
        sd = sqrt(max(0.0, spread.discordance - difference**2))
        return graded_power(n, difference, sd, threshold, level=settings.level)
    discordance = max(spread.discordance, abs(difference))
    if settings.point:
        surplus = n * (threshold - NOISE)
        return paired_power(n, difference, discordance, lambda wins, losses: wins - losses >= surplus)
    return tango_power(n, difference, discordance, threshold, level=settings.level, exact=exact)


def _improvement(settings: Settings, given: Assumptions) -> Gauge:
    threshold = settings.threshold
    truth = min(1.0, threshold + BEYOND) if given.improvement is None else given.improvement

    def chance(n: int, difference: float = truth) -> float:
        return paired_chance(n, difference, given.target, settings, threshold)

    return Gauge(
        truth=truth,
        least=least_alike(settings, 1, Verdict.PASS),
        chance=chance,
        effect=lambda n: smallest_effect(lambda difference: chance(n, difference), POWER, threshold, 1.0),
        needed=lambda power: cases_for(chance, power, start=_FEWEST) if truth > threshold else None,
    )


def _regression(settings: Settings, given: Assumptions) -> Gauge:
    def chance(n: int, threshold: float = settings.threshold) -> float:
        return paired_chance(n, 0.0, given.general, settings, threshold)

    def effect(n: int) -> float | None:
        drop = smallest_effect(lambda margin: chance(n, -margin), POWER, 0.0, 1.0)
        return None if drop is None else -drop

    return Gauge(
        truth=0.0,
        least=least_alike(settings, 1, Verdict.PASS),
        chance=chance,
        effect=effect,
        needed=lambda power: cases_for(chance, power, start=_FEWEST) if settings.threshold < 0 else None,
        unchanged=least_alike(settings, 0, Verdict.PASS) if settings.threshold < 0 or settings.point else None,
    )


def _rate(settings: Settings, given: Assumptions) -> Gauge:
    threshold = settings.threshold
    truth = given.rates.get(settings.spec.name, threshold + min(BEYOND, (1 - threshold) / 2))

    def chance(n: int, rate: float = truth) -> float:
        if n < _FEWEST:
            return 0.0
        if settings.point:
            return at_least(ceil(n * (threshold - NOISE)), n, rate)
        return rate_power(n, rate, threshold, level=settings.level)

    def needed(power: float) -> int | None:
        if truth <= threshold:
            return None
        if settings.point:
            return cases_for(chance, power, start=_FEWEST)
        return cases_to_resolve_rate(truth, threshold, level=settings.level, power=power)

    return Gauge(
        truth=truth,
        least=_FEWEST if settings.point else _least_provable(settings),
        chance=chance,
        effect=lambda n: smallest_effect(lambda rate: chance(n, rate), POWER, threshold, 1.0),
        needed=needed,
    )


def _latency(settings: Settings, given: Assumptions) -> Gauge:
    least = _FEWEST if settings.point else cases_to_prove_quantile(Q, level=settings.level)

    def chance(n: int, ratio: float = given.latency_ratio) -> float:
        if n < least:
            return 0.0
        spread, threshold = given.latency_spread, settings.threshold
        return quantile_ratio_power(n, Q, ratio, spread, threshold, level=settings.level, point=settings.point)

    def effect(n: int) -> float | None:
        room = smallest_effect(lambda room: chance(n, settings.threshold * exp(-room)), POWER, 0.0, _FASTEST)
        return None if room is None else settings.threshold * exp(-room)

    def needed(power: float) -> int | None:
        wanted = given.latency_ratio < settings.threshold
        return cases_for(chance, power, start=least, most=_MOST_TIMED) if wanted else None

    return Gauge(truth=given.latency_ratio, least=least, chance=chance, effect=effect, needed=needed)


def _schema(settings: Settings, given: Assumptions) -> Gauge:
    least, truth = _least_provable(settings), given.compliance

    def chance(n: int) -> float:
        return 0.0 if least is None or n < least else float(truth**n)

    return Gauge(
        truth=truth,
        least=least,
        chance=chance,
        effect=lambda n: clopper_pearson(n, n, level=settings.level).low,
        needed=lambda power: least if least is not None and chance(least) >= power else None,
    )


def _preference(settings: Settings, given: Assumptions) -> Gauge:  # noqa: ARG001 - nothing is assumed of people but ties
    threshold = settings.threshold
    truth = threshold + min(BEYOND, (1 - threshold) / 2)
    net = 2 * truth - 1
    variance = (max(1 - TIES, abs(net)) - net**2) / 4

    def needed(power: float) -> int | None:
        return cases_to_resolve_mean(variance, truth, threshold, level=settings.level, power=power)

    return Gauge(truth=truth, least=None, chance=lambda _: 0.0, effect=lambda _: None, needed=needed)


def least_alike(settings: Settings, sign: int, verdict: Verdict, *, among: int = 1) -> int | None:
    """Fewest cases that give a verdict on a paired difference, every case won (1), lost (-1) or the same (0).

    ``among`` so many claims a FAIL stands only if it does after Holm; None where no number of cases is enough.
    """

    def given(n: int) -> bool:
        if settings.anytime:
            found = bet(np.full(n, float(sign)), settings)
        else:
            counts = n * (sign > 0), n * (sign < 0), n * (sign == 0)
            found = for_correction(binary(*counts, settings.threshold, settings.level), counts, settings)
        fails_alone = settings.point or found.p_fail is None or found.p_fail * among <= settings.alpha
        return against(found, settings) is verdict and (verdict is not Verdict.FAIL or fails_alone)

    return cases_for(lambda n: float(given(n)), 1.0, start=_FEWEST, most=MOST_ALIKE)


def _least_provable(settings: Settings) -> int | None:
    if settings.threshold >= 1:
        return None
    if settings.anytime:
        return cases_to_bet_rate(settings.threshold, level=settings.level)
    return max(_FEWEST, cases_to_prove_rate(settings.threshold, level=settings.level))


_GAUGES: Mapping[str, Callable[[Settings, Assumptions], Gauge]] = {
    "target_improvement": _improvement,
    "general_regression": _regression,
    "exact_match": _rate,
    "latency_p99": _latency,
    "human_preference": _preference,
    "adversarial_robustness": _rate,
    "schema_compliance": _schema,
}
