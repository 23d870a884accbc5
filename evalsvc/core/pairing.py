"""Two finished jobs laid side by side, case by case: filled by the store, judged by `decide`, drawn by `reports`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evalsvc.core.evidence import ScoreTable
from evalsvc.core.view import AnswerView


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What one suite holds of both jobs, in cases.

    ``shared`` cases are the same in both and were asked in both; ``changed`` have one id and another content;
    ``unasked`` were left out by a job that stopped early.
    """

    suite: str
    shared: int = 0
    only_first: int = 0
    only_second: int = 0
    changed: int = 0
    unasked: int = 0

    @property
    def whole(self) -> bool:
        """Whether every case is shared."""
        return not (self.only_first or self.only_second or self.changed or self.unasked)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedScores:
    """One arm of two jobs over the cases they share.

    In ``tables`` (a suite each) the second job stands where the candidate stands, the first where the baseline does.
    """

    tables: tuple[ScoreTable, ...]
    coverage: tuple[Coverage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedAnswer:
    """A shared case the two jobs score differently. ``delta`` is second − first.

    ``input`` and ``expected`` are as the data set has them; all texts are hostile until made inert.
    """

    suite: str
    case_id: str
    category: str
    input: Any
    expected: Any
    delta: float
    first: AnswerView
    second: AnswerView


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something that must be alike where two jobs are compared, and is not; both sides as they are shown."""

    what: str
    first: str
    second: str
