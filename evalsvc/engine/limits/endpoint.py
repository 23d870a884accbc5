"""The limits of one endpoint: slots, budgets and the line in front of them."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from time import perf_counter
from typing import Literal

import anyio

from evalsvc.core.records import Quota
from evalsvc.engine.limits.admission import Admission
from evalsvc.engine.limits.budget import Budget
from evalsvc.engine.limits.concurrency import Concurrency
from evalsvc.engine.limits.learnt_rate import LearntRate
from evalsvc.engine.limits.line import Line, Waiter
from evalsvc.engine.limits.tokens import TokenMeter

#: How a request ended, as the limits see it; ``transient`` is 5xx, timeout or network.
Result = Literal["ok", "rate_limited", "transient", "other"]
#: What holds a request back: the user's slots, the adaptive limit, requests or tokens a minute, the learnt rate.
Reason = Literal["", "slot", "concurrency", "rpm", "tpm", "rate"]

#: Budgets bring a little more with every wait this short: no alarm is set for less.
_SHORTEST_ALARM_S = 0.001
#: Without a request for so long, an endpoint was at rest.
_REST_S = 1.0
#: A budget that is known explains single 429s; more than this share means that it is not the whole truth.
_UNEXPLAINED = 0.1


class EndpointLimits:
    """Every request to an endpoint is admitted here and ends in `finish`, once.

    Args:
        max_in_flight: most requests at once.
        rpm: most requests a minute, if the user says so; servers may only say less.
        tpm: most tokens a minute, likewise.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        max_in_flight: int,
        *,
        rpm: float | None = None,
        tpm: float | None = None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        now = clock()
        self._clock = clock
        self.in_flight = 0
        self._idle_since = now
        self._concurrency = Concurrency(max_in_flight)
        self._requests = None if rpm is None else Budget(rpm, now=now, ceiling=True)
        self._tokens = None if tpm is None else Budget(tpm, now=now, ceiling=True)
        self._rate = LearntRate(now)
        self._budgeted = rpm is not None or tpm is not None
        self._meter = TokenMeter()
        self._line = Line()
        self._admitted = self._answered = self._limited = 0
        self._reserved = 0.0  # tokens, of all admissions so far
        self._cut_at = 0  # the number of the last admission before the last cut
        self._heard = 0  # the newest admission whose answer told of quotas
        self._stalled_by: Reason = ""
        self._stalled_at = now
        self._quota_stall = 0.0  # seconds for which the line was held up by a budget

    @property
    def max_in_flight(self) -> int:
        """The most in flight the user allows."""
        return self._concurrency.most

    @property
    def limit(self) -> int:
        """The most in flight at present."""
        return self._concurrency.limit

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return self._line.size

    @property
    def reason(self) -> Reason:
        """Why the next request would wait; empty if it would not."""
        head = self._line.head()
        return self._obstacle(1.0 if head is None else self._estimate(head), self._clock())[0]

    def tokens_estimate(self, model: str, chars: int, max_tokens: int | None) -> float:
        """Tokens that such a request is expected to cost, input and output."""
        return self._meter.estimate(model, chars, max_tokens)

    def admit_now(self, job: str, model: str, chars: int, max_tokens: int | None) -> Admission | None:  # noqa: ARG002 - the same signature as `admit`
        """Admit at once, or None where the request would have to wait, or others wait already."""
        if self._line.size or self.in_flight >= self._concurrency.limit:
            return None
        now = self._clock()
        tokens = 0.0
        if self._budgeted:
            if self._tokens is not None:
                tokens = self._meter.estimate(model, chars, max_tokens)
            if self._obstacle(tokens, now)[0]:
                return None
        if not self.in_flight and now - self._idle_since > _REST_S:
            self._rate.rested(now, **self._counts())
        return self._grant(model, chars, tokens, now)

    async def admit(self, job: str, model: str, chars: int, max_tokens: int | None) -> Admission:
        """Wait for a turn. A wait that is cancelled costs neither slot nor budget.

        Args:
            job: whose request it is: jobs are served in turn.
            model: the model that is asked.
            chars: characters of the request.
            max_tokens: the longest answer asked for, if it says so.
        """
        admission = self.admit_now(job, model, chars, max_tokens)
        if admission is not None:
            return admission
        now = self._clock()
        waiter = Waiter(job, model, chars, max_tokens, since=now, quota_stall=self._stall_so_far(now))
        self._line.join(waiter)
        try:
            return await self._wait(waiter)
        except BaseException:
            self._withdraw(waiter)
            raise

    def finish(
        self,
        admission: Admission,
        *,
        result: Result,
        input_tokens: int | None,
        output_tokens: int | None,
        quota: Quota | None,
    ) -> None:
        """Give the slot back, settle the tokens and learn from how it went.

        Usage that is not known (None) leaves the estimate standing.
        """
        self.in_flight -= 1
        if not self.in_flight:
            self._idle_since = self._clock()
        if self._rate.shut_at is not None and admission.number > self._rate.shut_at:
            self._rate.probes -= 1
            if result == "ok":
                self._reopen()
        if result == "ok":
            self._answered += 1
            self._concurrency.finished(True)
        elif result == "rate_limited":
            self._refused(admission, quota)
        else:
            self._concurrency.finished(result == "other")
        if input_tokens is not None and output_tokens is not None:
            self._settle(admission, input_tokens, output_tokens)
        if quota is not None and admission.number > self._heard:
            self._hear(admission, quota)
        if self._line.size:
            self._serve()

    def _grant(self, model: str, chars: int, tokens: float, now: float) -> Admission:
        self.in_flight += 1
        self._admitted += 1
        concurrency = self._concurrency
        if self.in_flight > concurrency.peak:  # noqa: PLR1730 - max() costs a call on every request
            concurrency.peak = self.in_flight
        if self._budgeted:
            self._reserve(tokens)
        if now >= self._rate.next_look:
            self._rate.look(now, **self._counts())
        if self._rate.shut_at is not None:
            self._probe()
        return Admission(self._admitted, now, model, chars, tokens, self._reserved)

    def _reserve(self, tokens: float) -> None:
        if self._requests is not None:
            self._requests.take(1.0)
        if self._rate.budget is not None:
            self._rate.budget.take(1.0)
        if self._tokens is not None:
            self._tokens.take(tokens)
            self._reserved += tokens

    def _estimate(self, waiter: Waiter) -> float:
        return 0.0 if self._tokens is None else self._meter.estimate(waiter.model, waiter.chars, waiter.max_tokens)

    def _obstacle(self, tokens: float, now: float) -> tuple[Reason, float]:
        """What holds such a request back, and for how many seconds; a slot takes as long as it takes."""
        concurrency = self._concurrency
        if self.in_flight >= concurrency.limit:
            return ("slot" if concurrency.limit == concurrency.most else "concurrency"), inf
        reason: Reason = ""
        longest = 0.0
        if self._requests is not None and (wait := self._requests.wait(1.0, now)) > longest:
            reason, longest = "rpm", wait
        if self._tokens is not None and (wait := self._tokens.wait(tokens, now)) > longest:
            reason, longest = "tpm", wait
        if self._rate.budget is not None and (wait := self._rate.budget.wait(1.0, now)) > longest:
            reason, longest = "rate", wait
        return reason, longest

    def _settle(self, admission: Admission, input_tokens: int, output_tokens: int) -> None:
        self._meter.learn(admission.model, admission.chars, input_tokens, output_tokens)
        # what the server said after this request already counts what it cost
        if admission.tokens and self._tokens is not None and admission.number > self._heard:
            self._tokens.settle(admission.tokens, input_tokens + output_tokens)

    def _refused(self, admission: Admission, quota: Quota | None) -> None:
        self._limited += 1
        if self._rate.shut_at is not None:
            self._rate.refused_while_shut(self._line.size)
            return
        if admission.number <= self._cut_at:
            self._concurrency.finished(False)
            return
        self._cut_at = self._admitted
        self._concurrency.cut()
        if quota is None and self._unexplained():
            self._rate.cut(self._clock(), **self._counts())
            self._budgeted = True
            if self._rate.shut_at is not None:
                self._concurrency.restore()  # it was the window, not how many there were at once

    def _probe(self) -> None:
        """One asks whether the next window has begun. A 429 comes at once: one that is still under way was let in."""
        if self._rate.probes:
            self._reopen()
        else:
            self._rate.probes = 1

    def _reopen(self) -> None:
        self._rate.reopen(self._clock(), **self._counts())

    def _counts(self) -> dict[str, int]:
        return {"admitted": self._admitted, "limited": self._limited, "answered": self._answered}

    def _unexplained(self) -> bool:
        if self._rate.budget is not None or not self._budgeted:
            return True
        return self._rate.share_limited(self._admitted, self._limited) > _UNEXPLAINED

    def _hear(self, admission: Admission, quota: Quota) -> None:
        self._heard = admission.number
        now = self._clock()
        age = now - admission.admitted_at
        if self._requests is None and quota.requests is not None:
            self._requests = Budget(quota.requests, now=now)
        if self._tokens is None and quota.tokens is not None:
            self._tokens = Budget(quota.tokens, now=now)
        if self._requests is not None:
            self._budgeted = True
            self._requests.hear(
                quota.requests,
                quota.requests_left,
                quota.requests_reset_s,
                since=self._admitted - admission.number,
                age=age,
                now=now,
            )
        if self._tokens is not None:
            since = self._reserved - admission.reserved_so_far
            if not admission.tokens:  # this budget is new: nothing was reserved yet
                usual = self._meter.estimate(admission.model, admission.chars, None)
                since = max(since, usual * (self._admitted - admission.number))
            self._tokens.hear(quota.tokens, quota.tokens_left, quota.tokens_reset_s, since=since, age=age, now=now)
            self._budgeted = True

    async def _wait(self, waiter: Waiter) -> Admission:
        while True:
            self._serve()
            if waiter.admission is not None:
                return waiter.admission
            waiter.woken = anyio.Event()
            if waiter.alarm_at == inf:
                await waiter.woken.wait()
            else:
                with anyio.move_on_after(max(_SHORTEST_ALARM_S, waiter.alarm_at - self._clock())):
                    await waiter.woken.wait()
                waiter.alarm_at = inf

    def _serve(self) -> None:
        """Admit from the line as many as can go; the one then in front is told when to look again."""
        now = self._clock()
        reason: Reason = ""
        while (head := self._line.head()) is not None:
            tokens = self._estimate(head)
            reason, wait = self._obstacle(tokens, now)
            if reason:
                if now + wait < head.alarm_at - _SHORTEST_ALARM_S:
                    head.alarm_at = now + wait
                    head.woken.set()
                break
            self._line.serve()
            self._admit_waiter(head, tokens, now)
        self._stall(reason, now)

    def _admit_waiter(self, waiter: Waiter, tokens: float, now: float) -> None:
        admission = self._grant(waiter.model, waiter.chars, tokens, now)
        admission.quota_wait_s = self._stall_so_far(now) - waiter.quota_stall
        admission.slot_wait_s = max(0.0, now - waiter.since - admission.quota_wait_s)
        waiter.admission = admission
        waiter.woken.set()

    def _withdraw(self, waiter: Waiter) -> None:
        admission = waiter.admission
        if admission is None:
            self._line.leave(waiter)
        else:  # it was admitted while it was being cancelled: all is given back
            self.in_flight -= 1
            self._give_back(admission)
        self._serve()

    def _give_back(self, admission: Admission) -> None:
        for budget, cost in ((self._requests, 1.0), (self._rate.budget, 1.0), (self._tokens, admission.tokens)):
            if budget is not None:
                budget.settle(cost, 0.0)

    def _stall(self, reason: Reason, now: float) -> None:
        self._quota_stall = self._stall_so_far(now)
        self._stalled_by, self._stalled_at = reason, now

    def _stall_so_far(self, now: float) -> float:
        if self._stalled_by in {"rpm", "tpm", "rate"}:
            return self._quota_stall + now - self._stalled_at
        return self._quota_stall
