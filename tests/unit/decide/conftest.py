"""Evidence and jobs made by hand, for every test of the room."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isnan, nan
from typing import Any

import pytest

from evalsvc import decide
from evalsvc.core.evidence import ArmScores, ArmTotals, Evidence, LatencySamples, ScoreTable
from evalsvc.core.records import GATES, Arm, ArmSpec, GateSpec, Job, Role, ScorerSpec, SuiteSpec

THRESHOLDS = dict(zip(GATES, (0.05, -0.05, 0.85, 2.0, 0.60, 0.90, 0.99), strict=True))


class Make:
    nan = nan

    @staticmethod
    def binary(wins: int, losses: int, both: int, neither: int) -> tuple[list[float], list[float]]:
        candidate = [1.0] * wins + [0.0] * losses + [1.0] * both + [0.0] * neither
        baseline = [0.0] * wins + [1.0] * losses + [1.0] * both + [0.0] * neither
        return candidate, baseline

    @staticmethod
    def scores(values: Sequence[float]) -> ArmScores:
        low = [0.0 if isnan(value) else value for value in values]
        high = [1.0 if isnan(value) else value for value in values]
        return ArmScores(mean=array("d", values), low=array("d", low), high=array("d", high))

    def table(
        self,
        candidate: Sequence[float],
        baseline: Sequence[float],
        *,
        role: Role = Role.TARGET,
        suite: str | None = None,
        categories: Sequence[str] | None = None,
        **other: Any,
    ) -> ScoreTable:
        each = list(categories) if categories else ["all"] * len(candidate)
        names = tuple(dict.fromkeys(each))
        table = ScoreTable(
            suite=suite or f"{role.value}-suite",
            role=role,
            label="exact",
            scorer="exact",
            primary=True,
            pass_at=1.0,
            categories=names,
            category=array("l", [names.index(name) for name in each]),
            arms={Arm.CANDIDATE: self.scores(candidate), Arm.BASELINE: self.scores(baseline)},
        )
        return replace(table, **other)

    def schema_table(self, candidate: Sequence[float], baseline: Sequence[float], **other: Any) -> ScoreTable:
        options = {"label": "json_schema", "scorer": "json_schema", "primary": False, **other}
        return self.table(candidate, baseline, **options)

    @staticmethod
    def totals(**other: Any) -> ArmTotals:
        totals = ArmTotals(
            requests=1000,
            ok=990,
            model_error=10,
            infra_error=0,
            attempts=1010,
            retries={"rate_limited": 10},
            kinds={"truncated": 5},
            scoring_errors=0,
            repaired=0,
            served_models=("m-1",),
            fingerprints=(),
            input_tokens=None,
            output_tokens=4,
        )
        return replace(totals, **other)

    @staticmethod
    def samples(seconds: Sequence[float], missing: int = 0, tainted: int = 0) -> LatencySamples:
        return LatencySamples(
            seconds=array("d", sorted(seconds)),
            scheduled=array("d", sorted(seconds)),
            first_token=array("d"),
            missing=missing,
            tainted=tainted,
        )

    def evidence(
        self,
        *tables: ScoreTable,
        latency: tuple[LatencySamples, LatencySamples] | None = None,
        totals: Mapping[Arm, ArmTotals] | None = None,
    ) -> Evidence:
        candidate, baseline = latency or (self.samples([]), self.samples([]))
        return Evidence(
            tables=tables,
            latency={Arm.CANDIDATE: candidate, Arm.BASELINE: baseline},
            totals=totals or dict.fromkeys(Arm, self.totals()),
            outcomes=2000,
            simulated=False,
        )

    @staticmethod
    def job(evidence: str = "interval", suites: Sequence[SuiteSpec] = (), **gates: Mapping[str, Any]) -> Job:
        specs = (GateSpec(name=name, **{"threshold": THRESHOLDS[name], **gates.get(name, {})}) for name in GATES)
        arms = {arm: ArmSpec(endpoint="sim", model=f"model-{arm.value}") for arm in Arm}
        return Job(
            name="made", seed=1, trials=1, arms=arms, suites=tuple(suites), gates=tuple(specs), evidence=evidence
        )

    @staticmethod
    def suite(table: ScoreTable, *labels: str) -> SuiteSpec:
        scorers = tuple(ScorerSpec(name=label, label=label) for label in (table.label, *labels))
        return SuiteSpec(name=table.suite, role=table.role, dataset="d.jsonl", format="native", scorers=scorers)

    def judge(self, name: str, evidence: Evidence, mode: str = "interval", **spec: Any) -> decide.GateResult:
        results = decide.judge_all(evidence, self.job(mode, (), **{name: spec}))
        return next(result for result in results if result.name == name)


@pytest.fixture(scope="session")
def make() -> Make:
    return Make()
