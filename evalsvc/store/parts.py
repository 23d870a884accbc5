"""What the scores of a suite add up to: the parts of a corpus score, over the cases that both arms have answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from evalsvc.core.records import Arm
from evalsvc.store.database import Reader

_SCORES = """
SELECT position, arm, scores FROM outcomes
WHERE job_id = ? AND suite = ? AND step = 'answer' AND position < ? ORDER BY position"""


@dataclass(slots=True)
class PartSums:
    """Sums over complete pairs: the parts of every trial of a case, where none is missing in either arm."""

    cases: int = 0
    sums: dict[Arm, list[float]] = field(default_factory=dict)

    def add(self, arm: Arm, parts: Sequence[float]) -> None:
        """Add one answer's parts. Raises ValueError or TypeError for parts that are none."""
        so_far = self.sums.get(arm)
        self.sums[arm] = [one + 0 for one in parts] if so_far is None else _added(so_far, parts)


class PartReader:
    """Sums the parts of one scorer; answers arrive case by case."""

    def __init__(self, label: str, trials: int) -> None:
        self.total = PartSums()
        self._label = label
        self._trials = trials
        self._case: dict[Arm, list[Sequence[float]]] = {arm: [] for arm in Arm}

    def add(self, arm: Arm, scores: dict[str, Any]) -> None:
        """One more answer to the present case."""
        parts = scores.get(self._label, {}).get("parts")
        if parts:
            self._case[arm].append(parts)

    def end_case(self) -> None:
        """The next answer is to another case."""
        if all(len(answers) == self._trials for answers in self._case.values()):
            self.total.cases += 1
            for arm, answers in self._case.items():
                for parts in answers:
                    self.total.add(arm, parts)
        self._case = {arm: [] for arm in Arm}


async def summed_parts(
    reader: Reader, job_id: str, suite: str, labels: Sequence[str], *, trials: int, until: int
) -> dict[str, PartSums]:
    """By label the sums over a suite's cases before the place ``until`` of the job's order.

    Raises:
        ValueError, TypeError: rows that evalsvc cannot have written.
    """
    readers = [PartReader(label, trials) for label in labels]
    case = None
    async for chunk in reader.stream(_SCORES, (job_id, suite, until)):
        for position, arm, scores in chunk:
            given = orjson.loads(scores)
            for each in readers:
                if position != case:
                    each.end_case()
                each.add(Arm(arm), given)
            case = position
    for each in readers:
        each.end_case()
    return {label: each.total for label, each in zip(labels, readers, strict=True)}


def _added(one: Sequence[float], other: Sequence[float]) -> list[float]:
    return [a + b for a, b in zip(one, other, strict=True)]
