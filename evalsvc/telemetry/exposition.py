"""What a scrape sees: read from the counts and from the live objects in the moment it comes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from evalsvc.core.progress import Load
from evalsvc.core.states import JobState
from evalsvc.telemetry.counts import Histogram, label
from evalsvc.telemetry.of_a_job import OF_A_JOB, Row, with_ids
from evalsvc.telemetry.series import JobSeries, Totals

_CALL = ("gen_ai_operation_name", "gen_ai_request_model", "gen_ai_provider_name", "arm")
#: Every endpoint is asked by OpenAI's protocol, whoever answers.
_PROVIDER = "openai"

#: Samples that are written out in one go: some 2 ms.
_AT_ONCE = 200


class Counted(Protocol):
    """Where the numbers are."""

    totals: Totals
    jobs: dict[str, JobSeries]
    states: dict[JobState, int]


class Exposition(Collector):
    """All metrics of evalsvc.

    Args:
        counted: where the numbers are.
        database: the file whose size and disk are shown.
        build: labels of ``evalsvc_build_info``.
    """

    def __init__(self, counted: Counted, database: Path | None, build: Mapping[str, str]) -> None:
        self._counted = counted
        self._database = database
        self._build = build

    def collect(self) -> Iterator[Metric]:
        """Every metric that has a value."""
        info = [(tuple(self._build.values()), 1.0)]
        yield _gauge("evalsvc_build_info", "The versions that run.", tuple(self._build), info)
        states = [((state.value,), float(n)) for state, n in self._states().items()]
        yield _gauge("evalsvc_jobs", "Jobs of the database by state.", ("state",), states)
        yield from _calls(self._counted.totals)
        yield from _requests(self._counted.totals)
        yield from _endpoints(self._counted.jobs.values())
        yield from _process(self._counted.totals)
        yield from self._disk()
        for name, text, labels, rows in OF_A_JOB:
            yield _gauge(name, text, ("eval_job", *labels), with_ids(self._counted.jobs, rows))

    def _states(self) -> dict[JobState, int]:
        """Jobs by state as it is: those that are paused are counted so before it is filed."""
        states = dict(self._counted.states)
        for series in self._counted.jobs.values():
            if series.present is not series.state and states[series.state]:
                states[series.state] -= 1
                states[series.present] += 1
        return states

    def _disk(self) -> Iterator[Metric]:
        """Nothing where it cannot be read: what is not known is not 0."""
        if self._database is None:
            return
        with suppress(OSError):
            size = sum(file.stat().st_size for file in _files(self._database))
            yield _gauge("evalsvc_store_bytes", "Size of the database and its log.", (), [((), float(size))])
        with suppress(OSError):
            disk = os.statvfs(self._database.parent)
            free = float(disk.f_bavail * disk.f_frsize)
            yield _gauge("evalsvc_store_free_bytes", "Room left on the disk of the database.", (), [((), free)])


class _Part(Collector):
    """Some samples of a metric, for an encoder."""

    def __init__(self, family: Metric, samples: Sequence[Sample]) -> None:
        self._part = Metric(family.name, family.documentation, family.type)
        self._part.samples = list(samples)

    def collect(self) -> Iterable[Metric]:
        return [self._part]


def parts(family: Metric) -> Iterator[Collector]:
    """A metric, a few of its samples at a time; at least one part."""
    for start in range(0, max(1, len(family.samples)), _AT_ONCE):
        yield _Part(family, family.samples[start : start + _AT_ONCE])


def _files(database: Path) -> Iterator[Path]:
    yield database
    log = database.with_name(f"{database.name}-wal")
    if log.exists():
        yield log


def _gauge(name: str, text: str, labels: tuple[str, ...], rows: Iterable[Row]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family


def _counter(name: str, text: str, labels: tuple[str, ...], rows: Iterable[Row]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family


def _histogram(
    name: str, text: str, labels: tuple[str, ...], rows: Iterable[tuple[tuple[str, ...], Histogram]]
) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, histogram in rows:
        family.add_metric(values, histogram.buckets(), histogram.sum)
    return family


def _calls(totals: Totals) -> Iterator[Metric]:
    yield _histogram(
        "gen_ai_client_operation_duration_seconds",
        "How long calls of models took: every try, failed ones with their error_type.",
        (*_CALL, "error_type"),
        [((*call, _PROVIDER, arm, error), h) for (call, arm, error), h in totals.durations.items()],
    )
    yield _histogram(
        "gen_ai_client_operation_time_to_first_chunk_seconds",
        "How long until the first token of a streamed answer.",
        _CALL,
        [((*call, _PROVIDER, arm), h) for (call, arm), h in totals.first_tokens.items()],
    )
    yield _histogram(
        "gen_ai_client_token_usage",
        "Tokens of an answer's prompt (input) and of the answer (output), as the server counted them.",
        (*_CALL, "gen_ai_token_type"),
        [((*call, _PROVIDER, arm, sort), h) for (call, arm, sort), h in totals.tokens.items()],
    )


def _requests(totals: Totals) -> Iterator[Metric]:
    yield _counter(
        "evalsvc_outcomes",
        "Recorded ends of requests, once durable; no kind where the answer was usable.",
        ("arm", "status", "kind"),
        [((arm, status, kind or ""), n) for (arm, status, kind), n in totals.outcomes.items()],
    )
    yield _counter(
        "evalsvc_scores",
        "Primary scores; error: the scorer could not tell.",
        ("arm", "role", "result"),
        [(key, n) for key, n in totals.scores.items()],
    )
    yield _counter(
        "evalsvc_retries",
        "Tries after one that failed, by why that one did.",
        ("endpoint", "reason"),
        [(key, n) for key, n in totals.retries.items()],
    )
    yield _counter(
        "evalsvc_cost",
        "What answers cost, in the currency of the endpoint's prices; absent where it has none.",
        ("arm",),
        [((arm,), cost) for arm, cost in totals.cost.items()],
    )
    yield _histogram(
        "evalsvc_wait_seconds",
        "How long tries waited before they were sent: for a slot, for the endpoint's quota, before a retry.",
        ("endpoint", "reason"),
        totals.waits.items(),
    )


def _endpoints(jobs: Iterable[JobSeries]) -> Iterator[Metric]:
    """Endpoints are shared by jobs; each of the built-in simulators belongs to one job."""
    loads: dict[str, dict[int, Load]] = {}
    for series in jobs:
        for name, load in (series.progress.asked if series.progress else {}).items():
            loads.setdefault(label(name), {})[id(load)] = load
    each = {
        name: [load for load in some.values() if load.in_flight] or [*some.values()][-1:]
        for name, some in loads.items()
    }
    yield _gauge(
        "evalsvc_requests_in_flight",
        "Requests under way.",
        ("endpoint",),
        [((name,), float(sum(load.in_flight for load in some))) for name, some in each.items()],
    )
    yield _gauge(
        "evalsvc_request_limit",
        "The most requests that may be under way at present.",
        ("endpoint",),
        [((name,), float(sum(load.limit for load in some))) for name, some in each.items()],
    )


def _process(totals: Totals) -> Iterator[Metric]:
    text = "How long transactions took to become durable."
    yield _histogram("evalsvc_store_commit_seconds", text, (), [((), totals.commits)])
    text = "How late the event loop came to what was due."
    yield _histogram("evalsvc_event_loop_lag_seconds", text, (), [((), totals.lags)])
    with suppress(RuntimeError):  # rendered beside no loop there are none to count
        tasks = [((), float(len(asyncio.all_tasks())))]
        yield _gauge("evalsvc_event_loop_tasks", "Tasks of the event loop that have not ended.", (), tasks)
