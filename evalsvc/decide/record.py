"""The decision record: one JSON-ready dict, everything a reader needs to check the decision again."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np

from evalsvc.core.canonical import MAX_INTEGER
from evalsvc.core.evidence import ArmTotals, Evidence, FollowUpTotals, LatencySamples
from evalsvc.core.records import Arm, Job, Role
from evalsvc.decide.cases import Floats
from evalsvc.decide.decision import DecisionResult
from evalsvc.decide.judges import judge_warnings, section
from evalsvc.decide.latency import ascending
from evalsvc.decide.sequential import Stopping, summary
from evalsvc.decide.suites import suite_rows
from evalsvc.decide.verdict import GateResult
from evalsvc.decide.words import percent
from evalsvc.stats.interval import Interval
from evalsvc.stats.quantiles import percentile

SCHEMA = "evalsvc.decision/1"
PERCENTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}
#: Share of an arm's requests that may be cut off, refused or missing before the record says so first of all.
WORTH_A_WARNING = 0.02
_COMPARED = {Role.TARGET, Role.GENERAL}
_NO_COSTS: Mapping[Arm, float | None] = {}
_NONE: Mapping[str, Mapping[str, Any]] = {}
_NO_LABELS: Mapping[str, Collection[str]] = {}
#: Why a scorer that asked for a score got none.
_UNANSWERED = {
    "judge": "the judge gave no verdict on them",
    "model": "the model gave no answer to what their scorer asked",
    "other arm": "the other arm has no answer to compare them with",
}
_MODEL_ERRORS = ("truncated", "refused", "empty", "context_overflow")


def build(  # noqa: PLR0913 - the record is where everything meets
    job: Job,
    job_id: str,
    evidence: Evidence,
    results: Sequence[GateResult],
    decision: DecisionResult,
    *,
    started_at: str,
    finished_at: str,
    environment: Mapping[str, str],
    costs: Mapping[Arm, float | None],
    follow_up_costs: Mapping[Arm, float | None] = _NO_COSTS,
    judge_cost: float | None = None,
    warnings: Sequence[str],
    stopping: Stopping | None = None,
    calibration: Mapping[str, Any] | None = None,
    corpus: Mapping[str, Mapping[str, Any]] = _NONE,
    no_shares: Mapping[str, Collection[str]] = _NO_LABELS,
) -> dict[str, Any]:
    """The record (schema `SCHEMA`), unsigned; what it is bound to is put in by `provenance.bound`.

    Args:
        job: what was asked.
        job_id: its id.
        evidence: what was seen.
        results: what the gates found in it.
        decision: what follows.
        started_at: RFC 3339, UTC.
        finished_at: RFC 3339, UTC.
        environment: versions of what it ran on.
        costs: per arm, None where no price is known.
        follow_up_costs: of what scorers asked the model of an arm, beyond its answers.
        judge_cost: of what they asked the judge.
        warnings: what else happened (stops and resumes); they follow what the evidence itself warns of.
        stopping: where the looks of a job that may stop early have led.
        calibration: the stored calibration of this baseline, these suites and gates, if there is one.
        corpus: by suite and label the scores of all answers together.
        no_shares: by suite the labels of scores that reach beyond 0 to 1.

    Returns:
        Only dicts, lists, str, int, finite float, bool and None.
    """
    record = {
        "schema": SCHEMA,
        "job": {
            "id": job_id,
            "name": job.name,
            "spec_sha256": job.spec_sha256,
            "seed": job.seed,
            "trials": job.trials,
            "limit": job.limit,
            "started_at": started_at,
            "finished_at": finished_at,
            "simulated": evidence.simulated,
            "evidence": job.evidence,
            "stop": job.stop,
        },
        "decision": decision.decision,
        "reasons": decision.reasons,
        "arms": {
            arm: {
                **_arm(job, arm, evidence, costs.get(arm)),
                "follow_ups": _follow_ups(evidence.follow_ups.get(arm), follow_up_costs.get(arm)),
            }
            for arm in Arm
        },
        "gates": [_gate(result) for result in results],
        "suites": [
            {**suite, "corpus": corpus.get(suite["name"], {})}
            for suite in suite_rows(
                job.suites, evidence, results, () if stopping is None else stopping.closed, no_shares
            )
        ],
        "sequential": None if stopping is None else summary(job, stopping, evidence),
        "calibration": calibration,
        "judge": section(job, evidence, evidence.asked_judge, judge_cost),
        "evidence": {"outcomes": evidence.outcomes, "merkle_root": None},
        "environment": environment,
        "warnings": [
            *judge_warnings(job, evidence.judged or (), evidence.asked_judge),
            *_sampled(job),
            *_stopped(stopping),
            *warnings_of(evidence),
            *telling(evidence),
            *(each for result in results for each in result.warnings),
            *warnings,
        ],
        "signature": None,
    }
    plain: dict[str, Any] = _json_ready(record)
    return plain


def _sampled(job: Job) -> list[str]:
    said = f"only the first {job.limit} cases of each suite's planned order were asked (--limit)"
    return [] if job.limit is None else [said]


def _stopped(stopping: Stopping | None) -> list[str]:
    said = "asked no further once gates were settled: estimates lean to the side that settled them, read the intervals"
    return [] if stopping is None or not stopping.closed else [said]


def telling(evidence: Evidence) -> Iterator[str]:
    """Suites whose scores tell nothing, whatever the models do."""
    for each in evidence.extracts:
        if 0 < each.answers == each.nothing:
            yield (
                f"suite {each.suite}, {each.arm.value}: extract found nothing in {each.nothing} of {each.answers}"
                " answers: is the pattern right?"
            )
    for table in evidence.tables:
        means = [np.asarray(table.arms[arm].mean) for arm in Arm]
        compared = table.primary and table.role in _COMPARED and len(means[0])
        if compared and all((mean >= table.pass_at).all() for mean in means):
            yield f"suite {table.suite}: every answer of both arms passes: it cannot tell the models apart"


def warnings_of(evidence: Evidence) -> list[str]:
    """What could explain a verdict away, arm by arm, with counts."""
    return [
        f"{arm.value}: {warning}" for arm in Arm for warning in _warnings(evidence.totals[arm], evidence.latency[arm])
    ]


def _warnings(totals: ArmTotals, latency: LatencySamples) -> Iterator[str]:
    faults = {"truncated": "cut off: the scores measure the token limit as much as the model", "refused": "refused"}
    for kind, said in faults.items():
        cases = totals.kinds.get(kind, 0)
        if cases > WORTH_A_WARNING * totals.requests:
            yield f"{cases} of {totals.requests} answers ({percent(cases / totals.requests)}) {said}"
    if totals.infra_error > WORTH_A_WARNING * totals.requests:
        kinds = ", ".join(f"{kind} {count}" for kind, count in totals.kinds.items() if kind not in _MODEL_ERRORS)
        share = percent(totals.infra_error / totals.requests)
        yield f"{totals.infra_error} of {totals.requests} answers ({share}) missing: {kinds}"
    if totals.scoring_errors:
        yield f"{totals.scoring_errors} of {totals.requests} answers unscored: their scorer raised"
    for who, count in totals.unanswered.items():
        yield f"{count} of {totals.requests} answers unscored: {_UNANSWERED[who]}"
    if totals.repaired:
        yield f"{totals.repaired} of {totals.requests} answers mended before they could be stored"
    if latency.tainted:
        yield f"{latency.tainted} of {len(latency.seconds)} latencies taken while the event loop lagged"


def _arm(job: Job, arm: Arm, evidence: Evidence, cost: float | None) -> dict[str, Any]:
    spec, totals, samples = job.arms[arm], evidence.totals[arm], evidence.latency[arm]
    return {
        "endpoint": spec.endpoint,
        "model": spec.model,
        "served_models": totals.served_models,
        "requests": totals.requests,
        "ok": totals.ok,
        "model_error": totals.model_error,
        "infra_error": totals.infra_error,
        "attempts": totals.attempts,
        "latency": _latency(ascending(samples)),
        "ttft": _latency(np.asarray(samples.first_token)) if samples.first_token else None,
        "since_scheduled": _latency(np.asarray(samples.scheduled)),
        "lag_tainted": samples.tainted,
        "tokens": {"input": totals.input_tokens, "output": totals.output_tokens},
        "cost": cost,
        "retries": totals.retries,
        "kinds": totals.kinds,
        "fingerprints": totals.fingerprints,
    }


def _follow_ups(asked: FollowUpTotals | None, cost: float | None) -> dict[str, Any] | None:
    """What scorers asked the model of an arm, beyond its answers."""
    if asked is None:
        return None
    return {
        "requests": asked.requests,
        "failed": asked.failed,
        "attempts": asked.attempts,
        "tokens": {"input": asked.input_tokens, "output": asked.output_tokens},
        "cost": cost,
    }


def _latency(seconds: Floats) -> dict[str, Any]:
    if not len(seconds):
        return {"n": 0, "mean": None, **dict.fromkeys(PERCENTILES)}
    shown = {name: percentile(seconds, q) for name, q in PERCENTILES.items()}
    return {"n": len(seconds), "mean": float(seconds.mean(dtype=np.float64)), **shown}


def _gate(result: GateResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "required": result.required,
        "waived": result.waived,
        "verdict": result.verdict,
        "claim": result.claim,
        "threshold": result.threshold,
        "estimate": result.estimate,
        "interval": _bounds(result.interval),
        "interval_missing": _bounds(result.interval_missing),
        "level": result.level,
        "p_pass": result.p_pass,
        "p_fail": result.p_fail,
        "n": result.n,
        "n_needed": result.n_needed,
        "method": result.method,
        "missing": result.missing,
        "reason": result.reason,
        "needs": result.needs,
        **result.extra,
    }


def _bounds(interval: Interval) -> list[float | None] | None:
    bounds = [bound if bound is not None and isfinite(bound) else None for bound in (interval.low, interval.high)]
    return None if bounds == [None, None] else bounds


def _json_ready(value: Any) -> Any:
    """Plain Python for JSON: records of the house as str, list and dict, what is not finite as None."""
    if isinstance(value, Mapping):
        return {str(key): _json_ready(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_ready(each) for each in value]
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        return float(value)  # as every reader of JSON takes it
    return value
