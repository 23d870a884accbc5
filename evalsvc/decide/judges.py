"""Is the judge to be believed? Its canaries decide that; a judge they fool gates nothing.

What it is tried with are answers that deserve nothing whatever was asked (`AskingScorer.canaries`). Nothing is
concluded in its favour from canaries that got no verdict.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import nan
from typing import Any

import numpy as np

from evalsvc.core.evidence import ArmScores, CanaryCount, Evidence, FollowUpTotals, JudgedScores
from evalsvc.core.records import Arm, GateSpec, Job, JudgeSpec, Verdict
from evalsvc.decide.verdict import GateResult, Settings, gates
from evalsvc.stats.interval import Interval
from evalsvc.stats.length import LengthEffect, length_effect
from evalsvc.stats.rates import wilson

#: Share of canaries that may fool a judge. Eight canaries on five cases are forty: one slip is chance, two are a hole
#: that a model trained against this judge will find.
MAX_FOOLED = 0.03
#: Share of canaries that have to get a verdict: where a fifth went unanswered, what is known is what did not fail.
MIN_ANSWERED = 0.8
#: Canaries without which nothing is known: those of two cases.
MIN_ASKED = 16
#: Proven share of decided pairs won by the longer answer that is worth a warning.
LONGER = 0.6
#: Share of pairs that flip with the order that is worth a warning: what GPT-4 did (Zheng et al. 2023, table 2).
FLIPS = 0.35

_NOBODY = FollowUpTotals(
    requests=0, failed=0, attempts=0, cached=0, input_tokens=None, output_tokens=None, served_models=()
)


def distrust(judged: Sequence[JudgedScores], asked: FollowUpTotals | None = None) -> str | None:
    """Why the judge is not trusted, in words; None where it is. ``asked`` says which models answered in its place."""
    if not judged:
        return "no scorer puts a canary to it"
    if asked is not None and len(asked.served_models) > 1:
        return f"its canaries say nothing of models that answered later: {', '.join(asked.served_models)} did"
    return next((why for each in judged if (why := _distrust(each)) is not None), None)


def _distrust(judged: JudgedScores) -> str | None:
    seen, where = _sum(judged.canaries.values()), f"suite {judged.suite}, scorer {judged.label}"
    if not seen.asked:
        return f"no canary was put to it ({where})"
    if seen.fooled > MAX_FOOLED * seen.answered:
        return f"it fell for {seen.fooled} of {_canaries_said(seen.answered)} ({where})"
    if seen.asked < MIN_ASKED:
        return f"{_canaries_said(seen.asked)} are too few to tell: {MIN_ASKED} at least ({where})"
    if seen.answered < MIN_ANSWERED * seen.asked:
        return f"only {seen.answered} of {_canaries_said(seen.asked)} got a verdict ({where})"
    if len(judged.verdicts) == 1:
        return f"it says the same of everything it is shown, canaries included ({where})"
    return None


def _canaries_said(n: int) -> str:
    return "1 canary" if n == 1 else f"{n} canaries"


def rests_on_judge(spec: GateSpec, evidence: Evidence, rule: str) -> bool:
    """Whether a gate would have seen something else had the judge said nothing; ``rule`` is the job's `evidence`."""

    def seen(of: Evidence) -> tuple[Any, ...]:
        result = gates[spec.name](of, Settings(spec=spec, evidence=rule))
        return result.n, result.estimate, dict(result.missing)

    return seen(evidence) != seen(_unjudged(evidence))


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


def _unjudged(evidence: Evidence) -> Evidence:
    """The evidence without what the judge said: all its scores are missing."""
    judged = {(each.suite, each.label) for each in evidence.judged or ()}
    tables = [
        replace(table, arms={arm: _missing(len(scores.mean)) for arm, scores in table.arms.items()})
        if (table.suite, table.label) in judged
        else table
        for table in evidence.tables
    ]
    return replace(evidence, tables=tuple(tables))


def _missing(cases: int) -> ArmScores:
    """Scores of which nothing is known."""
    unknown, low, high = (array("d", [value]) * cases for value in (nan, 0.0, 1.0))
    return ArmScores(mean=unknown, low=low, high=high)


