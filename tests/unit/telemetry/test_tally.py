"""Every outcome is counted once, where the contract says; what is not known is not counted as 0."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import pytest
from counted import A, B, a_job, an_outcome, lost, value

from evalsvc.core.progress import Progress
from evalsvc.core.records import ArmSpec, Attempt, Completion, JudgeSpec, Role, Status
from evalsvc.telemetry import Telemetry, make_telemetry

PRICES = {A: (2.0, 10.0), B: None}
DURATION = "gen_ai_client_operation_duration_seconds"


@pytest.fixture
def telemetry() -> Telemetry:
    return make_telemetry()


def tell(telemetry: Telemetry, *outcomes: Any, **job: Any) -> None:
    telemetry.follow("j1", a_job(**job), Progress(total=10), PRICES).add(outcomes)


def test_outcomes_are_counted_by_arm_status_and_kind(telemetry: Telemetry) -> None:
    cut = an_outcome(0.0, status=Status.MODEL_ERROR, kind="truncated")
    tell(telemetry, an_outcome(), an_outcome(), an_outcome(arm=B), cut, lost("timeout"))
    count = "evalsvc_outcomes_total"
    assert value(telemetry, count, arm="candidate", status="ok", kind="") == 2
    assert value(telemetry, count, arm="baseline", status="ok") == 1
    assert value(telemetry, count, arm="candidate", status="model_error", kind="truncated") == 1
    assert value(telemetry, count, arm="candidate", status="infra_error", kind="timeout") == 1
    assert value(telemetry, count) == 5
    assert value(telemetry, count, arm="baseline", kind="server") == 0  # a rate is seen from its first


def test_a_kind_nobody_knew_of_is_counted_too(telemetry: Telemetry) -> None:
    tell(telemetry, lost("plugin"))
    assert value(telemetry, "evalsvc_outcomes_total", kind="plugin") == 1


def test_primary_scores_pass_from_the_suites_own_mark(telemetry: Telemetry) -> None:
    tell(telemetry, an_outcome(0.5), an_outcome(0.49), an_outcome(1.0, arm=B), an_outcome(None), lost())
    scores = "evalsvc_scores_total"
    assert value(telemetry, scores, arm="candidate", role="target", result="pass") == 1
    assert value(telemetry, scores, arm="candidate", role="target", result="fail") == 1
    assert value(telemetry, scores, arm="candidate", role="target", result="error") == 1
    assert value(telemetry, scores, arm="baseline", role="target", result="pass") == 1
    assert value(telemetry, scores) == 4
    assert value(telemetry, "evalsvc_job_pass_ratio", arm="candidate", suite="s", category="a") == 0.5
    assert value(telemetry, "evalsvc_job_pass_ratio", arm="baseline", suite="s", category="a") == 1


def test_every_try_is_a_call_and_all_but_the_first_a_retry(telemetry: Telemetry) -> None:
    tries = (
        Attempt(seconds=0.1, kind="rate_limited", slot_wait_s=0.5),
        Attempt(seconds=0.2, kind="server", retry_wait_s=3.0, quota_wait_s=7.0),
        Attempt(seconds=0.4, retry_wait_s=2.0),
    )
    tell(telemetry, an_outcome(attempts=tries))
    assert value(telemetry, f"{DURATION}_count", arm="candidate") == 3
    assert value(telemetry, f"{DURATION}_sum", arm="candidate", error_type="server") == pytest.approx(0.2)
    assert value(telemetry, f"{DURATION}_count", arm="candidate", error_type="") == 1
    retries = {"rate_limited": 1, "server": 1, "network": 0, "protocol": 0, "timeout": 0}
    for reason, count in retries.items():
        assert value(telemetry, "evalsvc_retries_total", endpoint="up", reason=reason) == count
    for reason, (seconds, n) in {"slot": (0.5, 3), "quota": (7.0, 3), "retry": (5.0, 2)}.items():
        assert value(telemetry, "evalsvc_wait_seconds_sum", endpoint="up", reason=reason) == seconds
        assert value(telemetry, "evalsvc_wait_seconds_count", endpoint="up", reason=reason) == n


def test_tokens_and_cost(telemetry: Telemetry) -> None:
    tell(telemetry, an_outcome(), an_outcome(), an_outcome(arm=B))
    assert value(telemetry, "gen_ai_client_token_usage_sum", arm="candidate", gen_ai_token_type="input") == 200
    assert value(telemetry, "gen_ai_client_token_usage_count", arm="candidate", gen_ai_token_type="output") == 2
    assert value(telemetry, "evalsvc_job_tokens", arm="candidate", gen_ai_token_type="output") == 20
    assert value(telemetry, "evalsvc_cost_total", arm="candidate") == pytest.approx((200 * 2 + 20 * 10) / 1e6)
    assert value(telemetry, "evalsvc_job_cost", arm="candidate") == pytest.approx((200 * 2 + 20 * 10) / 1e6)
    for unknown in ("evalsvc_cost_total", "evalsvc_job_cost"):
        assert value(telemetry, unknown, arm="baseline") is None  # its endpoint has no price


def test_usage_that_the_server_does_not_tell_is_not_0(telemetry: Telemetry) -> None:
    tell(telemetry, an_outcome(), an_outcome(completion=Completion(text="t", input_tokens=5)))
    assert value(telemetry, "gen_ai_client_token_usage_count", arm="candidate", gen_ai_token_type="output") == 1
    for _ in range(2):
        for unknown in ("evalsvc_job_tokens", "evalsvc_job_cost"):
            assert value(telemetry, unknown, arm="candidate") is None
        tell(telemetry, an_outcome())  # and stays unknown, though the job is taken up anew
    assert value(telemetry, "evalsvc_job_tokens", arm="baseline") == 0


def test_latency_is_of_first_trials_but_for_train_suites(telemetry: Telemetry) -> None:
    roles = {"s": Role.TARGET, "t": Role.TRAIN}
    slow = (Attempt(seconds=900.0, kind="server"), Attempt(seconds=9.0))
    others = (an_outcome(attempts=slow, trial=1), an_outcome(attempts=slow, suite="t"), lost("network"))
    tell(telemetry, *others, roles=roles)
    assert value(telemetry, "evalsvc_job_latency_seconds") is None
    tell(telemetry, an_outcome(attempts=slow), roles=roles)
    assert value(telemetry, "evalsvc_job_latency_seconds", arm="candidate", q="0.99") == pytest.approx(9.0, rel=0.01)
    tell(telemetry, lost("timeout"), roles=roles)
    assert value(telemetry, "evalsvc_job_latency_seconds", arm="candidate", q="0.5") == pytest.approx(9.0, rel=0.01)
    assert value(telemetry, "evalsvc_job_latency_seconds", arm="candidate", q="0.99") == inf


def test_recorded_answers_are_no_calls(telemetry: Telemetry) -> None:
    job = a_job()
    spec = ArmSpec(endpoint="recorded", model="m-candidate", outputs="o.jsonl")
    job = replace(job, arms={A: spec, B: replace(spec, model="m-baseline")})
    telemetry.follow("j1", job, Progress(total=2), PRICES).add([an_outcome()])
    assert value(telemetry, "evalsvc_outcomes_total", arm="candidate", status="ok") == 1
    assert value(telemetry, "evalsvc_job_pass_ratio", arm="candidate") == 1
    for none in (f"{DURATION}_count", "evalsvc_job_latency_seconds", "evalsvc_cost_total", "evalsvc_job_tokens"):
        assert value(telemetry, none) is None


def test_a_follow_up_is_a_call_but_no_answer(telemetry: Telemetry) -> None:
    tell(telemetry, an_outcome(step="perplexity"))
    assert value(telemetry, "evalsvc_outcomes_total", arm="candidate", status="ok") == 0
    assert value(telemetry, "evalsvc_scores_total") == 0
    assert value(telemetry, f"{DURATION}_count", arm="candidate") == 1
    assert value(telemetry, "evalsvc_job_latency_seconds") is None
    assert value(telemetry, "evalsvc_job_tokens", arm="candidate") == 0


def test_calls_of_the_judge_are_told_apart_from_the_arms_and_cost_their_own(telemetry: Telemetry) -> None:
    job = replace(a_job(), judge=JudgeSpec(endpoint="court", model="m-judge"))
    listener = telemetry.follow("j1", job, Progress(total=2), PRICES, (1e6, 1e6))
    taken = an_outcome(step="judge", judged=True, attempts=())
    listener.add([an_outcome(), an_outcome(step="judge", judged=True), lost(step="judge", judged=True), taken])
    of_judge = {"arm": "judge", "gen_ai_request_model": "m-judge"}
    assert value(telemetry, f"{DURATION}_count", **of_judge) == 2  # what was taken from before was no call
    assert value(telemetry, f"{DURATION}_count", error_type="network", **of_judge) == 1
    assert value(telemetry, "gen_ai_client_token_usage_sum", **of_judge) == 110
    assert value(telemetry, "evalsvc_cost_total", arm="judge") == 110
    assert value(telemetry, f"{DURATION}_count", arm="candidate") == 1
    assert value(telemetry, "evalsvc_outcomes_total") == 1
    assert value(telemetry, "evalsvc_retries_total", endpoint="court") == 0


def test_streams_tell_their_first_token(telemetry: Telemetry) -> None:
    first = "gen_ai_client_operation_time_to_first_chunk_seconds"
    job = a_job()
    streamed = replace(job, arms={A: replace(job.arms[A], stream=True), B: job.arms[B]})
    listener = telemetry.follow("j1", streamed, Progress(total=2), PRICES)
    assert value(telemetry, f"{first}_count", arm="candidate") == 0
    listener.add([an_outcome(completion=Completion(text="t", first_token_s=0.3))])
    assert value(telemetry, f"{first}_sum", arm="candidate") == 0.3
    assert value(telemetry, f"{first}_count", arm="baseline") is None


@pytest.mark.parametrize(
    ("api", "operation"), [("chat", "chat"), ("responses", "chat"), ("completions", "text_completion")]
)
def test_the_operation_is_opentelemetrys(telemetry: Telemetry, api: str, operation: str) -> None:
    job = a_job()
    tell(telemetry, an_outcome(), arms={A: replace(job.arms[A], api=api), B: job.arms[B]})
    labels = {"gen_ai_operation_name": operation, "gen_ai_request_model": "m-candidate", "arm": "candidate"}
    assert value(telemetry, f"{DURATION}_count", gen_ai_provider_name="openai", **labels) == 1


def test_two_jobs_are_counted_apart_and_together(telemetry: Telemetry) -> None:
    for job_id, score in (("j1", 1.0), ("j2", 0.0)):
        telemetry.follow(job_id, a_job(), Progress(total=1), PRICES).add([an_outcome(score)])
    assert value(telemetry, "evalsvc_job_pass_ratio", eval_job="j1") == 1
    assert value(telemetry, "evalsvc_job_pass_ratio", eval_job="j2") == 0
    assert value(telemetry, "evalsvc_outcomes_total") == 2
