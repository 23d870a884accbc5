"""The gate on tail latency: p99 of the candidate against p99 of the baseline, by order statistics."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np

from evalsvc.core.evidence import Evidence, LatencySamples
from evalsvc.core.records import Arm
from evalsvc.decide.cases import Floats
from evalsvc.decide.conclude import Finding, conclude, tails, unmeasured
from evalsvc.decide.verdict import NOTHING, Bounded, Estimate, GateResult, Missing, Settings, against, gates
from evalsvc.decide.words import number, span
from evalsvc.stats.quantiles import cases_to_prove_quantile, percentile, quantile_ratio_interval

METHOD = "order-statistics"
Q = 0.99
SHOWN = 0.95

#: Ascending seconds of (candidate, baseline); a timeout is +inf.
Arms = tuple[Floats, Floats]


@gates.register("latency_p99")
def latency_p99(evidence: Evidence, settings: Settings) -> GateResult:
    """p99(candidate) / p99(baseline) < threshold. A timeout ranks above every answer; p95 is shown beside it."""
    samples = {arm: evidence.latency[arm] for arm in Arm}
    claim = f"p99(candidate) / p99(baseline) < {number(settings.threshold)}"
    missing = Missing(
        cases={arm: len(each.seconds) + each.missing for arm, each in samples.items()},
        counts={arm: each.missing for arm, each in samples.items()},
    )
    untimed = [arm.value for arm, cases in missing.cases.items() if not cases]
    if untimed:
        whose = f" of the {untimed[0]}" if len(untimed) == 1 else ""
        needs = "answers that are asked for in this job in both arms (recorded ones have no latency) would measure it"
        return unmeasured(settings, claim=claim, method=METHOD, why=f"No latency{whose} was measured", needs=needs)
    arms = _bounded(samples[Arm.CANDIDATE], samples[Arm.BASELINE])
    estimates = arms.map(lambda each: _estimate(each, settings))
    return conclude(
        settings,
        Finding(
            claim=claim,
            estimates=estimates,
            verdicts=estimates.map(lambda estimate: against(estimate, settings, below=True)),
            missing=missing,
            says=_says(arms.complete, estimates.complete, settings),
            tails=tails(settings, f"less than {number(settings.threshold)} times the baseline"),
            needed=_needed(estimates.complete, settings),
            settle="in each arm are the least that can prove a p99",
            point=settings.point,
            extra={"p95": _companion(arms.complete, settings)},
        ),
    )


def ascending(samples: LatencySamples, *missing_as: float) -> Floats:
    """Seconds in ascending order, the missing ones as ``missing_as`` if that is given."""
    seconds = np.asarray(samples.seconds, dtype=np.float64)
    if not missing_as:
        return seconds
    return np.sort(np.concatenate([seconds, np.full(samples.missing, missing_as[0])]))


def _bounded(candidate: LatencySamples, baseline: LatencySamples) -> Bounded[Arms]:
    complete = ascending(candidate), ascending(baseline)
    if not candidate.missing and not baseline.missing:
        return Bounded(complete=complete, worst=complete, best=complete)
    return Bounded(
        complete=complete,
        worst=(ascending(candidate, inf), ascending(baseline, 0.0)),
        best=(ascending(candidate, 0.0), ascending(baseline, inf)),
    )


def _ratio(arms: Arms, q: float) -> float | None:
    """Ratio of two type-7 percentiles; None where it is undefined."""
    if not all(len(each) for each in arms):
        return None
    above, below = percentile(arms[0], q), percentile(arms[1], q)
    if below == 0 or (above == inf and below == inf):
        return inf if above > below else None
    return above / below


def _estimate(arms: Arms, settings: Settings) -> Estimate:
    n = min(len(each) for each in arms)
    # order statistics are for one look: where the job stopped depends on what was seen, and they would not hold
    known = n and not settings.anytime
    interval = quantile_ratio_interval(*arms, Q, level=settings.level) if known else NOTHING
    return Estimate(n=n, value=_ratio(arms, Q), interval=interval, method=METHOD)


def _companion(arms: Arms, settings: Settings) -> dict[str, Any]:
    candidate, baseline = (percentile(each, SHOWN) if len(each) else None for each in arms)
    interval = NOTHING if settings.anytime else quantile_ratio_interval(*arms, SHOWN, level=settings.level)
    bounds = None if interval == NOTHING else [interval.low, interval.high]
    return {"candidate": candidate, "baseline": baseline, "ratio": _ratio(arms, SHOWN), "interval": bounds}


def _says(arms: Arms, estimate: Estimate, settings: Settings) -> str:
    if not estimate.n:
        return ""
    candidate, baseline = (_finite(percentile(each, Q), "{:.3g} s", "a timeout") for each in arms)
    spread = "" if settings.anytime else f" ({span(estimate.interval, _multiple)})"
    ratio = "" if estimate.value is None else f", ratio {_multiple(estimate.value)}{spread}"
    return f"p99 {candidate} against {baseline}{ratio}"


def _multiple(value: float) -> str:
    return _finite(value, "{:.2f}", "no limit")


def _finite(value: float, form: str, otherwise: str) -> str:
    return form.format(value) if value < inf else otherwise


def _needed(estimate: Estimate, settings: Settings) -> int | None:
    least = cases_to_prove_quantile(Q, level=settings.level)
    return least if estimate.n < least else None
