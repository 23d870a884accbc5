"""One cell of the tables of error rates at a time: how often a gate, or a whole decision, is wrong under a known truth.

Every simulated cell has a seed of its own, made of what it is of, so any can be computed alone and comes out the same.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray
from truths import SHAPES, THRESHOLDS, TRUTHS, evidence_of, job, lognormal_p99, p99_of_slow_tail, slow_tail

from evalsvc.core.records import Decision, GateSpec, Verdict
from evalsvc.decide import Settings, decide, judge_all
from evalsvc.decide.compare import binary, compare
from evalsvc.decide.verdict import LEVEL, against
from evalsvc.stats.binomial import at_least, at_most
from evalsvc.stats.clusters import (
    ClusterRule,
    cluster_rule,
    clustered_mean,
    clustered_p_values,
    sign_flip_p_values,
)
from evalsvc.stats.paired import has_spread, paired_t_p_values, tango_p_values
from evalsvc.stats.power import paired_power
from evalsvc.stats.quantiles import quantile_ratio_interval
from evalsvc.stats.rates import cases_to_prove_rate, rate_p_values
from evalsvc.stats.search import first_true

ALPHA = 0.025
#: Simulated runs of a cell: one of 2.5% is told to 0.5 points (two standard errors).
RUNS = 4000
DECISIONS = 2000
POINT_DECISIONS = 500
SEED = 20261125


def percent(share: float) -> str:
    """One decimal."""
    return f"{100 * share:.1f}%"


def both(passing: float, failing: float) -> str:
    """PASS and FAIL."""
    return f"{100 * passing:.1f} / {100 * failing:.1f}%"


def rng_of(*parts: object) -> np.random.Generator:
    """The generator of one cell."""
    return np.random.default_rng([SEED, zlib.crc32(repr(parts).encode())])


def at(name: str, threshold: float | None = None) -> Settings:
    """A gate's settings."""
    return Settings(spec=GateSpec(name=name, threshold=THRESHOLDS[name] if threshold is None else threshold))


@cache
def paired_pass(n: int, difference: float, differ: float, threshold: float) -> float:
    """P(PASS) of a paired gate on scores of 0 and 1, exact."""
    settings = at("target_improvement", threshold)

    def proves(wins: int, losses: int) -> bool:
        return against(binary(wins, losses, n - wins - losses, threshold, LEVEL), settings) is Verdict.PASS

    return paired_power(n, difference, differ, proves)


def paired_at(threshold: float, differ: float) -> Callable[[int], str]:
    """PASS and FAIL though the difference is exactly the threshold; FAIL is PASS with the arms exchanged."""
    return lambda n: both(paired_pass(n, threshold, differ, threshold), paired_pass(n, -threshold, differ, -threshold))


def paired_worst(threshold: float) -> Callable[[int], str]:
    """PASS at the share of differing cases that is worst, by Tango alone and as decided, exact."""

    def by_tango(n: int, differ: float) -> float:
        return paired_power(n, threshold, differ, lambda w, lost: tango_p_values(w, lost, n, threshold)[0] < ALPHA)

    def cell(n: int) -> str:
        shares = [float(share) for share in abs(threshold) + np.geomspace(0.0005, 0.5, 25)]
        alone, decided = (max(by(n, share) for share in shares) for by in (by_tango, as_decided))
        return f"{percent(alone)} → {percent(decided)}"

    def as_decided(n: int, differ: float) -> float:
        return paired_pass(n, threshold, differ, threshold)

    return cell


def paired_power_at(difference: float, differ: float, threshold: float) -> Callable[[int], str]:
    """PASS of a paired gate where the difference is another one."""
    return lambda n: f"{100 * paired_pass(n, difference, differ, threshold):.0f}%"


def rate_pass(n: int, rate: float, threshold: float) -> float:
    """P(PASS) of a rate gate, exact."""
    return at_least(first_true(lambda k: rate_p_values(k, n, threshold)[0] < ALPHA, 0, n + 1), n, rate)


def rate_at(threshold: float) -> Callable[[int], str]:
    """PASS and FAIL though the rate is exactly the threshold."""

    def cell(n: int) -> str:
        most = first_true(lambda k: rate_p_values(k, n, threshold)[1] >= ALPHA, 0, n + 1) - 1
        return both(rate_pass(n, threshold, threshold), at_most(most, n, threshold))

    return cell


def schema_at(floor: float) -> Callable[[int], str]:
    """PASS though compliance is exactly the floor. One answer outside is a FAIL by definition, and no error."""
    return lambda n: percent(floor**n if n >= cases_to_prove_rate(floor) else 0.0)


