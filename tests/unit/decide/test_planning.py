from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsvc.core.records import GATES, Arm, GateSpec, Job, Role, ScorerSpec, SuiteSpec
from evalsvc.decide import sequential
from evalsvc.decide.gauges import Assumptions
from evalsvc.decide.planning import ICC, JobPlan, Sizes, make_plan, settings_of, sizes_of

THRESHOLDS = (0.05, -0.05, 0.85, 2.0, 0.60, 0.90, 0.99)
WAIVED = {"human_preference": {"waived": "no annotators"}}


def suite(name: str, role: Role, *scorers: str) -> SuiteSpec:
    specs = tuple(ScorerSpec(name=scorer, label=scorer) for scorer in scorers or ("exact_match",))
    return SuiteSpec(name=name, role=role, dataset=f"{name}.jsonl", format="native", scorers=specs)


def sizes(target: int = 0, general: int = 0, adversarial: int = 0, schema: int = 0, categories: int = 0) -> Sizes:
    evidence = {"target": target, "general": general, "adversarial": adversarial, "train": 0, "votes": 0}
    evidence |= {"timed": target + general + adversarial, "schema": schema}
    each = {("s", f"c{place}"): general // categories for place in range(categories)} if categories else {}
    return Sizes(evidence=evidence, categories=each)


def plan(job: Job, of: Sizes, **given: Any) -> JobPlan:
    return make_plan(job, of, Assumptions(**given))


def test_evidence_is_counted_by_role_and_by_what_gates_look_at(make: Any) -> None:
    suites = [
        suite("a", Role.TARGET, "exact_match", "json_schema"),
        suite("b", Role.GENERAL),
        suite("c", Role.GENERAL, "json_schema"),
        suite("d", Role.ADVERSARIAL),
        suite("e", Role.TRAIN, "json_schema"),
    ]
    counts: Mapping[str, Mapping[str, int]] = {
        "a": {"x": 10, "y": 5}, "b": {"x": 7, "z": 2}, "c": {"x": 4}, "d": {"x": 3}, "e": {"x": 100},
    }  # fmt: skip
    job = make.job(suites=suites)
    found = sizes_of(job, counts)
    assert found.evidence == {
        "target": 15, "general": 13, "adversarial": 3, "train": 0, "timed": 31, "schema": 19, "votes": 0,
    }  # fmt: skip
    assert found.categories == {("b", "x"): 7, ("b", "z"): 2, ("c", "x"): 4}
    recorded = {**job.arms, Arm.BASELINE: replace(job.arms[Arm.BASELINE], endpoint="recorded", outputs="a.jsonl")}
    assert sizes_of(replace(job, arms=recorded), counts).evidence["timed"] == 0


def test_cases_in_clusters_are_worth_less(make: Any) -> None:
    suites = [suite("a", Role.TARGET), suite("b", Role.TARGET), suite("c", Role.GENERAL)]
    counts: Mapping[str, Mapping[str, int]] = {"a": {"x": 90}, "b": {"x": 10}, "c": {"x": 100}}
    job = make.job(suites=suites)
    found = sizes_of(job, counts, {"a": [30, 30, 30], "b": None, "c": None})
    assert (found.clusters, found.together) == ({"target": 13}, {"target": 27.1})  # (3 · 30² + 10 · 1²) / 100
    assert found.design_effect("target") == pytest.approx(1 + 26.1 * ICC)
    assert found.design_effect("general") == 1
    assert sizes_of(job, counts) == sizes_of(job, counts, {"a": None})


def test_the_chance_with_clusters_is_that_of_so_many_fewer_cases(make: Any) -> None:
    job, alone = make.job(), sizes(1000, 1000, 1000)
    clustered = replace(alone, clusters={"target": 100}, together={"target": 6.0})  # 2 cases are worth one
    whole, half, found = (plan(job, of) for of in (alone, sizes(500, 1000, 1000), clustered))
    for name in ("target_improvement", "exact_match"):
        full, fewer, seen = (next(g for g in made.gates if g.name == name) for made in (whole, half, found))
        assert (seen.n, seen.clusters, seen.chance, seen.effect) == (1000, 100, fewer.chance, fewer.effect)
        assert seen.needed == 2 * (full.needed or 0)
        assert seen.possible
    assert found.gates[1] == whole.gates[1]
    few = plan(job, replace(clustered, clusters={"target": 5}))
    assert not few.gates[0].possible


def test_gates_of_plug_ins_are_named_where_they_count(make: Any) -> None:
    job = make.job()
    more = [GateSpec(name="mine", threshold=1.0), GateSpec(name="aside", threshold=1.0, required=False)]
    more.append(GateSpec(name="waived", threshold=1.0, waived="why"))
    made = plan(replace(job, gates=(*job.gates, *more)), sizes(9, 9, 9))
    assert made.unplanned == ("mine",)
    assert plan(job, sizes(9, 9, 9)).unplanned == ()


def test_the_plan_has_every_gate_in_the_records_order(make: Any) -> None:
    made = plan(make.job(), sizes(9, 9, 9))
    assert tuple(gate.name for gate in made.gates) == GATES
    assert {gate.name for gate in made.gates if gate.possible} == {"target_improvement", "general_regression"}
    assert made.chance == 0.0


def test_each_counted_gate_is_planned_for_more_than_all_together(make: Any) -> None:
    alone = {name: {"required": False} for name in GATES if name != "exact_match"}
    one = plan(make.job(**alone), sizes(500, 500, 500))
    all_but_one = plan(make.job(**WAIVED), sizes(500, 500, 500, 500))
    assert one.each == pytest.approx(0.8)
    assert all_but_one.each == pytest.approx(1 - 0.2 / 6)
    needed = {
        made: next(gate.needed for gate in made.gates if gate.name == "exact_match") or 0 for made in (one, all_but_one)
    }
    assert needed[one] == 356  # decisions.md: at a true rate of 90%
    assert needed[all_but_one] > needed[one]


@pytest.mark.parametrize("stop", ["never", "hybrid", "anytime"])
def test_a_job_of_the_proposed_sizes_has_the_chance_it_was_proposed_for(make: Any, stop: str) -> None:
    job = replace(make.job(**WAIVED), stop=stop)
    wanted = plan(job, sizes(30, 30, 30, 30)).lacking
    assert set(wanted) == {"target", "general", "adversarial", "schema"}
    made = plan(job, sizes(wanted["target"], wanted["general"], wanted["adversarial"], wanted["schema"]))
    assert made.chance >= 0.8
    assert made.lacking == {}
    assert made.chance == pytest.approx(prod(gate.chance for gate in made.counted))


def test_gates_with_more_than_they_need_make_up_for_others(make: Any) -> None:
    job, much = make.job(**WAIVED), {"exact_match": 0.97, "adversarial_robustness": 0.99}
    made = plan(job, sizes(2000, 820, 500, 500), improvement=0.2, rates=much)
    regression = made.gates[1]
    assert (regression.needed or 0) > regression.n  # alone it has less than its part of 80%
    assert made.chance >= 0.8
    assert made.lacking == {}


def test_what_is_added_to_the_suites_counts_for_the_latency(make: Any) -> None:
    required = {name: {"required": False} for name in GATES if name not in ("latency_p99", "exact_match")}
    assert set(plan(make.job(**required), sizes(30)).lacking) == {"target", "timed"}
    assert set(plan(make.job(**required), sizes(30, 600)).lacking) == {"target"}
    little = plan(make.job(**required), sizes(30, 200), rates={"exact_match": 0.99}).lacking
    assert set(little) == {"target", "timed"}
    assert little["target"] < 437


def test_hybrid_leaves_less_for_the_end_and_anytime_takes_more_cases(make: Any) -> None:
    needed = {}
    for stop in ("never", "hybrid", "anytime"):
        made = plan(replace(make.job(**WAIVED), stop=stop), sizes(500, 500, 500, 500))
        needed[stop] = {gate.name: gate.needed or 0 for gate in made.gates}
    for name in ("target_improvement", "general_regression", "exact_match"):
        assert 1.02 < needed["hybrid"][name] / needed["never"][name] < 1.1
        assert needed["anytime"][name] == 2 * needed["never"][name]
    assert needed["hybrid"]["latency_p99"] == needed["never"]["latency_p99"]


@pytest.mark.parametrize("stop", ["hybrid", "anytime"])
def test_the_level_of_the_planned_end_is_that_of_the_gates(make: Any, stop: str) -> None:
    job = replace(make.job(), stop=stop)
    for spec in job.gates:
        looked_at = spec.name in sequential.LOOKED_AT
        assert settings_of(job, spec).level == (sequential._LEVELS[stop][1] if looked_at else 0.95)
        assert settings_of(job, spec).anytime == (looked_at and stop == "anytime")


def test_a_gate_out_of_the_decision_changes_no_chance(make: Any) -> None:
    without = {name: {"required": False} for name in GATES if name not in ("exact_match", "target_improvement")}
    made = plan(make.job(**without), sizes(700))
    assert [gate.name for gate in made.counted] == ["target_improvement", "exact_match"]
    assert made.chance == pytest.approx(prod(gate.chance for gate in made.gates if gate.counted))
    waived = plan(make.job(**{**without, "exact_match": {"waived": "why"}}), sizes(700))
    assert waived.chance > made.chance


def test_no_counted_gate_has_no_chance(make: Any) -> None:
    made = plan(make.job(**{name: {"required": False} for name in GATES}), sizes(700))
    assert (made.chance, made.counted, made.lacking) == (0.0, (), {})


def test_smaller_categories_and_more_of_them_see_less(make: Any) -> None:
    few, many = plan(make.job(), sizes(0, 400, categories=2)), plan(make.job(), sizes(0, 400, categories=8))
    assert [each.n for each in few.categories] == [200] * 2
    drops = [few.categories[0].drop or 0, many.categories[0].drop or 0]
    assert -0.5 < drops[1] < drops[0] < -0.05
    same_size = plan(make.job(), sizes(0, 1600, categories=8))
    assert (same_size.categories[0].drop or 0) < drops[0]  # Holm
    assert (few.categories[0].least_fail or 0) < (many.categories[0].least_fail or 0)
    assert plan(make.job(), sizes(0, 6, categories=2)).categories[0].drop is None


def test_many_categories_are_planned_fast(make: Any) -> None:
    each = {("s", f"c{place}"): 1 + place % 60 for place in range(20_000)}
    made = plan(make.job(), Sizes(evidence=sizes(10, 600_000).evidence, categories=each))
    assert len(made.categories) == 20_000


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 500), st.sampled_from(["interval", "point"]))
def test_a_plan_can_be_made_of_any_sizes(target: int, general: int, adversarial: int, evidence: str) -> None:
    specs = tuple(GateSpec(name=name, threshold=threshold) for name, threshold in zip(GATES, THRESHOLDS, strict=True))
    job = Job(name="j", seed=0, trials=1, arms={}, suites=(), gates=specs, evidence=evidence)
    made = plan(job, sizes(target, general, adversarial, target, categories=3 if general > 5 else 0))
    for gate in made.gates:
        assert 0 <= gate.chance <= 1
        assert gate.chance == 0 or gate.possible
