"""The outcomes of a job one by one, in planned order, for exports: the job is never in memory whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson

from evalsvc.core.rows import OutcomeRow
from evalsvc.store.database import Reader

_PLAIN = (
    "suite, case_id, position, arm, trial, step, status, kind, detail, score, text, finish_reason, refusal, reasoning"
    ", latency_s, first_token_s, since_scheduled_s, input_tokens, output_tokens, model, fingerprint, repaired"
    ", finished_at"
)
_NAMES = _PLAIN.split(", ")
_KEY = "o.position, o.arm, o.trial, o.step"
_VALUES = f"""{", ".join(f"o.{name}" for name in _NAMES)},
       c.category, c.payload, o.scores, o.tool_calls, json_array_length(o.attempts), o.simulated, o.tainted"""
_JOIN = "JOIN cases c ON c.job_id = o.job_id AND c.position = o.position"
_SELECT = f"""
SELECT {_VALUES} FROM outcomes o {_JOIN}
WHERE o.job_id = ? AND ({_KEY}) > (?, ?, ?, ?)"""  # noqa: S608 - constants only
_FILED = f"""
SELECT o.rowid, {_VALUES} FROM outcomes o INDEXED BY outcomes_as_filed {_JOIN}
WHERE o.job_id = ? AND o.rowid > ? ORDER BY o.rowid LIMIT ?"""  # noqa: S608 - the same
_ORDER = f"ORDER BY {_KEY} LIMIT ?"

#: An answer may be as long as the engine lets it be (megabytes): few at a time.
_CHUNK = 64


class Exports:
    """The outcomes of one database."""

    def __init__(self, reader: Reader) -> None:
        self._db = reader

    async def outcomes(self, job_id: str, *, suite: str | None = None) -> AsyncIterator[list[OutcomeRow]]:
        """The outcomes of a job, or of one suite of it, in planned order, in chunks."""
        only, which = (" AND o.suite = ?", (suite,)) if suite is not None else ("", ())
        after: tuple[Any, ...] = (-1, "", -1, "")
        # A new query a chunk: a reader that waits for a slow terminal must not keep the log from being folded in.
        while chunk := await self._db.rows(f"{_SELECT}{only} {_ORDER}", (job_id, *after, *which, _CHUNK)):
            rows = [_row(values) for values in chunk]
            yield rows
            after = (rows[-1].position, rows[-1].arm, rows[-1].trial, rows[-1].step)

    async def filed(self, job_id: str, *, after: int, limit: int) -> list[tuple[int, OutcomeRow]]:
        """Outcomes of a job in the order they were filed, each with its number, which grows; those above ``after``."""
        rows = await self._db.rows(_FILED, (job_id, after, limit))
        return [(int(seq), _row(tuple(values))) for seq, *values in rows]

    async def cases(self, job_id: str, suite: str) -> AsyncIterator[list[OutcomeRow]]:
        """The answers to each case of a suite in turn: both arms', all trials'."""
        case: list[OutcomeRow] = []
        async for chunk in self.outcomes(job_id, suite=suite):
            for row in chunk:
                if case and row.position != case[0].position:
                    yield case
                    case = []
                if row.step == "answer":
                    case.append(row)
        if case:
            yield case


def _row(values: tuple[Any, ...]) -> OutcomeRow:
    plain = dict(zip(_NAMES, values, strict=False))
    category, payload, scores, tool_calls, attempts, simulated, tainted = values[len(_NAMES) :]
    case = orjson.loads(payload)
    return OutcomeRow(
        **plain,
        category=category,
        input=case["input"],
        expected=case.get("expected"),
        scores=orjson.loads(scores),
        tool_calls=orjson.loads(tool_calls) if tool_calls else None,
        attempts=attempts,
        simulated=bool(simulated),
        tainted=bool(tainted),
    )
