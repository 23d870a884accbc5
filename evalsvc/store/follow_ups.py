"""What was asked beyond the answers: the outcomes whose step is not ``answer``, by what asks for them again.

The step of a follow-up is the label of the score it is for, or begins with it and a slash.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from evalsvc.core.evidence import Fault, FollowUpTotals
from evalsvc.core.records import Arm, Completion
from evalsvc.store.database import Reader

#: Stands between a label and the name of a canary.
CANARY = "/canary/"

_COMPLETION = (
    "text, finish_reason, refusal, tool_calls, reasoning, logprobs, model, fingerprint, input_tokens, output_tokens"
    ", first_byte_s, first_token_s, simulated, repaired"
)
_NAMES = _COMPLETION.split(", ")
_FOUND = f"""
SELECT {", ".join(f"o.{name}" for name in _NAMES)}
FROM judge_answers j JOIN outcomes o USING (job_id, position, arm, trial, step)
WHERE j.key = ? AND o.status = 'ok'"""  # noqa: S608 - constants only
_BETWEEN = f"""
SELECT position, arm, trial, step, status, kind, scores, {_COMPLETION} FROM outcomes
WHERE job_id = ? AND position BETWEEN ? AND ? AND step <> 'answer'"""  # noqa: S608 - the same
_FIRST = "SELECT position FROM cases WHERE job_id = ? AND suite = ? ORDER BY position LIMIT ?"
# A judge's word that was taken from an earlier request has no attempt of its own, and its tokens were paid for then.
_TOTALS = """
SELECT suite, arm, step, COUNT(*), SUM(json_array_length(attempts)), SUM(attempts = '[]'),
       SUM(input_tokens) FILTER (WHERE attempts <> '[]'), SUM(output_tokens) FILTER (WHERE attempts <> '[]'),
       SUM(attempts <> '[]' AND text IS NOT NULL AND (input_tokens IS NULL OR output_tokens IS NULL)),
       json_group_array(DISTINCT model) FILTER (WHERE model IS NOT NULL), SUM(status <> 'ok')
FROM outcomes WHERE job_id = ? AND step <> 'answer' GROUP BY suite, arm, step"""
_FAULTS = """
SELECT suite, step, kind, COUNT(*), MIN(detail) FROM outcomes
WHERE job_id = ? AND step <> 'answer' AND status <> 'ok' GROUP BY suite, step, kind"""

#: By suite, the labels of scores.
Labels = Mapping[str, Collection[str]]
#: (position, arm, trial) of the answer they belong to.
AnswerKey = tuple[int, Arm, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class FiledFollowUp:
    """The outcome of a follow-up as it was filed; ``scores`` are a canary's, by label."""

    status: str
    kind: str | None
    completion: Completion | None
    scores: Mapping[str, Mapping[str, Any]]


class FollowUpRows:
    """The follow-ups of one database."""

    def __init__(self, reader: Reader) -> None:
        self._db = reader

    async def said(self, key: bytes) -> Completion | None:
        """What a judge said to the same request before, whichever job it was for; None where it was not asked."""
        for row in await self._db.rows(_FOUND, (key,)):
            return _completion(row)
        return None

    async def first_places(self, job_id: str, suites: Iterable[str], count: int) -> dict[str, frozenset[int]]:
        """By suite where its first so many cases stand in the job's planned order."""
        rows = {suite: await self._db.rows(_FIRST, (job_id, suite, count)) for suite in suites}
        return {suite: frozenset(position for (position,) in found) for suite, found in rows.items()}

    async def between(self, job_id: str, first: int, last: int) -> dict[AnswerKey, dict[str, FiledFollowUp]]:
        """By answer and step the follow-ups of the cases from one place in the job's order to another.

        Raises:
            ValueError, TypeError: rows that evalsvc cannot have written.
        """
        found: dict[AnswerKey, dict[str, FiledFollowUp]] = defaultdict(dict)
        for position, arm, trial, step, status, kind, scores, *values in await self._db.rows(
            _BETWEEN, (job_id, first, last)
        ):
            found[position, Arm(arm), trial][step] = FiledFollowUp(
                status=status,
                kind=kind,
                completion=None if values[0] is None else _completion(values),
                scores=orjson.loads(scores),
            )
        return found

    async def totals(self, job_id: str, judged: Labels) -> tuple[FollowUpTotals | None, dict[Arm, FollowUpTotals]]:
        """What the judge was asked, None where it was not; and by arm what its model was asked beyond its answers.

        ``judged`` are the labels of scores that ask the judge; what others ask, they ask the model.
        """
        judge: list[tuple[Any, ...]] = []
        models: dict[Arm, list[tuple[Any, ...]]] = defaultdict(list)
        for suite, arm, step, *counts in await self._db.rows(_TOTALS, (job_id,)):
            of_judge = label_of(step, judged.get(suite, ())) is not None
            (judge if of_judge else models[Arm(arm)]).append(tuple(counts))
        asked = replace(_sum(judge), fault=await self._fault(job_id, judged)) if judge else None
        return asked, {arm: _sum(rows) for arm, rows in models.items()}

    async def _fault(self, job_id: str, judged: Labels) -> Fault | None:
        """What most requests to the judge failed of that did."""
        counts, details = Counter[str](), dict[str, list[str]]()
        for suite, step, kind, count, detail in await self._db.rows(_FAULTS, (job_id,)):
            if label_of(step, judged.get(suite, ())) is not None:
                counts[str(kind)] += count
                details.setdefault(str(kind), []).extend([] if detail is None else [str(detail)])
        if not counts:
            return None
        kind = min(counts, key=lambda each: (-counts[each], each))
        return Fault(kind=kind, count=counts[kind], detail=min(details[kind], default=None))


def label_of(step: str, labels: Iterable[str]) -> str | None:
    """The label of the score that a follow-up is for, the longest that fits; None where it is for none of them."""
    return max((each for each in labels if step == each or step.startswith(f"{each}/")), key=len, default=None)


def _sum(rows: list[tuple[Any, ...]]) -> FollowUpTotals:
    known = not any(row[5] for row in rows)
    return FollowUpTotals(
        requests=sum(row[0] for row in rows),
        failed=sum(row[7] for row in rows),
        attempts=sum(row[1] for row in rows),
        cached=sum(row[2] for row in rows),
        input_tokens=sum(row[3] or 0 for row in rows) if known else None,
        output_tokens=sum(row[4] or 0 for row in rows) if known else None,
        served_models=tuple(sorted({model for row in rows for model in orjson.loads(row[6])})),
    )


def _completion(values: Iterable[Any]) -> Completion:
    found = dict(zip(_NAMES, values, strict=True))
    for key in ("tool_calls", "logprobs"):
        found[key] = orjson.loads(found[key]) if found[key] else None
    found["simulated"] = bool(found["simulated"])
    return Completion(**found)
