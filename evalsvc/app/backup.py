"""A safe copy of the database."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from evalsvc.app.reading import run
from evalsvc.store.backup import Backup, back_up


def backup(database: Path, target: Path | None, *, now: float) -> Backup:
    """Copy the database to ``target``: a file, or a folder in which the copy is named for the moment.

    Raises:
        StoreError: the copy cannot be made, or a file of its name is there.
    """
    if target is None or target.is_dir():
        moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        target = (target or Path()) / f"{database.stem}-{moment}.db"
    wanted = target

    async def copy() -> Backup:
        return await back_up(database, wanted)

    return run(copy)
