"""Scores every filed answer again: a filed score has to be what its scorer says of the filed text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field
from math import isclose
from typing import Any

from evalsvc.core.difference import shown
from evalsvc.core.records import Arm, Completion, Job, Score, ScorerSpec, Status
from evalsvc.engine.follow_ups import TRIED
from evalsvc.engine.replay import RAISED, Again, Missing, Replay
from evalsvc.errors import JobError
from evalsvc.scoring.base import AskingScorer, Scorer, build, is_judged
from evalsvc.store.answers import Answers, FiledAnswer
from evalsvc.store.follow_ups import FollowUpRows

#: What adding up binary fractions in another order may do to a score.
_NOISE = 1e-9
_NOTHING = Completion(text="")

#: (position, arm) of the first trial's answer.
_Answered = tuple[int, Arm]


@dataclass(slots=True, kw_only=True)
class Rescored:
    """How it went. ``first`` is the first contradiction, None where there is none.

    ``unsure`` counts, by reason, the scores that could not be held against their scorer.
    """

    scores: int = 0
    first: str | None = None
    unsure: Counter[str] = field(default_factory=Counter)


async def rescore(job: Job, job_id: str, answers: Answers, follow_ups: FollowUpRows) -> Rescored:
    """Score every answer of a job again with the scorers of the job.

    What a judge or a model said to a scorer is not asked for again: it is read again as it was filed.

    Raises:
        ValueError, LookupError, TypeError, StoreError: rows that evalsvc cannot have written.
    """
    scorers = {suite.name: [(spec.label, _built(spec)) for spec in suite.scorers] for suite in job.suites}
    asks = any(isinstance(scorer, AskingScorer) for each in scorers.values() for _, scorer in each)
    places = await _tried(job, job_id, scorers, follow_ups)
    done, answered = Rescored(), set[_Answered]()
    others: dict[tuple[int, int], FiledAnswer] = {}
    async for chunk in answers.of(job_id):
        since, until = chunk[0].case.position, chunk[-1].case.position
        said = await follow_ups.between(job_id, since, until) if asks else {}
        for answer in chunk:
            position, suite = answer.case.position, answer.case.suite
            place = (position, answer.trial)
            replay = Replay(answer, others.pop(place, None), said.get((position, answer.arm, answer.trial), {}))
            planned = position in places.get(suite, ())
            if planned and not answer.trial:
                answered.add((position, answer.arm))
            if asks and answer.arm is Arm.BASELINE:  # comes before the candidate's, whose score is made of both
                others[place] = answer
            wrong = _contradiction(answer, scorers[suite], replay, done)
            wrong = wrong or _of_canaries(scorers[suite], replay, done, planned=planned)
            if wrong is not None:
                done.first = f"{_name(answer)}: {wrong}"
                return done
        others = {place: other for place, other in others.items() if place[0] == until}
    if job.stop == "never":  # else a suite may have ended before all of its places were asked
        done.first = _untried(places, answered)
    return done


async def _tried(
    job: Job, job_id: str, scorers: Mapping[str, Sequence[tuple[str, Scorer | None]]], follow_ups: FollowUpRows
) -> dict[str, frozenset[int]]:
    """By suite the places at which canaries had to be put to the judge."""
    judged = [suite for suite, each in scorers.items() if any(scorer and is_judged(scorer) for _, scorer in each)]
    return {} if job.judge is None else await follow_ups.first_places(job_id, judged, TRIED)


def _untried(places: Mapping[str, Collection[int]], answered: Container[_Answered]) -> str | None:
    """What is wrong where the judge had to be tried and an answer is not there; or None."""
    for suite, planned in places.items():
        for position in sorted(planned):
            if any((position, arm) not in answered for arm in Arm):
                return (
                    f"case {position} of {shown(suite)}: an answer is gone, and with it what the judge was tried with"
                )
    return None


def _built(spec: ScorerSpec) -> Scorer | None:
    try:
        return build(spec)
    except JobError:
        return None  # a plug-in that is not installed here


def _name(answer: FiledAnswer) -> str:
    return f"case {shown(answer.case.id)} of {shown(answer.case.suite)}, {answer.arm}, trial {answer.trial}"


def _contradiction(
    answer: FiledAnswer, scorers: Sequence[tuple[str, Scorer | None]], replay: Replay, done: Rescored
) -> str | None:
    """What is wrong with an answer's status or scores, or None."""
    wrong = _wrong_status(answer) or _wrong_labels(answer, [label for label, _ in scorers])
    wrong = wrong or _of_pairs(answer, scorers, replay, done)
    if wrong or answer.status == Status.INFRA_ERROR:
        return wrong
    if answer.status == Status.MODEL_ERROR:
        return _of_a_failure(answer, scorers, done)
    for label, scorer in scorers:
        if not _of_both(scorer):
            wrong = _unlike(label, answer.scores[label], _again(answer, label, scorer, replay), done)
            if wrong is not None:
                return wrong
    return None