def judge_warnings(job: Job, judged: Sequence[JudgedScores], asked: FollowUpTotals | None = None) -> Iterator[str]:
    """What a reader has to know of the judge before anything else."""
    if job.judge is None:
        return
    if (why := distrust(judged, asked)) is not None:
        fell_for = sorted({name for each in judged for name, seen in each.canaries.items() if seen.fooled})
        names = f": {', '.join(fell_for)}" if fell_for else ""
        yield f"the judge ({job.judge.model}) is not trusted, and its scores gate nothing: {why}{names}"
    for arm in Arm:
        if job.judge.judges_itself(job.arms[arm]):
            yield f"the judge is the model of the {arm}: models prefer their own answers"
    for each in judged:
        yield from _bias_warnings(each)


def _bias_warnings(judged: JudgedScores) -> Iterator[str]:
    where = f"suite {judged.suite}, scorer {judged.label}"
    flipped, pairs = _flips(judged.orders)
    if flipped > FLIPS * pairs:
        yield f"{where}: the judge contradicts itself on {flipped} of {pairs} pairs when their order is turned"
    won, decided = _longer(judged)
    if decided and (wilson(won, decided).low or 0.0) > LONGER:
        yield f"{where}: the judge preferred the longer answer in {won} of {decided} decided pairs"
    effect = _effect([judged])
    if effect is not None and effect.explained:
        yield (
            f"{where}: length explains what the judge prefers: a difference of {effect.raw:+.3f}, "
            f"and {effect.controlled:+.3f} (not proven) between answers of equal length"
        )


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
        **_biases(judged),
        "scorers": [
            {
                "suite": each.suite,
                "label": each.label,
                "trusted": _distrust(each) is None,
                "canaries": _plain(_sum(each.canaries.values())),
                **_biases([each]),
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


def _biases(judged: Sequence[JudgedScores]) -> dict[str, Any]:
    orders = sum((Counter(each.orders) for each in judged), Counter[tuple[float, float]]())
    return {
        "flip_rate": _rate(*_flips(orders)),
        "first_position_rate": _rate(*_first(orders)),
        "length_bias": _length_bias(judged),
    }


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


def _flips(orders: Mapping[tuple[float, float], int]) -> tuple[int, int]:
    """Pairs whose verdict hangs on their order, and all pairs."""
    return sum(n for (one, other), n in orders.items() if one != other), sum(orders.values())


def _first(orders: Mapping[tuple[float, float], int]) -> tuple[int, int]:
    """Verdicts for the answer shown first, and all that are no tie."""
    first = sum(n * ((one == 1) + (other == 0)) for (one, other), n in orders.items())
    return first, sum(n * ((one != 0.5) + (other != 0.5)) for (one, other), n in orders.items())


def _longer(judged: JudgedScores) -> tuple[int, int]:
    """Cases that the longer answer won, and those won by either where one is longer."""
    signs = np.sign(np.asarray(judged.delta)) * np.sign(np.asarray(judged.log_length))
    return int((signs > 0).sum()), int((signs != 0).sum())


def _length_bias(judged: Sequence[JudgedScores]) -> dict[str, Any] | None:
    won, decided = (sum(column) for column in zip(*map(_longer, judged), strict=True)) if judged else (0, 0)
    share, effect = _rate(won, decided), _effect(judged)
    return None if share is None else {"longer_won": share, "effect": None if effect is None else _worded(effect)}


def _effect(judged: Sequence[JudgedScores]) -> LengthEffect | None:
    """Of one scorer: differences of several are of several units."""
    if len(judged) != 1:
        return None
    return length_effect(np.asarray(judged[0].delta), np.asarray(judged[0].log_length))


def _worded(effect: LengthEffect) -> dict[str, Any]:
    return {
        "n": effect.n,
        "raw": effect.raw,
        "raw_interval": _pair(effect.raw_interval),
        "equal_length": effect.controlled,
        "equal_length_interval": _pair(effect.controlled_interval),
        "slope": effect.slope,
    }


def _rate(events: int, n: int) -> dict[str, Any] | None:
    return {"count": events, "n": n, "rate": events / n, "wilson": _pair(wilson(events, n))} if n else None


def _pair(interval: Interval) -> list[float | None]:
    return [interval.low, interval.high]
