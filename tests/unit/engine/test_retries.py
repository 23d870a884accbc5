from __future__ import annotations

import pytest

from evalsvc.engine.retries import RetryBudget, RetryPolicy
from evalsvc.errors import (
    AuthenticationFailed,
    DeadlineExceeded,
    Garbled,
    Overloaded,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
    Unreachable,
)

POLICY = RetryPolicy(max_attempts=5, deadline_s=60)


@pytest.mark.parametrize("error", [Overloaded("x"), Unreachable("x"), Garbled("x")])
def test_what_may_pass_is_asked_again_with_full_jitter(error: ProviderError) -> None:
    for attempt in range(1, 5):
        waits = [POLICY.decide(error, attempt=attempt, elapsed_s=0) for _ in range(200)]
        assert all(wait is not None and 0 <= wait <= 0.5 * 2 ** (attempt - 1) for wait in waits)
        assert len(set(waits)) > 100
    assert POLICY.decide(error, attempt=5, elapsed_s=0) is None


@pytest.mark.parametrize(("deadline_s", "latest"), [(600, 64), (60, 60), (20, 20)])
def test_the_last_attempt_after_a_429_without_advice_is_kept_for_the_next_minute(
    deadline_s: float, latest: float
) -> None:
    policy = RetryPolicy(max_attempts=5, deadline_s=deadline_s)
    for elapsed_s in (0, 7, 19):
        for attempt in range(1, 4):
            wait = policy.decide(RateLimited("x"), attempt=attempt, elapsed_s=0)
            assert wait is not None
            assert wait <= 0.5 * 2 ** (attempt - 1)
        wait = policy.decide(RateLimited("x"), attempt=4, elapsed_s=elapsed_s)
        assert wait is None or min(60, latest) <= elapsed_s + wait <= latest
        assert wait is not None or deadline_s == 20
    late = policy.decide(RateLimited("x"), attempt=4, elapsed_s=deadline_s - 4.0)
    assert late is not None
    assert late <= 4.0
    advised = policy.decide(RateLimited("x", retry_after=1), attempt=4, elapsed_s=0)
    assert advised is not None
    assert advised <= 5.0


@pytest.mark.parametrize(
    "error", [RequestRejected("x"), AuthenticationFailed("x"), QuotaExhausted("x"), DeadlineExceeded("x")]
)
def test_what_cannot_pass_is_never_asked_again(error: ProviderError) -> None:
    assert POLICY.decide(error, attempt=1, elapsed_s=0) is None


def test_nothing_is_sent_before_the_time_the_server_names() -> None:
    for _ in range(100):
        wait = POLICY.decide(RateLimited("x", retry_after=20), attempt=1, elapsed_s=0)
        assert wait is not None
        assert 20 <= wait <= 20.5


def test_the_total_time_limit_holds() -> None:
    assert POLICY.decide(Overloaded("x"), attempt=1, elapsed_s=60.1) is None
    assert POLICY.decide(RateLimited("x", retry_after=36_000), attempt=1, elapsed_s=0) is None


def test_the_budget_is_ten_retries_and_a_fifth_of_the_requests() -> None:
    budget = RetryBudget()
    assert sum(budget.withdraw() for _ in range(100)) == 10
    for _ in range(101):
        budget.deposit()
    assert sum(budget.withdraw() for _ in range(100)) == 20
