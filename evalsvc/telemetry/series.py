"""What is counted: of this process as a whole, and of each of the latest jobs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

from evalsvc.core.progress import Progress
from evalsvc.core.records import Arm, Job, Role, Status
from evalsvc.core.states import IN_HAND, JobState
from evalsvc.telemetry.counts import SECONDS, SHORT, TOKENS, WAITS, Histogram, Sketch, label

#: What stands in a label for all that are too many to have one of their own.
OTHER = "other"
QUANTILES = (0.5, 0.95, 0.99)
RESULTS = ("pass", "fail", "error")
WAIT_REASONS = ("retry", "slot", "quota")
_RETRIED = ("rate_limited", "server", "network", "protocol", "timeout")
_KINDS = {
    Status.OK: (None,),
    Status.MODEL_ERROR: ("truncated", "refused", "empty", "context_overflow"),
    Status.INFRA_ERROR: ("rate_limited", "server", "network", "protocol", "timeout", "rejected"),
}
#: Histograms of durations, one for each operation, model, arm and error, before further models are taken together.
_DURATIONS = 100
#: Suites and categories of one job that have a label of their own.
_PAIRS = 20

#: (operation, model)
Call = tuple[str, str]


@dataclass(slots=True)
class Passes:
    """Of ``scored`` answers, ``passed`` ones."""

    passed: int = 0
    scored: int = 0


class Totals:
    """Counts of this process. What can happen to any job stands at 0 from the start: a rate is seen from its first."""

    def __init__(self) -> None:
        self.outcomes = {(arm, status, kind): 0 for arm in Arm for status, kinds in _KINDS.items() for kind in kinds}
        self.scores = {(arm, role, result): 0 for arm in Arm for role in Role for result in RESULTS}
        self.retries: dict[tuple[str, str], int] = {}
        self.waits: dict[tuple[str, str], Histogram] = {}
        self.cost: dict[str, float] = {}
        self.durations: dict[tuple[Call, str, str], Histogram] = {}
        self.first_tokens: dict[tuple[Call, str], Histogram] = {}
        self.tokens: dict[tuple[Call, str, str], Histogram] = {}
        self.commits = Histogram(SHORT)
        self.lags = Histogram(SHORT)

    def expect_endpoint(self, name: str) -> None:
        """Requests will go to this endpoint."""
        for reason in _RETRIED:
            self.retries.setdefault((name, reason), 0)
        for reason in WAIT_REASONS:
            self.waits.setdefault((name, reason), Histogram(WAITS))

    def duration(self, call: Call, arm: str, error: str) -> Histogram:
        """How long such calls took."""
        if (call, arm, error) not in self.durations and len(self.durations) >= _DURATIONS:
            call = (call[0], OTHER)
        return self.durations.setdefault((call, arm, error), Histogram(SECONDS))

    def first_token(self, call: Call, arm: str) -> Histogram:
        """How long until their first token."""
        return self.first_tokens.setdefault((call, arm), Histogram(SECONDS))

    def token(self, call: Call, arm: str, sort: str) -> Histogram:
        """Their ``input`` or ``output`` tokens."""
        return self.tokens.setdefault((call, arm, sort), Histogram(TOKENS))

    def keep_models(self, models: set[str]) -> None:
        """Drop what is counted of other models."""
        self.durations = {key: h for key, h in self.durations.items() if key[0][1] in models}
        self.first_tokens = {key: h for key, h in self.first_tokens.items() if key[0][1] in models}
        self.tokens = {key: h for key, h in self.tokens.items() if key[0][1] in models}


@dataclass(slots=True, kw_only=True)
class JobSeries:
    """One of the latest jobs.

    ``progress`` is None for a job this process never had in hand; ``passes`` are by arm, suite, category and role;
    ``quantiles`` (arm, q) are the decision record's, once there is one, and stand in place of the ``sketches``.
    ``usage_unknown`` are arms of which it is not known what all of their answers took: servers did not say, or some
    were stored before this process was there.
    """

    name: str
    state: JobState
    models: Mapping[Arm, str]
    judge: str | None = None
    progress: Progress | None = None
    usage_unknown: set[Arm] = field(default_factory=set)
    roles: Mapping[str, Role] = field(default_factory=dict)
    passes: dict[tuple[Arm, str, str, str], Passes] = field(default_factory=lambda: defaultdict(Passes))
    sketches: Mapping[Arm, Sketch] = field(default_factory=lambda: {arm: Sketch() for arm in Arm})
    quantiles: dict[tuple[Arm, float], float] = field(default_factory=dict)
    tokens: dict[tuple[Arm, str], int] = field(default_factory=dict)
    cost: dict[Arm, float] = field(default_factory=dict)
    gates: dict[str, str] = field(default_factory=dict)
    decision: str | None = None
    _pairs: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, job: Job, state: JobState) -> JobSeries:
        """A job of which nothing is known yet but what it asks."""
        judge = None if job.judge is None else job.judge.model
        models = {arm: spec.model for arm, spec in job.arms.items()}
        roles = {suite.name: suite.role for suite in job.suites}
        return cls(name=label(job.name), state=state, models=models, judge=judge, roles=roles)

    @property
    def present(self) -> JobState:
        """Its state as it is: a full disk pauses a job, and keeps that from being filed."""
        held = self.progress is not None and self.progress.paused is not None
        return JobState.PAUSED if held and self.state in IN_HAND else self.state

    def passes_of(self, arm: Arm, suite: str, category: str) -> Passes:
        """Where answers of a category are counted: the first 20 pairs of suite and category have their own."""
        pair = self._pairs.get((suite, category))
        if pair is None:
            pair = (OTHER, OTHER)
            if len(self._pairs) < _PAIRS:
                pair = self._pairs[suite, category] = (label(suite), label(category))
        return self.passes[arm, *pair, self.roles.get(suite, OTHER)]

    def forget_usage(self, arm: Arm) -> None:
        """From here on it is not known what all answers of an arm took: what a server did not say is not 0."""
        self.usage_unknown.add(arm)
        self.tokens = {key: count for key, count in self.tokens.items() if key[0] is not arm}
        self.cost.pop(arm, None)

    def decided(self, record: Mapping[str, Any]) -> None:
        """The decision record says it better than what was counted on the way."""
        self.decision = record.get("decision")
        self.gates = {gate["name"]: gate["verdict"] for gate in record.get("gates", ())}
        for name, row in record.get("arms", {}).items():
            arm, latency = Arm(name), row.get("latency") or {}
            for q in QUANTILES if latency.get("n") else ():
                value = latency.get(f"p{round(100 * q)}")
                self.quantiles[arm, q] = inf if value is None else value
            self.tokens |= {
                (arm, sort): count for sort, count in (row.get("tokens") or {}).items() if count is not None
            }
            if row.get("cost") is not None:
                self.cost[arm] = row["cost"]
