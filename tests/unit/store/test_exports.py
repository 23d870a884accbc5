"""Outcomes one by one, and case by case."""

from __future__ import annotations

from typing import Any

import pytest

from evalsvc.core.records import Score
from evalsvc.core.rows import OutcomeRow
from evalsvc.store import exports
from evalsvc.store.exports import Exports

pytestmark = pytest.mark.anyio


async def many(filing: Any, count: int, trials: int = 1) -> None:
    cases = filing.cases([("st"[k % 2], f"c{k}") for k in range(count)])
    outcomes = [
        filing.outcome(case, arm, k % 2, trial=trial)
        for k, (_, case) in enumerate(cases)
        for arm in ("candidate", "baseline")
        for trial in range(trials)
    ]
    await filing.file("J", filing.job("s", "t", trials=trials), cases, outcomes)
    await filing.file("other", filing.job("s"), cases[:1], [filing.outcome(cases[0][1], "candidate", 0)])


async def rows(filing: Any, **options: Any) -> list[OutcomeRow]:
    return [row async for chunk in Exports(filing.database).outcomes("J", **options) for row in chunk]


@pytest.mark.parametrize("chunk", [1, 3, 1000])
async def test_every_outcome_comes_once_and_in_order(filing: Any, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(exports, "_CHUNK", chunk)
    await many(filing, 5, trials=2)
    got = [(row.position, row.arm, row.trial) for row in await rows(filing)]
    assert got == [(k, arm, trial) for k in range(5) for arm in ("baseline", "candidate") for trial in range(2)]
    assert [row.position for row in await rows(filing, suite="t")] == [1] * 4 + [3] * 4
    cases = [case async for case in Exports(filing.database).cases("J", "s")]
    assert [[(row.position, row.arm) for row in case] for case in cases] == [
        [(k, "baseline")] * 2 + [(k, "candidate")] * 2 for k in (0, 2, 4)
    ]


async def test_a_row_holds_what_was_recorded(filing: Any) -> None:
    ((_, case),) = filing.cases([("s", "c0")], input=[{"role": "user", "content": "hi"}], expected={"a": [1]})
    scores = {"exact_match": Score(value=0.25, explanation="why"), "other": Score(value=None)}
    outcomes = [
        filing.outcome(case, "candidate", 1.0, scores=scores),
        filing.outcome(case, "baseline", None),
    ]
    await filing.file("J", filing.job("s"), [(0, case)], outcomes)
    failed, row = await rows(filing)
    assert (row.suite, row.case_id, row.category, row.input, row.expected) == (
        "s", "c0", "a", [{"role": "user", "content": "hi"}], {"a": [1]},
    )  # fmt: skip
    assert (row.text, row.score, row.explanation, row.latency_s, row.attempts) == (
        "candidate on c0",
        0.25,
        "why",
        0.5,
        1,
    )
    assert row.scores["other"] == {"value": None, "explanation": ""}
    assert (row.simulated, row.tainted, row.model, row.finished_at) == (False, False, "served", 7.0)
    assert (failed.status, failed.kind, failed.text, failed.score, failed.explanation) == (
        "infra_error", "network", None, None, "",
    )  # fmt: skip


async def test_a_follow_up_is_exported_and_is_no_answer(filing: Any) -> None:
    ((_, case),) = filing.cases([("s", "c0")])
    outcomes = [filing.outcome(case, "candidate", 1.0, step=step) for step in ("answer", "judge")]
    await filing.file("J", filing.job("s"), [(0, case)], outcomes)
    assert [row.step for row in await rows(filing)] == ["answer", "judge"]
    (only,) = [case async for case in Exports(filing.database).cases("J", "s")]
    assert [row.step for row in only] == ["answer"]


async def test_no_query_is_open_between_two_chunks(filing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "_CHUNK", 1)
    await many(filing, 2)
    async for _ in Exports(filing.database).outcomes("J"):
        assert not filing.database.reader.in_transaction
        (busy, _, _), *_ = await filing.database.writer.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
        assert not busy
