from __future__ import annotations

import json
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest

from evalsvc import decide
from evalsvc.core.evidence import ExtractCount
from evalsvc.core.records import Arm, Role
from evalsvc.stats.paired import tango

EXAMPLE = Path(__file__).resolve().parents[3] / "../shared/design/decision.example.json"


def evidence_of(make: Any) -> Any:
    nan = make.nan
    pair = make.binary(71, 12, 380, 35)
    target = make.table(
        [*pair[0], nan, nan], [*pair[1], 1.0, 0.0], suite="tools", categories=["edge"] * 120 + ["core"] * 380
    )
    schema = make.schema_table([1.0] * 500, [1.0] * 497 + [0.0] * 3, suite="tools")
    general = make.table(
        [0.5, 1.0] * 200, [1.0, 0.5] * 200, role=Role.GENERAL, suite="talk", categories=["b", "a"] * 200
    )
    train = make.table([nan, nan], [1.0, 1.0], role=Role.TRAIN, suite="train")
    latency = make.samples([1.0] * 99 + [inf], tainted=3), make.samples([], missing=0)
    return make.evidence(target, schema, general, train, latency=latency)


@pytest.fixture(scope="module")
def record(make: Any) -> dict[str, Any]:
    evidence = evidence_of(make)
    primaries = [table for table in evidence.tables if table.primary]
    job = make.job(suites=[make.suite(table) for table in primaries], human_preference={"waived": "nobody"})
    results = decide.judge_all(evidence, job)
    return decide.record.build(
        job,
        "01J",
        evidence,
        results,
        decide.decide(results),
        started_at="2026-11-23T10:00:00Z",
        finished_at="2026-11-23T10:03:12Z",
        environment={"evalsvc": "0.1.0", "python": "3.11.7", "sqlite": "3.40.1"},
        costs={Arm.CANDIDATE: None, Arm.BASELINE: 0.976},
        warnings=["resumed once"],
    )


def only_plain(value: Any) -> bool:
    if type(value) is dict:
        return all(type(key) is str and only_plain(each) for key, each in value.items())
    if type(value) is list:
        return all(only_plain(each) for each in value)
    return value is None or type(value) in (str, int, float, bool)


def test_it_is_plain_json(record: dict[str, Any]) -> None:
    assert only_plain(record)
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def lacking(example: Any, made: Any, place: str = "") -> list[str]:
    """Keys of the example that the record lacks; rows of a list are compared with the example's first."""
    if isinstance(example, dict) and isinstance(made, dict):
        names = [] if place.endswith(("scores", "environment")) else list(example)
        return [f"{place}.{name}" for name in names if name not in made] + [
            each for name in names if name in made for each in lacking(example[name], made[name], f"{place}.{name}")
        ]
    if isinstance(example, list) and example and isinstance(example[0], dict):
        return [each for row in made for each in lacking(example[0], row, f"{place}[]")]
    return []


def test_it_has_every_key_of_the_example(record: dict[str, Any]) -> None:
    if not EXAMPLE.exists():
        pytest.skip("the shared design is not there")
    example = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    assert lacking(example, record) == []
    assert [gate["name"] for gate in record["gates"]] == [gate["name"] for gate in example["gates"]]
    assert [gate["claim"] for gate in record["gates"]] == [gate["claim"] for gate in example["gates"]]
    assert record["schema"] == example["schema"]


def test_head_and_tail(record: dict[str, Any]) -> None:
    assert record["job"]["id"] == "01J"
    assert record["evidence"] == {"outcomes": 2000, "merkle_root": None}
    assert record["signature"] is None
    assert record["decision"] in ("ITERATE", "HOLD")
    assert record["reasons"]
    assert record["warnings"] == ["candidate: 3 of 100 latencies taken while the event loop lagged", "resumed once"]


def test_arms(record: dict[str, Any]) -> None:
    candidate, baseline = record["arms"]["candidate"], record["arms"]["baseline"]
    assert candidate["latency"] == {"n": 100, "mean": None, "p50": 1.0, "p90": 1.0, "p95": 1.0, "p99": None}
    assert baseline["latency"] == {"n": 0, "mean": None, "p50": None, "p90": None, "p95": None, "p99": None}
    assert (candidate["cost"], baseline["cost"]) == (None, 0.976)
    assert candidate["tokens"] == {"input": None, "output": 4}
    assert (candidate["model"], candidate["retries"]) == ("model-candidate", {"rate_limited": 10})


