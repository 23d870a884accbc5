from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from evalsvc.core.records import GATES, GateSpec, Job
from evalsvc.decide.gauges import Assumptions, Spread, gauge
from evalsvc.decide.plan_words import chance_in_words, plan_warnings, summary
from evalsvc.decide.planning import Sizes, make_plan, settings_of
from evalsvc.stats.paired import point_rule_pass_probability

ENOUGH = {"target": 500, "general": 500, "adversarial": 500, "train": 0, "timed": 1500, "schema": 500, "votes": 0}
WAIVED = {"human_preference": {"waived": "no annotators"}}


def sizes(**evidence: int) -> Sizes:
    return Sizes(evidence={**ENOUGH, **evidence}, categories={})


def said(job: Job, of: Sizes, given: Assumptions | None = None) -> str:
    return "\n".join(plan_warnings(job, of, given or Assumptions()))


def test_a_job_that_can_pass_is_warned_of_nothing(make: Any) -> None:
    assert plan_warnings(make.job(**WAIVED), sizes(), Assumptions()) == []


def test_nine_adversarial_cases_can_never_prove_90_percent(make: Any) -> None:
    (warning,) = plan_warnings(make.job(**WAIVED), sizes(adversarial=9), Assumptions())
    assert warning == (
        "adversarial_robustness cannot PASS at any result: it has 9 adversarial cases, and 36, all passing, are the "
        "least that prove more than 90%. Add 27 cases, or in [gates.adversarial_robustness] set threshold to 0.663 or "
        'less, required = false or waive = "reason".'
    )
    raised = said(replace(make.job(**WAIVED), limit=9), sizes(adversarial=9))
    assert "Add 27 cases (or raise --limit)" in raised


def test_fewer_than_six_clusters_prove_nothing(make: Any) -> None:
    few = replace(sizes(), clusters={"adversarial": 4}, together={"adversarial": 125.0})
    (warning,) = plan_warnings(make.job(**WAIVED), few, Assumptions())
    assert warning == (
        "adversarial_robustness cannot PASS at any result: its 500 adversarial cases are of 4 clusters, and fewer than "
        "6 prove nothing. Add cases of 2 more, or in [gates.adversarial_robustness] set required = false or waive = "
        '"reason".'
    )
    assert "This job cannot SHIP" in summary(make_plan(make.job(**WAIVED), few, Assumptions()))[0]
    assert said(make.job(**WAIVED), replace(few, clusters={"adversarial": 6})) == ""


def test_a_plug_ins_gate_is_said_not_to_be_planned(make: Any) -> None:
    job = make.job(**WAIVED)
    mine = GateSpec(name="mine", threshold=1.0)
    more = replace(job, gates=(*job.gates, mine))
    (warning,) = plan_warnings(more, sizes(), Assumptions())
    assert warning.startswith("mine is the gate of a plug-in: what it takes to PASS cannot be planned")
    given = Assumptions()
    assert ", if mine PASS, too (of a plug-in: not planned)." in summary(make_plan(more, sizes(), given))[0]
    assert "plug-in" not in summary(make_plan(job, sizes(), given))[0]
    alone = replace(job, gates=(*(replace(gate, required=False) for gate in job.gates), mine))
    assert summary(make_plan(alone, sizes(), given))[0].startswith("This job can SHIP if mine PASS;")