def latency_at(shape: str) -> Callable[[int], str]:
    """PASS and FAIL though the ratio of the p99s is exactly the threshold: the threshold is put there."""

    def cell(n: int) -> str:
        rng, passed, failed = rng_of("latency", shape, n), 0, 0
        true = {"alike": lognormal_p99(0.5), "heavier tail": lognormal_p99(0.8), "slow tail": p99_of_slow_tail()}[shape]
        ratio = true / lognormal_p99(0.5)
        for _ in range(RUNS):
            slow = slow_tail(rng, n) if shape == "slow tail" else rng.lognormal(0, 0.5 if shape == "alike" else 0.8, n)
            interval = quantile_ratio_interval(np.sort(slow), np.sort(rng.lognormal(0, 0.5, n)), 0.99)
            passed += interval.high is not None and interval.high < ratio
            failed += interval.low is not None and interval.low > ratio
        return both(passed / RUNS, failed / RUNS)

    return cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """Of runs on graded differences, shares: PASS by t alone, PASS and FAIL as decided, and decided by t."""

    by_t: float
    passed: float
    failed: float
    t_stood: float


@cache
def graded(shape: str, n: int, mean: float, threshold: float, runs: int = RUNS) -> Graded:
    """Runs of a paired gate on one shape of differences."""
    drawn = SHAPES[shape](rng_of("graded", shape, n, mean, threshold), (runs, n), mean)
    settings, by_t, verdicts, t_stood = at("target_improvement", threshold), 0, list[Verdict](), 0
    for d in drawn:
        by_t += has_spread(d) and paired_t_p_values(d, threshold)[0] < ALPHA
        found = compare((1 + d) / 2, (1 - d) / 2, threshold, LEVEL)
        verdicts.append(against(found, settings))
        t_stood += found.method == "t"
    passed, failed = verdicts.count(Verdict.PASS), verdicts.count(Verdict.FAIL)
    return Graded(by_t=by_t / runs, passed=passed / runs, failed=failed / runs, t_stood=t_stood / runs)


def graded_at(shape: str) -> Callable[[int], str]:
    """PASS by t alone, and as decided."""

    def cell(n: int) -> str:
        found = graded(shape, n, 0.05, 0.05)
        return f"{percent(found.by_t)} → {percent(found.passed)}"

    return cell


def coverage_of(shape: str) -> Callable[[int], str]:
    """How often the 95% interval holds the truth: whenever a gate at exactly that threshold says neither."""

    def cell(n: int) -> str:
        found = graded(shape, n, 0.05, 0.05)
        return percent(1 - found.passed - found.failed)

    return cell


def graded_power(shape: str, mean: float, threshold: float) -> Callable[[int], str]:
    """PASS by t alone, and as decided, where the claim is true."""

    def cell(n: int) -> str:
        found = graded(shape, n, mean, threshold, RUNS // 4)
        return f"{100 * found.by_t:.0f} → {100 * found.passed:.0f}%"

    return cell


def latency_pass(n: int, ratio: float) -> str:
    """P(PASS) of the latency gate, lognormal with spread 0.5."""
    rng, passed = rng_of("latency power", n, ratio), 0
    for _ in range(RUNS // 4):
        slow, fast = (np.sort(rng.lognormal(0, 0.5, n)) for _ in range(2))
        high = quantile_ratio_interval(slow * ratio, fast, 0.99).high
        passed += high is not None and high < THRESHOLDS["latency_p99"]
    return f"{100 * passed / (RUNS // 4):.0f}%"


@cache
def decisions(label: str, evidence: str, runs: int) -> Mapping[Decision, float]:
    """Shares of the decisions under one of `TRUTHS`, through all gates."""
    rng, asked, made = rng_of("decisions", label, evidence), job(evidence), list[Decision]()
    for _ in range(runs):
        made.append(decide(judge_all(evidence_of(TRUTHS[label], rng), asked)).decision)
    return {decision: made.count(decision) / runs for decision in Decision}


def cluster_size(clusters: int, icc: float) -> Mapping[str, Callable[[], str]]:
    """False alarms (two-sided, 5% allowed) of means over clusters of 5 to 15 cases whose true mean is the threshold."""

    @cache
    def shares() -> tuple[float, float, float]:
        rng, naive, t, rule = rng_of("clusters", clusters, icc), 0, 0, 0
        for _ in range(RUNS):
            labels = np.repeat(np.arange(clusters), rng.integers(5, 16, clusters))
            values: NDArray[np.float64] = np.sqrt(icc) * rng.normal(size=clusters)[labels]
            values = values + np.sqrt(1 - icc) * rng.normal(size=labels.size)
            found = clustered_mean(values, labels.tolist())
            by_t = 2 * min(clustered_p_values(found, 0.0)) < 2 * ALPHA
            naive += 2 * min(paired_t_p_values(values, 0.0)) < 2 * ALPHA
            t += by_t
            flips = cluster_rule(clusters) is ClusterRule.T_AND_SIGN_FLIPS
            rule += by_t and (not flips or min(sign_flip_p_values(values, labels.tolist(), 0.0)) < ALPHA)
        return naive / RUNS, t / RUNS, rule / RUNS

    names = ("as if independent", "t over clusters", "the rule")
    return {name: partial(lambda place: percent(shares()[place]), place) for place, name in enumerate(names)}
