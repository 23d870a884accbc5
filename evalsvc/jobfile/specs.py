"""From the tables of a checked job file to the records the house works with."""

from __future__ import annotations

from evalsvc.core.records import GATES, Arm, ArmSpec, GateSpec, Job, JudgeSpec, PromptSpec, ScorerSpec, SuiteSpec
from evalsvc.jobfile.gates import GatesTable, plugged_gates
from evalsvc.jobfile.models import ArmTable, JobTable, JudgeTable, ScorerTable, SuiteTable


def job_of(table: JobTable, limit: int | None, spec_sha256: str) -> Job:
    """The job a checked table describes."""
    return Job(
        name=table.name,
        seed=table.seed,
        trials=table.trials,
        rate=table.rate,
        stop=table.stop,
        arms={arm: arm_spec(arm_of(table, arm)) for arm in Arm},
        suites=tuple(_suite_spec(suite, table.seed) for suite in table.suites),
        gates=tuple(_gate_spec(table.gates, name) for name in (*GATES, *plugged_gates(table.gates))),
        evidence=table.gates.evidence,
        calibration=table.gates.calibration,
        judge=None if table.judge is None else judge_spec(table.judge),
        limit=limit,
        spec_sha256=spec_sha256,
    )


def arm_of(table: JobTable, arm: Arm) -> ArmTable:
    """The table of an arm."""
    return table.candidate if arm is Arm.CANDIDATE else table.baseline


def arm_spec(table: ArmTable) -> ArmSpec:
    """The arm its table describes."""
    return ArmSpec(
        endpoint=table.endpoint,
        model=table.model,
        system=table.system,
        params=table.params,
        api=table.api,
        stream=table.stream,
        outputs=table.outputs,
    )


def judge_spec(table: JudgeTable) -> JudgeSpec:
    """The judge its table describes."""
    return JudgeSpec(**table.model_dump())


def _suite_spec(table: SuiteTable, seed: int) -> SuiteSpec:
    scorers = tuple(_scorer_spec(scorer) for scorer in (table.scorer, *table.also))
    return SuiteSpec(
        name=table.name,
        role=table.role,
        dataset=table.dataset,
        format=table.format,
        scorers=scorers,
        fields=table.fields,
        cluster=table.cluster,
        prompt=None if table.prompt is None else PromptSpec(**table.prompt.model_dump(), seed=seed),
        answers=table.answers,
    )


def _scorer_spec(table: ScorerTable) -> ScorerSpec:
    return ScorerSpec(name=table.name, label=table.label, pass_at=table.pass_at, options=table.model_extra or {})


def _gate_spec(gates: GatesTable, name: str) -> GateSpec:
    gate = getattr(gates, name)
    return GateSpec(name=name, threshold=gate.core_threshold(), required=gate.required, waived=gate.waive)
