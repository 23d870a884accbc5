"""A realistic view, in parts that a test may change."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from evalsvc.core.records import Arm
from evalsvc.core.view import AnswerView, FlippedCase, ReportView


def _gate(name: str, verdict: str, claim: str, threshold: float, **more: Any) -> dict[str, Any]:
    gate = {"name": name, "required": True, "waived": None, "verdict": verdict, "claim": claim, "threshold": threshold}
    gate |= {"estimate": 0.93, "interval": [0.91, 0.95], "interval_missing": [0.9, 0.96], "level": 0.95}
    gate |= {"p_pass": 0.001, "p_fail": 0.999, "n": 498, "n_needed": None, "method": "tango"}
    gate |= {"missing": {"candidate": 2, "baseline": 0}, "reason": f"Reason of {name}."}
    return gate | more


def _arm(model: str) -> dict[str, Any]:
    times = {"n": 1097, "mean": 0.61, "p50": 0.52, "p90": 0.98, "p95": 1.21, "p99": 1.84}
    return {
        "endpoint": "vllm",
        "model": model,
        "served_models": [model],
        "requests": 1100,
        "ok": 1091,
        "model_error": 6,
        "infra_error": 3,
        "attempts": 1119,
        "latency": times,
        "ttft": None,
        "tokens": {"input": 210344, "output": 48112},
        "cost": 0.976,
        "kinds": {"truncated": 6, "timeout": 3},
        "retries": {"rate_limited": 11},
    }


def _category(name: str, delta: float, verdict: str | None) -> dict[str, Any]:
    interval = [delta - 0.03, delta + 0.03]
    rates = {"candidate": 0.8 + delta, "baseline": 0.8, "delta": delta, "interval": interval, "verdict": verdict}
    return {"name": name, "cases": 40, **rates}


def _suite(name: str, role: str, categories: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "role": role,
        "cases": 500,
        "primary": "tool_call",
        "scores": {
            "tool_call": {"candidate": 0.9056, "baseline": 0.7871},
            "perplexity": {"candidate": 8.2, "baseline": 9},
        },
        "pass_rates": {"tool_call": {"candidate": {"rate": 0.9, "n": 498}, "baseline": {"rate": 0.78, "n": 498}}},
        "wins": {"candidate": 71, "baseline": 12, "ties": 415},
        "categories": categories,
    }


@pytest.fixture
def record() -> dict[str, Any]:
    gates = [
        _gate(
            "target_improvement", "PASS", "candidate - baseline > 0.05", 0.05, estimate=0.1185, interval=[0.0853, 0.155]
        ),
        _gate(
            "general_regression", "FAIL", "candidate - baseline > -0.05", -0.05, estimate=-0.09, interval=[-0.12, -0.06]
        ),
        _gate("exact_match", "PASS", "candidate > 0.85", 0.85, wilson=[0.91, 0.95]),
        _gate("latency_p99", "PASS", "p99(candidate) / p99(baseline) < 2", 2, estimate=0.61, interval=[0.42, 0.88]),
        _gate(
            "human_preference",
            "NOT_MEASURED",
            "preference > 0.60",
            0.6,
            waived="nobody votes",
            estimate=None,
            interval=None,
        ),
        _gate("adversarial_robustness", "INCONCLUSIVE", "candidate > 0.90", 0.9, interval=[0.8996, 0.96], n_needed=680),
        _gate("schema_compliance", "PASS", "no failure, candidate > 0.99", 0.99, estimate=1.0, interval=[0.9926, 1.0]),
    ]
    gates[3]["p95"] = {"candidate": 1.2, "baseline": 1.9, "ratio": 0.64, "interval": [0.5, 0.8]}
    gates[0]["point_rule_false_pass"] = 0.21
    general = [_category(f"category {k:02}", (k % 7 - 3) / 50, "PASS") for k in range(14)]
    return {
        "schema": "evalsvc.decision/1",
        "job": {
            "id": "01JD8Q6T5V",
            "name": "support-7b v3 against gpt-4o",
            "spec_sha256": "5c1f",
            "seed": 81,
            "trials": 1,
            "started_at": "2026-11-23T10:00:00Z",
            "finished_at": "2026-11-23T10:03:12Z",
            "simulated": True,
        },
        "decision": "ITERATE",
        "reasons": ["general_regression fails"],
        "arms": {"candidate": _arm("acme/support-7b-v3"), "baseline": _arm("gpt-4o")},
        "gates": gates,
        "suites": [
            _suite("tool-calling", "target", [_category("edge", 0.15, None)]),
            _suite("mmlu", "general", general),
        ],
        "sequential": {"stop": "hybrid", "said": "stopped early: general_regression fails after 550 of 700 cases"},
        "evidence": {"outcomes": 2200, "merkle_root": "b94d"},
        "environment": {"evalsvc": "0.1.0", "python": "3.11.7"},
        "warnings": ["3.1% of the candidate's answers were cut off"],
        "signature": {"keyid": "k1", "envelope": "decision.dsse.json"},
    }


def _answer(text: str, score: float | None) -> AnswerView:
    return AnswerView(status="ok", kind=None, text=text, score=score, explanation="compared", latency_s=0.4)


@pytest.fixture
def flip() -> FlippedCase:
    return FlippedCase(
        suite="tool-calling",
        role="target",
        case_id="case-17",
        category="edge",
        input="What is 12 × 12?",
        expected="144",
        delta=-1.0,
        answers={Arm.CANDIDATE: _answer("124", 0.0), Arm.BASELINE: _answer("144", 1.0)},
    )


@pytest.fixture
def latency() -> dict[Arm, array[float]]:
    candidate = array("d", [0.1 + k / 300 for k in range(600)] + [math.inf] * 12)
    return {Arm.CANDIDATE: candidate, Arm.BASELINE: array("d", [0.2 + k / 200 for k in range(612)])}


@pytest.fixture
def view(record: dict[str, Any], flip: FlippedCase, latency: dict[Arm, array[float]]) -> ReportView:
    return ReportView(record=record, flips=(flip, replace(flip, delta=1.0)), flips_total=83, latency=latency)


Poison = Callable[[str], ReportView]


@pytest.fixture
def poisoned(view: ReportView) -> Poison:
    """The view with one text in the place of every text that could come from a job, a data set or a model."""

    def make(text: str) -> ReportView:
        return replace(view, record=_swap(view.record, text), flips=tuple(_swap_flip(f, text) for f in view.flips))

    return make


def _swap(value: Any, text: str) -> Any:
    if isinstance(value, Mapping):
        return {_key(key, text): _swap(item, text) for key, item in value.items()}
    if isinstance(value, list):
        return [_swap(item, text) for item in value]
    return text if isinstance(value, str) else value


def _key(key: str, text: str) -> str:
    """Names of scorers, kinds and libraries are keys of the record."""
    return text if key in {"tool_call", "evalsvc", "truncated", "rate_limited"} else key


def _swap_flip(flip: FlippedCase, text: str) -> FlippedCase:
    answers = {
        arm: replace(answer, status=text, kind=text, text=text, explanation=text)
        for arm, answer in flip.answers.items()
    }
    return replace(flip, suite=text, role=text, case_id=text, category=text, input=text, expected=text, answers=answers)


@pytest.fixture
def mutants(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The record with each of its values in turn replaced by each of several wrong ones, or left out."""
    wrongs: tuple[Any, ...] = (None, "x", 0, [], {}, [1, 2], 1e300)
    record["suites"][1]["categories"] = record["suites"][1]["categories"][:1]
    record["gates"] = record["gates"][2:5]
    return [mutant for wrong in wrongs for mutant in _mutants(record, wrong)]


def _mutants(value: Any, wrong: Any) -> list[Any]:
    if isinstance(value, dict):
        found = [{**value, key: inner} for key, item in value.items() for inner in [wrong, *_mutants(item, wrong)]]
        if wrong is None:
            found += [{other: value[other] for other in value if other != key} for key in value]
        return found
    if isinstance(value, list):
        return [
            [*value[:k], inner, *value[k + 1 :]]
            for k, item in enumerate(value)
            for inner in [wrong, *_mutants(item, wrong)]
        ]
    return []