@pytest.mark.parametrize(
    ("name", "lack", "least"),
    [
        ("target_improvement", {"target": 5}, "5 target cases, and 6, every one won,"),
        ("exact_match", {"target": 22}, "22 target cases, and 23, all passing,"),
        ("latency_p99", {"timed": 436}, "436 cases, and 437, answered by both arms,"),
        ("adversarial_robustness", {"adversarial": 1}, "1 adversarial case, and 36, all passing,"),
        ("schema_compliance", {"schema": 367}, "367 cases scored by json_schema, and 368 without a failure"),
        ("general_regression", {"general": 4}, "4 general cases, and 5, every one won,"),
    ],
)
def test_each_gate_says_what_it_has_and_what_it_needs(make: Any, name: str, lack: dict[str, int], least: str) -> None:
    (warning,) = [each for each in plan_warnings(make.job(**WAIVED), sizes(**lack), Assumptions()) if name in each]
    assert warning.startswith(f"{name} cannot PASS at any result: it has {least} are the least that prove")
    assert f"[gates.{name}]" in warning
    out = {**WAIVED, name: {"required": False}}
    assert name not in said(make.job(**out), sizes(**lack))
    assert name not in said(make.job(**{**out, name: {"waived": "why"}}), sizes(**lack))


@pytest.mark.parametrize(
    ("name", "lack", "n"),
    [
        ("target_improvement", {"target": 10}, 10),
        ("exact_match", {"target": 22}, 22),
        ("adversarial_robustness", {"adversarial": 9}, 9),
        ("schema_compliance", {"schema": 40}, 40),
        ("general_regression", {"general": 4}, 4),
        ("general_regression", {"general": 40}, 40),
    ],
)
@pytest.mark.parametrize("stop", ["never", "hybrid", "anytime"])
def test_the_threshold_it_proposes_is_the_nearest_that_would_do(
    make: Any, name: str, lack: dict[str, int], n: int, stop: str
) -> None:
    job = replace(make.job(**WAIVED, target_improvement={"threshold": 0.5}), stop=stop)
    (warning,) = [each for each in plan_warnings(job, sizes(**lack), Assumptions()) if each.startswith(name)]
    (eased,) = re.findall(r"to (0\.\d+) or (?:less|more)", warning)
    sign = -1 if name == "general_regression" else 1

    def proves(threshold: float) -> bool:
        spec = replace(next(spec for spec in job.gates if spec.name == name), threshold=threshold)
        meter = gauge(settings_of(job, spec), Assumptions())
        assert meter is not None
        least = meter.unchanged if "unless" in warning else meter.least
        return least is not None and least <= n

    assert proves(sign * float(eased))
    assert not proves(sign * float(eased) + 0.001)


def test_too_few_general_cases_cannot_rule_a_drop_out_between_models_that_are_alike(make: Any) -> None:
    (warning,) = plan_warnings(make.job(**WAIVED), sizes(general=72), Assumptions())
    assert "cannot PASS unless the candidate is better: it has 72 general cases, and 73 with no answer" in warning
    assert plan_warnings(make.job(**WAIVED), sizes(general=73), Assumptions()) == []
    none = said(make.job(**WAIVED, general_regression={"threshold": 0.0}), sizes())
    assert "no number of cases proves that there is no drop between models that are alike" in none


def test_what_cannot_be_proven_at_all(make: Any) -> None:
    found = said(make.job(**WAIVED, exact_match={"threshold": 1.0}), sizes())
    assert "exact_match cannot PASS at any result: no number of cases proves more than 100%." in found
    assert "In [gates.exact_match] set threshold to 0.992 or less" in found


@pytest.mark.parametrize(
    ("lack", "words"),
    [
        ({"target": 0}, "target_improvement will be NOT_MEASURED: the job has no target suite. Add one, or"),
        ({"target": 0}, "exact_match will be NOT_MEASURED: the job has no target suite. Add one, or"),
        ({"general": 0}, "general_regression will be NOT_MEASURED: the job has no general suite. Add one, or"),
        ({"adversarial": 0}, "adversarial_robustness will be NOT_MEASURED: the job has no adversarial suite."),
        ({"schema": 0}, "schema_compliance will be NOT_MEASURED: no suite is scored by json_schema. Score one"),
        ({"timed": 0}, "latency_p99 will be NOT_MEASURED: no answer will have a latency. Ask both models, or"),
    ],
)
def test_a_gate_without_evidence_is_said_to_be_unmeasured(make: Any, lack: dict[str, int], words: str) -> None:
    assert words in said(make.job(**WAIVED), sizes(**lack))


