"""What every report says, in words and numbers: the text, the page and any later format draw the same content."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalsvc.core.records import RECORDED, Arm
from evalsvc.core.view import ReportView
from evalsvc.reports import format as fmt
from evalsvc.reports.changes import SuiteRow, suite_rows
from evalsvc.reports.gates import TONES, GateRow, gate_rows
from evalsvc.reports.judge import judge_lines
from evalsvc.reports.pictures import LatencyPlot, latency_plot

_MEANING = {
    "SHIP": "Every required gate passed.",
    "ITERATE": "A required gate failed.",
    "HOLD": "Not everything required is proven.",
}

#: What stands in place of a count where answers were recorded: the record counts what was looked up.
_NEVER_ASKED = {"requests": "none (recorded)", "attempts": "none"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRow:
    """One line of a table with a column per arm; ``ratio`` is candidate to baseline, None where it says nothing."""

    label: str
    candidate: str
    baseline: str
    ratio: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number a reader takes away."""

    label: str
    value: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A whole report."""

    decision: str
    tone: str
    meaning: str
    job: str
    candidate: str
    baseline: str
    finished: str
    simulated: bool
    sequential: str | None
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    figures: tuple[Figure, ...]
    gates: tuple[GateRow, ...]
    suites: tuple[SuiteRow, ...]
    judge: tuple[str, ...]
    latency: tuple[PairRow, ...]
    latency_notes: tuple[str, ...]
    plot: LatencyPlot | None
    spent: tuple[PairRow, ...]
    fine_print: tuple[tuple[str, str], ...]


def content(view: ReportView) -> Content:
    """Everything a report says about a view; absent keys of its record become en dashes."""
    record = view.record
    decision = fmt.text(record.get("decision"))
    gates = gate_rows(record)
    return Content(
        decision=decision,
        tone=TONES.get(decision, "none"),
        meaning=_MEANING.get(decision, "No decision was recorded."),
        job=fmt.text(fmt.dig(record, "job", "name")),
        candidate=fmt.text(fmt.dig(record, "arms", "candidate", "model")),
        baseline=fmt.text(fmt.dig(record, "arms", "baseline", "model")),
        finished=fmt.date(fmt.dig(record, "job", "finished_at")),
        simulated=fmt.dig(record, "job", "simulated") is True,
        sequential=_sequential(record),
        reasons=fmt.texts(record.get("reasons")),
        warnings=fmt.texts(record.get("warnings")),
        figures=_figures(record, gates),
        gates=gates,
        suites=suite_rows(record),
        judge=judge_lines(record),
        latency=_latency(record),
        latency_notes=_latency_notes(view),
        plot=latency_plot(view.latency),
        spent=_spent(record),
        fine_print=_fine_print(record),
    )


def _sequential(record: Mapping[str, Any]) -> str | None:
    """Where a job that may stop early stopped, and what that saved; None for one that is asked whole."""
    said = fmt.dig(record, "sequential", "said")
    return f"{said[0].upper()}{said[1:]}." if isinstance(said, str) and said else None


def _figures(record: Mapping[str, Any], gates: Sequence[GateRow]) -> tuple[Figure, ...]:
    counted = [gate for gate in gates if gate.aside is None]
    passed = sum(gate.verdict == "PASS" for gate in counted)
    cases = [fmt.number(suite.get("cases")) or 0 for suite in fmt.rows(record.get("suites"))]
    measured = {gate.name: gate for gate in gates if gate.estimate != fmt.DASH}
    wanted = (("target_improvement", "Target cases"), ("general_regression", "General cases"), ("latency_p99", "p99"))
    found = [Figure(label="Required gates", value=f"{passed} of {len(counted)}", detail="passed")]
    for name, label in wanted:
        if name in measured:
            found.append(Figure(label=label, value=measured[name].estimate, detail=measured[name].range))
    found.append(Figure(label="Cases", value=f"{sum(cases):,.0f}", detail=f"in {len(cases)} suites"))
    return tuple(found)


def _both(record: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    candidate, baseline = (fmt.dig(record, "arms", arm) for arm in Arm)
    return (
        candidate if isinstance(candidate, Mapping) else {},
        baseline if isinstance(baseline, Mapping) else {},
    )


def _latency(record: Mapping[str, Any]) -> tuple[PairRow, ...]:
    """Percentiles of whole answers, then of first tokens where both were measured; null among samples is infinite."""
    candidate, baseline = _both(record)
    table = []
    for key, title in (("latency", ""), ("ttft", "first token, ")):
        one, other = candidate.get(key), baseline.get(key)
        if not isinstance(one, Mapping) and not isinstance(other, Mapping):
            continue
        for name in ("mean", "p50", "p90", "p95", "p99"):
            a, b = _sample(one, name), _sample(other, name)
            quotient = a / b if a is not None and b and math.isfinite(a) and math.isfinite(b) else None
            times = (fmt.seconds(a), fmt.seconds(b))
            table.append(PairRow(label=title + name, candidate=times[0], baseline=times[1], ratio=fmt.ratio(quotient)))
    return tuple(table)


def _sample(block: object, name: str) -> float | None:
    value = fmt.number(fmt.dig(block, name))
    if value is None and isinstance(block, Mapping) and name in block and fmt.number(block.get("n")):
        return math.inf
    return value


def _latency_notes(view: ReportView) -> tuple[str, ...]:
    found = []
    for arm in Arm:
        samples = view.latency.get(arm, ())
        late = sum(math.isinf(sample) for sample in samples)
        if late:
            found.append(f"{late:,} of {len(samples):,} requests to the {arm} timed out: they count as infinite.")
    return tuple(found)


def _spent(record: Mapping[str, Any]) -> tuple[PairRow, ...]:
    """Per arm what was asked and what it took; of recorded answers nothing was asked."""
    candidate, baseline = _both(record)
    keys = (
        ("requests", ("requests",)),
        ("ok", ("ok",)),
        ("model_error", ("model_error",)),
        ("infra_error", ("infra_error",)),
        ("attempts", ("attempts",)),
        ("input tokens", ("tokens", "input")),
        ("output tokens", ("tokens", "output")),
    )
    table = [
        PairRow(label=label, candidate=_counted(candidate, path), baseline=_counted(baseline, path))
        for label, path in keys
    ]
    table.append(
        PairRow(label="cost", candidate=fmt.cost(candidate.get("cost")), baseline=fmt.cost(baseline.get("cost")))
    )
    for label, key in (("not ok, by kind", "kinds"), ("retries", "retries")):
        if candidate.get(key) or baseline.get(key):
            table.append(PairRow(label=label, candidate=_tally(candidate.get(key)), baseline=_tally(baseline.get(key))))
    return tuple(table)


def _counted(arm: Mapping[str, Any], path: Sequence[str]) -> str:
    never = _NEVER_ASKED.get(path[0]) if arm.get("endpoint") == RECORDED else None
    return never or fmt.count(fmt.dig(arm, *path))


def _tally(counts: object) -> str:
    if not isinstance(counts, Mapping) or not counts:
        return fmt.DASH
    return ", ".join(f"{kind} {fmt.count(n)}" for kind, n in counts.items())


def _fine_print(record: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    def said(*keys: str) -> str:
        return fmt.text(fmt.dig(record, *keys))

    start, end = fmt.dig(record, "job", "started_at"), fmt.dig(record, "job", "finished_at")
    found = [
        ("job", said("job", "id")),
        ("started", fmt.date(start)),
        ("finished", fmt.date(end)),
        ("took", fmt.duration(start, end)),
        ("seed", said("job", "seed")),
        ("trials", said("job", "trials")),
        ("spec_sha256", said("job", "spec_sha256")),
    ]
    for arm in Arm:
        served = ", ".join(fmt.texts(fmt.dig(record, "arms", arm, "served_models"))) or fmt.DASH
        found.append((f"{arm} served by", f"{said('arms', arm, 'endpoint')}: {served} (declared, not verified)"))
    environment = fmt.dig(record, "environment")
    versions = environment.items() if isinstance(environment, Mapping) else ()
    found.append(("calibration", _calibration(record.get("calibration"))))
    found += [
        ("environment", ", ".join(f"{name} {fmt.text(version)}" for name, version in versions) or fmt.DASH),
        ("outcomes", fmt.count(fmt.dig(record, "evidence", "outcomes"))),
        ("merkle_root", said("evidence", "merkle_root")),
        ("signature", _signature(record.get("signature"))),
        ("schema", said("schema")),
    ]
    return tuple(found)


def _calibration(found: object) -> str:
    if not isinstance(found, Mapping):
        return "none: how often these gates pass a model against itself is not known (evalsvc calibrate)"
    share = "not measured" if found.get("false_pass") is None else fmt.percent(found.get("false_pass"))
    shipped = fmt.percent(fmt.dig(found, "decisions", "SHIP"))
    said = f"{fmt.count(found.get('resamples'))} resamples of the baseline against itself"
    return f"{said}: {share} pass as an improvement, {shipped} ship (job {fmt.text(found.get('job'))})"


def _signature(signature: object) -> str:
    if isinstance(signature, Mapping):
        return f"{fmt.text(signature.get('keyid'))}, in {fmt.text(signature.get('envelope'))}"
    return "none: the record is not signed"
