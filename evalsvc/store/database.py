"""The database file: opened by one process, written by one connection, migrated in whole steps.

SQLite from 3.7.0 to 3.51.2 can lose committed transactions when two connections write and checkpoint at the same
instant (fixed in 3.44.6, 3.50.7 and 3.51.3). Here one connection does both, and a lock file keeps every other process
of ours out, so that the two never meet.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from importlib import resources
from pathlib import Path
from time import perf_counter
from typing import Any

import aiosqlite
import anyio
import orjson

from evalsvc.errors import SchemaMismatch, SchemaOlder, StoreBroken, StoreBusy, StoreError, StoreFull, StoreUnusable
from evalsvc.store.place import check_place

#: "evsv" in the file's header: this database is ours.
APPLICATION_ID = 0x65767376
_MAGIC = b"SQLite format 3\0"

#: The SQLite library this process runs on.
SQLITE_VERSION = sqlite3.sqlite_version

#: The lower byte of an extended error code of SQLite.
_PRIMARY = 0xFF
_BROKEN = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
#: What SQLite says of a file that is none of its own.
_FOREIGN = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}
#: Below so many bytes an error of the disk is taken for a lack of room: SQLite does not always tell them apart.
_LITTLE_ROOM = 2**20

#: A log that grew while somebody read an old state is cut back to so many bytes once nobody does.
_LOG_BYTES = 16 * 2**20
_WRITER = (
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
    f"PRAGMA journal_size_limit = {_LOG_BYTES};"
)
_READER = "PRAGMA query_only = ON; PRAGMA wal_autocheckpoint = 0;"


class Reader:
    """An open database that cannot be written through this.

    Args:
        reader: a connection that cannot write; it sees what has been committed.
    """

    def __init__(self, reader: aiosqlite.Connection) -> None:
        self.reader = reader

    async def rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query. Raises `StoreError` when the file cannot be read."""
        try:
            return [tuple(row) for row in await self.reader.execute_fetchall(sql, parameters)]
        except sqlite3.Error as error:
            raise StoreError(f"the database cannot be read: {error}") from error

    async def page(self, sql: str, columns: int, parameters: tuple[Any, ...] = ()) -> list[list[Any]]:
        """All rows of a query that gives few of them, its values texts, numbers and NULL; for those who look on.

        Floats are right to 15 digits at least: nothing that is judged or compared comes this way.

        SQLite gives them as one. Else it takes a step for each row, and with each one its thread and the event loop's
        hand the interpreter to each other and back: where the loop is busy, 50 rows wait for that longer than for the
        disk.

        Raises:
            StoreError: the file cannot be read.
        """
        names = [f"c{number}" for number in range(columns)]
        exact = "CASE typeof({0}) WHEN 'real' THEN json(format('%!.17g', {0})) ELSE {0} END"  # alone it gives 15 digits
        values = ", ".join(exact.format(name) for name in names)
        packed = f"WITH found ({', '.join(names)}) AS ({sql}) SELECT json_group_array(json_array({values})) FROM found"  # noqa: S608 - constants only
        ((found,),) = await self.rows(packed, parameters)
        rows: list[list[Any]] = orjson.loads(found)
        return rows

    async def stream(self, sql: str, parameters: tuple[Any, ...] = ()) -> AsyncIterator[list[tuple[Any, ...]]]:
        """The rows of a query in chunks of up to 2,000, so that no job lies in memory whole."""
        try:
            async with self.reader.execute(sql, parameters) as cursor:
                while chunk := await cursor.fetchmany(2000):
                    yield list(chunk)  # type: ignore[arg-type]  # without a row factory rows are tuples
        except sqlite3.Error as error:
            raise StoreError(f"the database cannot be read: {error}") from error


