"""Everything that is counted, in one object: told by the engine and by `app`, rendered for a scrape."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from evalsvc.core.events import Price
from evalsvc.core.progress import Listener, Progress
from evalsvc.core.records import Arm, Job
from evalsvc.core.states import IN_HAND, JobState
from evalsvc.telemetry.counts import label
from evalsvc.telemetry.exposition import Exposition, parts
from evalsvc.telemetry.series import OTHER, JobSeries, Passes, Totals
from evalsvc.telemetry.tally import JobTally

#: Jobs that have series of their own, and models that have labels of their own: not above 5,000 series in all.
_JOBS = 20
_MODELS = 10
#: How old the exposition may be that a scrape is given: many scrapers cost one encoding.
_FRESH_S = 1.0


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
        self._encode, self._content_type = choose_encoder("")
        self._scraping = anyio.Lock()
        self._scraped = (-_FRESH_S, b"")

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
        series.state, series.progress = JobState.RUNNING, progress
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

    async def scrape(self) -> tuple[str, bytes]:
        """The exposition, at most a second old: (content type, body).

        Writing it out is a processor's work of some 50 ms, and the encoder keeps the interpreter while it works,
        in whatever thread: so it is done a part at a time, and the loop goes on between them.
        """
        async with self._scraping:
            if monotonic() - self._scraped[0] >= _FRESH_S:
                began, written = monotonic(), []
                for part in self._written():
                    written.append(part)
                    await checkpoint()
                self._scraped = (began, b"".join(written))
            return self._content_type, self._scraped[1]

    def render(self) -> tuple[str, bytes]:
        """The exposition as of now, all at once: (content type, body)."""
        return self._content_type, b"".join(self._written())

    def _written(self) -> Iterator[bytes]:
        for family in self._registry.collect():
            for number, part in enumerate(parts(family)):
                text = self._encode(part)
                # what a family is, two lines, stands before its first part only
                yield text.split(b"\n", 2)[2] if number else text

    def _series(self, job_id: str, job: Job, state: JobState) -> JobSeries:
        """Those of the job; where it is not one of the latest they are shown nowhere."""
        known = self.jobs.get(job_id)
        if known is not None:
            return known
        series = self.jobs[job_id] = JobSeries.of(job, state)
        if len(self.jobs) > _JOBS:
            del self.jobs[min(self.jobs, key=self._lateness)]
            self.totals.keep_models({OTHER, *self._models()})
        return series

    def _lateness(self, job_id: str) -> tuple[bool, bool, str]:
        """Orders jobs: those in hand are the latest, then those that ended; of each kind, ids tell."""
        state = self.jobs[job_id].state
        return state in IN_HAND, state is not JobState.QUEUED, job_id

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
