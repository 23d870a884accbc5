from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from evalsvc.app.spend import JUDGE, Beyond, Usual, judge_after, spend, usual_after, usual_before
from evalsvc.core.evidence import ArmTotals, FollowUpTotals
from evalsvc.core.records import Arm, ArmSpec, Job, JudgeSpec
from evalsvc.providers.settings import EndpointSettings

EACH: dict[str, Usual] = {arm: Usual(chars_a_token=4, answer_tokens=100, answer_s=2) for arm in Arm}


def job(*, rate: float | None = None, trials: int = 1, **candidate: Any) -> Job:
    arms = {
        Arm.CANDIDATE: ArmSpec(**{"endpoint": "a", "model": "m", **candidate}),
        Arm.BASELINE: ArmSpec(endpoint="b", model="m"),
    }
    return Job(name="j", seed=0, trials=trials, rate=rate, arms=arms, suites=(), gates=())


def endpoint(**settings: Any) -> EndpointSettings:
    return EndpointSettings(base_url="http://localhost/v1", **settings)


def totals(requests: int, tokens_in: int | None, tokens_out: int | None) -> ArmTotals:
    return ArmTotals(
        requests=requests, ok=requests, model_error=0, infra_error=0, attempts=requests, retries={}, kinds={},
        scoring_errors=0, repaired=0, served_models=(), fingerprints=(),
        input_tokens=tokens_in, output_tokens=tokens_out,
    )  # fmt: skip


def test_requests_tokens_and_money() -> None:
    prices = endpoint(price_in=2.0, price_out=10.0)
    found = spend(job(trials=3, system="1234"), {"a": prices, "b": prices}, EACH, cases=10, chars=400)
    candidate, baseline = found.arms[Arm.CANDIDATE], found.arms[Arm.BASELINE]
    assert (candidate.requests, baseline.requests, found.requests) == (30, 30, 60)
    assert (candidate.input_tokens, baseline.input_tokens) == (3 * (400 + 10 * 4) / 4, 3 * 400 / 4)
    assert candidate.output_tokens == 3000
    assert candidate.cost == pytest.approx((330 * 2 + 3000 * 10) / 1e6)
    assert found.cost == pytest.approx((630 * 2 + 6000 * 10) / 1e6)


def test_a_cost_that_is_not_known_is_none_and_not_the_other_arms() -> None:
    found = spend(
        job(), {"a": endpoint(price_in=2.0, price_out=10.0), "b": endpoint(price_in=1.0)}, EACH, cases=1, chars=4
    )
    assert found.arms[Arm.CANDIDATE].cost is not None
    assert found.arms[Arm.BASELINE].cost is None
    assert found.cost is None


def test_recorded_answers_cost_nothing() -> None:
    recorded = job(endpoint="recorded", outputs="answers.jsonl")
    found = spend(recorded, {"b": endpoint(price_in=1.0, price_out=1.0)}, EACH, cases=10, chars=40)
    assert (found.arms[Arm.CANDIDATE].requests, found.arms[Arm.CANDIDATE].cost) == (0, 0.0)
    assert found.requests == 10
    assert found.cost == pytest.approx(1010 / 1e6)


@pytest.mark.parametrize(
    ("limits", "rate", "seconds", "bound"),
    [
        ({"max_in_flight": 10}, None, 200.0, "max_in_flight = 10 of a"),
        ({"max_in_flight": 5000}, None, 31.25, "max_in_flight = 64 of b"),
        ({"max_in_flight": 10, "rpm": 100}, None, 600.0, "rpm = 100 of a"),
        ({"max_in_flight": 10, "tpm": 6000}, None, 1010.0, "tpm = 6000 of a"),
        ({"max_in_flight": 10}, 4.0, 500.0, "rate = 4 of the job"),
    ],
)
def test_the_tightest_limit_sets_the_time(
    limits: dict[str, int], rate: float | None, seconds: float, bound: str
) -> None:
    found = spend(job(rate=rate), {"a": endpoint(**limits), "b": endpoint()}, EACH, cases=1000, chars=4000)
    assert found.seconds == pytest.approx(seconds)
    assert found.bound == bound


