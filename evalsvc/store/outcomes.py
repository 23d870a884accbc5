"""The recorded ends of requests: each filed once, never changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from evalsvc.core.records import Arm, Completion, Outcome
from evalsvc.store.database import Database

_NOTHING = Completion(text="")
_COLUMNS = (
    "job_id, position, suite, case_id, arm, trial, step, status, kind, detail, text, finish_reason, refusal"
    ", tool_calls, reasoning, logprobs, model, fingerprint, input_tokens, output_tokens, latency_s, first_byte_s"
    ", first_token_s, since_scheduled_s, tainted, simulated"
    ", repaired, score, scores, attempts, finished_at"
)
_INSERT = (
    f"INSERT INTO outcomes ({_COLUMNS}) VALUES ({', '.join('?' * 31)})"  # noqa: S608 - constants only
    " ON CONFLICT (job_id, position, arm, trial, step) DO NOTHING"
)


class OutcomeStore:
    """The table ``outcomes``."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def add(self, job_id: str, outcomes: Iterable[Outcome]) -> None:
        """File outcomes in one transaction, durable when this returns. One already filed stays as it was."""
        await self._db.write((_INSERT, [_row(job_id, outcome) for outcome in outcomes]))

    async def done(self, job_id: str) -> set[tuple[int, Arm, int]]:
        """(position, arm, trial) of every answer already filed."""
        sql = "SELECT position, arm, trial FROM outcomes WHERE job_id = ? AND step = 'answer'"
        return {(position, Arm(arm), trial) for position, arm, trial in await self._db.rows(sql, (job_id,))}


def _row(job_id: str, outcome: Outcome) -> tuple[Any, ...]:
    case, attempts = outcome.case, outcome.attempts
    completion = outcome.completion or _NOTHING
    last = attempts[-1] if attempts else None
    return (
        job_id,
        case.position,
        case.suite,
        case.id,
        outcome.arm.value,
        outcome.trial,
        outcome.step,
        outcome.status.value,
        outcome.kind,
        outcome.detail,
        completion.text if outcome.completion else None,
        completion.finish_reason,
        completion.refusal,
        orjson.dumps(completion.tool_calls).decode() if completion.tool_calls else None,
        completion.reasoning,
        orjson.dumps(completion.logprobs).decode() if completion.logprobs else None,
        completion.model,
        completion.fingerprint,
        completion.input_tokens,
        completion.output_tokens,
        last.seconds if last else None,
        completion.first_byte_s,
        completion.first_token_s,
        outcome.since_scheduled_s,
        last.tainted if last else False,
        completion.simulated,
        completion.repaired,
        next(iter(outcome.scores.values())).value if outcome.scores else None,
        orjson.dumps(outcome.scores).decode(),
        orjson.dumps(
            [(a.retry_wait_s, a.slot_wait_s, a.quota_wait_s, a.seconds, a.kind, a.status, a.tainted) for a in attempts]
        ).decode(),
        outcome.finished_at,
    )
