"""One request from its first attempt to its outcome: slot → provider → score, and what to do when it fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter, time
from typing import TypeVar

from anyio.to_thread import run_sync

from evalsvc.core.progress import Progress
from evalsvc.core.records import Attempt, Case, Completion, Outcome, Quota, Request, Score, Status
from evalsvc.engine.endpoints import Endpoint
from evalsvc.engine.health import EndpointHealth
from evalsvc.engine.lag import LoopLag
from evalsvc.engine.limits import Admission, Result
from evalsvc.engine.retries import RetryPolicy
from evalsvc.errors import (
    AuthenticationFailed,
    ContentRefused,
    ContextOverflow,
    JobStopped,
    ModelNotFound,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
    ScoringError,
)
from evalsvc.scoring.base import AskingScorer, Scorer

#: Errors that are the model's own answer to a prompt: the endpoint is well.
_MODEL_ERRORS = (ContextOverflow, ContentRefused)
#: Errors that stand, whatever state the endpoint is in.
_CERTAIN = (RequestRejected, QuotaExhausted, *_MODEL_ERRORS)
#: What an error tells the limits of its endpoint.
_TEACHES: dict[str, Result] = {
    "rate_limited": "rate_limited",
    "server": "transient",
    "timeout": "transient",
    "network": "transient",
}
#: How often a request looks again while it is open whether its endpoint is down.
_DOUBT_S = 0.5
#: Characters of an answer beyond which it is scored off the loop, however fast its scorer is otherwise.
_LONG = 16_384

#: What each kind of `Status.MODEL_ERROR` means.
FAULTS = {
    "truncated": "cut off at the token limit",
    "refused": "the model or its filter refused",
    "empty": "an empty answer",
    "context_overflow": "the prompt does not fit the model's context",
}


#: Sleeps so many seconds without keeping a worker from its work.
Rest = Callable[[float], Awaitable[None]]

T = TypeVar("T")


@dataclass(slots=True)
class _Course:
    """How a request has fared so far. ``since`` and ``tries`` start anew after its endpoint was in doubt."""

    since: float
    ready: float
    tries: int = 0
    attempts: list[Attempt] = field(default_factory=list)

    def anew(self) -> None:
        """What failed so far was the endpoint's fault."""
        self.since, self.tries = perf_counter(), 0


class Executor:
    """Runs requests. What an asking scorer would ask is left to `FollowUps`: its score is not among an answer's yet.

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
        self._plain = {suite: [row for row in rows if not _asks(row[1])] for suite, rows in scorers.items()}
        self._alone = {suite: [row for row in rows if not _pairs(row[1])] for suite, rows in scorers.items()}
        self._policy = policy
        self._lag = lag
        self._progress = progress

    async def run(self, request: Request, scheduled: float, rest: Rest) -> Outcome:
        """Ask until there is an outcome; waits between attempts are spent in ``rest``.

        Args:
            request: what to ask.
            scheduled: when it should have started, on `time.perf_counter`.
            rest: sleeps without holding up others.

        Raises:
            JobStopped: the job cannot go on.
        """
        endpoint = self._endpoints[request.endpoint]
        course = _Course(since=scheduled, ready=perf_counter())
        while True:
            try:
                completion = await self._attempt(endpoint, request, course)
            except ProviderError as error:
                if not await self._again(endpoint, request, course, error, rest):
                    return self._failed(request, course, error, scheduled)
                self._progress.retries += 1
            else:
                return await self._answered(request, course, completion, scheduled)

    async def _attempt(self, endpoint: Endpoint, request: Request, course: _Course) -> Completion:
        if not endpoint.health.down:
            return await self._ask(endpoint, request, course)
        async with endpoint.health.probe():
            course.anew()
            return await self._ask(endpoint, request, course)

    async def _ask(self, endpoint: Endpoint, request: Request, course: _Course) -> Completion:
        asked = perf_counter()
        ask = (request.job, request.model, request.chars, _max_tokens(request))
        admission = endpoint.limits.admit_now(*ask) or await endpoint.limits.admit(*ask)
        if not course.tries:
            endpoint.budget.deposit()
        result: Result = "other"
        completion: Completion | None = None
        quota: Quota | None = None
        started = perf_counter()
        try:
            completion = await endpoint.provider.complete(request)
            result, quota = "ok", completion.quota
        except ProviderError as error:
            result, quota = _lesson(endpoint, course, error), error.quota
            self._note(course, admission, asked, started, perf_counter() - started, error)
            _tell(endpoint.health, request, error)
            raise
        finally:
            endpoint.limits.finish(
                admission,
                result=result,
                input_tokens=None if completion is None else completion.input_tokens,
                output_tokens=None if completion is None else completion.output_tokens,
                quota=quota,
            )
        endpoint.health.succeeded()
        self._note(course, admission, asked, started, completion.latency_s, None)
        return completion

    def _note(
        self,
        course: _Course,
        admission: Admission,
        asked: float,
        started: float,
        seconds: float,
        error: ProviderError | None,
    ) -> None:
        ended = started + seconds
        attempt = Attempt(
            seconds=seconds,
            retry_wait_s=asked - course.ready,
            slot_wait_s=admission.slot_wait_s,
            quota_wait_s=admission.quota_wait_s,
            kind=error.kind if error else None,
            status=error.status if error else 200,
            tainted=self._lag.tainted(started, ended),
        )
        course.attempts.append(attempt)
        course.tries += 1
        course.ready = ended

    async def _again(
        self, endpoint: Endpoint, request: Request, course: _Course, error: ProviderError, rest: Rest
    ) -> bool:
        """Whether to ask once more, after the wait that takes; False when the outcome stands."""
        if isinstance(error, AuthenticationFailed | ModelNotFound):
            who = request.arm if request.step == "answer" else f"what scores ask ({request.step!r})"
            raise JobStopped(f"{who} ({request.model} on endpoint {endpoint.name}): {error}") from error
        wait = self._policy.decide(error, attempt=course.tries, elapsed_s=perf_counter() - course.since)
        # A 429 is no load on the server that the limits do not already hold back: it takes none of the budget.
        if wait is not None and (isinstance(error, RateLimited) or endpoint.budget.withdraw()):
            await rest(wait)
            return True
        told_to_wait = isinstance(error, RateLimited) and error.retry_after is not None
        if told_to_wait or isinstance(error, _CERTAIN):
            return False
        return await self._cleared(endpoint, course, error, rest)

    async def _cleared(self, endpoint: Endpoint, course: _Course, error: ProviderError, rest: Rest) -> bool:
        """Nothing is recorded of a case while the endpoint itself is in doubt; True if it was the endpoint's fault."""
        doubted = False
        while endpoint.health.undecided(error.kind, course.since) and not endpoint.health.down:
            doubted = True
            await rest(_DOUBT_S)
        if doubted or endpoint.health.down:
            course.anew()
        return endpoint.health.down or (doubted and endpoint.health.answered_since(course.ready))

    def _failed(self, request: Request, course: _Course, error: ProviderError, scheduled: float) -> Outcome:
        status = Status.MODEL_ERROR if isinstance(error, _MODEL_ERRORS) else Status.INFRA_ERROR
        return self._outcome(request, course, scheduled, status, error.kind, detail=str(error))

    async def _answered(self, request: Request, course: _Course, completion: Completion, scheduled: float) -> Outcome:
        fault = completion.fault
        if fault is not None:
            return self._outcome(request, course, scheduled, Status.MODEL_ERROR, fault, completion)
        plain = self._plain[request.case.suite] if request.step == "answer" else ()
        scores = {label: await _score(scorer, request.case, completion) for label, scorer in plain}
        return self._outcome(request, course, scheduled, Status.OK, None, completion, scores=scores)

    def _outcome(
        self,
        request: Request,
        course: _Course,
        scheduled: float,
        status: Status,
        kind: str | None,
        completion: Completion | None = None,
        *,
        detail: str | None = None,
        scores: Mapping[str, Score] | None = None,
    ) -> Outcome:
        if scores is None and status is Status.MODEL_ERROR and request.step == "answer":
            why = FAULTS[kind or ""]
            scores = {label: _zero(scorer, request.case, why) for label, scorer in self._alone[request.case.suite]}
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
            since_scheduled_s=course.ready - scheduled,
            finished_at=time(),
        )


