"""What the disk does to a database: full, broken, half-way through a new schema."""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path
from typing import Any

import aiosqlite
import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.errors import SchemaMismatch, StoreBroken, StoreError, StoreFull, StoreUnusable
from evalsvc.store import database as module
from evalsvc.store.database import Database, Reader, open_database, room

pytestmark = pytest.mark.anyio

_INSERT = "INSERT INTO tokens (id, name, role, sha256, created_at) VALUES (?, ?, 'admin', ?, 0)"


def token(number: int, size: int = 10) -> tuple[str, str, bytes]:
    return f"t{number}", "n" * size, bytes([number]) * 32


async def held(database: Database) -> int:
    ((count,),) = await database.rows("SELECT COUNT(*) FROM tokens")
    return int(count)


async def test_a_full_disk_writes_nothing_and_the_same_goes_once_there_is_room(tmp_path: Path) -> None:
    async with open_database(tmp_path / "e.db") as database:
        ((pages,),) = await database.rows("PRAGMA page_count")
        await database.writer.execute(f"PRAGMA max_page_count = {pages + 2}")
        big = [token(k, 2000) for k in range(20)]
        with pytest.raises(StoreFull, match=r"no room left on the disk of .*e\.db"):
            await database.write((_INSERT, [token(99)]), (_INSERT, big))
        assert await held(database) == 0
        await database.writer.execute("PRAGMA max_page_count = 100000")
        await database.write((_INSERT, [token(99)]), (_INSERT, big))
        assert await held(database) == 21


_VALUES = st.one_of(
    st.none(), st.text(), st.integers(-(2**63), 2**63 - 1), st.floats(-1e300, 1e300, allow_subnormal=False)
)


def same(found: Any, wanted: Any) -> bool:
    """SQLite writes a float's digits by its own arithmetic."""
    if isinstance(wanted, float):
        return isinstance(found, float) and math.isclose(found, wanted, rel_tol=1e-14)
    return type(found) is type(wanted) and found == wanted


@given(rows=st.lists(st.tuples(_VALUES, _VALUES), max_size=6))
def test_a_page_has_the_values_that_rows_have(rows: list[tuple[Any, Any]]) -> None:
    async def both() -> None:
        async with aiosqlite.connect(":memory:") as connection:
            await connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, a, b)")
            await connection.executemany("INSERT INTO t (a, b) VALUES (?, ?)", rows)
            reader, sql = Reader(connection), "SELECT n, a, b FROM t WHERE n > ? ORDER BY n DESC LIMIT 4"
            found, wanted = await reader.page(sql, 3, (1,)), await reader.rows(sql, (1,))
            assert len(found) == len(wanted)
            for these, those in zip(found, wanted, strict=True):
                assert all(same(one, other) for one, other in zip(these, those, strict=True))

    anyio.run(both)


