"""What the dashboards show. `generate.py` writes them."""

# ruff: noqa: INP001 - a script beside its data, not a package

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

#: How a panel is drawn: lines over time, bars of the present values, one number, or the legends themselves as words.
Kind = Literal["lines", "stack", "bars", "number", "words"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A panel: what it shows, and why one looks at it. ``queries`` are (PromQL, legend)."""

    title: str
    about: str
    queries: Sequence[tuple[str, str]]
    kind: Kind = "lines"
    unit: str = "short"
    width: int = 8
    height: int = 7
    most: float | None = None


_FLEET = 'instance=~"$instance"'
OF_JOB = 'eval_job="$eval_job", instance=~"$instance"'
_CALLS = 'gen_ai_request_model=~"$model", instance=~"$instance"'
_EVERY = "$__rate_interval"


def _quantile(q: float, metric: str, by: str, labels: str = _FLEET) -> str:
    return f"histogram_quantile({q}, sum by (le, {by}) (rate({metric}_bucket{{{labels}}}[{_EVERY}])))"


def _rate(metric: str, by: str, labels: str = _FLEET) -> str:
    return f"sum by ({by}) (rate({metric}{{{labels}}}[{_EVERY}]))"


def _share(part: str, whole: str) -> str:
    """Of nothing there is no share."""
    return f"{part} / ({whole} > 0)"


def _passes(arm: str) -> str:
    return f'evalsvc_job_pass_ratio{{arm="{arm}", {OF_JOB}}}'


_DURATION = "gen_ai_client_operation_duration_seconds"
_FIRST = "gen_ai_client_operation_time_to_first_chunk_seconds"

FLEET: dict[str, Sequence[Panel]] = {
    "Queue": [
        Panel(
            title="Daemons up",
            about="Daemons that answer a scrape.",
            queries=[('sum(up{job="evalsvc", instance=~"$instance"})', "up")],
            kind="number",
            width=4,
        ),
        Panel(
            title="Jobs now",
            about="By state. A paused job waits for an endpoint or for room on the disk, and goes on by itself.",
            queries=[(f"sum by (state) (evalsvc_jobs{{{_FLEET}}})", "{{state}}")],
            kind="bars",
            width=8,
        ),
        Panel(
            title="Jobs that wait or run",
            about="A queue that only grows needs more `jobs_at_once`, or endpoints that allow more.",
            queries=[
                (f'sum by (state) (evalsvc_jobs{{state=~"queued|running|paused|deciding", {_FLEET}}})', "{{state}}")
            ],
            kind="stack",
            width=12,
        ),
    ],
    "Throughput": [
        Panel(
            title="Outcomes a second",
            about="Answers that became durable.",
            queries=[(_rate("evalsvc_outcomes_total", "arm, status"), "{{arm}} {{status}}")],
            unit="reqps",
        ),
        Panel(
            title="Tokens a second",
            about="As the servers counted them.",
            queries=[
                (_rate("gen_ai_client_token_usage_sum", "arm, gen_ai_token_type"), "{{arm}} {{gen_ai_token_type}}")
            ],
        ),
        Panel(
            title="Cost an hour",
            about="In the currency of the endpoints' prices; nothing where they have none.",
            queries=[(f"3600 * {_rate('evalsvc_cost_total', 'arm')}", "{{arm}}")],
        ),
    ],
    "Limits": [
        Panel(
            title="Requests in flight, and the limit",
            about="In flight at the limit: the endpoint is what everything waits for.",
            queries=[
                (f"sum by (endpoint) (evalsvc_requests_in_flight{{{_FLEET}}})", "{{endpoint}} in flight"),
                (f"sum by (endpoint) (evalsvc_request_limit{{{_FLEET}}})", "{{endpoint}} limit"),
            ],
        ),
        Panel(
            title="Mean wait of a try",
            about="slot: the limit on requests in flight; quota: requests or tokens a minute; retry: after an error.",
            queries=[
                (
                    _share(
                        _rate("evalsvc_wait_seconds_sum", "endpoint, reason"),
                        _rate("evalsvc_wait_seconds_count", "endpoint, reason"),
                    ),
                    "{{endpoint}} {{reason}}",
                )
            ],
            unit="s",
        ),
        Panel(
            title="Retries a second",
            about="By what the try before them ended in.",
            queries=[(_rate("evalsvc_retries_total", "endpoint, reason"), "{{endpoint}} {{reason}}")],
            unit="reqps",
        ),
    ],
    "Errors": [
        Panel(
            title="Missing answers",
            about="Share of requests that ended in an infra_error. Above 2% in an arm, gates are NOT_MEASURED.",
            queries=[("evalsvc:missing_ratio:rate5m", "{{arm}}")],
            unit="percentunit",
        ),
        Panel(
            title="What went wrong",
            about="Outcomes a second that are no usable answer, by kind.",
            queries=[(_rate("evalsvc_outcomes_total", "arm, kind", f'kind!="", {_FLEET}'), "{{arm}} {{kind}}")],
            unit="reqps",
        ),
        Panel(
            title="429 of all calls",
            about="The limits adapt to 429s; many of them for long mean that `rpm` or `tpm` are set too high.",
            queries=[("evalsvc:rate_limited_ratio:rate5m", "{{arm}} {{gen_ai_request_model}}")],
            unit="percentunit",
        ),
    ],
    "Calls of models": [
        Panel(
            title="Duration, p50",
            about="Every try of every job.",
            queries=[(_quantile(0.5, _DURATION, "arm, gen_ai_request_model"), "{{arm}} {{gen_ai_request_model}}")],
            unit="s",
        ),
        Panel(
            title="Duration, p99",
            about="Every try of every job.",
            queries=[(_quantile(0.99, _DURATION, "arm, gen_ai_request_model"), "{{arm}} {{gen_ai_request_model}}")],
            unit="s",
        ),
        Panel(
            title="Time to first token, p99",
            about="Of arms that stream.",
            queries=[(_quantile(0.99, _FIRST, "arm, gen_ai_request_model"), "{{arm}} {{gen_ai_request_model}}")],
            unit="s",
        ),
    ],
    "The daemon itself": [
        Panel(
            title="Event loop lag",
            about="Above 100 ms, latencies measured meanwhile are tainted, and the record says so.",
            queries=[
                (_quantile(0.5, "evalsvc_event_loop_lag_seconds", "instance"), "{{instance}} p50"),
                (_quantile(0.99, "evalsvc_event_loop_lag_seconds", "instance"), "{{instance}} p99"),
            ],
            unit="s",
        ),
        Panel(
            title="Time to commit",
            about="How long the disk takes to make answers durable.",
            queries=[
                (_quantile(0.5, "evalsvc_store_commit_seconds", "instance"), "{{instance}} p50"),
                (_quantile(0.99, "evalsvc_store_commit_seconds", "instance"), "{{instance}} p99"),
            ],
            unit="s",
        ),
        Panel(
            title="Disk",
            about="A full disk pauses jobs.",
            queries=[
                (f"evalsvc_store_free_bytes{{{_FLEET}}}", "{{instance}} free"),
                (f"evalsvc_store_bytes{{{_FLEET}}}", "{{instance}} database"),
            ],
            unit="bytes",
        ),
        Panel(
            title="Memory",
            about="Resident, of the daemon's process.",
            queries=[('process_resident_memory_bytes{job="evalsvc", instance=~"$instance"}', "{{instance}}")],
            unit="bytes",
            width=12,
        ),
        Panel(
            title="Processor",
            about="Seconds a second: one event loop can use one core.",
            queries=[
                (
                    f'rate(process_cpu_seconds_total{{job="evalsvc", instance=~"$instance"}}[{_EVERY}])',
                    "{{instance}}",
                )
            ],
            width=12,
        ),
    ],
}

JOB: dict[str, Sequence[Panel]] = {
    "Where it is": [
        Panel(
            title="Decision",
            about="SHIP, ITERATE or HOLD, once decided.",
            queries=[(f"evalsvc_job_decision{{{OF_JOB}}}", "{{decision}}")],
            kind="words",
            width=4,
            height=5,
        ),
        Panel(
            title="State",
            about="Where the job is in its life.",
            queries=[(f"evalsvc_job_state{{{OF_JOB}}}", "{{state}}")],
            kind="words",
            width=4,
            height=5,
        ),
        Panel(
            title="Progress",
            about="Answers recorded of those planned.",
            queries=[(f"evalsvc_job_progress_ratio{{{OF_JOB}}}", "recorded")],
            kind="number",
            unit="percentunit",
            width=4,
            height=5,
        ),
        Panel(
            title="What it asks",
            about="The job's name and its models.",
            queries=[(f"evalsvc_job_info{{{OF_JOB}}}", "{{name}}: {{arm}} {{gen_ai_request_model}}")],
            kind="words",
            width=12,
            height=5,
        ),
        Panel(
            title="Gates",
            about="The verdict of every gate, once decided.",
            queries=[(f"evalsvc_job_gate{{{OF_JOB}}}", "{{gate}}: {{verdict}}")],
            kind="words",
            width=24,
            height=6,
        ),
    ],
    "Passes": [
        Panel(
            title="Pass rate by category, candidate",
            about="Answers that pass of those scored. Small categories move much: the decision has intervals.",
            queries=[(_passes("candidate"), "{{suite}} {{category}}")],
            unit="percentunit",
            most=1,
        ),
        Panel(
            title="Pass rate by category, baseline",
            about="Answers that pass of those scored.",
            queries=[(_passes("baseline"), "{{suite}} {{category}}")],
            unit="percentunit",
            most=1,
        ),
        Panel(
            title="Candidate less baseline",
            about="Difference of the pass rates by category. To look at it is not to test it: gates do that.",
            queries=[(f"{_passes('candidate')} - ignoring (arm) {_passes('baseline')}", "{{suite}} {{category}}")],
            unit="percentunit",
        ),
        Panel(
            title="Pass rate by role",
            about="All suites of a role together, so far.",
            queries=[(f"evalsvc_job_role_pass_ratio{{{OF_JOB}}}", "{{arm}} {{role}}")],
            unit="percentunit",
            width=24,
            most=1,
        ),
    ],
    "Latency": [
        Panel(
            title="Latency by arm",
            about="Of first trials; to 1% while the job runs, exact once it is decided. A timeout is +Inf.",
            queries=[(f'evalsvc_job_latency_seconds{{q=~"0.5|0.99", {OF_JOB}}}', "{{arm}} p{{q}}")],
            unit="s",
        ),
        Panel(
            title="p99, candidate to baseline",
            about="The gate latency_p99 asks for less than 2.",
            queries=[(f"evalsvc:job_latency_p99_ratio{{{OF_JOB}}}", "ratio")],
        ),
        Panel(
            title="Time to first token, p50 and p99",
            about="Of arms that stream: every call of this job's models, in whatever job.",
            queries=[
                (_quantile(0.5, _FIRST, "arm", _CALLS), "{{arm}} p50"),
                (_quantile(0.99, _FIRST, "arm", _CALLS), "{{arm}} p99"),
            ],
            unit="s",
        ),
    ],
    "Tokens and cost": [
        Panel(
            title="Tokens",
            about="So far, as the servers counted them.",
            queries=[(f"evalsvc_job_tokens{{{OF_JOB}}}", "{{arm}} {{gen_ai_token_type}}")],
            width=12,
        ),
        Panel(
            title="Cost",
            about="So far, in the currency of the endpoints' prices; nothing where they have none.",
            queries=[(f"evalsvc_job_cost{{{OF_JOB}}}", "{{arm}}")],
            width=12,
        ),
    ],
}
