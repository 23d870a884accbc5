"""Counts the outcomes of one job. It is called on the event loop for all of them: what it costs, every request pays.

So it takes them in batches, as they become durable, and looks up once what does not change from one to the next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import inf

from evalsvc.core.events import Price
from evalsvc.core.records import Arm, Job, Outcome, Role, Status
from evalsvc.telemetry.counts import Histogram, label
from evalsvc.telemetry.series import Call, JobSeries, Passes, Totals

_OPERATIONS = {"completions": "text_completion"}
_ANSWER = "answer"
#: Pairs of suite and category whose place is remembered; a hostile data set has any number of them.
_REMEMBERED = 1000


class JobTally:
    """The `evalsvc.core.progress.Listener` of one job. ``models`` are the labels of its models."""

    def __init__(
        self, job: Job, series: JobSeries, totals: Totals, prices: Mapping[Arm, Price | None], models: Mapping[str, str]
    ) -> None:
        self._totals = totals
        self._arms = {arm: _Answers(job, arm, series, totals) for arm in job.arms}
        self._calls = {
            arm: _Calls(job, arm, series, totals, prices.get(arm), models[spec.model])
            for arm, spec in job.arms.items()
            if not spec.recorded  # then no model is called
        }

    def add(self, outcomes: Sequence[Outcome], /) -> None:
        """Count outcomes that have just become durable."""
        totals = self._totals.outcomes
        for key, count in Counter([(o.arm, o.status, o.kind) for o in outcomes]).items():
            totals[key] = totals.get(key, 0) + count
        for arm, tally in self._arms.items():
            answers = [o for o in outcomes if o.arm is arm and o.step == _ANSWER]  # a follow-up asks another model
            tally.add(answers)
            if arm in self._calls:
                self._calls[arm].add(answers)


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
    """The calls of one arm's model."""

    def __init__(self, job: Job, arm: Arm, series: JobSeries, totals: Totals, price: Price | None, model: str) -> None:
        spec = job.arms[arm]
        self._arm = arm
        self._series = series
        self._totals = totals
        self._price = price
        self._train = {suite.name for suite in job.suites if suite.role is Role.TRAIN}
        self._endpoint = label(spec.endpoint)
        self._call: Call = (_OPERATIONS.get(spec.api, "chat"), model)
        totals.expect_endpoint(self._endpoint)
        self._slot, self._quota, self._retry = (totals.waits[self._endpoint, r] for r in ("slot", "quota", "retry"))
        self._errors: dict[str | None, Histogram] = {None: totals.duration(self._call, arm, "")}
        self._tokens = {sort: totals.token(self._call, arm, sort) for sort in ("input", "output")}
        self._first_token = totals.first_token(self._call, arm) if spec.stream else None
        if price is not None:
            totals.cost.setdefault(arm, 0.0)
        if arm not in series.usage_unknown:
            series.tokens |= {(arm, sort): series.tokens.get((arm, sort), 0) for sort in self._tokens}
            series.cost |= {} if price is None else {arm: series.cost.get(arm, 0.0)}

    def add(self, answers: Sequence[Outcome]) -> None:
        """Count every try of them, what they used and how long they took."""
        attempts = [attempt for outcome in answers for attempt in outcome.attempts]
        self._slot.add([attempt.slot_wait_s for attempt in attempts])
        self._quota.add([attempt.quota_wait_s for attempt in attempts])
        for kind in {attempt.kind for attempt in attempts}:
            self._duration(kind).add([attempt.seconds for attempt in attempts if attempt.kind == kind])
        for outcome in answers:
            if len(outcome.attempts) > 1:
                self._retried(outcome)
        self._usage(answers)
        train = self._train
        self._series.sketches[self._arm].add(
            list(_latencies([o for o in answers if o.trial == 0 and o.case.suite not in train]))
        )

    def _duration(self, kind: str | None) -> Histogram:
        found = self._errors.get(kind)
        if found is None:
            found = self._errors[kind] = self._totals.duration(self._call, self._arm, kind or "")
        return found

    def _retried(self, outcome: Outcome) -> None:
        retries = self._totals.retries
        for failed, again in pairwise(outcome.attempts):
            key = (self._endpoint, failed.kind or "")
            retries[key] = retries.get(key, 0) + 1
            self._retry.add([again.retry_wait_s])

    def _usage(self, answers: Sequence[Outcome]) -> None:
        answered = [o.completion for o in answers if o.completion is not None]
        used = {
            "input": [c.input_tokens for c in answered if c.input_tokens is not None],
            "output": [c.output_tokens for c in answered if c.output_tokens is not None],
        }
        for sort, counts in used.items():
            self._tokens[sort].add(counts)
        if self._first_token is not None:
            self._first_token.add([c.first_token_s for c in answered if c.first_token_s is not None])
        cost = 0.0
        if self._price is not None:
            cost = (sum(used["input"]) * self._price[0] + sum(used["output"]) * self._price[1]) / 1e6
            self._totals.cost[self._arm] += cost
        if any(len(counts) < len(answered) for counts in used.values()):
            self._series.forget_usage(self._arm)
        if self._arm not in self._series.usage_unknown:
            for sort, counts in used.items():
                self._series.tokens[self._arm, sort] += sum(counts)
            if self._price is not None:
                self._series.cost[self._arm] += cost


def _latencies(answers: Sequence[Outcome]) -> Iterator[float]:
    """The samples of product.md: the last attempt of a first trial; a timeout is longer than all others."""
    for outcome in answers:
        if outcome.status is not Status.INFRA_ERROR:
            yield outcome.attempts[-1].seconds if outcome.attempts else inf
        elif outcome.kind == "timeout":
            yield inf
