"""Is the judge to be believed? Its canaries decide that; a judge they fool gates nothing.

What it is tried with are answers that deserve nothing whatever was asked (`AskingScorer.canaries`). Nothing is
concluded in its favour from canaries that got no verdict.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import nan
from typing import Any

from evalsvc.core.evidence import ArmScores, CanaryCount, Evidence, FollowUpTotals, JudgedScores
from evalsvc.core.records import Arm, GateSpec, Job, JudgeSpec, Verdict
from evalsvc.decide.judge_biases import bias_warnings, biases
from evalsvc.decide.judge_faults import cause_of
from evalsvc.decide.verdict import GateResult, Settings, gates

#: Share of canaries that may fool a judge. Eight canaries on five cases are forty: one slip is chance, two are a hole
#: that a model trained against this judge will find.
MAX_FOOLED = 0.03
#: Share of canaries that have to get a verdict: where a fifth went unanswered, what is known is what did not fail.
MIN_ANSWERED = 0.8
#: Canaries without which nothing is known: those of two cases.
MIN_ASKED = 16
#: Share of failed requests to the judge that is worth a warning, as of answers that are missing.
FAILED = 0.02

_NOBODY = FollowUpTotals(
    requests=0, failed=0, attempts=0, cached=0, input_tokens=None, output_tokens=None, served_models=()
)


def distrust(judged: Sequence[JudgedScores], asked: FollowUpTotals | None = None) -> str | None:
    """Why the judge is not trusted, in words; None where it is. ``asked`` says which models answered in its place."""
    if not judged:
        return "no scorer puts a canary to it"
    if asked is not None and len(asked.served_models) > 1:
        return f"its canaries say nothing of models that answered later: {', '.join(asked.served_models)} did"
    for each in judged:
        if (why := _distrust(each)) is not None:
            silent = asked is not None and _silent(each)
            return f"{why}; {cause}" if silent and (cause := cause_of(asked)) else why
    return None


def _distrust(judged: JudgedScores) -> str | None:
    seen, where = _sum(judged.canaries.values()), f"suite {judged.suite}, scorer {judged.label}"
    if not seen.asked:
        return f"no canary was put to it ({where})"
    if seen.fooled > MAX_FOOLED * seen.answered:
        return f"it fell for {seen.fooled} of {_canaries_said(seen.answered)} ({where})"
    if seen.asked < MIN_ASKED:
        return f"{_canaries_said(seen.asked)} are too few to tell: {MIN_ASKED} at least ({where})"
    if _silent(judged):
        return f"only {seen.answered} of {_canaries_said(seen.asked)} got a verdict ({where})"
    if len(judged.verdicts) == 1:
        return f"it says the same of everything it is shown, canaries included ({where})"
    return None


def _silent(judged: JudgedScores) -> bool:
    seen = _sum(judged.canaries.values())
    return seen.answered < MIN_ANSWERED * seen.asked


def _canaries_said(n: int) -> str:
    return "1 canary" if n == 1 else f"{n} canaries"


def rests_on_judge(spec: GateSpec, evidence: Evidence, rule: str) -> bool:
    """Whether a gate reads what the judge said, or would had it said anything; ``rule`` is the job's `evidence`."""

    def seen(of: Evidence) -> tuple[Any, ...]:
        result = gates[spec.name](of, Settings(spec=spec, evidence=rule))
        return result.n, result.estimate, dict(result.missing)

    silent, sure = (_judged_as(evidence, *scores) for scores in ((nan, 0.0, 1.0), (1.0, 1.0, 1.0)))
    return seen(silent) != seen(sure)


