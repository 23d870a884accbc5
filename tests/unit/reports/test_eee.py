"""A log of Every Eval Ever, held against the part of its schema (0.3.0) that it uses, written anew."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema_rs
import pytest

from evalsvc.core.records import Arm, ArmSpec, Job, JudgeSpec, Role, ScorerSpec, SuiteSpec
from evalsvc.reports import eee

TEXT, NUMBER = {"type": "string"}, {"type": "number"}
TEXTS = {"type": "object", "additionalProperties": TEXT}
INFINITE = {"anyOf": [NUMBER, {"enum": ["Infinity", "-Infinity"]}]}


def table(required: str, *, closed: bool = False, **keys: Any) -> dict[str, Any]:
    return {"type": "object", "required": required.split(), "properties": keys, "additionalProperties": not closed}


ARGUMENTS = {name: {"type": ["null", "number"]} for name in ("temperature", "top_p", "top_k")}
WHERE = {"enum": ["self_deployed", "externally_managed", "unknown"]}
WEIGHTS = {"enum": ["open_weights", "closed_weights", "unknown"]}
NAMED = table(
    "name id additional_details",
    additional_details={
        **table("deployment_type model_availability", deployment_type=WHERE, model_availability=WEIGHTS),
        "additionalProperties": TEXT,
    },
)
RESULT = table(
    "evaluation_name source_data metric_config score_details",
    evaluation_name=TEXT,
    source_data=table("dataset_name source_type", source_type={"const": "other"}, additional_details=TEXTS),
    metric_config=table(
        "lower_is_better min_score max_score",
        lower_is_better={"type": "boolean"},
        score_type={"const": "continuous"},
        min_score=INFINITE,
        max_score=INFINITE,
        metric_parameters={"additionalProperties": {"type": ["string", "number", "boolean", "null"]}},
        additional_details=TEXTS,
        llm_scoring=table(
            "judges input_prompt",
            judges={"type": "array", "minItems": 1, "items": table("model_info", model_info=NAMED, temperature=NUMBER)},
            input_prompt=TEXT,
        ),
    ),
    score_details=table(
        "score",
        details=TEXTS,
        score=NUMBER,
        uncertainty=table(
            "",
            confidence_interval=table("lower upper", lower=NUMBER, upper=NUMBER),
            num_samples={"type": "integer"},
        ),
    ),
    generation_config=table(
        "",
        generation_args=table("", closed=True, **ARGUMENTS, max_tokens={"type": "integer", "minimum": 1}),
        additional_details=TEXTS,
    ),
)
SCHEMA = table(
    "schema_version evaluation_id retrieved_timestamp source_metadata model_info eval_library evaluation_results",
    closed=True,
    schema_version=TEXT,
    evaluation_id=TEXT,
    evaluation_timestamp=TEXT,
    retrieved_timestamp=TEXT,
    source_metadata=table(
        "source_type source_organization_name evaluator_relationship",
        source_type={"enum": ["documentation", "evaluation_run"]},
        evaluator_relationship={"enum": ["first_party", "third_party", "collaborative", "other"]},
        additional_details=TEXTS,
    ),
    eval_library=table("name version", name=TEXT, version=TEXT),
    model_info=NAMED,
    evaluation_results={"type": "array", "items": RESULT},
)
SCORERS = (
    ScorerSpec(name="exact_match", label="exact", options={"ignore_case": True}),
    ScorerSpec(name="f1", label="f1", pass_at=0.5),
    ScorerSpec(name="perplexity", label="ppl"),
    ScorerSpec(name="choice", label="none"),
)
SUITE = SuiteSpec(name="s", role=Role.TARGET, dataset="d.jsonl", format="native", scorers=SCORERS)
JOB = Job(
    name="a job",
    seed=1,
    trials=1,
    arms={
        Arm.CANDIDATE: ArmSpec(
            endpoint="vllm",
            model="me/new",
            system="Be brief.",
            params={"temperature": 0, "max_tokens": 256, "top_p": "odd", "system": "x", "stop": ["\n"]},
        ),
        Arm.BASELINE: ArmSpec(endpoint="openai", model="old"),
    },
    suites=(SUITE,),
    gates=(),
)
NOTHING = {"passes": 0, "n": 0, "rate": None, "wilson": None}
RECORD = {
    "job": {"id": "j1", "finished_at": "2026-01-01T00:01:00.500Z", "spec_sha256": "ab", "simulated": True},
    "arms": {"candidate": {"served_models": ["new-1"]}, "baseline": {"served_models": []}},
    "evidence": {"merkle_root": None},
    "environment": {"evalsvc": "1"},
    "suites": [
        {
            "name": "s",
            "scores": {label: {"candidate": value, "baseline": 0.25} for label, value in
                       (("exact", 0.75), ("f1", 0.8), ("ppl", 8.5), ("none", None))},
            "pass_rates": {
                "exact": {"candidate": {"passes": 3, "n": 4, "rate": 0.75, "wilson": [0.3, 0.95]}, "baseline": NOTHING},
                "f1": {"candidate": {"passes": 2, "n": 4, "rate": 0.5, "wilson": None}, "baseline": NOTHING},
                "ppl": {"candidate": {"passes": 4, "n": 4, "rate": 1.0, "wilson": [0.5, 1.0]}, "baseline": NOTHING},
                "none": {"candidate": NOTHING, "baseline": NOTHING},
            },
        }
    ],
}  # fmt: skip


@pytest.fixture
def made() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(eee.render(JOB, RECORD, Arm.CANDIDATE, {"perplexity": (1.0, float("inf"))}))
    return found


@pytest.mark.parametrize("arm", list(Arm))
def test_a_log_is_what_the_schema_asks_for(arm: Arm) -> None:
    made = json.loads(eee.render(JOB, RECORD, arm, {"perplexity": (1.0, float("inf"))}))
    jsonschema_rs.Draft7Validator(SCHEMA).validate(made)
    assert made["model_info"]["id"] == JOB.arms[arm].model


def test_a_mean_and_a_pass_rate_stand_for_themselves_where_they_differ(made: dict[str, Any]) -> None:
    found = {each["evaluation_result_id"]: each for each in made["evaluation_results"]}
    assert {name: each["score_details"]["score"] for name, each in found.items()} == {
        "s/exact/pass_rate": 0.75,
        "s/f1/mean_score": 0.8,
        "s/f1/pass_rate": 0.5,
        "s/ppl/mean_score": 8.5,
    }
    exact = found["s/exact/pass_rate"]["score_details"]["uncertainty"]
    assert exact == {
        "confidence_interval": {"lower": 0.3, "upper": 0.95, "confidence_level": 0.95, "method": "wilson"},
        "num_samples": 4,
    }
    assert found["s/f1/pass_rate"]["score_details"]["uncertainty"] == {"num_samples": 4}
    assert found["s/f1/pass_rate"]["metric_config"]["metric_parameters"] == {"pass_at": 0.5}


def test_a_perplexity_has_no_most_and_less_of_it_is_better(made: dict[str, Any]) -> None:
    (metric,) = (each["metric_config"] for each in made["evaluation_results"] if "ppl" in each["evaluation_name"])
    assert (metric["lower_is_better"], metric["min_score"], metric["max_score"]) == (True, 1.0, "Infinity")


def test_how_the_model_was_asked(made: dict[str, Any]) -> None:
    asked = made["evaluation_results"][0]["generation_config"]
    assert asked["generation_args"] == {"temperature": 0, "max_tokens": 256}
    assert asked["additional_details"] == {"top_p": "odd", "system": "Be brief.", "stop": '["\\n"]', "trials": "1"}


def test_where_it_comes_from(made: dict[str, Any]) -> None:
    assert made["evaluation_id"] == "a job/me/new/1767225660"
    assert made["source_metadata"]["additional_details"] == {
        "job": "j1", "arm": "candidate", "spec_sha256": "ab", "simulated": "true",
    }  # fmt: skip


JUDGED = replace(
    JOB,
    judge=JudgeSpec(endpoint="court", model="judge-1", params={"temperature": 0}),
    suites=(replace(SUITE, scorers=(*SCORERS, ScorerSpec(name="judge", label="told", options={"rubric": "Right?"}))),),
)


@pytest.mark.parametrize(
    ("judge", "details"),
    [
        ({"trusted": True, "distrust": None}, {"judge_trusted": "true"}),
        (
            {"trusted": False, "distrust": "it fell for 9 of 40 canaries"},
            {"judge_trusted": "false", "judge_distrust": "it fell for 9 of 40 canaries"},
        ),
        ({}, {"judge_trusted": "false"}),
    ],
)
def test_a_judges_numbers_say_whether_it_was_trusted(judge: dict[str, Any], details: dict[str, str]) -> None:
    record = json.loads(json.dumps(RECORD)) | {"judge": {**judge, "scorers": [{"suite": "s", "label": "told"}]}}
    record["suites"][0]["scores"]["told"] = {"candidate": 0.75, "baseline": 0.5}
    record["suites"][0]["pass_rates"]["told"] = {"candidate": {"rate": 0.5, "n": 4, "wilson": [0.2, 0.8]}}
    made = json.loads(eee.render(JUDGED, record, Arm.CANDIDATE, {"perplexity": (1.0, float("inf"))}))
    jsonschema_rs.Draft7Validator(SCHEMA).validate(made)
    told = {
        each["evaluation_result_id"]: each for each in made["evaluation_results"] if "told" in each["evaluation_name"]
    }
    assert set(told) == {"s/told/mean_score", "s/told/pass_rate"}
    for each in told.values():
        assert each["score_details"]["details"] == details
        (who,) = each["metric_config"]["llm_scoring"]["judges"]
        assert (who["model_info"]["name"], who["temperature"]) == ("judge-1", 0)
        assert each["metric_config"]["llm_scoring"]["input_prompt"] == "Right?"
    others = [each for each in made["evaluation_results"] if "told" not in each["evaluation_name"]]
    assert not any("details" in each["score_details"] or "llm_scoring" in each["metric_config"] for each in others)
