"""One model against itself through the gates: shares of verdicts, what may ship, and what is said."""

from __future__ import annotations

import json
from array import array
from dataclasses import replace
from math import inf, nan
from typing import Any

import numpy as np
import pytest

from evalsvc import decide
from evalsvc.core.records import Arm, Decision, Role, Verdict
from evalsvc.core.repeats import Repeats, RepeatTable
from evalsvc.decide import calibration
from evalsvc.decide.calibration import calibrate, key_of, objections


def table(scores: np.ndarray[Any, Any], *, suite: str = "t", role: Role = Role.TARGET, **other: Any) -> RepeatTable:
    made = RepeatTable(
        suite=suite,
        role=role,
        label="exact",
        scorer="exact",
        primary=True,
        pass_at=1.0,
        categories=("all",),
        category=array("i", [0] * len(scores)),
        cluster=None,
        scores=array("d", np.ascontiguousarray(scores, dtype=float).tobytes()),
    )
    return replace(made, **other)


def repeats(*tables: RepeatTable, each: int = 2, **seconds: list[float]) -> Repeats:
    return Repeats(
        each=each, tables=tables, seconds={name: array("d", times) for name, times in seconds.items()}, left_out=0
    )


def coin(cases: int, each: int, share: float, seed: int = 3) -> np.ndarray[Any, Any]:
    return (np.random.default_rng(seed).random((cases, each)) < share).astype(float)


def row(found: dict[str, Any], gate: str) -> dict[str, Any]:
    made: dict[str, Any] = next(each for each in found["gates"] if each["name"] == gate)
    return made


def test_identical_repeats_never_flip(make: Any) -> None:
    found = calibrate(make.job(), repeats(table(np.ones((500, 2)))), resamples=20, seed=1)
    assert found["flips"] == [{"suite": "t", "cases": 500, "rate": 0.0}]
    assert row(found, "target_improvement")["FAIL"] == 1
    assert row(found, "exact_match")["PASS"] == 1
    assert row(found, "general_regression")["NOT_MEASURED"] == 1
    assert found["decisions"] == {"SHIP": 0, "ITERATE": 1, "HOLD": 0}
    assert found["false_pass"] == 0
    assert (found["cases"], found["repeats"], found["trials"]) == (500, 2, 1)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_gate_at_margin_zero_errs_as_often_as_its_level_says(make: Any, share: float) -> None:
    job = make.job(target_improvement={"threshold": 0.0})
    found = calibrate(job, repeats(table(coin(300, 2, share))), resamples=1500, seed=1)
    shares = row(found, "target_improvement")
    assert 0.008 < shares["PASS"] < 0.04
    assert 0.008 < shares["FAIL"] < 0.04
    assert shares["PASS"] + shares["FAIL"] + shares["INCONCLUSIVE"] == pytest.approx(1)
    assert found["false_pass"] == shares["PASS"]


def test_the_point_rule_ships_noise_and_the_calibration_says_so(make: Any) -> None:
    held = repeats(table(coin(100, 2, 0.5)))
    found = calibrate(make.job("point"), held, resamples=400, seed=1)
    assert found["false_pass"] > 0.15
    required = replace(make.job("point"), calibration="required")
    assert "passes as an improvement on itself" in objections(required, found)[0]
    asked = objections(required, calibrate(make.job(), held, resamples=400, seed=1))
    assert asked == ()


def test_the_same_seed_deals_the_same_and_another_one_does_not(make: Any) -> None:
    job, held = make.job(target_improvement={"threshold": 0.0}), repeats(table(coin(200, 2, 0.6)))
    one = calibrate(job, held, resamples=200, seed=7)
    assert calibrate(job, held, resamples=200, seed=7) == one
    assert calibrate(job, held, resamples=200, seed=8)["gates"] != one["gates"]


def test_a_glance_gives_the_verdicts_of_the_whole_judgement(make: Any) -> None:
    random = np.random.default_rng(11)
    for seed in range(14):
        n = int(random.integers(2, 400))
        better = float(random.random())
        pair = [coin(n, 1, share, seed=seed + k)[:, 0].tolist() for k, share in enumerate((better, 0.7))]
        labels = array("q", (np.arange(n) % int(random.integers(1, 60))).tolist()) if seed % 3 == 0 else None
        names = [f"k{k % 4}" for k in range(n)]
        tables = [
            make.table(*pair, role=role, cluster=labels, categories=names) for role in (Role.TARGET, Role.GENERAL)
        ]
        evidence = make.evidence(*tables, latency=(make.samples([1.0] * n), make.samples([0.6] * n)))
        for mode in ("interval", "point"):
            whole = decide.judge_all(evidence, make.job(mode))
            glanced = decide.judge_all(evidence, make.job(mode), glance=True)
            assert [each.verdict for each in glanced] == [each.verdict for each in whole], (seed, mode)


