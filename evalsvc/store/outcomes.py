"""The recorded ends of requests: each filed once, never changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
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
_ROW = f"({', '.join('?' * 31)})"

#: Rows a statement. SQLite lets go of the interpreter once a statement, not once a row: with one row each, the writing
#: thread and the event loop would take it from each other thousands of times a second.
_SIZES = (128, 16, 1)


def _insert(rows: int) -> str:
    values = ", ".join([_ROW] * rows)
    conflict = "ON CONFLICT (job_id, position, arm, trial, step) DO NOTHING"
    return f"INSERT INTO outcomes ({_COLUMNS}) VALUES {values} {conflict}"  # noqa: S608 - constants only


_KEEP = """
INSERT INTO judge_answers (key, job_id, position, arm, trial, step) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET job_id = excluded.job_id, position = excluded.position, arm = excluded.arm,
    trial = excluded.trial, step = excluded.step"""

_INSERTS = {size: _insert(size) for size in _SIZES}


class OutcomeStore:
    """The table ``outcomes``."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def add(self, job_id: str, outcomes: Iterable[Outcome]) -> None:
        """File outcomes in one transaction, durable when this returns. One already filed stays as it was."""
        filed = list(outcomes)
        keys = [_key(job_id, outcome) for outcome in filed if outcome.key is not None]
        kept = [(_KEEP, keys)] if keys else []
        await self._db.write(*_statements([_row(job_id, outcome) for outcome in filed]), *kept)

    async def done(self, job_id: str) -> set[tuple[int, Arm, int]]:
        """(position, arm, trial) of every answer already filed."""
        sql = "SELECT position, arm, trial FROM outcomes WHERE job_id = ? AND step = 'answer'"
        return {(position, Arm(arm), trial) for position, arm, trial in await self._db.rows(sql, (job_id,))}


def _statements(rows: list[tuple[Any, ...]]) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    """The fewest statements of the sizes there are, each with its rows' values in one line."""
    start = 0
    for size in _SIZES:
        while len(rows) - start >= size:
            yield _INSERTS[size], [tuple(chain.from_iterable(rows[start : start + size]))]
            start += size


def _key(job_id: str, outcome: Outcome) -> tuple[Any, ...]:
    return (outcome.key, job_id, outcome.case.position, outcome.arm.value, outcome.trial, outcome.step)


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
