"""Jobs and outcomes as telemetry is told of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from evalsvc.core.records import (
    Arm,
    ArmSpec,
    Attempt,
    Case,
    Completion,
    Job,
    Outcome,
    Role,
    Score,
    ScorerSpec,
    Status,
    SuiteSpec,
)
from evalsvc.telemetry import Telemetry, make_telemetry

A, B = Arm.CANDIDATE, Arm.BASELINE


def a_job(*, roles: Mapping[str, Role] | None = None, **other: Any) -> Job:
    """A job of one suite ``s`` (or as many as ``roles`` names), where 0.5 passes."""
    half = ScorerSpec(name="f1", label="f1", pass_at=0.5)
    suites = tuple(
        SuiteSpec(name=name, role=role, dataset="d", format="auto", scorers=(half,))
        for name, role in (roles or {"s": Role.TARGET}).items()
    )
    arms = {arm: ArmSpec(endpoint="up", model=f"m-{arm}") for arm in Arm}
    return replace(Job(name="a job", seed=1, trials=1, arms=arms, suites=suites, gates=()), **other)


def an_outcome(score: float | None = 1.0, **other: Any) -> Outcome:
    """A usable answer of the candidate, with that score (None: its scorer raised)."""
    case = Case(suite=other.pop("suite", "s"), id="c", category=other.pop("category", "a"), input="q")
    made = Outcome(
        case=case,
        arm=A,
        trial=0,
        step="answer",
        status=Status.OK,
        kind=None,
        detail=None,
        completion=Completion(text="t", input_tokens=100, output_tokens=10),
        scores={"f1": Score(value=score), "also": Score(value=0.0)},
        attempts=(Attempt(seconds=0.5),),
        since_scheduled_s=1.0,
        finished_at=1.0,
    )
    return replace(made, **other)


def lost(kind: str = "network", **other: Any) -> Outcome:
    """An answer that never came."""
    attempts = (Attempt(seconds=0.5, kind=kind),)
    return an_outcome(
        **{"status": Status.INFRA_ERROR, "kind": kind, "completion": None, "scores": {}, "attempts": attempts, **other}
    )


@pytest.fixture
def telemetry() -> Telemetry:
    return make_telemetry()


def shown(telemetry: Telemetry) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What a scrape sees: value by name and labels. A sample that stands there twice fails the test."""
    samples = [sample for f in text_string_to_metric_families(telemetry.render()[1].decode()) for sample in f.samples]
    found = {(s.name, frozenset(s.labels.items())): s.value for s in samples}
    assert len(found) == len(samples)
    return found


def value(telemetry: Telemetry, name: str, /, **labels: str) -> float | None:
    """The sum over all samples of that name that have these labels among theirs; None where there are none."""
    found = [v for (n, have), v in shown(telemetry).items() if n == name and frozenset(labels.items()) <= have]
    return sum(found) if found else None
