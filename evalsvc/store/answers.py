"""The answers of a job as they were filed, each with its case, so that they can be scored again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from evalsvc.core.records import Arm, Case, Completion
from evalsvc.store.database import Reader

_COMPLETION = (
    "text, finish_reason, refusal, tool_calls, reasoning, logprobs, model, fingerprint, input_tokens, output_tokens"
    ", first_byte_s, first_token_s, simulated, repaired"
)
_NAMES = _COMPLETION.split(", ")
_KEY = "o.position, o.arm, o.trial"
_SELECT = f"""
SELECT {_KEY}, c.suite, c.case_id, c.category, c.payload, o.suite, o.case_id, o.status, o.kind, o.score, o.scores,
       {", ".join(f"o.{name}" for name in _NAMES)}
FROM outcomes o JOIN cases c ON c.job_id = o.job_id AND c.position = o.position
WHERE o.job_id = ? AND o.step = 'answer' AND ({_KEY}) > (?, ?, ?) ORDER BY {_KEY} LIMIT ?"""  # noqa: S608 - constants

#: An answer may be megabytes long: few at a time.
_CHUNK = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class FiledAnswer:
    """The outcome of a request that asked for an answer.

    ``completion`` is None where nothing came back; ``score`` is the primary one, ``scores`` are all by label, each with
    its ``value`` and what else its scorer gave.
    ``belongs`` is whether the outcome names its case's own suite and id.
    """

    case: Case
    arm: Arm
    trial: int
    status: str
    kind: str | None
    completion: Completion | None
    score: float | None
    scores: Mapping[str, Mapping[str, Any]]
    belongs: bool


class Answers:
    """The answers of one database."""

    def __init__(self, reader: Reader) -> None:
        self._db = reader

    async def of(self, job_id: str) -> AsyncIterator[list[FiledAnswer]]:
        """All answers of a job in planned order, in chunks. Raises ValueError for JSON that is none."""
        after: tuple[Any, ...] = (-1, "", -1)
        while rows := await self._db.rows(_SELECT, (job_id, *after, _CHUNK)):
            yield [_answer(row) for row in rows]
            after = rows[-1][:3]


def _answer(row: tuple[Any, ...]) -> FiledAnswer:
    position, arm, trial, suite, case_id, category, payload, own_suite, own_id, status, kind, score, scores = row[:13]
    values = dict(zip(_NAMES, row[13:], strict=True))
    for key in ("tool_calls", "logprobs"):
        values[key] = orjson.loads(values[key]) if values[key] else None
    values["simulated"] = bool(values["simulated"])
    return FiledAnswer(
        case=Case(position=position, suite=suite, id=case_id, category=category, **orjson.loads(payload)),
        arm=Arm(arm),
        trial=trial,
        status=status,
        kind=kind,
        completion=Completion(**values) if values["text"] is not None else None,
        score=score,
        scores=orjson.loads(scores),
        belongs=(own_suite, own_id) == (suite, case_id),
    )
