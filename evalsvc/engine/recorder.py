"""Outcomes become durable here, many in one transaction, and only then count as done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from evalsvc.core.progress import Listener
from evalsvc.core.records import Outcome
from evalsvc.engine.pauses import Pauses
from evalsvc.errors import StoreFull
from evalsvc.store.outcomes import OutcomeStore

_BATCH = 256
_LINGER_S = 0.05
#: How often a full disk is tried again.
_LOOK_S = 1.0
_FULL = 4 * _BATCH
_BATCH_CHARS = 4 * 2**20
_FULL_CHARS = 4 * _BATCH_CHARS


class Recorder:
    """A bounded buffer in front of the one task that writes.

    Args:
        store: where outcomes go.
        job_id: whose they are.
        progress: told of outcomes once they are durable.
        pauses: hold the job while there is no room on the disk.
        patience_s: how long it may have no room before `run` gives up; None waits for ever.
    """

    def __init__(
        self, store: OutcomeStore, job_id: str, progress: Listener, pauses: Pauses, *, patience_s: float | None
    ) -> None:
        self._store = store
        self._job_id = job_id
        self._progress = progress
        self._pauses = pauses
        self._patience_s = patience_s
        self._buffer: list[Outcome] = []
        self._chars = 0
        self._some = anyio.Event()
        self._batch = anyio.Event()
        self._room = anyio.Event()
        self._closing = False

    async def put(self, *outcomes: Outcome) -> None:
        """Hand over outcomes that become durable together; waits while the buffer is full."""
        while len(self._buffer) >= _FULL or self._chars >= _FULL_CHARS:
            await self._room.wait()
        self._buffer += outcomes  # whole, with no wait between: a flush writes all there is in one transaction
        if len(self._buffer) == len(outcomes):
            self._some.set()
        for outcome in outcomes:
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
        """Write until closed. A cancelled run still writes what was handed over.

        Raises:
            StoreFull: patience ran out; `StoreError` otherwise.
        """
        try:
            while not self._closing:
                await self._some.wait()
                with anyio.move_on_after(_LINGER_S):  # one sync to disk serves all that arrive meanwhile
                    await self._batch.wait()
                await self._flush(self._write_once_there_is_room)
            await self._flush(self._write_once_there_is_room)
        finally:
            with anyio.CancelScope(shield=True):
                await self._flush(self._write)

    async def _flush(self, write: Callable[[list[Outcome]], Awaitable[None]]) -> None:
        batch, self._buffer, self._chars = self._buffer, [], 0
        if not self._closing:
            self._some, self._batch = anyio.Event(), anyio.Event()
        room, self._room = self._room, anyio.Event()
        room.set()
        if batch:
            try:
                await write(batch)
            except BaseException:
                self._buffer[:0] = batch  # not written: the last flush tries once more
                raise
            self._progress.add(batch)

    async def _write(self, batch: list[Outcome]) -> None:
        await self._store.add(self._job_id, batch)

    async def _write_once_there_is_room(self, batch: list[Outcome]) -> None:
        """Nothing is told of as done meanwhile, and nothing more is asked once the buffer is full."""
        try:
            await self._write(batch)
        except StoreFull as error:
            reason = str(error)
        else:
            return
        await self._pauses.begin(reason)
        waited = 0.0
        while True:
            await anyio.sleep(_LOOK_S)
            waited += _LOOK_S
            try:
                await self._write(batch)
                break
            except StoreFull:
                if self._patience_s is not None and waited >= self._patience_s:
                    raise
        await self._pauses.end(reason)
