"""What looks settle, and what need not be asked any more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from evalsvc import decide
from evalsvc.core.evidence import Evidence, ScoreTable
from evalsvc.core.records import Arm, ArmSpec, GateSpec, Job, Role, ScorerSpec, Verdict
from evalsvc.decide.sequential import Stopping, look, rests_on, summary
from evalsvc.decide.suites import suite_rows
from evalsvc.decide.verdict import GateResult, Settings, gates

WAIVED = {"waived": "not here"}
#: The gates that have no suite in a test, out of the way.
ONLY_TARGET: dict[str, Any] = dict.fromkeys(
    (
        "general_regression",
        "exact_match",
        "latency_p99",
        "human_preference",
        "adversarial_robustness",
        "schema_compliance",
    ),
    WAIVED,
)
NAN = float("nan")


@dataclass
class World:
    """Suites whose cases stand in one order: what each answered, as it will come to light."""

    make: Any
    job: Job
    suites: dict[str, tuple[Role, Sequence[float], Sequence[float]]]
    order: Sequence[str]
    more: dict[str, Any]

    def tables(self, until: int, closed: dict[str, int]) -> list[ScoreTable]:
        return [self._table(name, until, closed) for name in self.suites]

    def _table(self, name: str, until: int, closed: dict[str, int]) -> ScoreTable:
        role, candidate, baseline = self.suites[name]
        n = sum(suite == name for suite in self.order[: min(until, closed.get(name, until))])
        more = {key: value[:n] if key == "categories" else value for key, value in self.more.get(name, {}).items()}
        table: ScoreTable = self.make.table(candidate[:n], baseline[:n], role=role, suite=name, **more)
        return table

    def looks(self) -> Iterator[Stopping]:
        """Every look in turn."""
        sizes = {name: len(scores[1]) for name, scores in self.suites.items()}
        stopping = Stopping(planned=sizes)
        while (at := stopping.next_look) is not None:
            stopping = look(self.job, stopping, self.tables(at, dict(stopping.closed)))
            yield stopping

    def end(self) -> tuple[Stopping, dict[str, GateResult], Evidence]:
        """Where the looks lead, and what is judged then."""
        *_, stopping = self.looks()
        evidence = self.make.evidence(
            *self.tables(len(self.order), dict(stopping.closed)),
            latency=(self.make.samples([0.1] * 2000), self.make.samples([0.1] * 2000)),
        )
        results = decide.judge_all(evidence, self.job, stopping)
        return stopping, {each.name: each for each in results}, evidence


@pytest.fixture
def world(make: Any) -> Any:
    def build(
        *suites: tuple[str, Role, Sequence[float], Sequence[float]],
        stop: str = "hybrid",
        more: dict[str, Any] | None = None,
        scorers: Sequence[str] = (),
        **specs: Any,
    ) -> World:
        each = {name: (role, candidate, baseline) for name, role, candidate, baseline in suites}
        turns = [name for name, _, candidate, _ in suites for _ in candidate]
        np.random.default_rng(5).shuffle(turns)
        made = [make.suite(make.table([], [], role=role, suite=name), *scorers) for name, role, *_ in suites]
        job = replace(make.job("interval", made, **specs), stop=stop)
        return World(make, job, each, turns, more or {})

    return build


def arms(rng_seed: int, n: int, *, win: float, loss: float) -> tuple[list[float], list[float]]:
    """Binary scores: the candidate alone is right with chance ``win``, the baseline alone with ``loss``."""
    draw = np.random.default_rng(rng_seed).random(n)
    candidate = np.where(draw < win, 1.0, np.where(draw > 1 - loss, 0.0, 1.0))
    baseline = np.where(draw < win, 0.0, 1.0)
    return candidate.tolist(), baseline.tolist()


def target(n: int = 1000, *, win: float, loss: float, seed: int = 1) -> tuple[str, Role, list[float], list[float]]:
    return "t", Role.TARGET, *arms(seed, n, win=win, loss=loss)


def general(n: int = 1000, *, win: float, loss: float, seed: int = 2) -> tuple[str, Role, list[float], list[float]]:
    return "g", Role.GENERAL, *arms(seed, n, win=win, loss=loss)


@pytest.mark.parametrize(("cases", "every"), [(12, 10), (999, 10), (1000, 10), (1001, 11), (20_000, 200)])
def test_looks_stand_at_the_same_places_always(cases: int, every: int) -> None:
    stopping = Stopping(planned={"a": cases - 5, "b": 5})
    assert (stopping.every, stopping.next_look) == (every, every)
    last = replace(stopping, looks=(cases - 1) // every)
    assert last.next_look is None  # the planned end is no look
    assert replace(stopping, reason="over").next_look is None


@pytest.mark.parametrize(("stop", "level"), [("hybrid", 0.99), ("anytime", 0.95)])
def test_a_plain_win_ends_the_job_at_a_look(world: Any, stop: str, level: float) -> None:
    seen = world(target(win=0.3, loss=0.05), stop=stop, **ONLY_TARGET)
    *earlier, last = seen.looks()
    assert last.reason == "every required gate is decided"
    assert not any(each.settled or each.closed for each in earlier)
    at = 10 * (len(earlier) + 1)
    assert last.closed == {"t": at}
    _, results, evidence = seen.end()
    found = results["target_improvement"]
    assert (found.verdict, found.method, found.level, found.n) == (Verdict.PASS, "betting", level, at)
    assert found.interval.low is not None
    assert found.interval.low > 0.05
    assert found.extra["judged_at"] == at
    assert decide.decide(tuple(results.values())).decision == "SHIP"
    said = summary(seen.job, last, replace(evidence, outcomes=2 * at + 6))
    assert said["prefix"] == {"t": at}
    assert said["requests_saved"] == 2000 - 2 * at - 6
    assert said["said"] == (
        f"stopped early: every required gate is decided after {at} of 1,000 cases; {2000 - 2 * at - 6:,} requests saved"
    )


def test_no_number_of_a_suite_that_stopped_is_one_for_a_single_look(world: Any) -> None:
    seen = world(target(win=0.3, loss=0.02), **{**ONLY_TARGET, "exact_match": {}})
    stopping, results, evidence = seen.end()
    assert stopping.closed
    assert results["exact_match"].extra["wilson"] is None
    assert results["latency_p99"].extra["p95"]["interval"] is None
    (category,) = suite_rows(seen.job.suites, evidence, list(results.values()), stopping.closed)[0]["categories"]
    (whole,) = suite_rows(seen.job.suites, evidence, list(results.values()))[0]["categories"]
    assert category["interval"][0] < whole["interval"][0] < whole["interval"][1] < category["interval"][1]


def test_what_comes_after_the_look_changes_nothing(world: Any) -> None:
    name, role, candidate, baseline = target(win=0.3, loss=0.05)
    settled, results, _ = world((name, role, candidate, baseline), **ONLY_TARGET).end()
    at = settled.closed["t"]
    turned = (candidate[:at] + [0.0] * (1000 - at), baseline[:at] + [1.0] * (1000 - at))
    again, others, _ = world((name, role, *turned), **ONLY_TARGET).end()
    assert again == settled
    assert others == results


def test_a_fail_ends_the_job_and_nothing_else_passes_by_it(world: Any) -> None:
    bad, good = general(win=0.0, loss=0.4), target(win=0.1, loss=0.0)
    specs = dict.fromkeys(("exact_match", "human_preference", "adversarial_robustness", "schema_compliance"), WAIVED)
    seen = world(good, bad, **specs)  # latency_p99 is required
    stopping, results, _ = seen.end()
    assert stopping.reason == "general_regression fails"
    assert stopping.closed.keys() == {"t", "g"}
    assert results["general_regression"].verdict is Verdict.FAIL
    assert results["target_improvement"].verdict is Verdict.INCONCLUSIVE
    assert results["target_improvement"].reason.endswith("; no more of its cases were asked.")
    latency = results["latency_p99"]
    assert (latency.verdict, latency.interval.low, latency.needs) == (
        Verdict.INCONCLUSIVE,
        None,
        "a run that asks all planned cases would judge it",
    )
    assert decide.decide(tuple(results.values())).decision == "ITERATE"


def test_a_fail_that_is_not_required_ends_nothing(world: Any) -> None:
    seen = world(
        target(win=0.06, loss=0.02),
        general(win=0.0, loss=0.4),
        **(ONLY_TARGET | {"general_regression": {"required": False}}),
    )
    stopping, results, _ = seen.end()
    assert results["general_regression"].verdict is Verdict.FAIL
    assert stopping.reason is None or "target_improvement" in stopping.reason


def test_what_is_left_goes_to_the_suites_that_are_open(world: Any) -> None:
    specs = {**ONLY_TARGET, "general_regression": {}}
    seen = world(
        target(win=0.3, loss=0.02),
        general(win=0.06, loss=0.06),
        ("train", Role.TRAIN, *arms(3, 200, win=0.1, loss=0.1)),
        **specs,
    )
    states = list(seen.looks())
    first = next(each for each in states if each.closed)
    assert first.closed.keys() == {"t"}
    assert first.open == {"g", "train"}  # nothing rests on train: it is asked as long as the job goes on
    assert first.reason is None
    last = states[-1]
    assert last.closed["t"] < last.closed["g"] == last.closed["train"]
    _, results, evidence = seen.end()
    assert results["target_improvement"].extra["judged_at"] == first.closed["t"]
    assert results["general_regression"].n == summary(seen.job, last, evidence)["prefix"]["g"]


def test_a_suite_is_open_while_one_required_gate_on_it_is(world: Any) -> None:
    # the rate is too close to 85% to be settled soon
    seen = world(target(win=0.5, loss=0.14), **{**ONLY_TARGET, "exact_match": {}})
    stopping, results, _ = seen.end()
    assert results["target_improvement"].verdict is Verdict.PASS
    assert (results["target_improvement"].extra["judged_at"] or 0) < stopping.closed.get("t", 1000)


def test_a_required_latency_keeps_everything_open(world: Any) -> None:
    clear = target(win=0.5, loss=0.0)
    del (specs := dict(ONLY_TARGET))["latency_p99"]
    stopping, results, evidence = (seen := world(clear, **specs)).end()
    assert results["target_improvement"].verdict is Verdict.PASS
    assert not stopping.closed
    assert (results["latency_p99"].verdict, results["latency_p99"].level) == (Verdict.PASS, 0.95)
    said = summary(seen.job, stopping, replace(evidence, outcomes=2000))["said"]
    assert said == "looked 99 times, no request saved: latency_p99 open to the planned end"
    recorded = {arm: ArmSpec(endpoint="recorded", model="m", outputs="o") for arm in Arm}
    seen.job = replace(seen.job, arms=recorded)  # recorded answers have no latency: it could never be measured
    *_, last = seen.looks()
    assert last.reason is not None


def test_votes_keep_nothing_open(world: Any) -> None:
    del (specs := dict(ONLY_TARGET))["human_preference"]
    stopping, results, _ = world(target(win=0.5, loss=0.0), **specs).end()
    assert stopping.reason == "every required gate is decided, but for human_preference"
    assert decide.decide(tuple(results.values())).decision == "HOLD"


def test_a_job_that_requires_nothing_is_asked_whole(world: Any) -> None:
    specs = {**ONLY_TARGET, "target_improvement": WAIVED}
    stopping, results, _ = world(target(win=0.5, loss=0.0), **specs).end()
    assert not stopping.closed
    assert results["target_improvement"].verdict is Verdict.PASS


def test_what_is_out_of_reach_is_given_up_and_stays_open(world: Any) -> None:
    seen = world(target(win=0.1, loss=0.1), **ONLY_TARGET)
    stopping, results, _ = seen.end()
    found = results["target_improvement"]
    assert stopping.reason == "every required gate is decided or futile (target_improvement)"
    assert stopping.futile == {"target_improvement"}
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "could just show is out of reach" in found.reason
    assert (found.n_needed, found.needs) == (
        None,
        "a better candidate: more cases are unlikely to make this one pass",
    )
    assert decide.decide(tuple(results.values())).decision == "HOLD"


def test_a_futile_gate_is_judged_to_the_end_where_its_suite_is_asked_on(world: Any) -> None:
    # at first the candidate wins too little, so that it is given up; a required latency keeps its suite open: it passes
    candidate, baseline = arms(1, 1000, win=0.5, loss=0.0)
    bad_start = (
        [float(i % 25 in (3, 14)) for i in range(400)] + candidate[400:],
        [float(i % 16 == 0) for i in range(400)] + baseline[400:],
    )
    del (specs := dict(ONLY_TARGET))["latency_p99"]
    alone, results, _ = world(("t", Role.TARGET, *bad_start), **ONLY_TARGET).end()
    assert alone.futile
    stopping, results, _ = world(("t", Role.TARGET, *bad_start), **specs).end()
    assert not stopping.futile
    assert results["target_improvement"].verdict is Verdict.PASS


def test_missing_answers_are_held_against_the_candidate(world: Any) -> None:
    name, role, candidate, baseline = target(win=0.3, loss=0.05)
    complete, *_ = world((name, role, candidate, baseline), **ONLY_TARGET).end()
    some = [NAN if i % 80 == 3 else value for i, value in enumerate(candidate)]
    alike = [NAN if i % 80 == 5 else value for i, value in enumerate(baseline)]
    later, results, _ = world((name, role, some, alike), **ONLY_TARGET).end()
    assert results["target_improvement"].verdict is Verdict.PASS
    assert "holds in the worst case" in results["target_improvement"].reason
    assert later.closed["t"] > complete.closed["t"]
    many = [NAN if i % 30 == 3 else value for i, value in enumerate(candidate)]
    never, results, _ = world((name, role, many, baseline), **ONLY_TARGET).end()
    assert not never.closed
    assert results["target_improvement"].verdict is Verdict.NOT_MEASURED


def test_one_answer_outside_its_schema_ends_the_job(world: Any) -> None:
    n = 600
    shape = [1.0] * 250 + [0.0] + [1.0] * (n - 251)
    specs = {**dict.fromkeys(ONLY_TARGET, WAIVED), "target_improvement": WAIVED, "schema_compliance": {}}
    more = {"s": {"scorer": "json_schema", "label": "json_schema"}}
    seen = world(("s", Role.TARGET, shape, [1.0] * n), more=more, **specs)
    schema = ScorerSpec(name="json_schema", label="json_schema")
    seen.job = replace(seen.job, suites=tuple(replace(each, scorers=(schema,)) for each in seen.job.suites))
    stopping, results, _ = seen.end()
    assert stopping.reason == "schema_compliance fails"
    assert stopping.closed == {"s": 260}  # the first look that takes case 251 in
    assert results["schema_compliance"].verdict is Verdict.FAIL
    assert rests_on(seen.job, "schema_compliance") == {"s"}
    assert rests_on(replace(seen.job, suites=()), "schema_compliance") == frozenset()


def test_a_category_that_falls_fails_the_gate_at_a_look(world: Any) -> None:
    n = 1000
    categories = ["bad" if i % 5 == 0 else "good" for i in range(n)]
    candidate = [0.0 if name == "bad" else 1.0 for name in categories]
    baseline = [1.0 if name == "bad" else 0.75 for name in categories]  # 0 in all
    seen = world(
        ("g", Role.GENERAL, candidate, baseline),
        more={"g": {"categories": categories}},
        **{**ONLY_TARGET, "target_improvement": WAIVED, "general_regression": {}},
    )
    stopping, results, _ = seen.end()
    assert stopping.reason == "general_regression fails"
    verdicts = {each.category: each.verdict for each in results["general_regression"].categories}
    assert verdicts == {"bad": Verdict.FAIL, "good": Verdict.PASS}
    assert stopping.closed["g"] < 300


@pytest.mark.parametrize(
    ("stop", "level", "methods"),
    [("hybrid", 0.96, ("tango", "clopper-pearson")), ("anytime", 0.95, ("betting", "betting"))],
)
def test_the_planned_end_judges_what_no_look_settled(
    world: Any, stop: str, level: float, methods: tuple[str, str]
) -> None:
    specs = {**ONLY_TARGET, "exact_match": {"threshold": 0.9}}
    seen = world(target(60, win=0.25, loss=0.1), stop=stop, **specs)
    stopping, results, _ = seen.end()
    assert stopping.settled == {}
    for name, method in zip(("target_improvement", "exact_match"), methods, strict=True):
        assert (results[name].method, results[name].level, results[name].extra["judged_at"]) == (method, level, None)
        assert results[name].n == 60
    assert results["latency_p99"].level == 0.95


def test_without_looks_nothing_changes(world: Any) -> None:
    seen = world(target(300, win=0.3, loss=0.02), stop="never", **ONLY_TARGET)
    evidence = seen.make.evidence(*seen.tables(300, {}))
    found = decide.judge_all(evidence, seen.job)[0]
    assert (found.method, found.level, found.n) == ("tango", 0.95, 300)
    assert "judged_at" not in found.extra


def test_a_gate_that_knows_no_looks_says_nothing_where_the_job_stopped(world: Any) -> None:
    def always(evidence: Evidence, settings: Settings) -> GateResult:
        result = gates["target_improvement"](evidence, settings)
        return replace(result, name="mine", verdict=Verdict.PASS)

    seen = world(target(win=0.5, loss=0.0), **ONLY_TARGET)
    mine = GateSpec(name="mine", threshold=0.0, required=False)
    seen.job = replace(seen.job, gates=(*seen.job.gates, mine))
    gates.register("mine")(always)
    try:
        stopping, results, _ = seen.end()
        assert stopping.closed
        assert results["mine"].verdict is Verdict.INCONCLUSIVE
        seen.job = replace(seen.job, gates=(*seen.job.gates[:-1], replace(mine, required=True)))
        stopping, results, _ = seen.end()
        assert not stopping.closed  # it keeps all its suites open, and is judged at the planned end
        assert results["mine"].verdict is Verdict.PASS
    finally:
        gates._known.pop("mine")