async def test_a_database_that_finds_no_room_is_not_unusable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next start may find some: the unit starts a daemon again whose disk was full, not one it cannot use."""
    monkeypatch.setattr(module, "_WRITER", f"{module._WRITER} PRAGMA max_page_count = 3;")
    with pytest.raises(StoreFull, match=r"no room left on the disk of .*e\.db"):
        async with open_database(tmp_path / "e.db"):
            pass
    monkeypatch.undo()
    async with open_database(tmp_path / "e.db") as database:
        assert await held(database) == 0


async def test_a_log_that_an_old_reader_let_grow_is_cut_back(tmp_path: Path) -> None:
    log = tmp_path / "e.db-wal"
    async with open_database(tmp_path / "e.db") as database:
        await database.reader.execute("BEGIN")
        assert await held(database) == 0
        for start in range(0, 240, 60):
            await database.write((_INSERT, [token(k, 100_000) for k in range(start, start + 60)]))
        assert log.stat().st_size > module._LOG_BYTES
        await database.reader.execute("COMMIT")
        for number in range(240, 256):
            await database.write((_INSERT, [token(number)]))
        assert log.stat().st_size <= module._LOG_BYTES


class _Failing:
    """A connection whose disk fails at the commit."""

    def __init__(self, inner: Any, code: int) -> None:
        self._inner, self._code = inner, code
        self.commits = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def commit(self) -> None:
        self.commits += 1
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = self._code
        raise error


async def test_after_a_failed_sync_nothing_more_is_written(tmp_path: Path) -> None:
    async with open_database(tmp_path / "e.db") as database:
        real = database.writer
        database.writer = failing = _Failing(real, sqlite3.SQLITE_IOERR_FSYNC)  # type: ignore[assignment]
        for _ in range(2):
            with pytest.raises(StoreBroken, match=r"the disk of .* failed: disk I/O error"):
                await database.write((_INSERT, [token(1)]))
        assert failing.commits == 1
        database.writer = real


async def test_whoever_met_it_a_failed_disk_is_told_to_the_process(tmp_path: Path) -> None:
    async with open_database(tmp_path / "e.db") as database:
        real = database.writer
        database.writer = _Failing(real, sqlite3.SQLITE_IOERR_FSYNC)  # type: ignore[assignment]
        with pytest.raises(StoreBroken):
            await database.write((_INSERT, [token(1)]))
        with anyio.fail_after(5), pytest.raises(StoreBroken, match="failed: disk I/O error"):
            await database.fail()
        database.writer = real


async def test_a_database_that_cannot_be_read_is_not_called_a_foreign_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: Any) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
        raise error

    monkeypatch.setattr(aiosqlite.Connection, "executescript", refused)
    with pytest.raises(StoreUnusable, match="cannot be opened: disk I/O error") as caught:
        async with open_database(tmp_path / "e.db"):
            pass
    assert not isinstance(caught.value, SchemaMismatch)


async def test_an_error_of_a_disk_without_room_is_taken_for_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert room(tmp_path / "e.db") > 2**20
    monkeypatch.setattr(module, "room", lambda _: 4096)
    async with open_database(tmp_path / "e.db") as database:
        real = database.writer
        database.writer = _Failing(real, sqlite3.SQLITE_IOERR_SHMSIZE)  # type: ignore[assignment]
        with pytest.raises(StoreFull):
            await database.write((_INSERT, [token(1)]))
        database.writer = real
        await database.write((_INSERT, [token(1)]))


async def test_writers_take_turns(tmp_path: Path) -> None:
    async with open_database(tmp_path / "e.db") as database:

        async def write(number: int) -> None:
            with pytest.raises(StoreError) if number % 2 else _nothing():
                twice = [token(number), *([token(number)] if number % 2 else [])]
                await database.write((_INSERT, twice))

        async with anyio.create_task_group() as group:
            for number in range(40):
                group.start_soon(write, number)
        assert await held(database) == 20


class _nothing:  # noqa: N801 - reads as a context
    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


def with_step(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    steps = [*module._migrations(), (9, script)]
    monkeypatch.setattr(module, "_migrations", lambda: steps)


async def test_a_new_schema_keeps_a_copy_of_the_old_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "e.db"
    async with open_database(path) as database:
        await database.write((_INSERT, [token(1)]))
        ((old,),) = await database.rows("PRAGMA user_version")
    with_step(monkeypatch, "CREATE TABLE later (x TEXT) STRICT; DELETE FROM tokens;")
    async with open_database(path) as database:
        assert await held(database) == 0
        assert await database.rows("PRAGMA user_version") == [(9,)]
    copy = sqlite3.connect(tmp_path / f"e.db.schema-{old}")
    assert copy.execute("SELECT COUNT(*) FROM tokens").fetchone() == (1,)
    assert copy.execute("PRAGMA user_version").fetchone() == (old,)
    copy.close()


async def test_a_schema_that_fails_half_way_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "e.db"
    async with open_database(path) as database:
        await database.write((_INSERT, [token(1)]))
        ((old,),) = await database.rows("PRAGMA user_version")
    with monkeypatch.context() as patched:
        with_step(patched, "DELETE FROM tokens; CREATE TABLE later (x TEXT) STRICT; SELECT nothing FROM nowhere;")
        with pytest.raises(StoreUnusable, match=f"could not be brought from schema {old} to 9"):
            async with open_database(path):
                pass
    async with open_database(path) as database:
        assert await held(database) == 1
        assert await database.rows("PRAGMA user_version") == [(old,)]


async def test_without_room_for_the_copy_the_schema_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "e.db"
    async with open_database(path) as database:
        ((old,),) = await database.rows("PRAGMA user_version")
    (tmp_path / f"e.db.schema-{old}").mkdir()
    with_step(monkeypatch, "DROP TABLE tokens;")
    with pytest.raises(StoreUnusable, match="no copy could be made"):
        async with open_database(path):
            pass
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT COUNT(*) FROM tokens").fetchone() == (0,)
    connection.close()
