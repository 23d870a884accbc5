"""Outcomes become durable here, many in one transaction, and only then count as done."""

from __future__ import annotations

import anyio

from evalsvc.core.progress import Progress
from evalsvc.core.records import Outcome
from evalsvc.store.outcomes import OutcomeStore

_BATCH = 256
_LINGER_S = 0.05
_FULL = 4 * _BATCH
_BATCH_CHARS = 4 * 2**20
_FULL_CHARS = 4 * _BATCH_CHARS


class Recorder:
    """A bounded buffer in front of the one task that writes.

    Args:
        store: where outcomes go.
        job_id: whose they are.
        progress: told of outcomes once they are durable.
    """

    def __init__(self, store: OutcomeStore, job_id: str, progress: Progress) -> None:
        self._store = store
        self._job_id = job_id
        self._progress = progress
        self._buffer: list[Outcome] = []
        self._chars = 0
        self._some = anyio.Event()
        self._batch = anyio.Event()
        self._room = anyio.Event()
        self._closing = False

    async def put(self, outcome: Outcome) -> None:
        """Hand over an outcome; waits while the buffer is full."""
        while len(self._buffer) >= _FULL or self._chars >= _FULL_CHARS:
            await self._room.wait()
        self._buffer.append(outcome)
        if len(self._buffer) == 1:
            self._some.set()
        if outcome.completion is not None:
            self._chars += len(outcome.completion.text)
        if len(self._buffer) >= _BATCH or self._chars >= _BATCH_CHARS:
            self._batch.set()

    def close(self) -> None:
        """Nothing more will come: `run` writes what it has and ends."""
        self._closing = True
        self._some.set()
        self._batch.set()

    async def run(self) -> None:
        """Write until closed. A cancelled run still writes what was handed over."""
        try:
            while not self._closing:
                await self._some.wait()
                with anyio.move_on_after(_LINGER_S):  # one sync to disk serves all that arrive meanwhile
                    await self._batch.wait()
                await self._flush()
        finally:
            with anyio.CancelScope(shield=True):
                await self._flush()

    async def _flush(self) -> None:
        batch, self._buffer, self._chars = self._buffer, [], 0
        if not self._closing:
            self._some, self._batch = anyio.Event(), anyio.Event()
        room, self._room = self._room, anyio.Event()
        room.set()
        if batch:
            await self._store.add(self._job_id, batch)
            self._progress.add(batch)
