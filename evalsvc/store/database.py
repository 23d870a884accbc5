"""The database file: opened by one process, written by one connection, migrated in whole steps.

SQLite from 3.7.0 to 3.51.2 can lose committed transactions when two connections write and checkpoint at the same
instant (fixed in 3.44.6, 3.50.7 and 3.51.3). Here one connection does both, and a lock file keeps every other process
of ours out, so that the two never meet.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import aiosqlite
import anyio

from evalsvc.errors import SchemaMismatch, StoreBusy, StoreError, StoreUnusable

#: "evsv" in the file's header: this database is ours.
APPLICATION_ID = 0x65767376
_MAGIC = b"SQLite format 3\0"

#: The SQLite library this process runs on.
SQLITE_VERSION = sqlite3.sqlite_version

_WRITER = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
_READER = "PRAGMA query_only = ON; PRAGMA wal_autocheckpoint = 0;"


class Database:
    """An open database. ``writer`` belongs to one task at a time; ``reader`` sees what has been committed.

    Args:
        writer: the one connection that writes and checkpoints.
        reader: a connection that cannot write.
    """

    def __init__(self, writer: aiosqlite.Connection, reader: aiosqlite.Connection) -> None:
        self.writer = writer
        self.reader = reader

    async def write(self, *statements: tuple[str, Iterable[tuple[Any, ...]]]) -> None:
        """Run each statement for all its rows, all in one transaction; it is durable when this returns."""
        with anyio.CancelScope(shield=True):
            await self.writer.execute("BEGIN IMMEDIATE")
            try:
                for sql, rows in statements:
                    await self.writer.executemany(sql, rows)
                await self.writer.commit()
            except BaseException as error:
                await self.writer.rollback()
                if isinstance(error, sqlite3.Error):
                    raise StoreError(f"the database refused to write: {error}") from error
                raise

    async def rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return [tuple(row) for row in await self.reader.execute_fetchall(sql, parameters)]

    async def stream(self, sql: str, parameters: tuple[Any, ...] = ()) -> AsyncIterator[list[tuple[Any, ...]]]:
        """The rows of a query in chunks of up to 2,000, so that no job lies in memory whole."""
        async with self.reader.execute(sql, parameters) as cursor:
            while chunk := await cursor.fetchmany(2000):
                yield list(chunk)  # type: ignore[arg-type]  # without a row factory rows are tuples


@asynccontextmanager
async def open_database(path: Path) -> AsyncIterator[Database]:
    """Open, lock and migrate the database at ``path``; create it if it is not there.

    Raises:
        StoreBusy: another process holds it.
        SchemaMismatch: a newer evalsvc wrote it, or it is not one of ours.
        StoreUnusable: it cannot be opened.
    """
    try:
        real = _real(path)
    except OSError as error:
        raise StoreUnusable(f"{path}: {error.strerror}") from error
    with _Lock(real):
        writer = await _connect(real, _WRITER)
        try:
            await _migrate(writer, real)
            reader = await _connect(real, _READER)
            try:
                yield Database(writer, reader)
            finally:
                await _close(reader)
        finally:
            await _close(writer)


def _real(path: Path) -> Path:
    """The file itself, so that one file has one lock; nothing that is not a database is touched."""
    real = path.resolve()
    if not real.parent.is_dir():
        raise StoreUnusable(f"{path}: the folder {real.parent} does not exist")
    if not real.exists():
        return real
    if not real.is_file():
        raise StoreUnusable(f"{path} is no file")
    if real.stat().st_nlink > 1:
        raise StoreUnusable(f"{path} has several hard links: another process could open it by another name")
    with real.open("rb") as file:
        if file.read(len(_MAGIC)) not in (_MAGIC, b""):
            raise SchemaMismatch(f"{path} is no evalsvc database")
    return real


async def _connect(path: Path, pragmas: str) -> aiosqlite.Connection:
    try:
        connection = await aiosqlite.connect(path, isolation_level=None, timeout=10)
    except sqlite3.Error as error:
        raise StoreUnusable(f"{path}: {error}") from error
    try:
        await connection.executescript(pragmas)
    except sqlite3.DatabaseError as error:
        await _close(connection)
        raise SchemaMismatch(f"{path} is no evalsvc database: {error}") from error
    return connection


async def _close(connection: aiosqlite.Connection) -> None:
    with anyio.CancelScope(shield=True):  # an unclosed connection keeps the process from ending
        await connection.close()


async def _migrate(connection: aiosqlite.Connection, path: Path) -> None:
    steps = sorted(
        (int(step.name[:4]), step.read_text())
        for step in resources.files("evalsvc.store").joinpath("migrations").iterdir()
        if step.name.endswith(".sql")
    )
    version = await _pragma(connection, "user_version")
    ours = await _pragma(connection, "application_id") == APPLICATION_ID
    if not ours and await connection.execute_fetchall("SELECT 1 FROM sqlite_schema LIMIT 1"):
        raise SchemaMismatch(f"{path} is an SQLite database, but not one of evalsvc's")
    if version > steps[-1][0]:
        raise SchemaMismatch(f"{path} has schema {version}; this evalsvc knows {steps[-1][0]}: use the newer one")
    for number, script in steps:
        if number > version:
            mark = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number};"
            await connection.executescript(f"BEGIN EXCLUSIVE;\n{script}\n{mark}\nCOMMIT;")


async def _pragma(connection: aiosqlite.Connection, name: str) -> int:
    (row,) = await connection.execute_fetchall(f"PRAGMA {name}")
    return int(row[0])


class _Lock:
    """One evalsvc process a database. The lock is a file of its own: SQLite's must not be touched."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        self._fd = -1

    def __enter__(self) -> None:
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreUnusable(f"{self._path}: {error.strerror}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise StoreBusy(f"{self._path.with_suffix('')} is in use by another evalsvc process") from None

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
