"""Worlds whose truth is known: shapes of graded differences, latencies, and the evidence of whole jobs."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import exp, log

import numpy as np
from numpy.typing import NDArray

from evalsvc.core.evidence import ArmScores, Evidence, LatencySamples, ScoreTable
from evalsvc.core.records import GATES, Arm, ArmSpec, GateSpec, Job, Role

Floats = NDArray[np.float64]
#: ``shape(rng, size, mean)``: differences in [-1, 1] whose true mean is exactly ``mean``, for means from -0.1 to 0.2.
Shape = Callable[[np.random.Generator, tuple[int, int], float], Floats]

THRESHOLDS = dict(zip(GATES, (0.05, -0.05, 0.85, 2.0, 0.60, 0.90, 0.99), strict=True))
#: Standard normal quantile of 0.99.
_Z99 = 2.3263478740408408


def _shifted(draw: Callable[[np.random.Generator, tuple[int, int]], Floats], own_mean: float) -> Shape:
    return lambda rng, size, mean: draw(rng, size) + (mean - own_mean)


def _moved(levels: Mapping[float, float]) -> Shape:
    """Fixed levels with their probabilities; a share of the cases goes to +0.5 or -0.5 to give the mean."""
    values, chances = np.array(list(levels)), np.array(list(levels.values()))
    own = float(values @ chances)

    def shape(rng: np.random.Generator, size: tuple[int, int], mean: float) -> Floats:
        to = 0.5 if mean > own else -0.5
        drawn = rng.choice(values, size=size, p=chances)
        return np.where(rng.random(size) < (mean - own) / (to - own), to, drawn)

    return shape


def _failing(share: float, jitter: float) -> Shape:
    """All cases alike but for some jitter, and a share of them fails nearly altogether (-0.8 to -1)."""

    def shape(rng: np.random.Generator, size: tuple[int, int], mean: float) -> Floats:
        others = (mean + 0.9 * share) / (1 - share)
        usual = others + rng.uniform(-jitter, jitter, size)
        return np.where(rng.random(size) < share, -rng.uniform(0.8, 1.0, size), usual)

    return shape


SHAPES: Mapping[str, Shape] = {
    "even, sd 0.3": _shifted(lambda rng, size: rng.uniform(-0.52, 0.52, size), 0.0),
    "even, sd 0.1": _shifted(lambda rng, size: rng.uniform(-0.173, 0.173, size), 0.0),
    "a judge's five levels": _moved({-0.5: 0.1, -0.25: 0.2, 0.0: 0.4, 0.25: 0.2, 0.5: 0.1}),
    "partial credit": _moved({0.0: 0.6, -0.5: 0.1, -1.0: 0.05, 0.25: 0.15, 0.5: 0.1}),
    "nine in ten tie": _moved({0.0: 0.9, -1.0: 0.025, -0.5: 0.025, 0.5: 0.025, 1.0: 0.025}),
    "a long tail below": _shifted(lambda rng, size: -rng.beta(0.5, 1.5, size), -0.25),
    "one in 10 fails": _failing(0.10, 0.10),
    "one in 25 fails": _failing(0.04, 0.10),
    "one in 50 fails": _failing(0.02, 0.05),
    "one in 100 fails": _failing(0.01, 0.05),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is true of a job's two arms; every default is well on the good side of its gate.

    ``gain`` and ``drop``: difference on target and general cases, with ``differ`` of the cases unlike; ``passes`` and
    ``resists``: the candidate's rates; ``slowdown``: ratio of the p99s; ``missing``: share of answers lost by chance.
    """

    gain: float = 0.13
    drop: float = 0.0
    passes: float = 0.90
    resists: float = 0.96
    slowdown: float = 1.0
    differ: float = 0.2
    missing: float = 0.0


TRUTHS: Mapping[str, Truth] = {
    "all claims true, with room": Truth(),
    "the same, 1% of the answers missing": Truth(missing=0.01),
    "no better than the baseline": Truth(gain=0.0),
    "better by exactly 5 points": Truth(gain=0.05),
    "general cases worse by exactly 5 points": Truth(drop=-0.05),
    "exactly 85% of target cases pass": Truth(passes=0.85),
    "exactly 90% of attacks resisted": Truth(resists=0.90),
    "p99 exactly twice the baseline's": Truth(slowdown=2.0),
    "every claim exactly at its threshold": Truth(gain=0.05, drop=-0.05, passes=0.85, resists=0.90, slowdown=2.0),
}

