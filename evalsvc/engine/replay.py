"""Reads again what was asked for a score, as it was filed: nobody is asked anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from evalsvc.core.records import NOT_COMPARED, Score, Status
from evalsvc.engine.follow_ups import MOST, canaries_beside, readable, step_of, unanswered
from evalsvc.errors import EvalsvcError, ScoringError
from evalsvc.scoring.base import AskingScorer, FollowUp, Scorer
from evalsvc.store.answers import FiledAnswer
from evalsvc.store.follow_ups import CANARY, FiledFollowUp

#: A scorer is a plug-in: whatever it raises is a score that cannot be checked, as it was one that could not be given.
RAISED = (
    *(ArithmeticError, AssertionError, AttributeError, EvalsvcError, LookupError, OSError, RuntimeError, TypeError),
    ValueError,
)
_NOT_THERE = "what was asked for it is not filed"


@dataclass(frozen=True, slots=True)
class Missing:
    """A score that has to be missing, and why."""

    why: str
    value: None = field(default=None, init=False)


#: A score; that there can be none; why it cannot be said.
Again = Score | Missing | str


@dataclass(frozen=True, slots=True)
class Replay:
    """An answer, the other arm's where it came before, and its follow-ups by step.

    A pair's follow-ups are filed with the candidate's answer, so its scores are checked there, both of them.
    """

    answer: FiledAnswer
    other: FiledAnswer | None
    said: Mapping[str, FiledFollowUp]

    def score(self, scorer: AskingScorer, label: str) -> Again:
        """The score of an answer that came."""
        completion = self.answer.completion
        if completion is None:
            return _NOT_THERE
        return self._ended(label, partial(scorer.follow_up, self.answer.case, completion))

    def pair(self, scorer: AskingScorer, label: str) -> list[tuple[FiledAnswer, Again]]:
        """The candidate's score and, beside it, the baseline's, where that answered at all; this is the candidate's."""
        if self.other is None:
            return [(self.answer, Missing(NOT_COMPARED))]
        found = self._compared(scorer, label, self.answer, self.other)
        return [(self.answer, found), (self.other, _beside(found, self.answer, self.other))]

    def _compared(self, scorer: AskingScorer, label: str, candidate: FiledAnswer, baseline: FiledAnswer) -> Again:
        if Status.INFRA_ERROR in (candidate.status, baseline.status):
            return Missing(NOT_COMPARED)
        if candidate.status != Status.OK or baseline.status != Status.OK:
            return Score(value=float(candidate.status == Status.OK))
        if candidate.completion is None or baseline.completion is None:
            return _NOT_THERE
        begin = partial(scorer.follow_up_pair, candidate.case, candidate.completion, baseline.completion)
        return self._ended(label, begin)

    def canaries(
        self, scorer: Scorer | None, label: str, *, planned: bool
    ) -> Iterator[tuple[str, Mapping[str, Any] | None, Again | None]]:
        """(name, filed score, score) of the canaries that were, or had to be, put to the judge with this answer.

        The filed score is None where there has to be a canary and is none, the score where there is one and has to be
        none. ``planned`` is whether the judge is tried on this case.
        """
        if not isinstance(scorer, AskingScorer):
            return
        prefix = f"{label}{CANARY}"
        filed = {
            step: each.scores[label]
            for step, each in self.said.items()
            if step.startswith(prefix) and label in each.scores
        }
        try:
            known = self._known(scorer, prefix) if planned else {}
        except RAISED as error:
            raised = f"the scorer raises {type(error).__name__}"
            yield from ((step.removeprefix(prefix), score, raised) for step, score in filed.items())
            return
        for step in sorted(filed.keys() | known.keys()):
            name, first = known.get(step, (step.removeprefix(prefix), None))
            again = None if first is None else self._ended(prefix + name, partial(_same, first))
            yield name, filed.get(step), again

    def _known(self, scorer: AskingScorer, prefix: str) -> dict[str, tuple[str, FollowUp]]:
        """By their first step, the canaries that had to be put to the judge with this answer."""
        answer = self.answer
        beside = canaries_beside(scorer, answer.arm, answer.trial, answer.status, answer.completion)
        put: Mapping[str, Any] = {} if beside is None else dict(scorer.canaries(answer.case, beside))
        asked = {name: first for name, first in put.items() if isinstance(first, FollowUp) and first.of == "judge"}
        return {step_of(prefix + name, first): (name, first) for name, first in asked.items()}

    def _ended(self, name: str, begin: Callable[[], Score | FollowUp]) -> Again:
        """What the chain of follow-ups ends in."""
        try:
            found = begin()
            for _ in range(MOST):
                if not isinstance(found, FollowUp):
                    break
                filed = self.said.get(step_of(name, found))
                if filed is None:
                    return _NOT_THERE
                if filed.completion is None or not readable(filed.status, filed.kind, found):
                    return Missing(unanswered(found, filed.kind).explanation)
                found = found.read(filed.completion)
        except ScoringError as error:
            return Missing(f"what was said gives none: {error}")
        except RAISED as error:
            return f"the scorer raises {type(error).__name__}"
        if isinstance(found, FollowUp):
            return Missing(f"it takes more than {MOST} follow-ups")
        return found if found.value is not None else Missing(found.explanation)


def _same(found: FollowUp) -> FollowUp:
    return found


def _beside(found: Again, candidate: FiledAnswer, baseline: FiledAnswer) -> Again:
    if not isinstance(found, Score) or found.value is None:
        return found
    if baseline.status != Status.OK:
        return Score(value=0.0)
    return Score(value=1.0 if candidate.status != Status.OK else 1.0 - found.value)