class Database(Reader):
    """An open database: any number of tasks may write, one after the other; readers see what has been committed.

    Args:
        path: the file.
        writer: the one connection that writes and checkpoints.
        reader: a connection that cannot write.
        onlooker: another: what those who only look on ask holds up no job, and no decision holds up them.
    """

    def __init__(
        self, path: Path, writer: aiosqlite.Connection, reader: aiosqlite.Connection, onlooker: aiosqlite.Connection
    ) -> None:
        super().__init__(reader)
        self.onlookers = Reader(onlooker)
        self.path = path
        self.writer = writer
        #: Is told how many seconds each transaction took to become durable.
        self.committed: Callable[[float], None] = lambda _: None
        self._turn = anyio.Lock()
        self._broken: StoreBroken | None = None
        self._failed = anyio.Event()

    async def write(self, *statements: tuple[str, Iterable[tuple[Any, ...]]]) -> None:
        """Run each statement for all its rows, all in one transaction; it is durable when this returns.

        Raises:
            StoreFull: its disk is full; nothing was written, and may be tried again.
            StoreBroken: its disk failed, now or before: what a failed sync left behind is known to nobody.
            StoreError: it refused otherwise.
        """
        with anyio.CancelScope(shield=True):
            async with self._turn:
                if self._broken is not None:
                    raise self._broken
                try:
                    await self._transaction(statements)
                except sqlite3.Error as error:
                    raise self._refused(error) from error

    async def fail(self) -> None:
        """Wait until its disk fails, whoever wrote then. Raises `StoreBroken`."""
        await self._failed.wait()
        if self._broken is not None:
            raise self._broken

    async def _transaction(self, statements: Iterable[tuple[str, Iterable[tuple[Any, ...]]]]) -> None:
        began = perf_counter()
        await self.writer.execute("BEGIN IMMEDIATE")
        try:
            for sql, rows in statements:
                await self.writer.executemany(sql, rows)
            await self.writer.commit()
            self.committed(perf_counter() - began)
        except BaseException:
            with suppress(sqlite3.Error):  # of a disk that fails, the first error is the one to tell
                await self.writer.rollback()
            raise

    def _refused(self, error: sqlite3.Error) -> StoreError:
        if _lacks_room(error, self.path):
            return StoreFull(f"no room left on the disk of {self.path}")
        if getattr(error, "sqlite_errorcode", 0) & _PRIMARY in _BROKEN:
            self._broken = StoreBroken(f"the disk of {self.path} failed: {error}")
            self._failed.set()
            return self._broken
        return StoreError(f"the database refused to write: {error}")


def _lacks_room(error: sqlite3.Error, path: Path) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
    return code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and room(path) < _LITTLE_ROOM)


def room(path: Path) -> int:
    """Bytes that may still be written to the disk a file is on."""
    found = os.statvfs(path.parent)
    return found.f_bavail * found.f_frsize


@asynccontextmanager
async def open_database(path: Path) -> AsyncIterator[Database]:
    """Open, lock and migrate the database at ``path``; create it if it is not there.

    Raises:
        StoreBusy: another process holds it.
        SchemaMismatch: a newer evalsvc wrote it, or it is not one of ours.
        StoreUnusable: it cannot be opened.
        StoreFull: its disk is full.
    """
    try:
        real = _real(path)
    except OSError as error:
        raise StoreUnusable(f"{path}: {error.strerror}") from error
    with _Lock(real):
        writer = await _connect(real, _WRITER)
        try:
            await _migrate(writer, real)
            async with _reading(real) as reader, _reading(real) as onlooker:
                yield Database(real, writer, reader, onlooker)
        finally:
            await _close(writer)


@asynccontextmanager
async def open_reader(path: Path) -> AsyncIterator[Reader]:
    """Read the database at ``path`` beside whoever holds it: takes no lock, migrates and creates nothing.

    Raises:
        SchemaMismatch: another version of evalsvc wrote it, or it is not one of ours.
        StoreUnusable: it is not there or cannot be opened.
    """
    real = _existing(path)
    connection = await _connect(f"{real.as_uri()}?{_reading_mode(real)}", _READER, name=path)
    try:
        await _check_readable(connection, path)
        yield Reader(connection)
    finally:
        await _close(connection)


def _existing(path: Path) -> Path:
    """The file itself; it must be there and may be a database."""
    try:
        real = path.resolve()
        if not real.exists():
            raise StoreUnusable(
                f"{path}: no such database; `evalsvc run` or `evalsvc serve` makes one, --db names another"
            )
        _check_file(path, real)
    except OSError as error:
        raise StoreUnusable(f"{path}: {error.strerror}") from error
    return real


async def _check_readable(connection: aiosqlite.Connection, path: Path) -> None:
    newest = _migrations()[-1][0]
    try:
        version = await _version(connection, path, newest)
    except sqlite3.Error as error:
        raise StoreUnusable(f"{path} cannot be read: {error}") from error
    if version == 0:
        raise SchemaOlder(f"{path} is empty: no job was ever filed in it")
    if version < newest:
        older = f"has schema {version} and this evalsvc reads {newest}"
        raise SchemaOlder(f"{path} {older}: `evalsvc run` or `evalsvc serve` brings it up to date")


def _reading_mode(real: Path) -> str:
    """How SQLite may open a file for reading.

    SQLite reads through two side files, the log of what is committed among them. The last connection to close folds the
    log in and takes both away, if it may write at all; one that may not would leave the file without its newest rows.
    Where it may not: through the side files that are there, or, without any, as the file is.
    """
    if os.access(real, os.W_OK) and os.access(real.parent, os.W_OK):
        return "mode=rw"  # no statement can write: query_only
    return "mode=ro" if real.with_name(f"{real.name}-wal").exists() else "immutable=1"