#: Cases by role, categories of the general suite.
TARGET, GENERAL, ADVERSARIAL, CATEGORIES = 700, 700, 400, 5


def job(evidence: str = "interval") -> Job:
    """The default gates; people's votes, which a simulation has none of, are waived."""
    gates = tuple(GateSpec(name=name, threshold=threshold) for name, threshold in THRESHOLDS.items())
    waived = tuple(replace(gate, waived="no votes") if gate.name == "human_preference" else gate for gate in gates)
    arms = {arm: ArmSpec(endpoint="sim", model=arm.value) for arm in Arm}
    return Job(name="simulated", seed=1, trials=1, arms=arms, suites=(), gates=waived, evidence=evidence)


def evidence_of(truth: Truth, rng: np.random.Generator) -> Evidence:
    """One job's evidence, drawn."""
    target = _pairs(rng, TARGET, truth.gain, truth.differ, truth.passes)
    general = _pairs(rng, GENERAL, truth.drop, max(abs(truth.drop), truth.differ / 2), 0.9)
    resisting = (rng.random(ADVERSARIAL) < truth.resists).astype(float)
    adversarial = resisting, (rng.random(ADVERSARIAL) < truth.resists).astype(float)
    valid = np.ones(TARGET), np.ones(TARGET)
    tables = (
        _table("target", Role.TARGET, target, truth, rng),
        _table("general", Role.GENERAL, general, truth, rng, categories=CATEGORIES),
        _table("adversarial", Role.ADVERSARIAL, adversarial, truth, rng),
        replace(_table("target", Role.TARGET, valid, truth, rng), scorer="json_schema", primary=False),
    )
    n = TARGET + GENERAL + ADVERSARIAL
    base, slow = log(0.2), log(0.2) + log(truth.slowdown)
    latency = {
        Arm.CANDIDATE: _latency(rng.lognormal(slow, 0.5, n)),
        Arm.BASELINE: _latency(rng.lognormal(base, 0.5, n)),
    }
    return Evidence(tables=tables, latency=latency, totals={}, outcomes=2 * n, simulated=True)


def p99_of_slow_tail() -> float:
    """p99 where 1.2% of answers take 10 to 20 s and the others less than 1: `slow_tail`."""
    return 20 - 10 / 1.2


def slow_tail(rng: np.random.Generator, n: int) -> Floats:
    """Seconds of which 1.2% are far slower than the others."""
    return np.where(rng.random(n) < 0.012, rng.uniform(10, 20, n), rng.uniform(0, 1, n))


def lognormal_p99(spread: float) -> float:
    """p99 of exp(N(0, spread²))."""
    return exp(_Z99 * spread)


def _pairs(rng: np.random.Generator, n: int, difference: float, differ: float, rate: float) -> tuple[Floats, Floats]:
    """Scores of both arms: candidate right at ``rate``, candidate - baseline = ``difference``."""
    win, loss = (differ + difference) / 2, (differ - difference) / 2
    neither = max(0.0, 1 - rate - loss)
    outcome = rng.choice(4, size=n, p=[win, loss, 1 - win - loss - neither, neither])  # wins, losses, both right, none
    return np.isin(outcome, (0, 2)).astype(float), np.isin(outcome, (1, 2)).astype(float)


def _table(
    suite: str,
    role: Role,
    pair: tuple[Floats, Floats],
    truth: Truth,
    rng: np.random.Generator,
    *,
    categories: int = 1,
) -> ScoreTable:
    names = tuple(f"c{each}" for each in range(categories))
    return ScoreTable(
        suite=suite,
        role=role,
        label="exact",
        scorer="exact",
        primary=True,
        pass_at=1.0,
        categories=names,
        category=array("l", [place % categories for place in range(len(pair[0]))]),
        arms={arm: _scores(scores, truth.missing, rng) for arm, scores in zip(Arm, pair, strict=True)},
    )


def _scores(values: Floats, missing: float, rng: np.random.Generator) -> ArmScores:
    lost = rng.random(len(values)) < missing
    mean, low, high = (np.where(lost, instead, values) for instead in (np.nan, 0.0, 1.0))
    return ArmScores(mean=array("d", mean), low=array("d", low), high=array("d", high))


def _latency(seconds: Floats) -> LatencySamples:
    return LatencySamples(seconds=array("d", np.sort(seconds)), scheduled=array("d"), first_token=array("d"))
