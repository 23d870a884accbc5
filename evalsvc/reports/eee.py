"""One arm of a job in the schema of Every Eval Ever, 0.3.0: a log of aggregates, no answers.

It knows the scores of one model. What it has no word for (the arms, gates and the decision) is in the record; the log
names job, hash and Merkle root, so that the record can be found and checked. Source: evaleval/every_eval_ever,
``eval.schema.json``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from math import inf, isinf
from typing import Any

from evalsvc.core.records import Arm, Job, ScorerSpec, SuiteSpec
from evalsvc.reports import format as fmt

SCHEMA_VERSION = "0.3.0"
_ARGUMENTS = {"temperature": (int, float), "top_p": (int, float), "top_k": (int, float), "max_tokens": (int,)}
_SHARE = (0.0, 1.0)

#: By scorer the least and the greatest score.
Bounds = Mapping[str, tuple[float, float]]


def render(job: Job, record: Mapping[str, Any], arm: Arm, bounds: Bounds) -> str:
    """The log as JSON. ``bounds`` are those of scorers whose scores are not in [0, 1], by name."""
    spec, asked = job.arms[arm], fmt.dig(record, "job")
    finished = str(int(datetime.fromisoformat(fmt.dig(asked, "finished_at")).timestamp()))
    log = {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"{job.name}/{spec.model}/{finished}",
        "evaluation_timestamp": finished,
        "retrieved_timestamp": finished,
        "source_metadata": {
            "source_name": "evalsvc",
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "other",
            "additional_details": _strings(
                {
                    "job": fmt.dig(asked, "id"),
                    "arm": arm.value,
                    "spec_sha256": fmt.dig(asked, "spec_sha256"),
                    "merkle_root": fmt.dig(record, "evidence", "merkle_root"),
                    "simulated": fmt.dig(asked, "simulated"),
                }
            ),
        },
        "eval_library": {"name": "evalsvc", "version": fmt.text(fmt.dig(record, "environment", "evalsvc"))},
        "model_info": {
            "name": spec.model,
            "id": spec.model,
            "inference_platform": spec.endpoint,
            "additional_details": {"deployment_type": "unknown", "model_availability": "unknown"}
            | _strings({"served_as": ", ".join(fmt.texts(fmt.dig(record, "arms", arm.value, "served_models")))}),
        },
        "evaluation_results": list(_results(job, record, arm, bounds)),
    }
    return json.dumps(log, indent=1, allow_nan=False) + "\n"


def _strings(details: Mapping[str, object]) -> dict[str, str]:
    """Details, which have to be texts; none of what is not known."""
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in details.items()
        if value not in (None, "")
    }


def _results(job: Job, record: Mapping[str, Any], arm: Arm, bounds: Bounds) -> Iterator[dict[str, Any]]:
    """By suite and scorer its mean score and its pass rate: one of the two where they are the same number."""
    specs = {suite.name: suite for suite in job.suites}
    for suite in fmt.rows(record.get("suites")):
        spec = specs[suite["name"]]
        shared = {"source_data": _source(spec, record), "generation_config": _generation(job, arm)}
        for scorer in spec.scorers:
            judged = _judged(job, record, spec.name, scorer)
            for score in _scores(suite, scorer, arm, bounds.get(scorer.name, _SHARE)):
                score["metric_config"] |= judged
                score["score_details"] |= {"details": details} if (details := _trust(record, judged)) else {}
                name = f"{spec.name}/{scorer.label}"
                kind = score["metric_config"]["metric_kind"]
                yield {"evaluation_result_id": f"{name}/{kind}", "evaluation_name": name, **shared, **score}


def _judged(job: Job, record: Mapping[str, Any], suite: str, scorer: ScorerSpec) -> dict[str, Any]:
    """Who judged by what, where a scorer asks the job's judge."""
    asks = [(row.get("suite"), row.get("label")) for row in fmt.rows(fmt.dig(record, "judge", "scorers"))]
    if job.judge is None or (suite, scorer.label) not in asks:
        return {}
    temperature = job.judge.params.get("temperature")
    judge = {
        "model_info": {
            "name": job.judge.model,
            "id": job.judge.model,
            "inference_platform": job.judge.endpoint,
            "additional_details": {"deployment_type": "unknown", "model_availability": "unknown"},
        },
        **({"temperature": temperature} if type(temperature) in (int, float) else {}),
    }
    return {"llm_scoring": {"judges": [judge], "input_prompt": fmt.text(scorer.options.get("rubric"))}}


