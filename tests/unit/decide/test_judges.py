"""A judge that canaries fool gates nothing, and what sways a judge is said."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from evalsvc import decide
from evalsvc.core.evidence import CanaryCount, Evidence, Fault, FollowUpTotals, JudgedScores
from evalsvc.core.records import GATES, Decision, Job, JudgeSpec, Role, Verdict
from evalsvc.decide.decision import judge_all
from evalsvc.decide.judges import distrust, judge_warnings, section
from evalsvc.decide.verdict import gates

CLEAN = CanaryCount(asked=5, answered=5)


def judged(
    canaries: Mapping[str, CanaryCount] | None = None,
    *,
    suite: str = "target-suite",
    label: str = "exact",
    verdicts: Mapping[float, int] | None = None,
    orders: Mapping[tuple[float, float], int] | None = None,
    delta: Any = (),
    log_length: Any = (),
) -> JudgedScores:
    found = {f"c{n}": CLEAN for n in range(8)} if canaries is None else canaries
    return JudgedScores(
        suite=suite,
        label=label,
        canaries=found,
        verdicts={0.0: 40, 1.0: 60} if verdicts is None else verdicts,
        orders=orders or {},
        delta=array("d", delta),
        log_length=array("d", log_length),
    )


FOOLED = judged({"a": replace(CLEAN, fooled=5), "b": CLEAN})
JUDGE = JudgeSpec(endpoint="j", model="judge-1")


@pytest.mark.parametrize(
    ("asked", "answered", "fooled", "trusted"),
    [
        (40, 40, 0, True),
        (40, 40, 1, True),  # one slip
        (40, 40, 2, False),  # a hole
        (39, 39, 1, True),
        (8, 8, 1, False),  # one case alone
        (34, 34, 1, True),
        (33, 33, 1, False),
        (40, 32, 0, True),
        (40, 31, 0, False),
        (40, 0, 0, False),
        (0, 0, 0, False),
    ],
)
def test_a_judge_is_trusted_on_canaries_answered_and_seen_through(
    asked: int,
    answered: int,
    fooled: int,
    trusted: bool,
) -> None:
    found = judged({"a": CanaryCount(asked=asked, answered=answered, fooled=fooled)})
    assert (distrust([found]) is None) == trusted


def test_one_scorer_that_fails_is_enough() -> None:
    assert distrust([judged(), judged(suite="b")]) is None
    assert distrust([judged(), judged({}, suite="b", label="x")]) == "no canary was put to it (suite b, scorer x)"
    assert distrust([judged(), FOOLED]) == "it fell for 5 of 10 canaries (suite target-suite, scorer exact)"
    assert distrust([]) is not None


def test_a_judge_that_says_the_same_of_everything_knows_no_difference() -> None:
    why = "it says the same of everything it is shown, canaries included (suite target-suite, scorer exact)"
    assert distrust([judged(verdicts={0.5: 840})]) == why
    assert distrust([judged(verdicts={0.5: 839, 0.0: 1})]) is None
    assert distrust([judged(verdicts={})]) is None, "a scorer of somebody else that does not tell its verdicts"


def test_canaries_speak_for_the_model_that_answered_them() -> None:
    totals = FollowUpTotals(
        requests=9, failed=0, attempts=9, cached=0, input_tokens=1, output_tokens=1, served_models=("judge-1",)
    )
    assert distrust([judged()], totals) is None
    changed = replace(totals, served_models=("judge-1", "judge-mini"))
    assert distrust([judged()], changed) == (
        "its canaries say nothing of models that answered later: judge-1, judge-mini did"
    )


def asked(failed: int, kind: str, detail: str | None, requests: int = 440) -> FollowUpTotals:
    fault = Fault(kind=kind, count=failed, detail=detail) if failed else None
    return FollowUpTotals(
        requests=requests, failed=failed, attempts=requests, cached=0, input_tokens=1, output_tokens=1,
        served_models=(), fault=fault,
    )  # fmt: skip


SILENT = judged({"a": CanaryCount(asked=40)}, verdicts={})
FORM = 'HTTP 400: {"error": "response_format is not supported"}'


@pytest.mark.parametrize(
    ("kind", "detail", "said"),
    [
        ("rejected", FORM, f"ended in rejected, {FORM}: set structured = false in the scorers that ask it"),
        (
            "rejected",
            "HTTP 400: no such field text.format",
            "text.format: set structured = false in the scorers that ask",
        ),
        (
            "rejected",
            "HTTP 400: temperature must be 1",
            "rejected, HTTP 400: temperature must be 1: mend [judge] params",
        ),
        ("rejected", "HTTP 418: a teapot", "ended in rejected, HTTP 418: a teapot"),
        ("truncated", None, "ended in truncated: give it more tokens in [judge] params"),
        ("server", "HTTP 500: response_format", "ended in server, HTTP 500: response_format"),
        ("network", None, "ended in network"),
    ],
)
def test_a_judge_that_does_not_answer_is_distrusted_with_the_cause_and_what_helps(
    make: Any, kind: str, detail: str | None, said: str
) -> None:
    totals = asked(440, kind, detail)
    why = distrust([SILENT], totals)
    assert why is not None
    assert why.startswith("only 0 of 40 canaries got a verdict (suite target-suite, scorer exact); 440 of 440 requests")
    assert said in why
    (warning,) = judge_warnings(with_judge(make), [SILENT], totals)
    assert why in warning
    seen = replace(evidence(make, SILENT), asked_judge=totals)
    assert why in {result.name: result for result in judge_all(seen, make.job())}["target_improvement"].reason


def test_what_a_server_said_is_cut_and_on_one_line() -> None:
    why = distrust([SILENT], asked(1, "rejected", "HTTP 400: a\x1b[2J\n\u202eb" + "x" * 5000))
    assert why is not None
    assert "HTTP 400: a [2J bxxx" in why
    assert why.isprintable()
    assert len(why) < 400


def test_a_trusted_judge_that_often_fails_is_warned_of(make: Any) -> None:
    job = with_judge(make)
    assert list(judge_warnings(job, [judged()], asked(8, "server", "HTTP 500: no"))) == []
    (said,) = judge_warnings(job, [judged()], asked(9, "server", "HTTP 500: no"))
    assert said == "9 of 440 requests to the judge ended in server, HTTP 500: no"
    fell = distrust([FOOLED], asked(9, "server", "no"))
    assert fell == "it fell for 5 of 10 canaries (suite target-suite, scorer exact)"


def evidence(make: Any, *found: JudgedScores) -> Evidence:
    """Every gate that can pass on scores does."""
    tables = (
        make.table(*make.binary(150, 0, 400, 0)),
        make.table(*make.binary(0, 0, 500, 0), role=Role.GENERAL, suite="general-suite"),
        make.table(*make.binary(0, 0, 500, 0), role=Role.ADVERSARIAL, suite="adversarial-suite"),
        make.schema_table(*make.binary(0, 0, 600, 0)),
    )
    seen: Evidence = make.evidence(*tables)
    return replace(seen, judged=found)


def verdicts(results: Any) -> dict[str, Verdict]:
    return {result.name: result.verdict for result in results}


def test_what_rests_on_a_fooled_judge_is_not_measured_and_nothing_else(make: Any) -> None:
    trusted = judge_all(evidence(make, judged()), make.job())
    assert trusted == judge_all(replace(evidence(make), judged=None), make.job())
    resting = {
        "target-suite": {"target_improvement", "exact_match"},
        "general-suite": {"general_regression"},
        "adversarial-suite": {"adversarial_robustness"},
    }
    assert {trusted[GATES.index(name)].verdict for names in resting.values() for name in names} == {Verdict.PASS}
    for suite, names in resting.items():
        found = verdicts(judge_all(evidence(make, replace(FOOLED, suite=suite)), make.job()))
        changed = {name for name, verdict in verdicts(trusted).items() if found[name] is not verdict}
        assert changed == names
        assert {found[name] for name in names} == {Verdict.NOT_MEASURED}


def test_a_failure_that_rests_on_a_fooled_judge_is_not_measured_either(make: Any) -> None:
    table = make.table(*make.binary(0, 200, 200, 0), role=Role.GENERAL, categories=["a"] * 200 + ["b"] * 200)
    seen = replace(make.evidence(table), judged=(replace(FOOLED, suite="general-suite"),))
    before = make.judge("general_regression", replace(seen, judged=None))
    result = make.judge("general_regression", seen)
    assert (before.verdict, result.verdict) == (Verdict.FAIL, Verdict.NOT_MEASURED)
    assert {each.verdict for each in result.categories} == {Verdict.NOT_MEASURED}
    assert (result.estimate, result.interval) == (before.estimate, before.interval)
    assert result.reason.startswith("The judge is not trusted: it fell for 5 of 10 canaries")
    assert result.needs is not None
    assert result.n_needed is None
    waived = make.judge("general_regression", seen, waived="a try.")
    assert waived.reason.startswith("Waived: a try. The judge is not trusted")
    assert waived.reason.count("Waived") == 1


def test_a_gate_that_would_read_what_a_silent_judge_did_not_say_is_laid_at_its_door(make: Any) -> None:
    nothing = make.table([make.nan] * 400, [make.nan] * 400)
    seen = replace(make.evidence(nothing), judged=(SILENT,))
    assert make.judge("target_improvement", seen).reason.startswith("The judge is not trusted: only 0 of 40 canaries")


def test_one_judged_suite_is_enough_to_unsettle_a_pooled_gate(make: Any) -> None:
    sure = make.table(*make.binary(300, 0, 600, 0), suite="sure")
    told = make.table(*make.binary(3, 0, 6, 0), suite="told")
    seen = replace(make.evidence(sure, told), judged=(replace(FOOLED, suite="told"),))
    assert make.judge("target_improvement", seen).verdict is Verdict.NOT_MEASURED


def test_a_fooled_scorer_that_stands_beside_distrusts_the_judge_of_all(make: Any) -> None:
    seen = evidence(make, judged(), replace(FOOLED, suite="general-suite", label="beside"))
    found = verdicts(judge_all(seen, make.job()))
    assert found["target_improvement"] is Verdict.NOT_MEASURED
    assert found["general_regression"] is Verdict.PASS  # its primary is no judge's


def test_a_gate_of_a_plug_in_rests_on_what_it_reads(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(gates._known, "mean_of_all", gates["exact_match"])
    job = make.job()
    job = replace(job, gates=(*job.gates, replace(job.gates[2], name="mean_of_all")))
    found = verdicts(judge_all(evidence(make, FOOLED), job))
    assert found["mean_of_all"] is Verdict.NOT_MEASURED


def test_what_a_look_settled_early_is_taken_back(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, job = evidence(make, FOOLED), make.job()
    settled = {result.name: result for result in judge_all(replace(seen, judged=None), job)}
    monkeypatch.setattr("evalsvc.decide.decision.judge_at_end", lambda _evidence, _job, spec, _at: settled[spec.name])
    assert settled["target_improvement"].verdict is Verdict.PASS
    assert verdicts(judge_all(seen, job))["target_improvement"] is Verdict.NOT_MEASURED


@pytest.mark.parametrize("rule", ["interval", "point"])
def test_a_fooled_judge_ships_nothing(make: Any, rule: str) -> None:
    waived = {name: {"waived": "no evidence"} for name in ("latency_p99", "human_preference")}
    job = make.job(rule, (), **waived)
    assert decide.decide(judge_all(evidence(make, judged()), job)).decision is Decision.SHIP
    assert decide.decide(judge_all(evidence(make, FOOLED), job)).decision is Decision.HOLD


def with_judge(make: Any, **other: Any) -> Job:
    job: Job = make.job()
    return replace(job, judge=replace(JUDGE, **other))


def test_warnings_say_whom_not_to_trust_and_why(make: Any) -> None:
    job = with_judge(make)
    assert list(judge_warnings(job, [judged()])) == []
    (said,) = judge_warnings(job, [FOOLED])
    assert said == (
        "the judge (judge-1) is not trusted, and its scores gate nothing: "
        "it fell for 5 of 10 canaries (suite target-suite, scorer exact): a"
    )
    own = with_judge(make, endpoint="sim", model="model-baseline", allow_self=True)
    assert list(judge_warnings(own, [judged()])) == [
        "the judge is the model of the baseline: models prefer their own answers"
    ]
    assert list(judge_warnings(make.job(), [])) == []


def test_a_judge_that_hangs_on_the_order_is_warned_of(make: Any) -> None:
    orders = {(1.0, 1.0): 60, (1.0, 0.0): 36, (0.5, 1.0): 4}
    (said,) = judge_warnings(with_judge(make), [judged(orders=orders)])
    assert "contradicts itself on 40 of 100 pairs" in said
    assert not list(judge_warnings(with_judge(make), [judged(orders={(1.0, 1.0): 65, (1.0, 0.0): 35})]))


def test_a_judge_that_goes_by_length_is_warned_of(make: Any) -> None:
    log_length = [0.1 * n for n in range(-3, 27)]
    delta = [min(1.0, max(-1.0, value)) for value in log_length]
    said = list(judge_warnings(with_judge(make), [judged(delta=delta, log_length=log_length)]))
    assert (
        "suite target-suite, scorer exact: the judge preferred the longer answer in 29 of 29 decided pairs (100%): it "
        "may pay for length and not for quality, so ask people about some of these cases before you ship by it"
    ) in said
    steady = [0.3 + 0.01 * (n % 3) for n in range(30)]
    assert list(judge_warnings(with_judge(make), [judged(delta=steady, log_length=[-0.1, 0.1] * 15)])) == []


def test_an_effect_that_length_explains_is_said_to_be(make: Any) -> None:
    delta = [0.3, 0.1, 0.4, -0.1, 0.2, 0.5, 0, 0.3, 0.1, 0.2]
    log_length = [0.5, 0.1, 0.6, -0.2, 0.1, 0.9, 0, 0.4, 0.2, 0.1]
    said = list(judge_warnings(with_judge(make), [judged(delta=delta, log_length=log_length)]))
    assert (
        "suite target-suite, scorer exact: length explains what the judge prefers: a difference of +0.200, and +0.057 "
        "(not proven) between answers of equal length: nothing shows that the better model is more than the wordier "
        "one, so ask people about some of these cases before you ship by it"
    ) in said


def test_the_section_holds_what_the_judge_was_and_did(make: Any) -> None:
    orders = {(1.0, 1.0): 6, (1.0, 0.0): 2, (0.0, 0.0): 1, (0.5, 0.5): 3}
    found = judged(orders=orders, delta=[1, 1, -1, 0, 1], log_length=[1, 1, 1, 1, 0])
    totals = FollowUpTotals(
        requests=64, failed=1, attempts=60, cached=5, input_tokens=10, output_tokens=None, served_models=("judge-1a",)
    )
    made = section(with_judge(make), evidence(make, found), totals, 0.5)
    assert made is not None
    assert (made["endpoint"], made["model"], made["served_models"]) == ("j", "judge-1", ("judge-1a",))
    assert (made["trusted"], made["distrust"]) == (True, None)
    assert {key: made["canaries"][key] for key in ("asked", "answered", "fooled")} == {
        "asked": 40,
        "answered": 40,
        "fooled": 0,
    }
    assert made["canaries"]["by_name"]["c0"] == {"asked": 5, "answered": 5, "fooled": 0}
    assert (made["flip_rate"]["count"], made["flip_rate"]["n"]) == (2, 12)
    # 6 × (A, then B) and 1 × (B, then A): one of two for the first place each; 2 × (A, A): both
    assert (made["first_position_rate"]["count"], made["first_position_rate"]["n"]) == (11, 18)
    assert (made["length_bias"]["longer_won"]["count"], made["length_bias"]["longer_won"]["n"]) == (2, 3)
    assert made["length_bias"]["effect"] is None
    delta = [0.3, 0.1, 0.4, -0.1, 0.2, 0.5, 0, 0.3, 0.1, 0.2]
    each = judged(delta=delta, log_length=[0.5, 0.1, 0.6, -0.2, 0.1, 0.9, 0, 0.4, 0.2, 0.1])
    one = section(with_judge(make), evidence(make, each), totals, 0.5)
    assert one is not None
    assert one["length_bias"]["effect"]["equal_length"] == pytest.approx(0.05671176, abs=1e-8)
    two = section(with_judge(make), evidence(make, each, replace(each, suite="b")), totals, 0.5)
    assert two is not None
    assert two["length_bias"]["effect"] is None
    assert [row["length_bias"]["effect"]["n"] for row in two["scorers"]] == [10, 10]
    assert (made["requests"], made["failed"], made["attempts"], made["cached"]) == (64, 1, 60, 5)
    assert (made["tokens"], made["cost"]) == ({"input": 10, "output": None}, 0.5)
    assert [(each["suite"], each["trusted"]) for each in made["scorers"]] == [("target-suite", True)]


def test_a_judge_nobody_asked_is_not_trusted_and_no_judge_has_no_section(make: Any) -> None:
    made = section(with_judge(make), replace(make.evidence(), judged=()), None, None)
    assert made is not None
    assert (made["trusted"], made["requests"], made["flip_rate"], made["length_bias"]) == (False, 0, None, None)
    assert section(make.job(), make.evidence(), None, None) is None
