"""One request from its first attempt to its outcome: slot → provider → score, and what to do when it fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter, time

from anyio.to_thread import run_sync

from evalsvc.core.progress import Progress
from evalsvc.core.records import Attempt, Completion, Outcome, Request, Score, Status
from evalsvc.engine.endpoints import Endpoint
from evalsvc.engine.lag import LoopLag
from evalsvc.engine.retries import RetryPolicy
from evalsvc.errors import (
    AuthenticationFailed,
    ContentRefused,
    ContextOverflow,
    JobStopped,
    ModelNotFound,
    ProviderError,
    RequestRejected,
    ScoringError,
)
from evalsvc.scoring.base import Scorer

#: Errors that are the model's own answer to a prompt: the endpoint is well.
_MODEL_ERRORS = (ContextOverflow, ContentRefused)
#: While it is open whether the endpoint is down, requests ask again at least this often.
_SUSPECT_WAIT_S = 2.0

_FAULTS = {
    "truncated": "cut off at the token limit",
    "refused": "the model or its filter refused",
    "empty": "an empty answer",
    "context_overflow": "the prompt does not fit the model's context",
}


#: Sleeps so many seconds without keeping a worker from its work.
Rest = Callable[[float], Awaitable[None]]


@dataclass(slots=True)
class _Course:
    """How a request has fared so far. ``since`` and ``tries`` start anew after its endpoint was down."""

    since: float
    ready: float
    tries: int = 0
    attempts: list[Attempt] = field(default_factory=list)


class Executor:
    """Runs requests.

    Args:
        endpoints: by alias.
        scorers: of each suite, (label, scorer), the primary first.
        policy: when to ask again.
        lag: says which latencies the event loop tainted.
        progress: told of attempts as they happen.
    """

    def __init__(
        self,
        *,
        endpoints: Mapping[str, Endpoint],
        scorers: Mapping[str, Sequence[tuple[str, Scorer]]],
        policy: RetryPolicy,
        lag: LoopLag,
        progress: Progress,
    ) -> None:
        self._endpoints = endpoints
        self._scorers = scorers
        self._policy = policy
        self._lag = lag
        self._progress = progress

    async def run(self, request: Request, rest: Rest) -> Outcome:
        """Ask until there is an outcome; waits between attempts are spent in ``rest``.

        Raises:
            JobStopped: the job cannot go on.
        """
        endpoint = self._endpoints[request.endpoint]
        now = perf_counter()
        course = _Course(since=now, ready=now)
        while True:
            try:
                completion = await self._attempt(endpoint, request, course)
            except ProviderError as error:
                wait = self._after(endpoint, request, course, error)
                if wait is None:
                    return self._failed(request, course, error)
                self._progress.retries += 1
                await rest(wait)
            else:
                return await self._answered(request, course, completion)

    async def _attempt(self, endpoint: Endpoint, request: Request, course: _Course) -> Completion:
        if not endpoint.health.down:
            return await self._ask(endpoint, request, course)
        async with endpoint.health.probe():
            course.since, course.tries = perf_counter(), 0
            return await self._ask(endpoint, request, course)

    async def _ask(self, endpoint: Endpoint, request: Request, course: _Course) -> Completion:
        async with endpoint.limits.slot():
            started = perf_counter()
            try:
                completion = await endpoint.provider.complete(request)
            except ProviderError as error:
                self._note(course, started, error)
                if isinstance(error, _MODEL_ERRORS):
                    endpoint.health.succeeded()
                else:
                    endpoint.health.failed(request.case.position, error.kind, str(error))
                raise
            endpoint.health.succeeded()
            self._note(course, started, None, completion.latency_s)
            return completion

    def _note(self, course: _Course, started: float, error: ProviderError | None, seconds: float | None = None) -> None:
        ended = perf_counter()
        attempt = Attempt(
            retry_wait_s=started - course.ready,
            seconds=ended - started if seconds is None else seconds,
            kind=error.kind if error else None,
            status=error.status if error else 200,
            tainted=self._lag.tainted(started, ended),
        )
        course.attempts.append(attempt)
        course.tries += 1
        course.ready = ended

    def _after(self, endpoint: Endpoint, request: Request, course: _Course, error: ProviderError) -> float | None:
        """Seconds to wait before the next attempt, or None when the outcome stands."""
        if isinstance(error, AuthenticationFailed | ModelNotFound):
            raise JobStopped(f"{request.arm} ({request.model} on endpoint {endpoint.name}): {error}") from error
        wait = self._policy.decide(error, attempt=course.tries, elapsed_s=perf_counter() - course.since)
        certain = isinstance(error, RequestRejected | ContextOverflow | ContentRefused)
        if wait is None and not certain and endpoint.health.undecided(error.kind, course.since):
            # Nothing is recorded of a case while the endpoint itself is in doubt.
            return min(self._policy.backoff(error, attempt=course.tries), _SUSPECT_WAIT_S)
        return wait

    def _failed(self, request: Request, course: _Course, error: ProviderError) -> Outcome:
        if isinstance(error, _MODEL_ERRORS):
            return self._outcome(request, course, Status.MODEL_ERROR, error.kind, detail=str(error))
        return self._outcome(request, course, Status.INFRA_ERROR, error.kind, detail=str(error))

    async def _answered(self, request: Request, course: _Course, completion: Completion) -> Outcome:
        fault = completion.fault
        if fault is not None:
            return self._outcome(request, course, Status.MODEL_ERROR, fault, completion)
        scores = {
            label: await self._score(scorer, request, completion) for label, scorer in self._scorers[request.case.suite]
        }
        return self._outcome(request, course, Status.OK, None, completion, scores=scores)

    async def _score(self, scorer: Scorer, request: Request, completion: Completion) -> Score:
        try:
            if scorer.offload:
                score = await run_sync(scorer.score, request.case, completion)
            else:
                score = scorer.score(request.case, completion)
            if score.value is not None and not 0 <= score.value <= 1:
                raise ScoringError(f"a score of {score.value} is outside 0 to 1")  # noqa: TRY301 - one border for all
        except Exception as error:  # noqa: BLE001 - a scorer is a plug-in: whatever it raises costs one score, no job
            reason = str(error) if isinstance(error, ScoringError) else f"{type(error).__name__}: {error}"
            return Score(value=None, explanation=f"scoring error: {reason[:300]}")
        return score

    def _outcome(
        self,
        request: Request,
        course: _Course,
        status: Status,
        kind: str | None,
        completion: Completion | None = None,
        *,
        detail: str | None = None,
        scores: Mapping[str, Score] | None = None,
    ) -> Outcome:
        if scores is None and status is Status.MODEL_ERROR:
            zero = Score(value=0.0, explanation=_FAULTS[kind or ""])
            scores = {label: zero for label, _ in self._scorers[request.case.suite]}
        return Outcome(
            case=request.case,
            arm=request.arm,
            trial=request.trial,
            step=request.step,
            status=status,
            kind=kind,
            detail=detail,
            completion=completion,
            scores=scores or {},
            attempts=tuple(course.attempts),
            finished_at=time(),
        )