async def given(scorer: Scorer, chars: int, give: Callable[..., T], *arguments: object) -> T | Score:
    """What a scorer gives for a text of so many characters; where it raises, that is a score that is missing."""
    try:
        if scorer.offload or chars > _LONG:
            found = await run_sync(give, *arguments)
        else:
            found = give(*arguments)
        if isinstance(found, Score) and found.value is not None:
            low, high = scorer.bounds
            if not low <= found.value <= high:
                raise ScoringError(f"a score of {found.value} is outside {low:g} to {high:g}")  # noqa: TRY301 - one border for all
    except Exception as error:  # noqa: BLE001 - a scorer is a plug-in: whatever it raises costs one score, no job
        reason = str(error) if isinstance(error, ScoringError) else f"{type(error).__name__}: {error}"
        return unscored(reason)
    return found


def unscored(reason: str) -> Score:
    """The score that is missing because its scorer failed."""
    return Score(value=None, explanation=f"scoring error: {reason[:300]}")


async def _score(scorer: Scorer, case: Case, completion: Completion) -> Score:
    found: object = await given(scorer, len(completion.text), scorer.score, case, completion)
    return found if isinstance(found, Score) else unscored(f"{type(found).__name__} is no score")


def _asks(scorer: Scorer) -> bool:
    return isinstance(scorer, AskingScorer)


def _pairs(scorer: Scorer) -> bool:
    return isinstance(scorer, AskingScorer) and scorer.paired


def _zero(scorer: Scorer, case: Case, why: str) -> Score:
    try:
        return scorer.fault(case, why)
    except Exception:  # noqa: BLE001 - the same border: the answer is worth 0, whatever the scorer makes of it
        return Score(value=0.0, explanation=why)


def _lesson(endpoint: Endpoint, course: _Course, error: ProviderError) -> Result:
    """What an error teaches the limits: nothing, if this request is refused again while others are answered."""
    before = course.attempts[-1] if course.attempts else None
    if before is not None and before.kind == error.kind and endpoint.health.answered_since(course.ready):
        return "other"
    return _TEACHES.get(error.kind, "other")


def _tell(health: EndpointHealth, request: Request, error: ProviderError) -> None:
    if isinstance(error, _MODEL_ERRORS):
        health.succeeded()
    else:
        health.failed((request.job, request.case.position), error.kind, str(error))


def _max_tokens(request: Request) -> int | None:
    value = request.params.get("max_tokens") or request.params.get("max_completion_tokens")
    return value if isinstance(value, int) else None
