"""How far a job is: numbers that anyone may read at any time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from evalsvc.core.records import RECORDED, Arm, Outcome, Status


class Load(Protocol):
    """How busy an endpoint is: requests in flight, the most there may be now, and why the next one would wait."""

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        ...

    @property
    def limit(self) -> int:
        """The most there may be at present."""
        ...

    @property
    def reason(self) -> str:
        """What the next request would wait for; empty if for nothing."""
        ...


class Listener(Protocol):
    """Is told of outcomes once they are durable."""

    def add(self, outcomes: Sequence[Outcome], /) -> None:
        """These have just become durable."""
        ...


@dataclass(frozen=True, slots=True)
class Listeners:
    """Several as one."""

    each: tuple[Listener, ...]

    def add(self, outcomes: Sequence[Outcome], /) -> None:
        """Tell them all."""
        for listener in self.each:
            listener.add(outcomes)


@dataclass(slots=True, kw_only=True)
class Progress:
    """Counts of one job's answers. ``recorded`` counts durable ones only; ``resumed`` of them were there at the start.

    ``loads`` are its endpoints by alias; ``started`` is a reading of `time.monotonic`; ``stopped`` says why the job
    asks no more before all is asked.
    """

    total: int = 0
    recorded: int = 0
    resumed: int = 0
    retries: int = 0
    statuses: Counter[Status] = field(default_factory=Counter)
    scored: Counter[Arm] = field(default_factory=Counter)
    score_sums: dict[Arm, float] = field(default_factory=lambda: dict.fromkeys(Arm, 0.0))
    paused: str | None = None
    stopped: str | None = None
    loads: Mapping[str, Load] = field(default_factory=dict)
    started: float = 0.0

    @property
    def asked(self) -> dict[str, Load]:
        """The ``loads`` of endpoints that are asked: where answers were recorded nobody is."""
        return {name: load for name, load in self.loads.items() if name != RECORDED}

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Count answers that have just become durable."""
        for outcome in outcomes:
            if outcome.step != "answer":
                continue
            self.recorded += 1
            self.statuses[outcome.status] += 1
            score = next(iter(outcome.scores.values()), None)
            if score is not None and score.value is not None:
                self.scored[outcome.arm] += 1
                self.score_sums[outcome.arm] += score.value
        self.total = max(self.total, self.recorded)  # what is in flight when a suite is closed comes on top

    def rate(self, now: float) -> float:
        """Outcomes a second of this process; ``now`` and ``started`` are read from one clock."""
        elapsed = now - self.started
        return (self.recorded - self.resumed) / elapsed if elapsed > 0 else 0.0

    def eta_s(self, now: float) -> float | None:
        """Seconds left at the present rate, or None when there is no rate yet."""
        rate = self.rate(now)
        return (self.total - self.recorded) / rate if rate > 0 else None
