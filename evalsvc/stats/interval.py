"""An interval: what every estimate is judged by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval in the unit of its estimate; a bound that does not exist is None."""

    low: float | None
    high: float | None
