"""What a score takes beyond the answer: a judge's word, or what the model itself makes of a text.

Follow-ups are asked in the same step of the same worker as their answer, each as a request of its own, and the answer
is recorded together with them: it is never there without them, and after a crash all of them are asked again.

A scorer that compares the arms waits for both: the answer that comes first is held. Both arms of a case stand side by
side in the plan, so no more are held than are in flight.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from time import perf_counter

from evalsvc.core.records import NOT_COMPARED, Arm, Case, Completion, Job, Outcome, Request, Score, Status
from evalsvc.engine.executor import FAULTS, Executor, Rest, given, unscored
from evalsvc.engine.judging import Judge
from evalsvc.engine.plan import chars_of, messages_of
from evalsvc.scoring.base import AskingScorer, FollowUp, Scorer
from evalsvc.store.follow_ups import CANARY, FollowUpRows

#: Follow-ups of one score.
MOST = 4
#: Cases of a suite on which its judge is tried: the first of its planned order, whichever are answered first.
TRIED = 5
#: What begins a score.
Begin = Callable[[], Score | FollowUp]
_NO_ANSWER = Completion(text="")
_NOBODY = 'the job has no [judge], or the scorer asks another than it says ("judged")'


@dataclass(slots=True, kw_only=True)
class _Answer:
    """An answer on its way: its outcome so far, the scores that were asked for, and what was asked for them."""

    request: Request
    outcome: Outcome
    scores: dict[str, Score] = field(default_factory=dict)
    asked: list[Outcome] = field(default_factory=list)


class FollowUps:
    """Asks what the scorers of one job ask.

    Args:
        job: what is asked, and who judges.
        executor: runs requests.
        scorers: of each suite, (label, scorer), the primary first.
        rows: the follow-ups that are filed.
        judge: asks the judge; None where the job has none.
    """

    def __init__(
        self,
        *,
        job: Job,
        executor: Executor,
        scorers: Mapping[str, Sequence[tuple[str, Scorer]]],
        rows: FollowUpRows,
        judge: Judge | None,
    ) -> None:
        self._job = job
        self._executor = executor
        self._rows = rows
        self._judge = judge
        self._labels = {suite: [label for label, _ in each] for suite, each in scorers.items()}
        asking = {s: [(label, x) for label, x in each if isinstance(x, AskingScorer)] for s, each in scorers.items()}
        self._alone = {suite: [row for row in each if not row[1].paired] for suite, each in asking.items()}
        self._paired = {suite: [row for row in each if row[1].paired] for suite, each in asking.items()}
        self._judged = {suite: [row for row in each if row[1].judged] for suite, each in asking.items()}
        self._places: Mapping[str, Collection[int]] = {}
        self._held: dict[tuple[int, int], _Answer] = {}

    async def resume(self, job_id: str) -> None:
        """Find where the judge is to be tried: it follows from the job, however often it was left off."""
        suites = [suite for suite, judged in self._judged.items() if judged]
        self._places = await self._rows.first_places(job_id, suites, TRIED)

    async def of(self, request: Request, outcome: Outcome, rest: Rest) -> list[Outcome]:
        """The outcomes to record together, now that an answer is in; none while the other arm's is waited for.

        Raises:
            JobStopped: the job cannot go on.
        """
        answer, suite = _Answer(request=request, outcome=outcome), request.case.suite
        if outcome.status is Status.OK and outcome.completion is not None:
            for label, scorer in self._alone[suite]:
                begin = partial(scorer.follow_up, request.case, outcome.completion)
                answer.scores[label] = await self._score(answer, label, scorer, begin, rest)
        await self._try(answer, rest)
        if not self._paired[suite]:
            return self._whole(answer)
        place = (request.case.position, request.trial)
        other = self._held.pop(place, None)
        if other is None:
            self._held[place] = answer
            return []
        candidate, baseline = (answer, other) if request.arm is Arm.CANDIDATE else (other, answer)
        for label, scorer in self._paired[suite]:
            score = _uncompared(candidate.outcome, baseline.outcome)
            if score is None:
                score = await self._compared(candidate, baseline, label, scorer, rest)
            candidate.scores[label] = score
            baseline.scores[label] = _beside(score, candidate.outcome, baseline.outcome)
        return [*self._whole(other), *self._whole(answer)]

    def held(self) -> list[Outcome]:
        """What is still held when nothing more will be asked: recorded with the scores missing that compare."""
        found = []
        for answer in self._held.values():
            missing = Score(value=None, explanation=NOT_COMPARED)
            answer.scores |= {label: missing for label, _ in self._paired[answer.request.case.suite]}
            found += self._whole(answer)
        self._held.clear()
        return found

    def _whole(self, answer: _Answer) -> list[Outcome]:
        outcome = answer.outcome
        if outcome.status is not Status.INFRA_ERROR:
            scores = {**outcome.scores, **answer.scores}
            labels = self._labels[answer.request.case.suite]
            outcome = replace(outcome, scores={label: scores[label] for label in labels})
        return [outcome, *answer.asked]

    async def _compared(
        self, candidate: _Answer, baseline: _Answer, label: str, scorer: AskingScorer, rest: Rest
    ) -> Score:
        first, second = candidate.outcome.completion, baseline.outcome.completion
        if first is None or second is None:
            return Score(value=None, explanation=NOT_COMPARED)
        begin = partial(scorer.follow_up_pair, candidate.request.case, first, second)
        return await self._score(candidate, label, scorer, begin, rest)

    async def _try(self, answer: _Answer, rest: Rest) -> None:
        """Put the judge to the test, if the answer stands where that is planned."""
        request, outcome = answer.request, answer.outcome
        if request.case.position not in self._places.get(request.case.suite, ()):
            return
        for label, scorer in self._judged[request.case.suite]:
            beside = canaries_beside(scorer, request.arm, request.trial, outcome.status, outcome.completion)
            if beside is None:
                continue
            canaries = await given(scorer, len(beside.text), _canaries, scorer, request.case, beside)
            if isinstance(canaries, Score):
                continue
            for name, first in canaries.items():
                place = len(answer.asked)
                score = await self._score(answer, f"{label}{CANARY}{name}", scorer, partial(_same, first), rest)
                if len(answer.asked) > place:
                    answer.asked[place] = replace(answer.asked[place], scores={label: score})

    async def _score(self, answer: _Answer, name: str, scorer: AskingScorer, begin: Begin, rest: Rest) -> Score:
        """The score at the end of a chain of follow-ups; what was asked for it goes with the answer."""
        found = await given(scorer, _chars(answer), begin)
        steps: list[str] = []
        while isinstance(found, FollowUp):
            step = step_of(name, found)
            wrong = self._unaskable(scorer, found, step, steps)
            if wrong is not None:
                return unscored(wrong)
            steps.append(step)
            request = await given(scorer, 0, self._request, answer.request, step, found)
            if isinstance(request, Score):
                return request
            outcome = await self._ask(request, found, rest)
            answer.asked.append(outcome)
            if outcome.completion is None or not readable(outcome.status, outcome.kind, found):
                return unanswered(found, outcome.kind)
            found = await given(scorer, len(outcome.completion.text), found.read, outcome.completion)
        ended: object = found
        return ended if isinstance(ended, Score) else unscored(f"{type(ended).__name__} is no score")

    def _unaskable(self, scorer: AskingScorer, found: FollowUp, step: str, steps: Sequence[str]) -> str | None:
        if len(steps) == MOST:
            return f"more than {MOST} follow-ups"
        if step in steps:
            return f"two follow-ups of one score are called {step!r}"
        asks_judge = found.of == "judge"
        return _NOBODY if asks_judge != scorer.judged or (asks_judge and self._judge is None) else None

    def _request(self, about: Request, step: str, found: FollowUp) -> Request:
        spec = self._job.judge if found.of == "judge" else None
        arm = self._job.arms[about.arm]
        messages = messages_of(found.messages, None if spec is None else spec.system)
        return replace(
            about,
            case=replace(about.case, tools=None),  # they were for the answer
            step=step,
            endpoint=arm.endpoint if spec is None else spec.endpoint,
            model=arm.model if spec is None else spec.model,
            messages=messages,
            params=dict(found.params) if spec is None else {**found.params, **spec.params},
            chars=chars_of(messages),
            api=found.api if spec is None else spec.api,
            stream=False,
        )

    async def _ask(self, request: Request, found: FollowUp, rest: Rest) -> Outcome:
        if found.of == "judge" and self._judge is not None:
            return await self._judge.ask(request, rest)
        return await self._executor.run(request, perf_counter(), rest)


def canaries_beside(
    scorer: AskingScorer, arm: Arm, trial: int, status: str, completion: Completion | None
) -> Completion | None:
    """The answer beside which a scorer's canaries are put to the judge; None where none are put with this one.

    Where it compares, that is the baseline's: a candidate that is a canary itself would hide them. Where that answer
    failed, there is none to compare with. Who grades alone needs none: it is asked with the candidate's, come what may.
    """
    if trial or not scorer.judged or arm is not (Arm.BASELINE if scorer.paired else Arm.CANDIDATE):
        return None
    if status == Status.OK and completion is not None:
        return completion
    return None if scorer.paired else _NO_ANSWER


def step_of(name: str, found: FollowUp) -> str:
    """The step of a follow-up for the score (or the canary) of that name."""
    return f"{name}/{found.step}" if found.step else name


def readable(status: str, kind: str | None, found: FollowUp) -> bool:
    """Whether what came back on a follow-up can be read."""
    return status == Status.OK or (found.cut and kind == "truncated")


def unanswered(found: FollowUp, kind: str | None) -> Score:
    """The score that is missing because a follow-up ended in nothing to read."""
    who = "the judge" if found.of == "judge" else "the model"
    return Score(value=None, explanation=f"{who} gave no answer: {FAULTS.get(kind or '', kind)}")


def _canaries(scorer: AskingScorer, case: Case, completion: Completion) -> dict[str, FollowUp]:
    return dict(scorer.canaries(case, completion))


def _same(found: FollowUp) -> FollowUp:
    return found


def _chars(answer: _Answer) -> int:
    return len(answer.outcome.completion.text) if answer.outcome.completion else 0


def _uncompared(candidate: Outcome, baseline: Outcome) -> Score | None:
    """The candidate's score where there is nothing to ask: an arm without a usable answer loses to one that has it."""
    if Status.INFRA_ERROR in (candidate.status, baseline.status):
        return Score(value=None, explanation=NOT_COMPARED)
    if candidate.status is not Status.OK:
        return Score(value=0.0, explanation=FAULTS[candidate.kind or ""])
    if baseline.status is not Status.OK:
        return Score(value=1.0, explanation=f"the baseline's answer: {FAULTS[baseline.kind or '']}")
    return None


def _beside(score: Score, candidate: Outcome, baseline: Outcome) -> Score:
    """The baseline's score beside the candidate's; where both failed, both have lost."""
    if score.value is None:
        return score
    if baseline.status is not Status.OK:
        return Score(value=0.0, explanation=FAULTS[baseline.kind or ""])
    if candidate.status is not Status.OK:
        return Score(value=1.0, explanation=f"the candidate's answer: {score.explanation}")
    return Score(value=1.0 - score.value, explanation=score.explanation)
