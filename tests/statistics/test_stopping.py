"""How often a job that stops early is wrong, and what it saves: seeded simulation, and the shipped looks beside it."""

from __future__ import annotations

import importlib.util
import sys
from array import array
from math import log, sqrt
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evalsvc.core.evidence import ArmScores, ScoreTable
from evalsvc.core.records import GATES, Arm, ArmSpec, GateSpec, Job, Role, ScorerSpec, SuiteSpec, Verdict
from evalsvc.decide.sequential import Stopping, look
from evalsvc.stats.rates import clopper_pearson
from evalsvc.stats.sequential import log_e_value

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "stopping.py"
ALPHA = 0.025
Ints = NDArray[np.int64]


@pytest.fixture(scope="module")
def sim() -> ModuleType:
    """The simulation that prints the table of savings."""
    spec = importlib.util.spec_from_file_location("stopping", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["stopping"] = module
    spec.loader.exec_module(module)
    return module


def job(stop: str) -> Job:
    spec = SuiteSpec(
        name="t", role=Role.TARGET, dataset="d", format="auto", scorers=(ScorerSpec(name="exact", label="exact"),)
    )
    others = (GateSpec(name=name, threshold=0.0, required=False) for name in GATES[1:])
    return Job(
        name="j",
        seed=1,
        trials=1,
        stop=stop,
        arms={arm: ArmSpec(endpoint="e", model="m") for arm in Arm},
        suites=(spec,),
        gates=(GateSpec(name="target_improvement", threshold=0.0), *others),
    )


def table(differences: Ints) -> ScoreTable:
    candidate, baseline = (array("d", (differences * sign > 0).astype(float)) for sign in (1, -1))
    return ScoreTable(
        suite="t",
        role=Role.TARGET,
        label="exact",
        scorer="exact",
        primary=True,
        pass_at=1.0,
        categories=("all",),
        category=array("i", [0] * len(differences)),
        arms={
            Arm.CANDIDATE: ArmScores(mean=candidate, low=candidate, high=candidate),
            Arm.BASELINE: ArmScores(mean=baseline, low=baseline, high=baseline),
        },
    )


def one_case_at_a_time(sim: ModuleType, runs: int, cases: int, effect: float, discordance: float, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    return sim.simulate(rng, runs=runs, cases=cases, every=1, effect=effect, discordance=discordance)


@pytest.mark.parametrize("threshold", [-0.05, 0.0, 0.05])
def test_the_simulated_e_value_is_the_shipped_one(sim: ModuleType, threshold: float) -> None:
    wins, losses, ties = np.random.default_rng(1).integers(0, 60, (3, 20))
    found = sim.log_e(wins, losses, ties, threshold)
    for each, *counts in zip(found, wins, losses, ties, strict=True):
        assert each == pytest.approx(log_e_value(np.repeat([1.0, -1.0, 0.0], counts), threshold), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("stop", ["hybrid", "anytime"])
@pytest.mark.parametrize("effect", [0.0, 0.2])
def test_the_simulated_looks_are_the_shipped_ones(sim: ModuleType, stop: str, effect: float) -> None:
    cases, runs = 300, 12
    seen = one_case_at_a_time(sim, runs, cases, effect, 0.4, seed=3)
    at = np.append(np.arange(10, cases, 10), cases)
    design = next(each for each in sim.DESIGNS if each.name == stop)
    found = sim.run(sim.Runs(at=at, wins=seen.wins[:, at - 1], losses=seen.losses[:, at - 1]), design)
    paths = np.diff(seen.wins - seen.losses, axis=1, prepend=0)
    for row, path in enumerate(paths):
        stopping = Stopping(planned={"t": cases})
        while (after := stopping.next_look) is not None:
            stopping = look(job(stop), stopping, [table(path[:after])])
        assert stopping.closed.get("t", cases) == found.cases[row]
        if stopping.closed:
            verdict = stopping.settled["target_improvement"].verdict
            assert (verdict is Verdict.PASS, verdict is Verdict.FAIL) == (found.passed[row], found.failed[row])
            assert bool(stopping.futile) == found.futile[row]
    assert (found.cases < cases).any()


def check_errors(sim: ModuleType, runs: int, cases: int, seeds: range) -> None:
    """No effect, a look after every case: each side of each design errs α at most; peeking at z errs far more."""
    for discordance in (0.2, 0.4):
        errors = np.mean([errors_of(sim, runs, cases, discordance, seed) for seed in seeds], axis=0)
        assert (errors[:-1] <= ALPHA).all()
        assert errors[-1] > 0.08


def errors_of(sim: ModuleType, runs: int, cases: int, discordance: float, seed: int) -> list[float]:
    """False PASS and FAIL of hybrid and anytime without giving up, false PASS with it; false PASS of peeking at z."""
    seen = one_case_at_a_time(sim, runs, cases, 0.0, discordance, seed)
    errors: list[float] = []
    for design in (sim.HYBRID, sim.ANYTIME):
        found = sim.run(seen, sim.Design(name=design.name, looks=design.looks, end=design.end, futility=False))
        giving_up = sim.run(seen, design)
        assert not (giving_up.passed & ~found.passed).any()  # giving up never leads to a PASS
        errors += [found.passed.mean(), found.failed.mean(), giving_up.passed.mean()]
    peeks = seen.at % 50 == 0
    z = (seen.wins - seen.losses)[:, peeks] / np.sqrt(np.maximum(seen.wins + seen.losses, 1)[:, peeks])
    return [*errors, float((z > 1.96).any(axis=1).mean())]


def test_looking_after_every_case_keeps_the_error(sim: ModuleType) -> None:
    check_errors(sim, 1500, 500, range(11, 12))


@pytest.mark.long
def test_looking_after_every_case_keeps_the_error_in_many_runs(sim: ModuleType) -> None:
    check_errors(sim, 2000, 1000, range(100, 110))


def rate_errors(sim: ModuleType, runs: int, seed: int, rate: float, cases: int = 600) -> tuple[float, float]:
    """How often a rate that is exactly the threshold is proven or ruled out, with looks after every case."""
    passes = np.cumsum(np.random.default_rng(seed).random((runs, cases)) < rate, axis=1, dtype=np.int64)
    failures = np.arange(1, cases + 1) - passes
    none = np.zeros_like(passes)
    proven = (sim.log_e(passes, failures, none, 2 * rate - 1)[:, :-1] > log(200)).any(axis=1)
    refuted = (sim.log_e(failures, passes, none, 1 - 2 * rate)[:, :-1] > log(200)).any(axis=1)
    low, high = np.zeros(cases + 1), np.ones(cases + 1)
    for k in range(cases + 1):
        interval = clopper_pearson(k, cases, level=0.96)
        low[k], high[k] = interval.low or 0.0, 1.0 if interval.high is None else interval.high
    proven |= low[passes[:, -1]] > rate
    refuted |= high[passes[:, -1]] < rate
    return float(proven.mean()), float(refuted.mean())


@pytest.mark.parametrize("rate", [0.85, 0.9, 0.99])
def test_a_rate_at_its_threshold_is_seldom_settled(sim: ModuleType, rate: float) -> None:
    proven, refuted = rate_errors(sim, 1500, 5, rate)
    assert proven <= ALPHA
    assert refuted <= ALPHA


def test_suites_that_differ_are_judged_as_one_only_in_the_shuffled_order(sim: ModuleType) -> None:
    """One suite better, one worse, no difference in all: a prefix has to be a sample of both."""
    rng, runs = np.random.default_rng(8), 600
    sizes, effects, discordance = (300, 700), (0.14, -0.06), 0.2
    drawn = [
        rng.choice([1, 0, -1], size=(runs, n), p=[(discordance + e) / 2, 1 - discordance, (discordance - e) / 2])
        for n, e in zip(sizes, effects, strict=True)
    ]
    in_file_order = np.concatenate(drawn, axis=1)
    shuffled = rng.permuted(in_file_order, axis=1)

    def proven(paths: Ints) -> float:
        wins, losses = (np.cumsum(paths == sign, axis=1) for sign in (1, -1))
        ties = np.arange(1, paths.shape[1] + 1) - wins - losses
        return float((sim.log_e(wins, losses, ties, 0.0) > log(40)).any(axis=1).mean())

    assert proven(shuffled) <= ALPHA
    assert proven(in_file_order) > 0.3


def test_what_is_saved_and_what_it_costs(sim: ModuleType) -> None:
    """Beside the design that asks every case: hardly less power with `hybrid`, most saved where the effect is large."""
    rows = {(row["discordance"], row["effect"], row["stop"]): row for row in sim.table(runs=600)}
    for discordance in sim.DISCORDANCES:
        for effect in sim.EFFECTS:
            never, hybrid, anytime = (rows[discordance, effect, stop] for stop in ("never", "hybrid", "anytime"))
            assert never["saved"] == 0
            assert hybrid["PASS"] >= never["PASS"] - 0.06
            assert anytime["saved"] >= hybrid["saved"] - 0.01
            assert hybrid["FAIL"] <= ALPHA + 3 * sqrt(ALPHA / 600)
    # the design page's figures, without its larger futility bound: 22% and 75%, 8% and 51%
    for discordance, planned, large in ((0.2, 0.22, 0.75), (0.4, 0.08, 0.51)):
        assert rows[discordance, 0.05, "hybrid"]["saved"] == pytest.approx(planned, abs=0.03)
        assert rows[discordance, 0.10, "hybrid"]["saved"] == pytest.approx(large, abs=0.03)
        assert rows[discordance, 0.0, "hybrid"]["saved"] > 0.2
        assert rows[discordance, 0.05, "hybrid"]["futile"] <= 0.05
