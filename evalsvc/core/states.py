"""The one table of a job's states: which may follow which.

::

    ──▶ queued ──▶ running ──▶ deciding ──▶ done
                    │   ▲
                    ▼   │
                    paused

From running, paused and deciding a job goes back to queued when its process ends or was killed. Any of them, and a
queued one, may fail or be cancelled. A failed job is queued again when it is resumed; `run` takes it up at once.
"""

from __future__ import annotations

from enum import StrEnum

from evalsvc.errors import IllegalTransition


class JobState(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    DECIDING = "deciding"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


_S = JobState
_NEXT: dict[JobState, frozenset[JobState]] = {
    _S.QUEUED: frozenset({_S.RUNNING, _S.FAILED, _S.CANCELLED}),
    _S.RUNNING: frozenset({_S.RUNNING, _S.PAUSED, _S.DECIDING, _S.QUEUED, _S.FAILED, _S.CANCELLED}),
    _S.PAUSED: frozenset({_S.RUNNING, _S.QUEUED, _S.FAILED, _S.CANCELLED}),
    _S.DECIDING: frozenset({_S.RUNNING, _S.QUEUED, _S.DONE, _S.FAILED, _S.CANCELLED}),
    _S.DONE: frozenset(),
    _S.FAILED: frozenset({_S.RUNNING, _S.QUEUED, _S.CANCELLED}),
    _S.CANCELLED: frozenset(),
}

#: States in which some process has the job in hand, or had it when it was killed.
IN_HAND = frozenset({_S.RUNNING, _S.PAUSED, _S.DECIDING})

#: States in which nothing more happens to a job unless somebody asks for it.
ENDED = frozenset({_S.DONE, _S.FAILED, _S.CANCELLED})

#: States from which the same job goes on when it is asked for again.
UNFINISHED = frozenset({_S.QUEUED, _S.RUNNING, _S.PAUSED, _S.DECIDING, _S.FAILED})


def check_transition(now: JobState, to: JobState) -> None:
    """Raise `IllegalTransition` unless a job may go from ``now`` to ``to``."""
    if to not in _NEXT[now]:
        raise IllegalTransition(f"a job that is {now} cannot become {to}")