def _real(path: Path) -> Path:
    """The file itself, so that one file has one lock; nothing that is not a database is touched."""
    real = path.resolve()
    if not real.parent.is_dir():
        raise StoreUnusable(f"{path}: the folder {real.parent} does not exist")
    check_place(real)
    if not real.exists():
        return real
    _check_file(path, real)
    if real.stat().st_nlink > 1:
        raise StoreUnusable(f"{path} has several hard links: another process could open it by another name")
    return real


def _check_file(path: Path, real: Path) -> None:
    if not real.is_file():
        raise StoreUnusable(f"{path} is no file")
    with real.open("rb") as file:
        if file.read(len(_MAGIC)) not in (_MAGIC, b""):
            raise SchemaMismatch(f"{path} is no evalsvc database")


async def _connect(path: Path | str, pragmas: str, *, name: Path | None = None) -> aiosqlite.Connection:
    """A connection to a path or a URI; ``name`` is what errors call it."""
    try:
        connection = await aiosqlite.connect(path, isolation_level=None, timeout=10, uri=isinstance(path, str))
    except sqlite3.Error as error:
        raise StoreUnusable(f"{name or path}: {error}") from error
    try:
        await connection.executescript(pragmas)
    except sqlite3.DatabaseError as error:
        await _close(connection)
        if getattr(error, "sqlite_errorcode", 0) & _PRIMARY in _FOREIGN:
            raise SchemaMismatch(f"{name or path} is no evalsvc database: {error}") from error
        if _lacks_room(error, name or Path(path)):
            raise StoreFull(f"no room left on the disk of {name or path}") from error
        raise StoreUnusable(f"{name or path} cannot be opened: {error}") from error
    return connection


@asynccontextmanager
async def _reading(real: Path) -> AsyncIterator[aiosqlite.Connection]:
    connection = await _connect(real, _READER)
    try:
        yield connection
    finally:
        await _close(connection)


async def _close(connection: aiosqlite.Connection) -> None:
    with anyio.CancelScope(shield=True):  # an unclosed connection keeps the process from ending
        await connection.close()


def _migrations() -> list[tuple[int, str]]:
    return sorted(
        (int(step.name[:4]), step.read_text())
        for step in resources.files("evalsvc.store").joinpath("migrations").iterdir()
        if step.name.endswith(".sql")
    )


async def _version(connection: aiosqlite.Connection, path: Path, newest: int) -> int:
    """The number of the schema in a file. Raises `SchemaMismatch` when it is newer than ours, or none of ours."""
    version = await _pragma(connection, "user_version")
    ours = await _pragma(connection, "application_id") == APPLICATION_ID
    if not ours and await connection.execute_fetchall("SELECT 1 FROM sqlite_schema LIMIT 1"):
        raise SchemaMismatch(f"{path} is an SQLite database, but not one of evalsvc's")
    if version > newest:
        raise SchemaMismatch(f"{path} has schema {version}; this evalsvc knows {newest}: use the newer one")
    return version


async def _migrate(connection: aiosqlite.Connection, path: Path) -> None:
    """All steps that are missing, in one transaction: it is the old schema or the new one, never between them."""
    steps = _migrations()
    newest = steps[-1][0]
    version = await _version(connection, path, newest)
    missing = "\n".join(script for number, script in steps if number > version)
    if not missing:
        return
    if version:
        await _keep_copy(connection, path.with_name(f"{path.name}.schema-{version}"))
    mark = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {newest};"
    try:
        await connection.executescript(f"BEGIN EXCLUSIVE;\n{missing}\n{mark}\nCOMMIT;")
    except sqlite3.Error as error:
        if _lacks_room(error, path):
            raise StoreFull(f"no room left on the disk of {path}") from error
        raise StoreUnusable(f"{path} could not be brought from schema {version} to {newest}: {error}") from error


async def _keep_copy(connection: aiosqlite.Connection, copy: Path) -> None:
    """A copy of the database as the older evalsvc left it, on disk before anything is changed.

    One that is there already is of an earlier try, and is made anew.
    """
    try:
        await anyio.Path(copy).unlink(missing_ok=True)
        await connection.execute("VACUUM INTO ?", (str(copy),))
        _sync(copy)
    except (OSError, sqlite3.Error) as error:
        if room(copy) < _LITTLE_ROOM:
            raise StoreFull(f"no room left on the disk of {copy}") from error
        raise StoreUnusable(f"no copy could be made before the schema is changed: {copy}: {error}") from error


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


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
