"""The truth a plan is made for: what is usual, what a pilot teaches, what the user says; each with its source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import exp

import numpy as np

from evalsvc.core.evidence import Evidence
from evalsvc.core.records import Arm, Job, Role
from evalsvc.decide.cases import pairs_of, primaries
from evalsvc.decide.decision import judge_all
from evalsvc.decide.gauges import Assumptions, Spread
from evalsvc.decide.planning import JobPlan
from evalsvc.decide.verdict import GateResult
from evalsvc.decide.words import points, span
from evalsvc.stats.pilot import discordance_bound, lognormal_fit

#: Confidence of the bound a plan is made for: a pilot that happened to see little difference must not promise too much.
CONFIDENCE = 0.8
_RATES = {"exact_match": "target", "adversarial_robustness": "adversarial"}
_ASSUMED = "assumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Assumptions, where each comes from (by its name in `facts`; absent: assumed), and mean seconds an answer."""

    assumptions: Assumptions = field(default_factory=Assumptions)
    sources: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[Arm, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One assumption: its value, in words, and where it comes from."""

    name: str
    value: float
    words: str
    source: str


def learn(evidence: Evidence, job: Job) -> Truth:
    """What a pilot's evidence teaches; what it says nothing on stays as it is assumed.

    So does the improvement: a few cases estimate it far too roughly to plan for.
    """
    sources: dict[str, str] = {}
    results = {result.name: result for result in judge_all(evidence, job)}
    learnt = Assumptions(
        target=_spread(evidence, Role.TARGET, sources),
        general=_spread(evidence, Role.GENERAL, sources),
        rates=_rates(results, sources),
        compliance=_compliance(results["schema_compliance"], sources),
    )
    seen = results["target_improvement"]
    if seen.estimate is not None:
        sources["improvement"] = f"{_ASSUMED}; the pilot saw {100 * seen.estimate:+.1f} ({span(seen.interval, points)})"
    seconds = {arm: np.asarray(evidence.latency[arm].seconds) for arm in Arm}
    fits = {arm: fit for arm, values in seconds.items() if (fit := lognormal_fit(values)) is not None}
    if len(fits) == len(Arm):
        ratio = fits[Arm.CANDIDATE][0] / fits[Arm.BASELINE][0]
        learnt = replace(learnt, latency_ratio=ratio, latency_spread=max(spread for _, spread in fits.values()))
        sources["latency_ratio"] = "pilot: geometric means"
        sources["latency_spread"] = "pilot: the wider arm's"
    means = {arm: values[np.isfinite(values)] for arm, values in seconds.items()}
    return Truth(
        assumptions=learnt,
        sources=sources,
        seconds={arm: float(each.mean()) for arm, each in means.items() if each.size},
    )


def stated(truth: Truth, *, discordance: float | None, rate: float | None, improvement: float | None) -> Truth:
    """The truth with what the user says in place of what was assumed or learnt."""
    given, sources = truth.assumptions, dict(truth.sources)
    if discordance is not None:
        given = replace(
            given,
            target=replace(given.target, discordance=discordance),
            general=replace(given.general, discordance=discordance),
        )
        sources["discordance_target"] = sources["discordance_general"] = "--discordance"
    if rate is not None:
        given = replace(given, rates=dict.fromkeys(_RATES, rate))
        sources |= {f"rate_{name}": "--rate" for name in _RATES}
    if improvement is not None:
        given = replace(given, improvement=improvement)
        sources["improvement"] = "--improvement"
    return replace(truth, assumptions=given, sources=sources)


def facts(truth: Truth, plan: JobPlan) -> list[Fact]:
    """The assumptions the counted gates of a plan rest on, in words."""
    measured = {gate.name: gate.truth or 0.0 for gate in plan.counted if gate.n}
    return [
        Fact(name=name, value=value, words=words, source=truth.sources.get(name, _ASSUMED))
        for gate, name, value, words in _facts(truth.assumptions, measured)
        if gate in measured
    ]


def _facts(given: Assumptions, truths: Mapping[str, float]) -> Iterator[tuple[str, str, float, str]]:
    """Every assumption: its gate, name, value and words."""
    gain = truths.get("target_improvement", 0.0)
    yield "target_improvement", "improvement", gain, f"candidate {100 * gain:+.4g} points on target cases"
    for gate, role, spread in (
        ("target_improvement", "target", given.target),
        ("general_regression", "general", given.general),
    ):
        share = f"{100 * spread.discordance:.3g}% of {role} cases differ between the arms"
        graded = f"differences on {role} cases have a mean square of {spread.discordance:.3g}"
        yield gate, f"discordance_{role}", spread.discordance, graded if spread.graded else share
    for gate, role in _RATES.items():
        rate = truths.get(gate, 0.0)
        yield gate, f"rate_{gate}", rate, f"candidate right on {100 * rate:.4g}% of {role} cases"
    ratio, factor = given.latency_ratio, exp(given.latency_spread)
    yield (
        "latency_p99",
        "latency_ratio",
        ratio,
        "both arms are as fast" if ratio == 1 else f"candidate takes {ratio:.3g} times as long",
    )
    yield (
        "latency_p99",
        "latency_spread",
        given.latency_spread,
        f"two latencies in three lie within a factor {factor:.2f}",
    )
    every = "every answer satisfies its schema"
    some = f"{100 * given.compliance:.4g}% of answers satisfy their schema"
    yield "schema_compliance", "compliance", given.compliance, every if given.compliance == 1 else some


def _spread(evidence: Evidence, role: Role, sources: dict[str, str]) -> Spread:
    candidate, baseline = pairs_of(primaries(evidence, role)).bounded().complete
    if not len(candidate):
        return Spread()
    differences = candidate - baseline
    graded = not bool(np.isin(np.concatenate([candidate, baseline]), (0.0, 1.0)).all())
    seen = f"{np.count_nonzero(differences)} of {len(differences)} differ"
    sources[f"discordance_{role.value}"] = f"pilot: {seen}, upper {CONFIDENCE:.0%} bound"
    return Spread(discordance=discordance_bound(differences, confidence=CONFIDENCE), graded=graded)


def _rates(results: Mapping[str, GateResult], sources: dict[str, str]) -> dict[str, float]:
    """Pass rates by the rule of succession (Laplace 1774): no pilot shows that a model is never wrong."""
    rates = {}
    for name in _RATES:
        result = results[name]
        if result.estimate is not None:
            passes = round(result.estimate * result.n)
            rates[name] = (passes + 1) / (result.n + 2)
            sources[f"rate_{name}"] = f"pilot: {passes} of {result.n} pass, rule of succession"
    return rates


def _compliance(result: GateResult, sources: dict[str, str]) -> float:
    if result.estimate is None:
        return 1.0
    sources["compliance"] = f"pilot: {round(result.estimate * result.n)} of {result.n} do"
    return result.estimate
