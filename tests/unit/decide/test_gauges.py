"""What a plan promises of a gate is held against the gate itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from evalsvc import decide
from evalsvc.core.evidence import Evidence
from evalsvc.core.records import GATES, Role, Verdict
from evalsvc.decide.decision import judge_all
from evalsvc.decide.gauges import Assumptions, Spread, gauge, least_alike
from evalsvc.decide.planning import settings_of
from evalsvc.decide.sequential import Stopping

MEASURED = [name for name in GATES if name != "human_preference"]
STOPS = ["never", "hybrid", "anytime"]


def perfect(make: Any, n: int, *, alike: bool = False) -> Evidence:
    """The best result there can be: every case won and passed, the candidate a thousand times as fast."""
    scores = [1.0] * n, ([1.0] if alike else [0.0]) * n
    tables = [make.table(*scores, role=role) for role in (Role.TARGET, Role.GENERAL, Role.ADVERSARIAL)]
    tables.append(make.schema_table(*scores, suite=tables[0].suite))
    evidence: Evidence = make.evidence(*tables, latency=(make.samples([0.001] * n), make.samples([1.0] * n)))
    return evidence


def verdict(make: Any, name: str, evidence: Evidence, stop: str, mode: str = "interval", **spec: Any) -> Verdict:
    job = replace(make.job(mode, **{name: spec}), stop=stop)
    stopping = None if stop == "never" else Stopping(planned={})
    return next(result.verdict for result in judge_all(evidence, job, stopping) if result.name == name)


def gauge_of(make: Any, name: str, stop: str, mode: str = "interval", **spec: Any) -> Any:
    job = replace(make.job(mode, **{name: spec}), stop=stop)
    return gauge(settings_of(job, next(each for each in job.gates if each.name == name)), Assumptions())


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("name", MEASURED)
def test_the_least_cases_pass_at_the_best_result_and_one_fewer_cannot(make: Any, name: str, stop: str) -> None:
    least = gauge_of(make, name, stop).least
    assert verdict(make, name, perfect(make, least), stop) is Verdict.PASS
    assert verdict(make, name, perfect(make, least - 1), stop) is not Verdict.PASS


@pytest.mark.parametrize(
    ("name", "threshold"), [("target_improvement", 0.3), ("exact_match", 0.5), ("latency_p99", 1.1)]
)
def test_the_least_cases_follow_the_threshold(make: Any, name: str, threshold: float) -> None:
    least = gauge_of(make, name, "never", threshold=threshold).least
    assert verdict(make, name, perfect(make, least), "never", threshold=threshold) is Verdict.PASS
    assert verdict(make, name, perfect(make, least - 1), "never", threshold=threshold) is not Verdict.PASS


@pytest.mark.parametrize("stop", STOPS)
def test_the_least_cases_between_models_that_are_alike(make: Any, stop: str) -> None:
    least = gauge_of(make, "general_regression", stop).unchanged
    assert verdict(make, "general_regression", perfect(make, least, alike=True), stop) is Verdict.PASS
    assert verdict(make, "general_regression", perfect(make, least - 1, alike=True), stop) is not Verdict.PASS


@pytest.mark.parametrize("name", [name for name in MEASURED if name != "schema_compliance"])
def test_the_point_rule_needs_two_cases(make: Any, name: str) -> None:
    assert gauge_of(make, name, "never", "point").least == 2
    assert verdict(make, name, perfect(make, 2), "never", "point") is Verdict.PASS
    assert verdict(make, name, perfect(make, 1), "never", "point") is not Verdict.PASS


def test_the_numbers_every_page_quotes(make: Any) -> None:
    least = {name: gauge_of(make, name, "never").least for name in GATES}
    assert least["latency_p99"] == 437
    assert least["schema_compliance"] == 368
    assert least["adversarial_robustness"] == 36
    assert least["human_preference"] is None
    assert gauge_of(make, "general_regression", "never").unchanged == 73


def test_what_no_number_of_cases_proves(make: Any) -> None:
    assert gauge_of(make, "exact_match", "never", threshold=1.0).least is None
    assert gauge_of(make, "schema_compliance", "never", threshold=1.0).least is None
    assert gauge_of(make, "general_regression", "never", threshold=0.0).unchanged is None
    assert gauge_of(make, "general_regression", "never", threshold=0.0).needed(0.8) is None


@pytest.mark.parametrize("among", [1, 7])
def test_the_least_cases_of_a_category_that_can_fail(make: Any, among: int) -> None:
    job = make.job()
    least = least_alike(settings_of(job, job.gates[1]), -1, Verdict.FAIL, among=among)

    def verdicts(n: int) -> set[Verdict]:
        names = [f"c{place}" for place in range(among - 1)]
        table = make.table(
            [0.0] * n + [1.0] * 50 * len(names),
            [1.0] * n + [1.0] * 50 * len(names),
            role=Role.GENERAL,
            categories=["lost"] * n + [name for name in names for _ in range(50)],
        )
        result: decide.GateResult = make.judge("general_regression", make.evidence(table))
        return {each.verdict for each in result.categories if each.category == "lost"}

    assert least is not None
    assert verdicts(least) == {Verdict.FAIL}
    assert verdicts(least - 1) == {Verdict.INCONCLUSIVE}


def simulated(make: Any, name: str, n: int, runs: int, truth: dict[str, float]) -> float:
    """How often the gate itself passes when the truth is so; what was seen twice is judged once."""
    rng = np.random.default_rng(11)
    seen: Counter[tuple[int, ...]] = Counter()
    if name in ("target_improvement", "general_regression"):
        win, loss = (truth["q"] + truth["d"]) / 2, (truth["q"] - truth["d"]) / 2
        seen.update(tuple(counts) for counts in rng.multinomial(n, [win, loss, 1 - win - loss], size=runs).tolist())
    else:
        seen.update((passes,) for passes in rng.binomial(n, truth["rate"], size=runs).tolist())
    return sum(times for counts, times in seen.items() if passes_gate(make, name, n, counts)) / runs


def passes_gate(make: Any, name: str, n: int, counts: tuple[int, ...]) -> bool:
    if len(counts) > 1:
        role = Role.TARGET if name == "target_improvement" else Role.GENERAL
        table = make.table(*make.binary(*counts, 0), role=role)
    else:
        role = Role.TARGET if name == "exact_match" else Role.ADVERSARIAL
        table = make.table([1.0] * counts[0] + [0.0] * (n - counts[0]), [1.0] * n, role=role)
    results = judge_all(make.evidence(table), make.job(), glance=True)
    return next(result.verdict for result in results if result.name == name) is Verdict.PASS


@pytest.mark.parametrize(
    ("name", "n", "truth", "given"),
    [
        ("target_improvement", 30, {"q": 0.3, "d": 0.3}, Assumptions(target=Spread(discordance=0.1), improvement=0.3)),
        (
            "target_improvement",
            150,
            {"q": 0.3, "d": 0.15},
            Assumptions(target=Spread(discordance=0.3), improvement=0.15),
        ),
        ("general_regression", 150, {"q": 0.1, "d": 0.0}, Assumptions(general=Spread(discordance=0.1))),
        ("exact_match", 150, {"rate": 0.92}, Assumptions(rates={"exact_match": 0.92})),
        ("adversarial_robustness", 100, {"rate": 0.97}, Assumptions(rates={"adversarial_robustness": 0.97})),
    ],
)
def test_the_chance_is_how_often_the_gate_passes(
    make: Any, name: str, n: int, truth: dict[str, float], given: Assumptions
) -> None:
    job = make.job()
    found = gauge(settings_of(job, next(spec for spec in job.gates if spec.name == name)), given)
    assert found is not None
    assert found.chance(n) == pytest.approx(simulated(make, name, n, 200, truth), abs=0.1)


@pytest.mark.parametrize(("n", "sd"), [(15, 0.1), (90, 0.17), (200, 0.25)])
def test_a_graded_difference_is_planned_by_what_the_gate_does(make: Any, n: int, sd: float) -> None:
    given = Assumptions(target=Spread(discordance=sd**2 + 0.1**2, graded=True), improvement=0.1)
    found = gauge(settings_of(make.job(), make.job().gates[0]), given)
    rng, runs, passed = np.random.default_rng(5), 60, 0
    for _ in range(runs):
        candidate = np.clip(0.5 + 0.1 + sd * rng.standard_normal(n), 0, 1)
        table = make.table(candidate.tolist(), [0.5] * n)
        passed += make.judge("target_improvement", make.evidence(table)).verdict is Verdict.PASS
    assert found is not None
    assert found.chance(n) == pytest.approx(passed / runs, abs=0.12)


@pytest.mark.parametrize("name", MEASURED)
def test_what_it_sees_passes_in_four_of_five_runs_and_what_it_needs_is_enough(make: Any, name: str) -> None:
    job = make.job()
    settings = settings_of(job, next(spec for spec in job.gates if spec.name == name))
    found = gauge(settings, Assumptions())
    assert found is not None
    for power in (0.8, 0.96):
        needed = found.needed(power)
        assert needed is not None
        assert found.chance(needed) >= power
    if name == "schema_compliance":
        assert found.effect(368) == pytest.approx(0.99, abs=1e-4)
        return
    seen = found.effect(500)
    assert seen is not None
    truth = {
        "target_improvement": Assumptions(improvement=seen),
        "exact_match": Assumptions(rates={"exact_match": seen}),
        "adversarial_robustness": Assumptions(rates={"adversarial_robustness": seen}),
        "latency_p99": Assumptions(latency_ratio=seen),
    }.get(name, Assumptions())
    if name == "general_regression":  # what it sees is the margin it could prove if nothing changed
        settings = replace(settings, spec=replace(settings.spec, threshold=seen))
    again = gauge(settings, truth)
    assert again is not None
    assert again.chance(500) == pytest.approx(0.8, abs=0.01)


def test_a_truth_on_the_wrong_side_is_never_enough(make: Any) -> None:
    given = Assumptions(
        improvement=0.05,
        rates={"exact_match": 0.85, "adversarial_robustness": 0.5},
        latency_ratio=2.0,
        compliance=0.999,
    )
    job = make.job()
    for spec in job.gates:
        if spec.name not in ("general_regression", "human_preference"):
            found = gauge(settings_of(job, spec), given)
            assert found is not None
            assert found.needed(0.8) is None, spec.name


def test_votes_needed_are_those_of_the_design_page(make: Any) -> None:
    found = gauge_of(make, "human_preference", "never")
    assert found.needed(0.8) == 558  # statistics.md, G7: true 0.65 against 0.60, 20% ties


def test_one_answer_outside_its_schema_in_a_thousand_is_too_many(make: Any) -> None:
    job = make.job()
    found = gauge(settings_of(job, job.gates[6]), Assumptions(compliance=0.999))
    assert found is not None
    assert found.chance(500) == pytest.approx(0.999**500)
    assert found.chance(367) == 0.0


def test_a_gate_of_a_plug_in_has_no_gauge(make: Any) -> None:
    job = make.job()
    strange = replace(job.gates[0], name="speed")
    assert gauge(settings_of(job, strange), Assumptions()) is None
