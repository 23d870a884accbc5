"""Counts over what is stored: for the gauges of a daemon that has just begun, and how far jobs are."""

from __future__ import annotations

from collections.abc import Mapping

from evalsvc.core.records import Arm
from evalsvc.core.states import JobState
from evalsvc.store.database import Reader

_STATES = "SELECT state, COUNT(*) FROM jobs GROUP BY state"
_RECORDED = "SELECT COUNT(*) FROM outcomes WHERE job_id = ? AND step = 'answer'"
_PASSES = """
SELECT o.arm, c.category, SUM(o.score >= ?), COUNT(*) FROM outcomes o JOIN cases c USING (job_id, position)
WHERE o.job_id = ? AND o.suite = ? AND o.step = 'answer' AND o.score IS NOT NULL GROUP BY 1, 2 ORDER BY 2, 1"""

#: (arm, suite, category, passed, scored)
Passes = tuple[Arm, str, str, int, int]


async def states(reader: Reader) -> dict[JobState, int]:
    """How many jobs are in each state; a state without any is not there."""
    return {JobState(state): count for state, count in await reader.rows(_STATES)}


async def recorded(reader: Reader, job_id: str) -> int:
    """Answers of a job that are filed. It reads as many entries of an index: some 10 ms where there are 100,000."""
    ((count,),) = await reader.rows(_RECORDED, (job_id,))
    return int(count)


async def passes(reader: Reader, job_id: str, pass_at: Mapping[str, float]) -> list[Passes]:
    """Answers of a job by arm, suite and category: those scored, and those of them that pass."""
    found: list[Passes] = []
    for suite, least in pass_at.items():
        rows = await reader.rows(_PASSES, (least, job_id, suite))
        found += [(Arm(arm), suite, category, passed, scored) for arm, category, passed, scored in rows]
    return found
