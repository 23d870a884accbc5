"""All gates of a job, and the decision they make together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evalsvc.core.evidence import Evidence
from evalsvc.core.records import GATES, Decision, Job, Verdict
from evalsvc.decide.verdict import GateResult, Settings, gates


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionResult:
    """What was decided and why, in plain words; there is always a reason."""

    decision: Decision
    reasons: tuple[str, ...]


def judge_all(evidence: Evidence, job: Job) -> tuple[GateResult, ...]:
    """Every gate of the job: the seven in the order of `GATES`, then what plug-ins added.

    Raises:
        LookupError: the job lacks one of the seven, or asks for a gate nobody registered.
    """
    specs = {spec.name: spec for spec in job.gates}
    names = [*GATES, *(name for name in specs if name not in GATES)]
    return tuple(gates[name](evidence, Settings(spec=specs[name], evidence=job.evidence)) for name in names)


def decide(results: Sequence[GateResult]) -> DecisionResult:
    """SHIP if every required gate passed, ITERATE if one failed, else HOLD; waived gates have no say."""
    counted = [result for result in results if result.required and result.waived is None]
    failed = [result for result in counted if result.verdict is Verdict.FAIL]
    unsettled = [result for result in counted if result.verdict not in (Verdict.PASS, Verdict.FAIL)]
    if failed:
        return DecisionResult(decision=Decision.ITERATE, reasons=(*_failures(failed), *_openings(unsettled)))
    if unsettled:
        return DecisionResult(decision=Decision.HOLD, reasons=tuple(_openings(unsettled)))
    if not counted:
        return DecisionResult(decision=Decision.HOLD, reasons=("no gate is required: nothing speaks for shipping",))
    reasons = tuple(f"{result.name} holds: {_plain(result)}" for result in counted)
    return DecisionResult(decision=Decision.SHIP, reasons=reasons)


def _failures(results: Iterable[GateResult]) -> list[str]:
    return [f"{result.name} fails: {_plain(result)}" for result in results]


def _openings(results: Iterable[GateResult]) -> list[str]:
    return [
        "; ".join(part for part in (f"{each.name} is open: {_plain(each)}", each.needs) if part) for each in results
    ]


def _plain(result: GateResult) -> str:
    return result.reason.removesuffix(".")