def test_an_endpoint_that_serves_both_arms_has_both_to_bear() -> None:
    found = spend(job(endpoint="b"), {"b": endpoint(rpm=100)}, EACH, cases=1000, chars=4000)
    assert found.seconds == pytest.approx(1200)


def test_one_request_takes_as_long_as_its_answer() -> None:
    assert spend(job(), {"a": endpoint(), "b": endpoint()}, EACH, cases=1, chars=4).seconds == 2


@pytest.mark.parametrize("key", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
def test_a_limit_of_the_answer_is_its_length_before_a_pilot(key: str) -> None:
    usual = usual_before(ArmSpec(endpoint="a", model="m", params={key: 64}))
    assert (usual.answer_tokens, usual.tokens_from) == (64, f"{key}: at most")
    assert usual_before(ArmSpec(endpoint="a", model="m", params={key: "64"})) == Usual()


def test_a_pilot_measures_tokens_and_seconds() -> None:
    before = usual_before(ArmSpec(endpoint="a", model="m", params={"max_tokens": 64}))
    after = usual_after(before, totals(10, 200, 70), chars=900, answer_s=0.3)
    assert (after.chars_a_token, after.answer_tokens, after.answer_s) == (4.5, 7.0, 0.3)
    assert {after.chars_from, after.tokens_from, after.seconds_from} == {"pilot"}
    unknown = usual_after(before, totals(10, None, 70), chars=900, answer_s=None)
    assert unknown == before
    assert usual_after(before, totals(0, 0, 0), chars=900, answer_s=None) == before


def test_what_scores_ask_beyond_the_answers_is_paid_for_too() -> None:
    judged = replace(job(trials=2), judge=JudgeSpec(endpoint="c", model="j", system="1234"))
    priced = endpoint(price_in=2.0, price_out=10.0)
    usual = {**EACH, JUDGE: Usual(chars_a_token=4, answer_tokens=50, answer_s=2)}
    beyond = {
        JUDGE: Beyond(requests=60, chars=6000, output_tokens=3000),
        Arm.CANDIDATE: Beyond(requests=20, chars=800, output_tokens=0),
    }
    ends = {"a": priced, "b": priced, "c": endpoint(price_in=1.0, price_out=1.0, rpm=10)}
    found = spend(judged, ends, usual, cases=10, chars=400, beyond=beyond)
    candidate = found.arms[Arm.CANDIDATE]
    assert (candidate.requests, candidate.follow_ups, candidate.input_tokens) == (40, 20, (800 + 800) / 4)
    assert candidate.output_tokens == 2000
    assert found.judge is not None
    assert (found.judge.requests, found.judge.follow_ups) == (60, 60)
    assert found.judge.input_tokens == (6000 + 60 * 4) / 4
    assert found.judge.cost == pytest.approx((1560 + 3000) / 1e6)
    assert found.requests == 40 + 20 + 60
    assert found.cost == pytest.approx((400 * 2 + 2000 * 10 + 200 * 2 + 2000 * 10 + 4560) / 1e6)
    assert (found.seconds, found.bound) == (360, "rpm = 10 of c")
    unpriced = spend(judged, {**ends, "c": endpoint()}, usual, cases=10, chars=400, beyond=beyond)
    assert unpriced.cost is None


def test_a_rate_is_that_of_answers_alone() -> None:
    beyond: dict[str, Beyond] = {arm: Beyond(requests=1000, chars=0, output_tokens=0) for arm in Arm}
    ends = {"a": endpoint(max_in_flight=5000), "b": endpoint(max_in_flight=5000)}
    found = spend(job(rate=4.0), ends, EACH, cases=1000, chars=4000, beyond=beyond)
    assert (found.seconds, found.bound) == (500, "rate = 4 of the job")


def test_a_pilot_shows_how_much_the_judge_says() -> None:
    asked = FollowUpTotals(
        requests=30, failed=0, attempts=20, cached=10, input_tokens=5, output_tokens=800, served_models=()
    )
    assert judge_after(Usual(), asked) == Usual(answer_tokens=40, tokens_from="pilot")
    for nothing in (None, replace(asked, attempts=0), replace(asked, output_tokens=None)):
        assert judge_after(Usual(), nothing) == Usual()
