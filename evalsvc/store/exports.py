"""The outcomes of a job one by one, in planned order, for exports: the job is never in memory whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson

from evalsvc.core.listing import rfc3339
from evalsvc.core.rows import OutcomeRow
from evalsvc.errors import JobNotFound
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
_LONG = ("o.text", "o.reasoning", "o.refusal", "o.tool_calls", "o.scores", "c.payload")
_BYTES = " + ".join(f"coalesce(length(CAST({name} AS BLOB)), 0)" for name in _LONG)
#: A page of a job (?1), from after an outcome (?2) on, of so many (?3) and so many bytes (?4). It begins with a row of
#: the job itself and goes from outcome to outcome, so that none is read which the page has no room for.
_FILED = f"""
WITH RECURSIVE page (number, seq, size) AS (
    SELECT 0, ?2, 0 FROM jobs WHERE id = ?1
    UNION ALL
    SELECT page.number + 1, o.rowid, page.size + {_BYTES} FROM page
    JOIN outcomes o ON o.rowid = (
        SELECT MIN(rowid) FROM outcomes INDEXED BY outcomes_as_filed WHERE job_id = ?1 AND rowid > page.seq)
    {_JOIN}
    WHERE page.number <= ?3 AND page.size < ?4)
SELECT page.seq, page.size, {_VALUES} FROM page
LEFT JOIN outcomes o ON page.number > 0 AND o.rowid = page.seq LEFT {_JOIN} ORDER BY page.number"""  # noqa: S608 - the same
_FILED_COLUMNS = 2 + len(_NAMES) + 7
_ORDER = f"ORDER BY {_KEY} LIMIT ?"

#: An answer may be as long as the engine lets it be (megabytes): few at a time.
_CHUNK = 64
#: A page ends early here: one answer may be megabytes.
_PAGE_BYTES = 8 * 2**20


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

    async def filed(self, job_id: str, *, after: int, limit: int) -> tuple[list[dict[str, Any]], int | None]:
        """A page of outcomes in the order they were filed, JSON-ready, and the next page's ``after``: one query.

        Each has the fields of an `OutcomeRow` and its number ``seq``, which grows; they are those above ``after``, at
        most ``limit``, or fewer that are long. None after the last page. Raises `JobNotFound`.
        """
        rows = await self._db.page(_FILED, _FILED_COLUMNS, (job_id, after, limit, _PAGE_BYTES))
        if not rows:
            raise JobNotFound(f"no job {job_id} in this database")
        found = rows[1 : limit + 1]
        more = len(rows) > limit + 1 or rows[-1][1] >= _PAGE_BYTES
        return [_filed(seq, values) for seq, _, *values in found], found[-1][0] if more else None

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


def _row(values: Sequence[Any]) -> OutcomeRow:
    return OutcomeRow(**_fields(values))


def _filed(seq: int, values: Sequence[Any]) -> dict[str, Any]:
    found = _fields(values)
    return {"seq": seq, **found, "finished_at": rfc3339(found["finished_at"])}


def _fields(values: Sequence[Any]) -> dict[str, Any]:
    """Those of an `OutcomeRow`, by name."""
    category, payload, scores, tool_calls, attempts, simulated, tainted = values[len(_NAMES) :]
    case = orjson.loads(payload)
    return {
        **dict(zip(_NAMES, values, strict=False)),
        "category": category,
        "input": case["input"],
        "expected": case.get("expected"),
        "scores": orjson.loads(scores),
        "tool_calls": orjson.loads(tool_calls) if tool_calls else None,
        "attempts": attempts,
        "simulated": bool(simulated),
        "tainted": bool(tainted),
    }
