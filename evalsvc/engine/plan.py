"""The one seeded order of a job, and the requests it gives.

Each suite has a planned order of its own, drawn from the seed and the suite's name; the suites are then interleaved at
random. So a suite's order does not depend on the other suites, a prefix of it is a random sample, and the two arms of a
case stand side by side.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from itertools import product
from random import Random
from typing import Any

import anyio

from evalsvc.core.records import Arm, Case, Job, Request

_LEFT_OUT = -1


def planned_positions(counts: Mapping[str, int], *, seed: int, limit: int | None = None) -> dict[str, array[int]]:
    """Where each case of each suite stands in the job's order.

    Args:
        counts: cases of each suite, in the order of the job file.
        seed: the job's seed.
        limit: the first so many cases of each suite's planned order take part.

    Returns:
        For each suite, by place in the data set, the 0-based position in the job; -1 where ``limit`` leaves it out.
    """
    orders = {suite: _shuffled(range(count), f"{seed}/{suite}")[:limit] for suite, count in counts.items()}
    positions = {suite: array("q", [_LEFT_OUT]) * count for suite, count in counts.items()}
    names = list(orders)
    turns = _shuffled((index for index, name in enumerate(names) for _ in orders[name]), f"{seed}")
    ranks = {name: iter(order) for name, order in orders.items()}
    for position, index in enumerate(turns):
        positions[names[index]][next(ranks[names[index]])] = position
    return positions


def _shuffled(values: Iterable[int], seed: str) -> array[int]:
    order = array("q", values)
    Random(seed).shuffle(order)  # noqa: S311 - an order anyone can draw again, no secret
    return order


class Plan:
    """Hands out a job's requests in planned order, those already done left out; any number of workers may take.

    Args:
        job: what to ask.
        job_id: whose requests they are.
        chunks: the job's cases in planned order.
        done: (position, arm, trial) of answers that are already filed.
    """

    def __init__(
        self, job: Job, job_id: str, chunks: AsyncIterator[list[Case]], done: set[tuple[int, Arm, int]]
    ) -> None:
        self._job = job
        self._job_id = job_id
        self._chunks = chunks
        self._done = done
        self._ready: deque[Request] = deque()
        self._refilling = anyio.Lock()
        self._ended = False
        self._dropped: frozenset[str] = frozenset()

    async def take(self) -> Request | None:
        """The next request, or None when there is none left."""
        while not self._ready:
            if self._ended:
                return None
            async with self._refilling:
                if not self._ready and not self._ended:
                    await self._refill()
        return self._ready.popleft()

    def drop(self, suites: Collection[str]) -> None:
        """Hand out no request of these suites any more; those under way are not called back."""
        self._dropped |= frozenset(suites)
        self._ready = deque(request for request in self._ready if request.case.suite not in self._dropped)
        self._ended = self._ended or all(suite.name in self._dropped for suite in self._job.suites)

    def end(self) -> None:
        """Hand out nothing more."""
        self._ended = True
        self._ready.clear()

    async def _refill(self) -> None:
        try:
            cases = await anext(self._chunks)
        except StopAsyncIteration:
            self._ended = True
            return
        if self._ended:
            return
        for case in cases:
            if case.suite not in self._dropped:
                self._ready.extend(self._requests(case))

    def _requests(self, case: Case) -> Iterator[Request]:
        # Which arm goes first alternates along the random order, so that neither is always the one that waits.
        arms = (Arm.CANDIDATE, Arm.BASELINE) if (case.position + self._job.seed) % 2 else (Arm.BASELINE, Arm.CANDIDATE)
        for trial, arm in product(range(self._job.trials), arms):
            if (case.position, arm, trial) not in self._done:
                yield self._request(case, arm, trial)

    def _request(self, case: Case, arm: Arm, trial: int) -> Request:
        spec = self._job.arms[arm]
        messages = messages_of(case.input, spec.system)
        return Request(
            job=self._job_id,
            case=case,
            arm=arm,
            trial=trial,
            step="answer",
            endpoint=spec.endpoint,
            model=spec.model,
            messages=messages,
            params=spec.params,
            chars=chars_of(messages),
            api=spec.api,
            stream=spec.stream,
        )


def messages_of(asked: str | list[dict[str, Any]], system: str | None) -> list[dict[str, Any]]:
    """What is sent: a text as the user's, a chat as it is, the system prompt before either."""
    messages = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
    return messages if system is None else [{"role": "system", "content": system}, *messages]


def chars_of(messages: list[dict[str, Any]]) -> int:
    """Characters of all messages, from which their tokens are estimated."""
    return sum(_length(message.get("content")) for message in messages)


def _length(content: Any) -> int:
    """Characters of a message's text; pictures among its parts have none."""
    if isinstance(content, str):
        return len(content)
    parts = content if isinstance(content, list) else ()
    return sum(len(text) for part in parts if isinstance(part, dict) and isinstance(text := part.get("text"), str))
