from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsvc import decide
from evalsvc.core.records import GATES, Arm, Decision, GateSpec, Role, Verdict
from evalsvc.decide.verdict import Bounded, Estimate, Missing, against, missing_rule
from evalsvc.stats.interval import Interval

PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE


def estimate(low: float | None, high: float | None, n: int = 100, value: float | None = 0.1) -> Estimate:
    return Estimate(n=n, value=value, interval=Interval(low, high), method="m")


def settings_at(threshold: float, evidence: str = "interval") -> decide.Settings:
    return decide.Settings(spec=GateSpec(name="g", threshold=threshold), evidence=evidence)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.06, 0.2, PASS),
        (0.05, 0.2, OPEN),
        (0.0, 0.05, OPEN),
        (0.0, 0.04, FAIL),
        (None, None, OPEN),
        (None, 0.01, FAIL),
    ],
)
def test_the_one_rule(low: float | None, high: float | None, verdict: Verdict) -> None:
    assert against(estimate(low, high), settings_at(0.05)) is verdict
    turned = {PASS: FAIL, FAIL: PASS, OPEN: OPEN}[verdict]
    assert against(estimate(low, high), settings_at(0.05), below=True) is turned
    assert against(estimate(low, high, n=1), settings_at(0.05)) is OPEN
    assert against(estimate(low, high, n=0), settings_at(0.05)) is Verdict.NOT_MEASURED


@pytest.mark.parametrize(("value", "above", "below"), [(0.05, PASS, PASS), (0.04, FAIL, PASS), (0.06, PASS, FAIL)])
def test_the_point_rule_takes_the_threshold_itself(value: float, above: Verdict, below: Verdict) -> None:
    point = settings_at(0.05, "point")
    assert against(estimate(-1, 1, value=value), point) is above
    assert against(estimate(-1, 1, value=value), point, below=True) is below
    assert against(estimate(-1, 1, value=None), point) is OPEN


def missing(candidate: int, baseline: int, cases: int = 500) -> Missing:
    return Missing(cases=dict.fromkeys(Arm, cases), counts={Arm.CANDIDATE: candidate, Arm.BASELINE: baseline})


@pytest.mark.parametrize(
    ("counts", "verdicts", "verdict", "said"),
    [
        ((0, 0), (PASS, PASS, PASS), PASS, ""),
        ((2, 0), (PASS, PASS, PASS), PASS, "worst case of the 2 answers"),
        ((1, 0), (FAIL, FAIL, FAIL), FAIL, "best case of the 1 answer missing"),
        ((2, 0), (PASS, OPEN, PASS), OPEN, "could turn it"),
        ((2, 0), (FAIL, FAIL, OPEN), OPEN, "could turn it"),
        ((2, 0), (OPEN, OPEN, PASS), OPEN, "2 answers missing"),
        ((10, 10), (PASS, PASS, PASS), PASS, "20 answers"),
        ((11, 11), (PASS, PASS, PASS), Verdict.NOT_MEASURED, "11 of 500 answers of the candidate are missing (2.2%"),
        ((8, 11), (FAIL, FAIL, FAIL), Verdict.NOT_MEASURED, "11 of 500 answers of the baseline"),
        ((8, 0), (PASS, PASS, PASS), Verdict.NOT_MEASURED, "unlike each other: 8 of 500 of the candidate, 0 of 500"),
    ],
)
def test_the_rule_on_missing_answers(
    counts: tuple[int, int], verdicts: tuple[Verdict, Verdict, Verdict], verdict: Verdict, said: str
) -> None:
    found, remark = missing_rule(missing(*counts), Bounded(*verdicts))
    assert found is verdict
    assert said in remark
    assert bool(said) == bool(remark)


BITS = st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), max_size=120)
GRADED = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=40)
CASES = BITS | GRADED | st.lists(st.sampled_from([(1.0, 0.0), (1.0, 1.0)]), min_size=20, max_size=600)
MODES = st.sampled_from(["interval", "point"])
ROLES = (Role.TARGET, Role.GENERAL, Role.ADVERSARIAL)


def everywhere(make: Any, cases: list[tuple[float, float]], holes: int = 0) -> Any:
    """The same cases as a suite of every role and as latencies; ``holes`` more whose candidate answer is missing."""
    candidate, baseline = [each[0] for each in cases] + [make.nan] * holes, [each[1] for each in cases] + [1.0] * holes
    names = ["odd" if place % 3 else "even" for place in range(len(cases))] + ["hole" if holes % 2 else "odd"] * holes
    tables = [make.table(candidate, baseline, role=role, categories=names) for role in ROLES]
    latency = (make.samples([1 + each[0] for each in cases], holes), make.samples([2 + each[1] for each in cases]))
    return make.evidence(*tables, make.schema_table(candidate, baseline), latency=latency)


