"""The one retry policy of the house, as a pure decision: this error, at this attempt, this late: wait how long?"""

from __future__ import annotations

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)
from tenacity.wait import wait_base

from evalsvc.errors import ProviderError, RateLimited, TransientError

_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0
#: Most quotas are counted by the minute: so long after the first attempt another window has begun.
_WINDOW_S = 60.0
_BUDGET_RATIO = 0.2
_BUDGET_FLOOR = 10.0


class _AsTheServerSays(wait_base):
    """Full jitter, but never before the time that a ``Retry-After`` names."""

    def __init__(self, otherwise: wait_base) -> None:
        self._otherwise = otherwise

    def __call__(self, retry_state: RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        told: float | None = getattr(error, "retry_after", None)
        jitter = self._otherwise(retry_state)
        return jitter if told is None else told + jitter


class RetryPolicy:
    """Exponential backoff with full jitter for `TransientError`, within a number of attempts and a total time.

    Where a server says 429 and not for how long, the last attempt is kept for the next minute.

    Args:
        max_attempts: most attempts of one request.
        deadline_s: no retry starts later than this after the first attempt.
    """

    def __init__(self, *, max_attempts: int, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._max_attempts = max_attempts
        self._policy = AsyncRetrying(
            retry=retry_if_exception_type(TransientError),
            stop=stop_after_attempt(max_attempts),
            wait=_AsTheServerSays(wait_random_exponential(multiplier=_FIRST_WAIT_S, max=_LONGEST_WAIT_S)),
        )

    def decide(self, error: ProviderError, *, attempt: int, elapsed_s: float) -> float | None:
        """Seconds to wait before the next attempt, or None to give up.

        Args:
            error: what the last attempt ended in.
            attempt: how many there were, 1 for the first.
            elapsed_s: since the first one began.
        """
        state = RetryCallState(self._policy, None, (), {})
        state.attempt_number = attempt
        state.set_exception((type(error), error, error.__traceback__))
        if not self._policy.retry(state) or self._policy.stop(state):
            return None
        wait = float(self._policy.wait(state))
        if isinstance(error, RateLimited) and error.retry_after is None and attempt == self._max_attempts - 1:
            wait = max(wait, min(_WINDOW_S + wait, self._deadline_s) - elapsed_s)
        return wait if elapsed_s + wait <= self._deadline_s else None


class RetryBudget:
    """Retries of an endpoint: a fifth of its requests and ten more, so that an outage is not answered by a storm."""

    def __init__(self) -> None:
        self._left = _BUDGET_FLOOR

    def deposit(self) -> None:
        """A request was sent for the first time."""
        self._left += _BUDGET_RATIO

    def withdraw(self) -> bool:
        """Take one retry; False when none is left."""
        if self._left < 1:
            return False
        self._left -= 1
        return True
