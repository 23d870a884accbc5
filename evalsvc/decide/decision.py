"""All gates of a job, and the decision they make together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evalsvc.core.evidence import Evidence
from evalsvc.core.records import GATES, Decision, Job, Verdict
from evalsvc.decide.judges import distrust, rests_on_judge, without_the_judge
from evalsvc.decide.sequential import LOOKED_AT, Stopping, judge_at_end
from evalsvc.decide.verdict import GateResult, Settings, gates


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionResult:
    """What was decided and why, in plain words; there is always a reason."""

    decision: Decision
    reasons: tuple[str, ...]


def judge_all(
    evidence: Evidence, job: Job, stopping: Stopping | None = None, *, glance: bool = False
) -> tuple[GateResult, ...]:
    """Every gate of the job: the seven in the order of `GATES`, then what plug-ins added.

    A gate that rests on a judge who is not trusted is NOT_MEASURED. ``stopping`` says where the looks of a job that may
    stop early have led. ``glance`` asks for the verdicts only, by
    p-values where a gate has them.

    Raises:
        LookupError: the job lacks one of the seven, or asks for a gate nobody registered.
    """
    specs = {spec.name: spec for spec in job.gates}
    names = [*GATES, *(name for name in specs if name not in GATES)]
    if glance:
        each = (Settings(spec=specs[name], evidence=job.evidence, glance=name in LOOKED_AT) for name in names)
        return tuple(gates[settings.spec.name](evidence, settings) for settings in each)
    results = tuple(judge_at_end(evidence, job, specs[name], stopping) for name in names)
    why = distrust(evidence.judged, evidence.asked_judge) if evidence.judged is not None else None
    if why is None:
        return results
    return tuple(
        without_the_judge(result, why) if rests_on_judge(specs[result.name], evidence, job.evidence) else result
        for result in results
    )


def decide(results: Sequence[GateResult], objections: Sequence[str] = ()) -> DecisionResult:
    """SHIP if every required gate passed, ITERATE if one failed, else HOLD; waived gates have no say.

    ``objections`` are what stands against shipping apart from the gates: with one there is no SHIP.
    """
    counted = [result for result in results if result.required and result.waived is None]
    failed = [result for result in counted if result.verdict is Verdict.FAIL]
    unsettled = [result for result in counted if result.verdict not in (Verdict.PASS, Verdict.FAIL)]
    if failed:
        return DecisionResult(
            decision=Decision.ITERATE, reasons=(*_failures(failed), *_openings(unsettled), *objections)
        )
    if unsettled or (counted and objections):
        return DecisionResult(decision=Decision.HOLD, reasons=(*_openings(unsettled), *objections))
    if not counted:
        nothing = "no gate is required: nothing speaks for shipping; requiring a gate would"
        return DecisionResult(decision=Decision.HOLD, reasons=(nothing, *objections))
    holds = [f"{result.name} holds: {_plain(result)}" for result in counted]
    return DecisionResult(decision=Decision.SHIP, reasons=(*holds, *_left_out(results)))


def _failures(results: Iterable[GateResult]) -> list[str]:
    return [f"{result.name} fails: {_plain(result)}" for result in results]


def _openings(results: Iterable[GateResult]) -> list[str]:
    return [
        "; ".join(part for part in (f"{each.name} is open: {_plain(each)}", each.needs) if part) for each in results
    ]


def _left_out(results: Iterable[GateResult]) -> list[str]:
    """What had no say, so that nobody takes it for proven."""
    return [
        f"{each.name} had no say ({f'waived: {each.waived}' if each.waived else 'not required'}): {each.verdict}"
        for each in results
        if not each.required or each.waived is not None
    ]


def _plain(result: GateResult) -> str:
    return result.reason.removesuffix(".")