def test_suites(record: dict[str, Any]) -> None:
    tools, talk, train = record["suites"]
    assert (tools["cases"], tools["primary"], tools["role"]) == (500, "exact", "target")
    assert tools["wins"] == {"candidate": 71, "baseline": 12, "ties": 415}
    assert tools["scores"]["exact"] == {"candidate": 451 / 498, "baseline": 392 / 498}
    assert tools["scores"]["json_schema"] == {"candidate": 1.0, "baseline": 0.994}
    assert tools["pass_rates"]["exact"]["candidate"]["passes"] == 451
    core, edge = tools["categories"]
    assert (core["name"], edge["name"], edge["cases"]) == ("core", "edge", 120)
    assert edge["delta"] == pytest.approx(59 / 120)
    interval = tango(71, 12, 120)
    assert edge["interval"] == [interval.low, interval.high]
    assert (core["verdict"], core["cases"], core["n"]) == (None, 380, 378)
    assert {row["name"]: (row["delta"], row["verdict"]) for row in talk["categories"]} == {
        "a": (0.5, "PASS"),
        "b": (-0.5, "FAIL"),
    }
    assert train["scores"]["exact"] == {"candidate": None, "baseline": None}
    assert train["categories"][0]["interval"] is None


def test_gates(record: dict[str, Any]) -> None:
    rows = {gate["name"]: gate for gate in record["gates"]}
    assert rows["target_improvement"]["missing"] == {"candidate": 2, "baseline": 0}
    human = rows["human_preference"]
    assert (human["required"], human["waived"], human["interval"]) == (True, "nobody", None)
    assert human["reason"] == "Waived: nobody. There are no votes."
    assert rows["latency_p99"]["estimate"] is None
    assert rows["latency_p99"]["interval"] is None
    assert rows["schema_compliance"]["wilson"][1] == 1.0


def test_warnings_name_arm_and_count(make: Any) -> None:
    quiet = make.totals(kinds={"truncated": 20, "refused": 20})
    nobody = {"judge": 3, "model": 4, "other arm": 5}
    loud = make.totals(kinds={"truncated": 21, "refused": 30}, scoring_errors=1, unanswered=nobody, repaired=2)
    evidence = make.evidence(totals={Arm.CANDIDATE: loud, Arm.BASELINE: quiet})
    assert decide.record.warnings_of(evidence) == [
        "candidate: 21 of 1000 answers (2.1%) cut off: the scores measure the token limit as much as the model",
        "candidate: 30 of 1000 answers (3.0%) refused",
        "candidate: 1 of 1000 answers unscored: their scorer raised",
        "candidate: 3 of 1000 answers unscored: the judge gave no verdict on them",
        "candidate: 4 of 1000 answers unscored: the model gave no answer to what their scorer asked",
        "candidate: 5 of 1000 answers unscored: the other arm has no answer to compare them with",
        "candidate: 2 of 1000 answers mended before they could be stored",
    ]


@pytest.mark.parametrize(
    ("candidate", "baseline", "role", "told"),
    [
        ([1, 1], [1, 1], Role.TARGET, True),
        ([1, 1], [1, 1], Role.GENERAL, True),
        ([1, 1], [1, 1], Role.ADVERSARIAL, False),
        ([1, 1], [1, 0], Role.TARGET, False),
        ([1, 1], [1, float("nan")], Role.TARGET, False),
        ([], [], Role.TARGET, False),
    ],
)
def test_a_suite_that_everybody_passes_tells_nothing(
    make: Any, candidate: list[float], baseline: list[float], role: Role, told: bool
) -> None:
    table = make.table(candidate, baseline, role=role)
    said = f"suite {table.suite}: every answer of both arms passes: it cannot tell the models apart"
    assert list(decide.record.telling(make.evidence(table))) == ([said] if told else [])
    secondary = make.table(candidate, baseline, role=role, primary=False)
    assert not list(decide.record.telling(make.evidence(secondary)))


def test_an_extract_that_finds_nothing_in_any_answer(make: Any) -> None:
    counts = tuple(
        ExtractCount(suite="s", arm=arm, answers=answers, nothing=nothing)
        for arm, answers, nothing in ((Arm.CANDIDATE, 7, 7), (Arm.BASELINE, 7, 6), (Arm.BASELINE, 0, 0))
    )
    said = "suite s, candidate: extract found nothing in 7 of 7 answers: is the pattern right?"
    assert list(decide.record.telling(replace(make.evidence(), extracts=counts))) == [said]