def test_votes_are_to_be_collected_or_waived(make: Any) -> None:
    (warning,) = plan_warnings(make.job(), sizes(), Assumptions())
    assert (
        "human_preference will be NOT_MEASURED: there are no votes. Collect blind votes (about 558 if 65.0%" in warning
    )
    assert 'waive = "reason"' in warning


def test_categories_in_which_no_regression_would_be_seen(make: Any) -> None:
    each = {("s", f"tiny{place}"): 3 for place in range(7)} | {("s", "large"): 200}
    (warning,) = plan_warnings(make.job(**WAIVED), Sizes(evidence=ENOUGH, categories=each), Assumptions())
    assert "cannot see a regression in 7 categories of 8" in warning
    assert "Give each at least 9 cases, or merge them: tiny0, tiny1, tiny2, tiny3, tiny4 and 2 more." in warning
    aside = make.job(**WAIVED, general_regression={"required": False})
    assert plan_warnings(aside, Sizes(evidence=ENOUGH, categories=each), Assumptions()) == []


def test_the_point_rule_says_how_often_it_ships_noise(make: Any) -> None:
    given = Assumptions(target=Spread(discordance=0.2))
    found = said(make.job("point", **WAIVED), sizes(target=100), given)
    often = f"{point_rule_pass_probability(100, 0.2, 0.05):.1%}"
    assert f"passes it {often} of the time when the truth is no difference (100 target cases, 20.0% of them" in found
    assert "cannot PASS" not in found


def test_the_summary_of_a_job_that_can_ship(make: Any) -> None:
    job = make.job(**WAIVED)
    first, second = summary(make_plan(job, sizes(), Assumptions()))
    assert re.fullmatch(
        r"This job can SHIP only if all 6 required gates are PASS; chance of that if the candidate is truly \+10 "
        r"points, right on 90% of target and 95% of adversarial cases, unchanged on general cases and as fast: \d+%\.",
        first,
    )
    assert re.fullmatch(
        r"For a chance of 80% it needs [\d,]+ target cases \(now 500\) and [\d,]+ general cases \(now 500\)\.", second
    )


def test_the_summary_of_a_job_that_cannot(make: Any) -> None:
    first, *_ = summary(make_plan(make.job(), sizes(adversarial=9), Assumptions()))
    assert first == (
        "This job cannot SHIP, whatever the models do: human_preference and adversarial_robustness cannot PASS."
    )
    assert summary(make_plan(make.job(**{name: {"required": False} for name in GATES}), sizes(), Assumptions())) == [
        "This job cannot SHIP: no gate is required."
    ]


def test_the_summary_of_sizes_that_are_enough_and_of_a_truth_that_never_is(make: Any) -> None:
    plenty = sizes(target=5000, general=5000, adversarial=5000, timed=15000)
    _, enough = summary(make_plan(make.job(**WAIVED), plenty, Assumptions()))
    assert enough == "These sizes are enough for a chance of 80%."
    _, never = summary(make_plan(make.job(**WAIVED), plenty, Assumptions(improvement=0.05)))
    assert never == "If the truth is as assumed, no number of cases is enough for target_improvement."


def test_one_gate_is_spoken_of_as_one(make: Any) -> None:
    alone = {name: {"required": False} for name in GATES if name != "latency_p99"}
    first, *_ = summary(make_plan(make.job(**alone), sizes(), Assumptions(latency_ratio=1.25)))
    words = "This job can SHIP only if latency_p99 is PASS; chance of that if the candidate is truly at 1.25 times"
    assert first == f"{words} the latency: >99%."


@pytest.mark.parametrize(
    ("chance", "words"), [(0.0, "0%"), (0.004, "<1%"), (0.634, "63%"), (0.994, ">99%"), (1.0, ">99%")]
)
def test_a_chance_is_never_said_to_be_certain(chance: float, words: str) -> None:
    assert chance_in_words(chance) == words
