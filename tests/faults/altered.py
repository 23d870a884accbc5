"""evalsvc with one thing changed, as a launcher: ``python altered.py WHAT ... evalsvc ARGUMENTS``.

Controls: a proof that holds for these too proves nothing. No setting of evalsvc does any of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__)


def altered(what: str) -> tuple[str, ...]:
    """The command that goes before another one."""
    return (sys.executable, str(HERE), what)


def _unsynced() -> None:
    """Commits are not synced to the disk."""
    from evalsvc.store import database  # noqa: PLC0415 - only what is altered is imported

    vars(database)["_WRITER"] = database._WRITER.replace("synchronous = FULL", "synchronous = NORMAL")


def _told_early() -> None:
    """Outcomes are told of as recorded before they are."""
    from evalsvc.engine.recorder import Recorder  # noqa: PLC0415
    from evalsvc.store.outcomes import OutcomeStore  # noqa: PLC0415

    put, add = Recorder.put, OutcomeStore.add

    async def told(self: Recorder, outcome: Any) -> None:
        self._progress.add([outcome])
        await put(self, outcome)

    async def slow(self: OutcomeStore, job_id: str, outcomes: Any) -> None:
        import anyio  # noqa: PLC0415

        await anyio.sleep(0.3)
        await add(self, job_id, outcomes)

    vars(sys.modules["evalsvc.engine.recorder"])["Recorder"].put = told
    vars(sys.modules["evalsvc.store.outcomes"])["OutcomeStore"].add = slow


def _upgraded() -> None:
    """The schema has one step more: it changes every job."""
    from evalsvc.store import database  # noqa: PLC0415

    steps = database._migrations()
    step = "CREATE TABLE later (a TEXT) STRICT; UPDATE jobs SET name = name || ' later';"
    vars(database)["_migrations"] = lambda: [*steps, (steps[-1][0] + 1, step)]


ALTERATIONS: dict[str, Callable[[], None]] = {
    "unsynced": _unsynced,
    "told_early": _told_early,
    "upgraded": _upgraded,
}


def main() -> None:
    what, *command = sys.argv[1:]
    ALTERATIONS[what]()
    sys.argv = ["evalsvc", *command[command.index("evalsvc") + 1 :]]
    from evalsvc.cli.main import main as evalsvc  # noqa: PLC0415

    evalsvc()


if __name__ == "__main__":
    main()