def test_trials_are_shared_out_and_an_odd_one_is_left(make: Any) -> None:
    scores = coin(50, 5, 0.5)
    found = calibrate(make.job(), repeats(table(scores), each=5), resamples=5, seed=1)
    assert (found["repeats"], found["trials"]) == (5, 2)
    unlike = [(scores[:, a] != scores[:, b]).mean() for a in range(5) for b in range(a)]
    assert found["flips"][0]["rate"] == pytest.approx(np.mean(unlike))


def test_what_a_case_got_as_candidate_it_did_not_get_as_baseline(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def judge_all(evidence: Any, *_: Any, **__: Any) -> tuple[()]:
        seen.append(evidence)
        return ()

    monkeypatch.setattr(calibration, "judge_all", judge_all)
    scores = np.array([[0.1, 0.2], [0.3, nan], [0.5, 0.6]])
    other = table(scores / 2, label="beside", primary=False)
    held = repeats(table(scores), other, t=[1, 2, 3, inf, nan, 6])
    calibrate(make.job(), held, resamples=30, seed=1)
    for evidence in seen:
        candidate, baseline = (np.array(evidence.tables[0].arms[arm].mean) for arm in (Arm.CANDIDATE, Arm.BASELINE))
        assert np.nansum(candidate) + np.nansum(baseline) == pytest.approx(1.7)
        assert sum(np.isnan(candidate)) + sum(np.isnan(baseline)) == 1
        both = evidence.tables[1].arms[Arm.CANDIDATE].mean
        assert np.array(both) == pytest.approx(candidate / 2, nan_ok=True), "one answer has all its scores"
        latency = [evidence.latency[arm] for arm in (Arm.CANDIDATE, Arm.BASELINE)]
        assert sorted(second for each in latency for second in each.seconds) == [1, 2, 3, 6, inf]
        assert sum(each.missing for each in latency) == 1
    assert len({tuple(np.nan_to_num(e.tables[0].arms[Arm.CANDIDATE].mean)) for e in seen}) > 3
    bounds = seen[0].tables[0].arms
    assert all(high - low in {0, 1} for arm in bounds.values() for low, high in zip(arm.low, arm.high, strict=True))


def test_nothing_measured_is_no_zero(make: Any) -> None:
    found = calibrate(make.job(), repeats(table(np.ones((9, 2)), role=Role.GENERAL)), resamples=3, seed=1)
    assert found["false_pass"] is None
    assert "did not measure" in objections(replace(make.job(), calibration="required"), {**found, "resamples": 400})[0]


GOOD = {"resamples": 400, "false_pass": 0.02}


@pytest.mark.parametrize(
    ("found", "named"),
    [
        (None, "`evalsvc calibrate`"),
        ({"resamples": 20, "false_pass": 0.0}, "at least 200"),
        ({"resamples": 400, "false_pass": 0.0501}, "5.0%"),
        ({"resamples": 400, "false_pass": None}, "measured"),
    ],
)
def test_a_required_calibration_that_is_not_good_holds(make: Any, found: Any, named: str) -> None:
    required = replace(make.job(), calibration="required")
    (said,) = objections(required, found)
    assert named in said
    assert objections(make.job(), found) == ()
    assert objections(required, GOOD) == ()
    passed = make.judge("exact_match", make.evidence(make.table([1.0] * 200, [1.0] * 200)))
    assert decide.decide([passed]).decision is Decision.SHIP
    held = decide.decide([passed], (said,))
    assert (held.decision, held.reasons) == (Decision.HOLD, (said,))
    failed = make.judge("exact_match", make.evidence(make.table([0.0] * 200, [1.0] * 200)))
    assert failed.verdict is Verdict.FAIL
    assert decide.decide([failed], (said,)).decision is Decision.ITERATE


def document(**changed: Any) -> str:
    job = {
        "name": "n",
        "seed": 1,
        "trials": 1,
        "candidate": {"model": "new", "outputs": "new.jsonl"},
        "baseline": {"model": "old", "outputs": None},
        "suites": [{"name": "s", "dataset": "d.jsonl"}],
        "gates": {"calibration": "optional", "evidence": "interval"},
    }
    return json.dumps({"files": {"d.jsonl": "00", "new.jsonl": "11"}, "job": {**job, **changed}, "limit": None})


def test_a_calibration_belongs_to_baseline_suites_and_gates() -> None:
    key = key_of(document())
    for same in ({"name": "m"}, {"candidate": {"model": "newer", "outputs": "new.jsonl"}}, {"seed": 2}):
        assert key_of(document(**same)) == key
    assert key_of(document(gates={"calibration": "required", "evidence": "interval"})) == key
    assert key_of(document().replace('"11"', '"22"')) == key
    for other in (
        {"trials": 2},
        {"baseline": {"model": "older", "outputs": None}},
        {"suites": [{"name": "s2", "dataset": "d.jsonl"}]},
        {"gates": {"calibration": "optional", "evidence": "point"}},
    ):
        assert key_of(document(**other)) != key
    assert key_of(document().replace('"00"', '"33"')) != key
    limited = document().replace('"limit": null', '"limit": 5')
    assert key_of(limited) not in {key, key_of(limited.replace('"seed": 1', '"seed": 2'))}
