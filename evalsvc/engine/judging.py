"""Asks the judge of a job, and asks it nothing twice where what it said once is what it would say again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from time import perf_counter, time

import anyio
import orjson

from evalsvc.core.records import Completion, JudgeSpec, Outcome, Request, Status
from evalsvc.engine.executor import Executor, Rest
from evalsvc.store.follow_ups import FollowUpRows


@dataclass(slots=True)
class _UnderWay:
    """A request that is being asked; ``said`` is what came back, once it is over and something did."""

    over: anyio.Event = field(default_factory=anyio.Event)
    said: Completion | None = None


class Judge:
    """The judge of one job.

    Args:
        spec: who judges.
        url: where, as the record keeps it: another server under the same alias has said nothing yet.
        executor: runs requests.
        rows: what was said before.
    """

    def __init__(self, spec: JudgeSpec, *, url: str, executor: Executor, rows: FollowUpRows) -> None:
        self._spec = spec
        self._url = url
        self._executor = executor
        self._rows = rows
        self._under_way: dict[bytes, _UnderWay] = {}

    async def ask(self, request: Request, rest: Rest) -> Outcome:
        """What comes of a request to the judge.

        What was taken from an earlier request has no attempts, and so no latency: that one was paid for then.

        Raises:
            JobStopped: the job cannot go on.
        """
        key = self._key(request) if self._spec.cached else None
        if key is None:
            return await self._asked(request, rest)
        same = self._under_way.get(key)
        if same is not None:
            await same.over.wait()
            if same.said is not None:
                return _taken(request, same.said, key)
        mine = self._under_way[key] = _UnderWay()
        try:
            said = await self._rows.said(key)
            outcome = await self._asked(request, rest) if said is None else _taken(request, said, key)
            # What the simulator says hangs on its profile, which is no part of the key.
            if outcome.status is Status.OK and outcome.completion is not None and not outcome.completion.simulated:
                mine.said = outcome.completion
                outcome = replace(outcome, key=key)
            return outcome
        finally:
            self._under_way.pop(key, None)
            mine.over.set()

    async def _asked(self, request: Request, rest: Rest) -> Outcome:
        return replace(await self._executor.run(request, perf_counter(), rest), judged=True)

    def _key(self, request: Request) -> bytes | None:
        """What the request is found by; None where it cannot be written as JSON, which its provider will say."""
        sent: Mapping[str, object] = {
            "endpoint": request.endpoint,
            "url": self._url,
            "model": request.model,
            "api": request.api,
            "messages": request.messages,
            "params": request.params,
        }
        try:
            return sha256(orjson.dumps(sent, option=orjson.OPT_SORT_KEYS)).digest()
        except TypeError:
            return None


def _taken(request: Request, said: Completion, key: bytes) -> Outcome:
    return Outcome(
        case=request.case,
        arm=request.arm,
        trial=request.trial,
        step=request.step,
        status=Status.OK,
        kind=None,
        detail=None,
        completion=said,
        scores={},
        attempts=(),
        since_scheduled_s=0.0,
        finished_at=time(),
        judged=True,
        key=key,
    )