@given(cases=CASES, holes=st.integers(1, 12), mode=MODES)
@settings(deadline=None, max_examples=60)
def test_more_missing_never_turns_a_gate_to_pass(
    make: Any, cases: list[tuple[float, float]], holes: int, mode: str
) -> None:
    job = make.job(mode)
    before = decide.judge_all(everywhere(make, cases), job)
    after = decide.judge_all(everywhere(make, cases, holes), job)
    for old, new in zip(before, after, strict=True):
        assert new.verdict is not PASS or old.verdict is PASS
        if new.verdict in (PASS, FAIL):
            assert new.verdict is old.verdict


@given(cases=BITS, gone=st.sets(st.integers(0, 119)), which=st.sampled_from([0, 1]))
@settings(deadline=None, max_examples=60)
def test_losing_an_answer_never_proves_what_the_answer_would_not(
    make: Any, cases: list[tuple[float, float]], gone: set[int], which: int
) -> None:
    arms = [[each[arm] for each in cases] for arm in (0, 1)]
    full = make.judge("target_improvement", make.evidence(make.table(*arms)))
    arms[which] = [make.nan if place in gone else score for place, score in enumerate(arms[which])]
    holed = make.judge("target_improvement", make.evidence(make.table(*arms)))
    assert holed.verdict not in (PASS, FAIL) or holed.verdict is full.verdict


@given(
    case=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    n=st.integers(0, 1),
    mode=MODES,
    threshold=st.integers(-99, 99).map(lambda each: each / 100),
)
@settings(deadline=None)
def test_none_or_one_case_proves_nothing(
    make: Any, case: tuple[float, float], n: int, mode: str, threshold: float
) -> None:
    changed = {name: {"threshold": threshold if "e_" in name else abs(threshold)} for name in GATES}
    for result in decide.judge_all(everywhere(make, [case] * n), make.job(mode, **changed)):
        deterministic = result.name == "schema_compliance" and case[0] < 1
        assert result.verdict not in (PASS, FAIL) or (deterministic and result.verdict is FAIL)


@given(cases=CASES)
@settings(deadline=None, max_examples=60)
def test_swapping_the_arms_turns_the_improvement_round(make: Any, cases: list[tuple[float, float]]) -> None:
    turned = {PASS: FAIL, FAIL: PASS}
    arms = [each[0] for each in cases], [each[1] for each in cases]
    there, back = (
        make.judge("target_improvement", make.evidence(make.table(*pair)), threshold=0.0) for pair in (arms, arms[::-1])
    )
    assert back.verdict is turned.get(there.verdict, there.verdict)
    assert there.p_pass == pytest.approx(back.p_fail)


@given(cases=CASES, holes=st.integers(0, 9), mode=MODES, flags=st.lists(st.sampled_from("rwo"), min_size=7, max_size=7))
@settings(deadline=None, max_examples=60)
def test_nothing_but_pass_ships(
    make: Any, cases: list[tuple[float, float]], holes: int, mode: str, flags: list[str]
) -> None:
    specs = {
        name: {"r": {}, "w": {"waived": "no"}, "o": {"required": False}}[flag]
        for name, flag in zip(GATES, flags, strict=True)
    }
    results = decide.judge_all(everywhere(make, cases, holes), make.job(mode, **specs))
    counted = [result.verdict for result, flag in zip(results, flags, strict=True) if flag == "r"]
    shipped = decide.decide(results).decision is Decision.SHIP
    assert shipped == (bool(counted) and set(counted) == {PASS})
    assert [result.name for result in results] == list(GATES)
    for result in results:
        assert (result.n_needed is None) or (result.verdict is OPEN and result.n_needed >= result.n)


def test_nothing_missing_leaves_the_interval_as_it_is(make: Any) -> None:
    cases = [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)] * 200
    for result in decide.judge_all(everywhere(make, cases), make.job()):
        assert result.interval_missing == result.interval


def test_a_job_without_one_of_the_seven_is_refused(make: Any) -> None:
    job = make.job()
    with pytest.raises(LookupError):
        decide.judge_all(make.evidence(), replace(job, gates=job.gates[1:]))
    with pytest.raises(LookupError, match="unknown gate 'other'; known: adversarial_robustness"):
        decide.judge_all(make.evidence(), replace(job, gates=(*job.gates, GateSpec(name="other", threshold=0.0))))
