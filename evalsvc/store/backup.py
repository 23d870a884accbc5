"""A copy of the database while it is in use: whole, checked and durable before it has its name."""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import aiosqlite

from evalsvc.errors import StoreError
from evalsvc.store.database import open_reader

_PAGES = 4096  # a step; between two of them the copy can be broken off


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """What was copied: the file, its size and what it holds."""

    path: Path
    size: int
    jobs: int
    outcomes: int


async def back_up(source: Path, target: Path) -> Backup:
    """Copy a database as it stands at one moment; whoever works on it goes on.

    The copy is one file (no log beside it), checked, on disk before it gets its name; it never takes another's place.

    Raises:
        StoreError: the target exists or cannot be written, or the copy is not sound.
        StoreUnusable: the source cannot be read.
    """
    _check_target(target)
    half = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        half.touch(mode=0o600, exist_ok=False)  # for nobody else's eyes, until it is for those of the source
        await _copy(source, half)
        jobs, outcomes = await _checked(source, half)
        return _finish(source, half, Backup(path=target, size=_size(half), jobs=jobs, outcomes=outcomes))
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StoreError(f"{target} cannot be written: {reason}") from error
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            half.with_name(half.name + suffix).unlink(missing_ok=True)


def _check_target(target: Path) -> None:
    if os.path.lexists(target):
        raise StoreError(f"{target} exists: a backup overwrites nothing")
    if not target.parent.is_dir():
        raise StoreError(f"{target}: the folder {target.parent} does not exist")


async def _copy(source: Path, half: Path) -> None:
    async with open_reader(source) as reader, aiosqlite.connect(half, isolation_level=None) as copy:
        # A transaction holds one moment through all steps: without it a busy writer would make each start over.
        await reader.rows("BEGIN")
        await reader.rows("SELECT COUNT(*) FROM jobs")
        await reader.reader.backup(copy, pages=_PAGES, sleep=0)


async def _checked(source: Path, half: Path) -> tuple[int, int]:
    """Jobs and outcomes in a copy that is sound, and made one file with no log beside it."""
    async with aiosqlite.connect(half, isolation_level=None) as copy:
        await copy.execute_fetchall("PRAGMA journal_mode = DELETE")
        problems = [str(row[0]) for row in await copy.execute_fetchall("PRAGMA integrity_check(3)")]
        if problems != ["ok"]:
            raise StoreError(f"{source} is damaged, and so would be its copy: {'; '.join(problems)}")
        counts = "SELECT (SELECT COUNT(*) FROM jobs), (SELECT COUNT(*) FROM outcomes)"
        ((jobs, outcomes),) = await copy.execute_fetchall(counts)
        return int(jobs), int(outcomes)


def _size(path: Path) -> int:
    return path.stat().st_size


def _finish(source: Path, half: Path, made: Backup) -> Backup:
    shutil.copymode(source, half)
    _sync(half)
    _take_name(half, made.path)
    return made


def _sync(path: Path) -> None:
    """What is in a file, or which files are in a folder, survives a power cut from here on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _take_name(half: Path, target: Path) -> None:
    """Give the copy its name, unless another file took it meanwhile."""
    try:
        target.touch(exist_ok=False)  # the name is ours, on every file system; what follows replaces our own empty file
    except FileExistsError:
        raise StoreError(f"{target} exists: a backup overwrites nothing") from None
    half.replace(target)
    _sync(target.parent)
