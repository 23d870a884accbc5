"""What a scrape sees of each of the latest jobs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from evalsvc.core.records import Arm
from evalsvc.core.states import JobState
from evalsvc.telemetry.counts import label
from evalsvc.telemetry.series import QUANTILES, JobSeries, Passes

#: Values of the labels, and the sample's.
Row = tuple[tuple[str, ...], float]
Rows = Callable[[JobSeries], Iterable[Row]]


def with_ids(jobs: Mapping[str, JobSeries], rows: Rows) -> Iterator[Row]:
    """The rows of all jobs, each with its job's id before its own labels."""
    for job_id, series in jobs.items():
        for labels, value in rows(series):
            yield (job_id, *labels), value


def _info(series: JobSeries) -> Iterator[Row]:
    for arm, model in series.models.items():
        yield (series.name, arm, label(model)), 1.0


def _state(series: JobSeries) -> Iterator[Row]:
    yield (series.present,), 1.0


def _progress(series: JobSeries) -> Iterator[Row]:
    """Of a job that this process has, or had, in hand; of one that was decided before, all is done."""
    if series.progress is not None and series.progress.total:
        yield (), series.progress.recorded / series.progress.total
    elif series.state is JobState.DONE:
        yield (), 1.0


def _pass_ratio(series: JobSeries) -> Iterator[Row]:
    return _ratios(((arm, suite, category), passes) for (arm, suite, category, _), passes in series.passes.items())


def _role_pass_ratio(series: JobSeries) -> Iterator[Row]:
    return _ratios(((arm, role), passes) for (arm, _, _, role), passes in series.passes.items())


def _ratios(parts: Iterable[tuple[tuple[str, ...], Passes]]) -> Iterator[Row]:
    sums: dict[tuple[str, ...], Passes] = defaultdict(Passes)
    for labels, passes in parts:
        sums[labels].passed += passes.passed
        sums[labels].scored += passes.scored
    for labels, all_of in sums.items():
        if all_of.scored:
            yield labels, all_of.passed / all_of.scored


def _latency(series: JobSeries) -> Iterator[Row]:
    for arm in Arm:
        for q in QUANTILES:
            value = series.quantiles.get((arm, q), series.sketches[arm].quantile(q))
            if value is not None:
                yield (arm, f"{q:g}"), value


def _tokens(series: JobSeries) -> Iterator[Row]:
    for key, n in series.tokens.items():
        yield key, float(n)


def _cost(series: JobSeries) -> Iterator[Row]:
    for arm, cost in series.cost.items():
        yield (arm,), cost


def _gates(series: JobSeries) -> Iterator[Row]:
    for key in series.gates.items():
        yield key, 1.0


def _decision(series: JobSeries) -> Iterator[Row]:
    if series.decision is not None:
        yield (series.decision,), 1.0


#: Gauges of the latest jobs, and how their rows are read.
OF_A_JOB: tuple[tuple[str, str, tuple[str, ...], Rows], ...] = (
    ("evalsvc_job_info", "The job's name and the models it asks.", ("name", "arm", "gen_ai_request_model"), _info),
    ("evalsvc_job_state", "The present state only.", ("state",), _state),
    ("evalsvc_job_progress_ratio", "Answers recorded of those planned.", (), _progress),
    (
        "evalsvc_job_pass_ratio",
        "Answers that pass of those scored, by suite and category; what is too many is in other.",
        ("arm", "suite", "category"),
        _pass_ratio,
    ),
    ("evalsvc_job_role_pass_ratio", "The same by role, all suites of it together.", ("arm", "role"), _role_pass_ratio),
    ("evalsvc_job_latency_seconds", "Quantiles of latency, to 1% until it is decided.", ("arm", "q"), _latency),
    ("evalsvc_job_tokens", "Tokens so far.", ("arm", "gen_ai_token_type"), _tokens),
    ("evalsvc_job_cost", "Cost so far, in the currency of the prices.", ("arm",), _cost),
    ("evalsvc_job_gate", "The present verdict of a gate only.", ("gate", "verdict"), _gates),
    ("evalsvc_job_decision", "The decision, once there is one.", ("decision",), _decision),
)