def _trust(record: Mapping[str, Any], judged: Mapping[str, Any]) -> dict[str, str]:
    """Whether the judge was trusted, beside each number that it gave; nothing where it gave none."""
    judge = record.get("judge")
    if not judged or not isinstance(judge, Mapping):
        return {}
    return _strings({"judge_trusted": judge.get("trusted") is True, "judge_distrust": judge.get("distrust")})


def _source(suite: SuiteSpec, record: Mapping[str, Any]) -> dict[str, Any]:
    files = {file["name"]: file["sha256"] for file in fmt.rows(fmt.dig(record, "job", "files"))}
    details = _strings({"suite": suite.name, "role": suite.role.value, "sha256": files.get(suite.dataset)})
    return {"dataset_name": suite.dataset, "source_type": "other", "additional_details": details}


def _generation(job: Job, arm: Arm) -> dict[str, Any]:
    params = job.arms[arm].params
    known = {key: params[key] for key, kinds in _ARGUMENTS.items() if type(params.get(key)) in kinds}
    others = {key: value for key, value in params.items() if key not in known}
    details = _strings({**others, "system": job.arms[arm].system, "trials": job.trials})
    return {"generation_args": known, "additional_details": details}


def _scores(
    suite: Mapping[str, Any], scorer: ScorerSpec, arm: Arm, bounds: tuple[float, float]
) -> Iterator[dict[str, Any]]:
    mean = fmt.number(fmt.dig(suite, "scores", scorer.label, arm.value))
    passes = fmt.dig(suite, "pass_rates", scorer.label, arm.value)
    rate, n = fmt.number(fmt.dig(passes, "rate")), fmt.number(fmt.dig(passes, "n"))
    samples = {} if n is None else {"num_samples": int(n)}
    if mean is not None and mean != rate:
        yield {
            "metric_config": _metric(scorer, "mean_score", bounds),
            "score_details": {"score": mean, "uncertainty": samples},
        }
    if rate is not None and bounds == _SHARE:
        wilson = fmt.dig(passes, "wilson")
        known = {"confidence_interval": _interval(*wilson)} if wilson else {}
        yield {
            "metric_config": _metric(scorer, "pass_rate", _SHARE),
            "score_details": {"score": rate, "uncertainty": {**known, **samples}},
        }


def _interval(low: float, high: float) -> dict[str, Any]:
    return {"lower": low, "upper": high, "confidence_level": 0.95, "method": "wilson"}


def _metric(scorer: ScorerSpec, kind: str, bounds: tuple[float, float]) -> dict[str, Any]:
    """What the number is. Scores beyond [0, 1] are perplexities: less is better, and there is no most."""
    said = "share of cases that pass" if kind == "pass_rate" else "mean over cases"
    return {
        "evaluation_description": f"{scorer.name}: {said}",
        "metric_id": f"evalsvc.{scorer.name}.{kind}",
        "metric_name": scorer.label,
        "metric_kind": kind,
        "metric_unit": "proportion" if bounds == _SHARE else "unknown",
        "metric_parameters": {"pass_at": scorer.pass_at} if kind == "pass_rate" else {},
        "lower_is_better": bounds != _SHARE,
        "score_type": "continuous",
        "min_score": _bound(bounds[0]),
        "max_score": _bound(bounds[1]),
        "additional_details": _strings(scorer.options),
    }


def _bound(value: float) -> float | str:
    if not isinf(value):
        return value
    return "Infinity" if value == inf else "-Infinity"
