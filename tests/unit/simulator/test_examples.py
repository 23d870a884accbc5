"""The example data sets are what their script makes, and the built-in models prove on them what the jobs promise."""

import json
import runpy
import tomllib
from math import sqrt
from pathlib import Path

import jsonschema_rs
import pytest
from scipy.stats import binomtest

from evalsvc.core.records import Case
from evalsvc.simulator import profile
from evalsvc.simulator.answers import AnswerBook
from evalsvc.simulator.brain import SkilledBrain
from evalsvc.simulator.profile import Profile

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
CANDIDATES = {"demo": "sim-candidate", "iterate": "sim-regressed", "hold": "sim-candidate"}
Z = 1.959964


def read(example: str) -> list[Case]:
    job = tomllib.loads((EXAMPLES / example / "job.toml").read_text())
    rows = [
        (suite["name"], json.loads(line))
        for suite in job["suites"]
        for line in (EXAMPLES / example / suite["dataset"]).read_text(encoding="utf-8").splitlines()
    ]
    return [Case(suite=suite, **row) for suite, row in rows]


def passes(example: str, model: str, *suites: str) -> list[bool]:
    cases = read(example)
    brain = SkilledBrain(Profile.default(), AnswerBook.from_cases(cases))
    return [answer(brain, model, one) == one.expected for one in cases if one.suite in suites]


def answer(brain: SkilledBrain, model: str, case: Case) -> str:
    assert isinstance(case.input, str)
    return brain.nth_reply(model, case.input, 0).text


def tango(candidate: list[bool], baseline: list[bool], delta: float) -> float:
    """Score statistic of Tango (1998) for a paired difference against delta."""
    n, pairs = len(candidate), list(zip(candidate, baseline, strict=True))
    b, c = (sum(one > other for one, other in pairs), sum(one < other for one, other in pairs))
    linear = -b - c + (2 * n - b + c) * delta
    q = (sqrt(linear**2 + 8 * n * c * delta * (1 - delta)) - linear) / (4 * n)
    return (b - c - n * delta) / sqrt(n * (2 * q + delta * (1 - delta)))


def improvement(example: str, delta: float, *suites: str) -> float:
    return tango(passes(example, CANDIDATES[example], *suites), passes(example, "sim-baseline", *suites), delta)


def lowest_rate(passed: list[bool]) -> float:
    return float(binomtest(sum(passed), len(passed)).proportion_ci(0.95, "exact").low)


def test_the_script_reproduces_the_committed_files(tmp_path: Path) -> None:
    runpy.run_path(str(EXAMPLES / "make_cases.py"))["write"](tmp_path)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.jsonl")}
    committed = {path.relative_to(EXAMPLES): path.read_bytes() for path in EXAMPLES.rglob("*.jsonl")}
    assert len(made) == 9
    assert made == committed


@pytest.mark.parametrize("example", CANDIDATES)
def test_cases_are_distinct_and_keep_their_schema(example: str) -> None:
    cases = read(example)
    assert len({one.id for one in cases}) == len({str(one.input) for one in cases}) == len(cases)
    brain = SkilledBrain(Profile.default(), AnswerBook.from_cases(cases))
    for one in (case for case in cases if case.schema):
        for model in (CANDIDATES[example], "sim-baseline"):
            assert jsonschema_rs.is_valid(one.schema, json.loads(answer(brain, model, one)))


def test_the_demo_proves_every_gate_it_measures() -> None:
    assert improvement("demo", 0.05, "tickets") > Z
    assert improvement("demo", -0.05, "arithmetic", "facts") > Z
    assert lowest_rate(passes("demo", "sim-candidate", "tickets")) > 0.85
    assert lowest_rate(passes("demo", "sim-candidate", "injection")) > 0.9
    assert sum(one.schema is not None for one in read("demo")) >= 420
    assert len(read("demo")) >= 1000


def test_no_category_of_the_demo_looks_like_a_regression() -> None:
    cases = [one for one in read("demo") if one.suite in {"arithmetic", "facts"}]
    arms = [passes("demo", model, "arithmetic", "facts") for model in ("sim-candidate", "sim-baseline")]
    for category in {one.category for one in cases}:
        own = [place for place, one in enumerate(cases) if one.category == category]
        candidate, baseline = ([arm[place] for place in own] for arm in arms)
        assert tango(candidate, baseline, -0.05) > -1


def test_the_iterate_job_proves_its_regression() -> None:
    assert improvement("iterate", -0.05, "arithmetic", "facts") < -Z


def test_the_hold_job_proves_neither_the_improvement_nor_its_absence() -> None:
    assert abs(improvement("hold", 0.05, "tickets")) < Z
    assert abs(improvement("hold", -0.05, "arithmetic")) < Z


def test_the_example_profile_loads_and_its_answers_exist() -> None:
    loaded = profile.load(EXAMPLES / "profile.toml")
    assert set(loaded.models) == {"steady", "troubled", "judge"}
    assert all(answer.is_file() for answer in loaded.answers)
