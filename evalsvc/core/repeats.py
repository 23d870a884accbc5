"""Several answers of one model to the same cases: what a calibration deals out to two arms again and again."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from evalsvc.core.records import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatTable:
    """All scores of one scorer on one suite, case by case: ``scores`` holds the repeats of a case side by side.

    A missing score is NaN; the other fields are those of `evidence.ScoreTable`.
    """

    suite: str
    role: Role
    label: str
    scorer: str
    primary: bool
    pass_at: float
    categories: tuple[str, ...]
    category: array[int]
    cluster: array[int] | None
    scores: array[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """Every repeat of every case, as often for each.

    ``seconds`` are by suite, in the order of its cases and repeats: inf for a timeout, NaN where there is none; empty
    for recorded answers. ``left_out`` cases have fewer repeats than the others and are not in here.
    """

    each: int
    tables: tuple[RepeatTable, ...]
    seconds: dict[str, array[float]]
    left_out: int
