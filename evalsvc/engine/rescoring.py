"""Scores every filed answer again: a filed score has to be what its scorer says of the filed text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isclose
from typing import Any

from evalsvc.core.difference import shown
from evalsvc.core.records import Completion, Job, Score, ScorerSpec, Status
from evalsvc.errors import EvalsvcError, JobError
from evalsvc.scoring.base import Scorer, build
from evalsvc.store.answers import Answers, FiledAnswer

#: What adding up binary fractions in another order may do to a score.
_NOISE = 1e-9
_NOTHING = Completion(text="")
#: A scorer is a plug-in: whatever it raises is a score that cannot be checked, as it was one that could not be given.
_RAISED = (
    *(ArithmeticError, AssertionError, AttributeError, EvalsvcError, LookupError, OSError, RuntimeError, TypeError),
    ValueError,
)


@dataclass(slots=True, kw_only=True)
class Rescored:
    """How it went. ``first`` is the first contradiction, None where there is none.

    ``unsure`` counts, by reason, the scores that could not be held against their scorer.
    """

    scores: int = 0
    first: str | None = None
    unsure: Counter[str] = field(default_factory=Counter)


async def rescore(job: Job, job_id: str, answers: Answers) -> Rescored:
    """Score every answer of a job again with the scorers of the job.

    Raises:
        ValueError, LookupError, TypeError, StoreError: rows that evalsvc cannot have written.
    """
    scorers = {suite.name: [(spec.label, _built(spec)) for spec in suite.scorers] for suite in job.suites}
    done = Rescored()
    async for chunk in answers.of(job_id):
        for answer in chunk:
            wrong = _contradiction(answer, scorers[answer.case.suite], done)
            if wrong is not None:
                done.first = f"{_name(answer)}: {wrong}"
                return done
    return done


def _built(spec: ScorerSpec) -> Scorer | None:
    try:
        return build(spec)
    except JobError:
        return None  # a plug-in that is not installed here


def _name(answer: FiledAnswer) -> str:
    return f"case {shown(answer.case.id)} of {shown(answer.case.suite)}, {answer.arm}, trial {answer.trial}"


def _contradiction(answer: FiledAnswer, scorers: Sequence[tuple[str, Scorer | None]], done: Rescored) -> str | None:
    """What is wrong with an answer's status or scores, or None."""
    wrong = _wrong_status(answer) or _wrong_labels(answer, [label for label, _ in scorers])
    if wrong or answer.status == Status.INFRA_ERROR:
        return wrong
    if answer.status == Status.MODEL_ERROR:
        done.scores += len(scorers)
        high = [label for label, _ in scorers if answer.scores[label]["value"] != 0]
        return f"{shown(high[0])} of a failed answer is not 0" if high else None
    for label, scorer in scorers:
        filed, again = answer.scores[label], _again(answer, scorer)
        if isinstance(again, str):
            done.unsure[again] += 1
        elif filed["value"] is None:
            done.unsure["the scorer raised then and does not now"] += 1
        elif not _alike(filed, again):
            was, now = shown(filed["value"]), shown(again.value)
            return f"{shown(label)} is filed as {was}, scoring the filed answer again gives {now}"
        else:
            done.scores += 1
    return None


def _alike(filed: Mapping[str, Any], again: Score) -> bool:
    """Whether two scores are the same, their shares of a corpus score included."""
    parts = list(getattr(again, "parts", ()))
    numbers = [filed["value"], *(filed.get("parts") or ())]
    return len(numbers) == 1 + len(parts) and all(
        isclose(one, other, rel_tol=_NOISE, abs_tol=_NOISE)
        for one, other in zip(numbers, [again.value or 0.0, *parts], strict=True)
    )


def _wrong_status(answer: FiledAnswer) -> str | None:
    completion = answer.completion
    if not answer.belongs:
        return "its outcome names another case"
    if answer.status == Status.OK and (completion is None or completion.fault):
        return f"filed as ok, and what came back is {completion.fault if completion else 'nothing'}"
    if answer.status == Status.MODEL_ERROR and completion is not None and completion.fault != answer.kind:
        return f"filed as {shown(answer.kind)}, and what came back is {completion.fault or 'a usable answer'}"
    return None


def _wrong_labels(answer: FiledAnswer, labels: list[str]) -> str | None:
    wanted = [] if answer.status == Status.INFRA_ERROR else labels
    if sorted(answer.scores) != sorted(wanted):
        return f"scores are filed for {shown(sorted(answer.scores))}, the job asks for {shown(sorted(wanted))}"
    primary = answer.scores[labels[0]]["value"] if wanted else None
    if answer.score != primary:
        return f"its score is filed as {shown(answer.score)} and as {shown(primary)}"
    return None


def _again(answer: FiledAnswer, scorer: Scorer | None) -> Score | str:
    """The score the filed answer gets now, or why it gets none."""
    if scorer is None:
        return "the scorer is not installed here"
    try:
        score = scorer.score(answer.case, answer.completion or _NOTHING)
    except _RAISED as error:
        return f"the scorer raises {type(error).__name__}"
    if not isinstance(score, Score):
        return "the scorer asks a model"
    return "the scorer gives none" if score.value is None else score
