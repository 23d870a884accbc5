"""A job as lists show it: filled by the store, shown by `reports` and sent over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, overload

from evalsvc.core.records import Arm
from evalsvc.core.states import JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEntry:
    """One job in a list.

    ``recorded`` of ``total`` answers are durable; ``models`` are the arms' by name; ``decision`` is None until there
    is one, ``simulated`` with it; ``reason`` says why a job is paused or failed; times are Unix seconds.
    """

    id: str
    name: str
    state: JobState
    reason: str | None
    recorded: int
    total: int
    models: Mapping[Arm, str]
    decision: str | None
    simulated: bool | None
    created_at: float
    started_at: float | None
    finished_at: float | None

    def as_json(self) -> dict[str, Any]:
        """What is printed with --json and sent over HTTP; times are RFC 3339 in UTC."""
        return {
            "id": self.id,
            "name": self.name,
            "state": self.state.value,
            "reason": self.reason,
            "progress": {"recorded": self.recorded, "total": self.total},
            "models": {arm.value: model for arm, model in self.models.items()},
            "decision": self.decision,
            "simulated": self.simulated,
            "created_at": rfc3339(self.created_at),
            "started_at": rfc3339(self.started_at),
            "finished_at": rfc3339(self.finished_at),
        }


@overload
def rfc3339(seconds: float) -> str: ...


@overload
def rfc3339(seconds: float | None) -> str | None: ...


def rfc3339(seconds: float | None) -> str | None:
    """A Unix time as RFC 3339 in UTC, to the millisecond."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
