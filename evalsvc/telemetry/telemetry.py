"""Everything that is counted, in one object: told by the engine and by `app`, rendered for a scrape."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from evalsvc.core.events import Price
from evalsvc.core.progress import Listener, Progress
from evalsvc.core.records import Arm, Job
from evalsvc.core.states import JobState
from evalsvc.telemetry.counts import label
from evalsvc.telemetry.exposition import Exposition
from evalsvc.telemetry.series import OTHER, JobSeries, Passes, Totals
from evalsvc.telemetry.tally import JobTally

#: Jobs that have series of their own, and models that have labels of their own: not above 5,000 series in all.
_JOBS = 20
_MODELS = 10


class Telemetry:
    """The `evalsvc.core.events.Telemetry` of a daemon, and what `app` tells beside it. For the event loop's thread.

    Args:
        database: the file whose size, and whose disk's room, is shown; None shows neither.
    """

    def __init__(self, database: Path | None) -> None:
        self.totals = Totals()
        self.jobs: dict[str, JobSeries] = {}
        self.states = dict.fromkeys(JobState, 0)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(Exposition(self, database, _build()))
        ProcessCollector(registry=self._registry)

    def follow(
        self,
        job_id: str,
        job: Job,
        progress: Progress,
        prices: Mapping[Arm, Price | None],
        judge_price: Price | None = None,
        /,
    ) -> Listener:
        """See `evalsvc.core.events.Telemetry`."""
        series = self._series(job_id, job, JobState.RUNNING)
        series.progress = progress
        asked = [spec.model for spec in job.arms.values()] + ([] if job.judge is None else [job.judge.model])
        models = {model: self._model(model) for model in asked}
        return JobTally(job, series, self.totals, prices, models, judge_price)

    def committed(self, seconds: float, /) -> None:
        """See `evalsvc.core.events.Telemetry`."""
        self.totals.commits.add([seconds])

    def lagged(self, seconds: float, /) -> None:
        """See `evalsvc.core.events.Telemetry`."""
        self.totals.lags.add([seconds])

    def census(self, states: Mapping[JobState, int], /) -> None:
        """How many jobs of the database are in each state."""
        self.states = {state: states.get(state, 0) for state in JobState}

    def filed(self, job_id: str, job: Job, state: JobState, record: Mapping[str, Any] | None = None, /) -> None:
        """How a job stands in the database; ``record`` is its decision record, once decided."""
        series = self._series(job_id, job, state)
        if job_id in self.jobs:
            series.state = state
            if record is not None:
                series.decided(record)

    def removed(self, job_id: str, /) -> None:
        """A job is no longer in the database."""
        self.jobs.pop(job_id, None)

    def answered(self, job_id: str, answers: Iterable[tuple[Arm, str, str, int, int]], /) -> None:
        """What was stored of a job before this process had it in hand: (arm, suite, category, passed, scored).

        Nothing is done where something was counted already.
        """
        series = self.jobs.get(job_id)
        if series is not None and not series.passes:
            for arm, suite, category, passed, scored in answers:
                series.usage_unknown.add(arm)
                _add(series.passes_of(arm, suite, category), passed, scored)

    def render(self) -> tuple[str, bytes]:
        """The exposition: (content type, body)."""
        encode, content_type = choose_encoder("")
        return content_type, encode(self._registry)

    def _series(self, job_id: str, job: Job, state: JobState) -> JobSeries:
        """Those of the job. Ids tell which jobs are the latest; those of an older one are shown nowhere."""
        known = self.jobs.get(job_id)
        if known is not None:
            return known
        series = self.jobs[job_id] = JobSeries.of(job, state)
        if len(self.jobs) > _JOBS:
            del self.jobs[min(self.jobs)]
            self.totals.keep_models({OTHER, *self._models()})
        return series

    def _models(self) -> set[str]:
        return {
            label(model) for s in self.jobs.values() for model in (*s.models.values(), s.judge) if model is not None
        }

    def _model(self, model: str) -> str:
        """What stands for a model: itself, unless there are too many."""
        named = {call[1] for call, _, _ in self.totals.tokens} - {OTHER}
        short = label(model)
        return short if short in named or len(named) < _MODELS else OTHER


def _add(passes: Passes, passed: int, scored: int) -> None:
    passes.passed += passed
    passes.scored += scored


def _build() -> dict[str, str]:
    return {"version": version("evalsvc"), "python": platform.python_version()}


def make_telemetry(*, database: Path | None = None) -> Telemetry:
    """The telemetry of one process. ``database`` is the file whose size and disk are shown."""
    return Telemetry(database)
