"""Counts the outcomes of one job. It is called on the event loop for all of them: what it costs, every request pays.

So it takes them in batches, as they become durable, and looks up once what does not change from one to the next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import inf

from evalsvc.core.events import Price
from evalsvc.core.records import Arm, ArmSpec, Job, JudgeSpec, Outcome, Role, Status
from evalsvc.telemetry.counts import Histogram, label
from evalsvc.telemetry.series import Call, JobSeries, Passes, Totals

_OPERATIONS = {"completions": "text_completion"}
_ANSWER = "answer"
#: Stands where an arm does, for the calls of a job's judge.
JUDGE = "judge"
#: Pairs of suite and category whose place is remembered; a hostile data set has any number of them.
_REMEMBERED = 1000


class JobTally:
    """The `evalsvc.core.progress.Listener` of one job. ``models`` are the labels of its models."""

    def __init__(
        self,
        job: Job,
        series: JobSeries,
        totals: Totals,
        prices: Mapping[Arm, Price | None],
        models: Mapping[str, str],
        judge_price: Price | None = None,
    ) -> None:
        self._totals = totals
        self._arms = {arm: _Answers(job, arm, series, totals) for arm in job.arms}
        self._calls = {
            arm: _ArmCalls(job, arm, series, totals, prices.get(arm), models[spec.model])
            for arm, spec in job.arms.items()
            if not spec.recorded  # then no model is called
        }
        spec = job.judge
        self._judge = None if spec is None else _Calls(spec, JUDGE, totals, judge_price, models[spec.model])

    def add(self, outcomes: Sequence[Outcome], /) -> None:
        """Count outcomes that have just become durable: answers by arm, and every call by whom it was made to."""
        totals = self._totals.outcomes
        for key, count in Counter([(o.arm, o.status, o.kind) for o in outcomes if o.step == _ANSWER]).items():
            totals[key] = totals.get(key, 0) + count
        for arm, tally in self._arms.items():
            answers = [o for o in outcomes if o.arm is arm and o.step == _ANSWER]
            tally.add(answers)
            if arm in self._calls:
                self._calls[arm].answered(answers)
        self._follow_ups([o for o in outcomes if o.step != _ANSWER])

    def _follow_ups(self, outcomes: Sequence[Outcome]) -> None:
        if not outcomes:
            return
        asked = [o for o in outcomes if o.attempts]  # the others were not asked for again
        if self._judge is not None:
            self._judge.add([o for o in asked if o.judged])
        for arm, calls in self._calls.items():
            calls.add([o for o in asked if o.arm is arm and not o.judged])


class _Answers:
    """The scores of one arm."""

    def __init__(self, job: Job, arm: Arm, series: JobSeries, totals: Totals) -> None:
        self._arm = arm
        self._series = series
        self._totals = totals
        self._suites = {suite.name: (suite.role, suite.scorers[0].pass_at) for suite in job.suites}
        self._passes: dict[tuple[str, str], Passes] = {}

    def add(self, answers: Sequence[Outcome]) -> None:
        """Count their primary scores; an answer that is missing has none."""
        results = []
        for outcome in answers:
            for score in outcome.scores.values():
                case = outcome.case
                role, pass_at = self._suites[case.suite]
                if score.value is None:
                    results.append((role, "error"))
                    break
                passed = score.value >= pass_at
                passes = self._passes.get((case.suite, case.category)) or self._place(case.suite, case.category)
                passes.scored += 1
                passes.passed += passed
                results.append((role, "pass" if passed else "fail"))
                break
        for (role, result), count in Counter(results).items():
            self._totals.scores[self._arm, role, result] += count

    def _place(self, suite: str, category: str) -> Passes:
        passes = self._series.passes_of(self._arm, suite, category)
        if len(self._passes) < _REMEMBERED:
            self._passes[suite, category] = passes
        return passes


class _Calls:
    """The calls of one model, by who is asked: an arm's name, or `JUDGE`."""

    def __init__(self, spec: ArmSpec | JudgeSpec, who: str, totals: Totals, price: Price | None, model: str) -> None:
        self._who = who
        self._totals = totals
        self._price = price
        self._endpoint = label(spec.endpoint)
        self._call: Call = (_OPERATIONS.get(spec.api, "chat"), model)
        totals.expect_endpoint(self._endpoint)
        self._slot, self._quota, self._retry = (totals.waits[self._endpoint, r] for r in ("slot", "quota", "retry"))
        self._errors: dict[str | None, Histogram] = {None: totals.duration(self._call, who, "")}
        self._tokens = {sort: totals.token(self._call, who, sort) for sort in ("input", "output")}
        if price is not None:
            totals.cost.setdefault(who, 0.0)

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Count every try of them, what they used and how long they took."""
        self._attempts(outcomes)
        self._usage(used_by(outcomes))

    def _attempts(self, outcomes: Sequence[Outcome]) -> None:
        attempts = [attempt for outcome in outcomes for attempt in outcome.attempts]
        self._slot.add([attempt.slot_wait_s for attempt in attempts])
        self._quota.add([attempt.quota_wait_s for attempt in attempts])
        for kind in {attempt.kind for attempt in attempts}:
            self._duration(kind).add([attempt.seconds for attempt in attempts if attempt.kind == kind])
        for outcome in outcomes:
            if len(outcome.attempts) > 1:
                self._retried(outcome)

    def _usage(self, used: Mapping[str, Sequence[int]]) -> float:
        """Count tokens; gives what they cost, 0 where there is no price."""
        for sort, counts in used.items():
            self._tokens[sort].add(counts)
        if self._price is None:
            return 0.0
        cost = (sum(used["input"]) * self._price[0] + sum(used["output"]) * self._price[1]) / 1e6
        self._totals.cost[self._who] += cost
        return cost

    def _duration(self, kind: str | None) -> Histogram:
        found = self._errors.get(kind)
        if found is None:
            found = self._errors[kind] = self._totals.duration(self._call, self._who, kind or "")
        return found

    def _retried(self, outcome: Outcome) -> None:
        retries = self._totals.retries
        for failed, again in pairwise(outcome.attempts):
            key = (self._endpoint, failed.kind or "")
            retries[key] = retries.get(key, 0) + 1
            self._retry.add([again.retry_wait_s])


class _ArmCalls(_Calls):
    """The calls of one arm's model: what its answers took is counted of the job, too."""

    def __init__(self, job: Job, arm: Arm, series: JobSeries, totals: Totals, price: Price | None, model: str) -> None:
        spec = job.arms[arm]
        super().__init__(spec, arm.value, totals, price, model)
        self._arm = arm
        self._series = series
        self._train = {suite.name for suite in job.suites if suite.role is Role.TRAIN}
        self._first_token = totals.first_token(self._call, arm.value) if spec.stream else None
        if arm not in series.usage_unknown:
            series.tokens |= {(arm, sort): series.tokens.get((arm, sort), 0) for sort in self._tokens}
            series.cost |= {} if price is None else {arm: series.cost.get(arm, 0.0)}

    def answered(self, answers: Sequence[Outcome]) -> None:
        """Count answers."""
        self._attempts(answers)
        used, answered = used_by(answers), [o.completion for o in answers if o.completion is not None]
        cost = self._usage(used)
        if self._first_token is not None:
            self._first_token.add([c.first_token_s for c in answered if c.first_token_s is not None])
        if any(len(counts) < len(answered) for counts in used.values()):
            self._series.forget_usage(self._arm)
        if self._arm not in self._series.usage_unknown:
            for sort, counts in used.items():
                self._series.tokens[self._arm, sort] += sum(counts)
            if self._price is not None:
                self._series.cost[self._arm] += cost
        train = self._train
        self._series.sketches[self._arm].add(
            list(_latencies([o for o in answers if o.trial == 0 and o.case.suite not in train]))
        )


def used_by(outcomes: Sequence[Outcome]) -> dict[str, list[int]]:
    """Tokens of outcomes, where their servers counted them."""
    answered = [o.completion for o in outcomes if o.completion is not None]
    return {
        "input": [c.input_tokens for c in answered if c.input_tokens is not None],
        "output": [c.output_tokens for c in answered if c.output_tokens is not None],
    }


def _latencies(answers: Sequence[Outcome]) -> Iterator[float]:
    """The samples of product.md: the last attempt of a first trial; a timeout is longer than all others."""
    for outcome in answers:
        if outcome.status is not Status.INFRA_ERROR:
            yield outcome.attempts[-1].seconds if outcome.attempts else inf
        elif outcome.kind == "timeout":
            yield inf
