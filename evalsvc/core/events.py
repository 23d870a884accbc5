"""Who is told of what happens, so that it can be counted. Nobody waits for it, and `run` does without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from evalsvc.core.progress import Listener, Progress
from evalsvc.core.records import Arm, Job

#: (input, output) per million tokens.
Price = tuple[float, float]


class Telemetry(Protocol):
    """What `serve` puts in and the engine reports to. Its methods return at once and raise nothing."""

    def follow(
        self,
        job_id: str,
        job: Job,
        progress: Progress,
        prices: Mapping[Arm, Price | None],
        judge_price: Price | None = None,
        /,
    ) -> Listener | None:
        """A job is taken in hand: whoever comes back is told of its outcomes once they are durable.

        ``progress``, with its ``loads``, is looked at when somebody asks, for as long as the job is among the latest.
        """
        ...

    def committed(self, seconds: float, /) -> None:
        """A transaction became durable; it took so long."""
        ...

    def lagged(self, seconds: float, /) -> None:
        """The event loop came so late to what was due (0 when in time)."""
        ...


class NoTelemetry:
    """Counts nothing, at no cost."""

    def follow(self, *_: object) -> None:
        """Nobody needs to be told."""

    def committed(self, _: float, /) -> None:
        """Not counted."""

    def lagged(self, _: float, /) -> None:
        """Not counted."""
