from __future__ import annotations

from math import exp, inf
from typing import Any

import numpy as np
import pytest

from evalsvc.core.records import GATES, Arm, Role
from evalsvc.decide.gauges import Assumptions, Spread
from evalsvc.decide.pilot import Truth, facts, learn, stated
from evalsvc.decide.planning import Sizes, make_plan
from evalsvc.stats.pilot import discordance_bound

NONE = {"discordance": None, "rate": None, "improvement": None}


def pilot_evidence(make: Any) -> Any:
    target = make.table(*make.binary(8, 2, 35, 5))
    general = make.table([1.0] * 20, [1.0] * 20, role=Role.GENERAL)
    adversarial = make.table([1.0] * 30, [0.0] * 30, role=Role.ADVERSARIAL)
    schema = make.schema_table([1.0] * 49 + [0.0], [1.0] * 50, suite=target.suite)
    latency = make.samples([exp(1), exp(2), inf]), make.samples([exp(1.5), exp(3.5), exp(2.5)])
    return make.evidence(target, general, adversarial, schema, latency=latency)


def test_a_pilot_teaches_what_a_plan_assumes(make: Any) -> None:
    learnt = learn(pilot_evidence(make), make.job())
    given = learnt.assumptions
    assert given.target.discordance == pytest.approx(discordance_bound(np.array([1.0] * 10 + [0.0] * 40)))
    assert given.general.discordance == pytest.approx(1 - 0.2 ** (1 / 20))
    assert not given.target.graded
    assert given.rates == {"exact_match": pytest.approx(44 / 52), "adversarial_robustness": pytest.approx(31 / 32)}
    assert given.compliance == pytest.approx(0.98)
    assert given.latency_ratio == pytest.approx(exp(1.5 - 2.5))
    assert given.latency_spread == pytest.approx(1.0)  # the baseline's: 1.5, 2.5, 3.5
    assert given.improvement is None
    assert learnt.seconds[Arm.CANDIDATE] == pytest.approx((exp(1) + exp(2)) / 2)
    assert learnt.sources["discordance_target"] == "pilot: 10 of 50 differ, upper 80% bound"
    assert learnt.sources["rate_exact_match"] == "pilot: 43 of 50 pass, rule of succession"
    assert learnt.sources["improvement"].startswith("assumed; the pilot saw +12.0 (")


def test_graded_scores_are_learnt_as_such(make: Any) -> None:
    candidate, baseline = [0.5, 0.6, 0.7, 0.4], [0.4, 0.6, 0.5, 0.5]
    given = learn(make.evidence(make.table(candidate, baseline)), make.job()).assumptions
    differences = np.array(candidate) - np.array(baseline)
    assert given.target.graded
    assert given.target.discordance == pytest.approx(discordance_bound(differences))
    assert given.general == Spread()


def test_a_case_without_both_scores_teaches_nothing(make: Any) -> None:
    evidence = make.evidence(make.table([1.0, make.nan, 1.0], [1.0, 0.0, make.nan]))
    assert learn(evidence, make.job()).sources["discordance_target"].startswith("pilot: 0 of 1 differ")


def test_what_a_pilot_did_not_see_stays_assumed(make: Any) -> None:
    learnt = learn(make.evidence(), make.job())
    assert learnt.assumptions == Assumptions()
    assert learnt.sources == {}
    assert learnt.seconds == {}


def test_what_the_user_says_stands_above_the_pilot(make: Any) -> None:
    learnt = learn(pilot_evidence(make), make.job())
    assert stated(learnt, **NONE) == learnt
    told = stated(learnt, discordance=0.3, rate=0.97, improvement=0.12)
    assert told.assumptions.target.discordance == told.assumptions.general.discordance == 0.3
    assert told.assumptions.rates == {"exact_match": 0.97, "adversarial_robustness": 0.97}
    assert told.assumptions.improvement == 0.12
    assert told.assumptions.latency_ratio == learnt.assumptions.latency_ratio
    assert told.sources["discordance_general"] == "--discordance"
    assert told.sources["improvement"] == "--improvement"
    assert told.sources["rate_adversarial_robustness"] == "--rate"
    graded = Truth(assumptions=Assumptions(target=Spread(discordance=0.1, graded=True)))
    assert stated(graded, **{**NONE, "discordance": 0.2}).assumptions.target == Spread(discordance=0.2, graded=True)


def test_the_facts_are_those_of_the_gates_that_count(make: Any) -> None:
    sizes = dict.fromkeys(("target", "general", "adversarial", "timed", "schema"), 500) | {"train": 0, "votes": 0}
    of = Sizes(evidence=sizes, categories={})
    plan = make_plan(make.job(), of, Assumptions())
    found = {fact.name: fact for fact in facts(Truth(), plan)}
    assert {fact.source for fact in found.values()} == {"assumed"}
    assert found["improvement"].value == pytest.approx(0.1)
    assert found["improvement"].words == "candidate +10 points on target cases"
    assert found["discordance_general"].words == "20% of general cases differ between the arms"
    assert found["rate_exact_match"].value == pytest.approx(0.9)
    assert found["latency_spread"].value == 0.5
    alone = make.job(**{name: {"required": False} for name in GATES if name != "latency_p99"})
    names = {fact.name for fact in facts(Truth(), make_plan(alone, of, Assumptions()))}
    assert names == {"latency_ratio", "latency_spread"}
    unmeasured = Sizes(evidence={**sizes, "timed": 0}, categories={})
    assert facts(Truth(), make_plan(alone, unmeasured, Assumptions())) == []