def without_the_judge(result: GateResult, why: str) -> GateResult:
    """A gate that rests on a judge who is not trusted: not measured, whatever was found."""
    waived = "" if result.waived is None else f"Waived: {result.waived.rstrip('.')}. "
    seen = f"; by its scores: {result.reason.removeprefix(waived)}" if result.n else "."
    return replace(
        result,
        verdict=Verdict.NOT_MEASURED,
        reason=f"{waived}The judge is not trusted: {why}{seen}",
        needs="a judge that no canary fools, or a scorer without one, would measure it",
        n_needed=None,
        futile=False,
        categories=tuple(replace(each, verdict=Verdict.NOT_MEASURED) for each in result.categories),
    )


def _judged_as(evidence: Evidence, mean: float, low: float, high: float) -> Evidence:
    """The evidence with the same scores for all that was judged; NaN between 0 and 1 is a judge that said nothing."""
    judged = {(each.suite, each.label) for each in evidence.judged or ()}

    def scores(cases: int) -> ArmScores:
        return ArmScores(
            mean=array("d", [mean]) * cases, low=array("d", [low]) * cases, high=array("d", [high]) * cases
        )

    tables = [
        replace(table, arms={arm: scores(len(each.mean)) for arm, each in table.arms.items()})
        if (table.suite, table.label) in judged
        else table
        for table in evidence.tables
    ]
    return replace(evidence, tables=tuple(tables))


def judge_warnings(job: Job, judged: Sequence[JudgedScores], asked: FollowUpTotals | None = None) -> Iterator[str]:
    """What a reader has to know of the judge before anything else."""
    if job.judge is None:
        return
    why, cause = distrust(judged, asked), cause_of(asked)
    if why is not None:
        fell_for = sorted({name for each in judged for name, seen in each.canaries.items() if seen.fooled})
        names = f": {', '.join(fell_for)}" if fell_for else ""
        yield f"the judge ({job.judge.model}) is not trusted, and its scores gate nothing: {why}{names}"
    if asked is not None and cause and cause not in (why or "") and asked.failed > FAILED * asked.requests:
        yield cause
    for arm in Arm:
        if job.judge.judges_itself(job.arms[arm]):
            yield f"the judge is the model of the {arm}: models prefer their own answers"
    for each in judged:
        yield from bias_warnings(each)


def section(job: Job, evidence: Evidence, totals: FollowUpTotals | None, cost: float | None) -> dict[str, Any] | None:
    """The record's `judge`; None for a job without one."""
    if job.judge is None:
        return None
    judged, asked = evidence.judged or (), totals or _NOBODY
    return {
        **_who(job.judge, asked),
        "trusted": (why := distrust(judged, asked)) is None,
        "distrust": why,
        "canaries": _canaries(judged),
        **biases(judged),
        "scorers": [
            {
                "suite": each.suite,
                "label": each.label,
                "trusted": _distrust(each) is None,
                "canaries": _plain(_sum(each.canaries.values())),
                **biases([each]),
            }
            for each in judged
        ],
        "requests": asked.requests,
        "failed": asked.failed,
        "attempts": asked.attempts,
        "tokens": {"input": asked.input_tokens, "output": asked.output_tokens},
        "cost": cost,
        "cached": asked.cached,
    }


def _who(judge: JudgeSpec, asked: FollowUpTotals) -> dict[str, Any]:
    return {"endpoint": judge.endpoint, "model": judge.model, "served_models": asked.served_models}


def _canaries(judged: Sequence[JudgedScores]) -> dict[str, Any]:
    names = sorted({name for each in judged for name in each.canaries})
    by_name = {name: _sum(each.canaries[name] for each in judged if name in each.canaries) for name in names}
    return {**_plain(_sum(by_name.values())), "by_name": {name: _plain(seen) for name, seen in by_name.items()}}


def _sum(counts: Any) -> CanaryCount:
    each = list(counts)
    return CanaryCount(
        asked=sum(one.asked for one in each),
        answered=sum(one.answered for one in each),
        fooled=sum(one.fooled for one in each),
    )


def _plain(seen: CanaryCount) -> dict[str, int]:
    return {"asked": seen.asked, "answered": seen.answered, "fooled": seen.fooled}