def _of_a_failure(answer: FiledAnswer, scorers: Sequence[tuple[str, Scorer | None]], done: Rescored) -> str | None:
    """An answer that is none is worth 0, or nothing where 0 is a score like any other."""
    for label, scorer in scorers:
        if not _of_both(scorer):
            done.scores += 1
            wanted = 0 if scorer is None or scorer.bounds == (0.0, 1.0) else None
            if answer.scores[label]["value"] != wanted:
                return f"{shown(label)} of a failed answer is not {shown(wanted)}"
    return None


def _of_pairs(
    answer: FiledAnswer, scorers: Sequence[tuple[str, Scorer | None]], replay: Replay, done: Rescored
) -> str | None:
    """Scores that compare are checked where both answers are there, with the candidate's."""
    for label, scorer in scorers:
        if answer.arm is Arm.BASELINE or not isinstance(scorer, AskingScorer) or not scorer.paired:
            continue
        for of, wanted in replay.pair(scorer, label):
            filed = of.scores.get(label, {"value": None})
            wrong = _unlike(label, filed, wanted, done)
            if wrong is not None:
                return wrong if of is answer else f"{wrong} (the baseline's, beside it)"
    return None


def _of_canaries(
    scorers: Sequence[tuple[str, Scorer | None]], replay: Replay, done: Rescored, *, planned: bool
) -> str | None:
    """What a judge said of answers that deserve nothing decides whether it is believed: none of it may be missing."""
    for label, scorer in scorers:
        for name, filed, again in replay.canaries(scorer, label, planned=planned):
            canary = f"canary {shown(name)} of {shown(label)}"
            if filed is None:
                return f"{canary} is not filed, and had to be put to the judge here"
            if again is None:
                return f"{canary} is filed, and none such was to be put to the judge here"
            if isinstance(again, str):
                done.unsure[again] += 1
            elif filed["value"] != again.value:
                return f"{canary} is filed as {shown(filed['value'])}, and is {shown(again.value)}"
            else:
                done.scores += 1
    return None


def _of_both(scorer: Scorer | None) -> bool:
    return isinstance(scorer, AskingScorer) and scorer.paired


def _unlike(label: str, filed: Mapping[str, Any], again: Again, done: Rescored) -> str | None:
    """What is wrong with a filed score, held against the one it gets now; or None."""
    was = filed["value"]
    if isinstance(again, str):
        done.unsure[again] += 1
    elif isinstance(again, Missing):
        if was is not None:
            return f"{shown(label)} is filed as {shown(was)}, and {again.why}"
        done.scores += 1
    elif was is None:
        done.unsure["the scorer raised then and does not now"] += 1
    elif not _alike(filed, again):
        return f"{shown(label)} is filed as {shown(was)}, scoring the filed answer again gives {shown(again.value)}"
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


def _again(answer: FiledAnswer, label: str, scorer: Scorer | None, replay: Replay) -> Score | Missing | str:
    """The score the filed answer gets now, or why it gets none."""
    if scorer is None:
        return "the scorer is not installed here"
    if isinstance(scorer, AskingScorer):
        return replay.score(scorer, label)
    try:
        score = scorer.score(answer.case, answer.completion or _NOTHING)
    except RAISED as error:
        return f"the scorer raises {type(error).__name__}"
    if not isinstance(score, Score):
        return "the scorer gives no score"
    return "the scorer gives none" if score.value is None else score
