"""Counts over what is stored."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from evalsvc.core.records import Arm
from evalsvc.core.states import JobState
from evalsvc.store import tallies
from evalsvc.store.jobs import JobStore

pytestmark = pytest.mark.anyio


async def test_jobs_are_counted_by_state(filing: Any) -> None:
    assert await tallies.states(filing.database) == {}
    for name in ("j1", "j2"):
        await filing.file(name, filing.job("s"), filing.cases([("s", "a")]))
    await JobStore(filing.database).move("j2", JobState.FAILED, now=1.0)
    assert await tallies.states(filing.database) == {JobState.RUNNING: 1, JobState.FAILED: 1}


async def test_passes_are_counted_by_arm_suite_and_category(filing: Any) -> None:
    (_, a), (_, b), (_, c), (_, d) = filing.cases([("s", "a"), ("s", "b"), ("t", "c"), ("t", "d")])
    b = replace(b, category="z")
    outcome = filing.outcome
    outcomes = [
        outcome(a, "candidate", 0.5),
        outcome(a, "candidate", 0.4, trial=1),
        outcome(a, "baseline", 1.0),
        outcome(b, "candidate", None),  # missing: neither passed nor scored
        outcome(b, "baseline", 0.0),
        outcome(c, "candidate", 0.5),
        replace(outcome(d, "candidate", 1.0), step="judge"),
    ]
    await filing.file("j1", filing.job("s", "t", trials=2), [(k.position, k) for k in (a, b, c, d)], outcomes)
    await filing.file("j2", filing.job("s"), [(0, a)], [outcome(a, "candidate", 1.0)])
    assert await tallies.passes(filing.database, "j1", {"s": 0.5, "t": 1.0}) == [
        (Arm.BASELINE, "s", "a", 1, 1),
        (Arm.CANDIDATE, "s", "a", 1, 2),
        (Arm.BASELINE, "s", "z", 0, 1),
        (Arm.CANDIDATE, "t", "a", 0, 1),
    ]
