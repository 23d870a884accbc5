"""Reading beside a process that holds the database: no lock, no migration, nothing left behind."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest

from evalsvc.errors import SchemaMismatch, StoreError, StoreUnusable
from evalsvc.store.database import APPLICATION_ID, open_database, open_reader

pytestmark = pytest.mark.anyio


#: Adds a row and dies before the log is folded in.
KILLED = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("INSERT INTO n VALUES (2)")
os._exit(9)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def fill(path: Path) -> None:
    async with open_database(path) as database:
        await database.write(("CREATE TABLE n (i)", [()]))
        await database.write(("INSERT INTO n VALUES (?)", [(1,)]))


async def test_what_is_committed_is_seen_while_another_holds_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "e.db"
    await fill(path)
    async with open_database(path) as database:
        await database.write(("INSERT INTO n VALUES (?)", [(2,)]))
        async with open_reader(path) as reader:
            assert await reader.rows("SELECT i FROM n") == [(1,), (2,)]
            await database.write(("INSERT INTO n VALUES (?)", [(3,)]))
            assert await reader.rows("SELECT COUNT(*) FROM n") == [(3,)]
            assert [row async for chunk in reader.stream("SELECT i FROM n") for row in chunk] == [(1,), (2,), (3,)]


async def test_nothing_is_written_and_nothing_stays(tmp_path: Path) -> None:
    path = tmp_path / "e.db"
    await fill(path)
    (tmp_path / "e.db.lock").unlink()
    before = path.read_bytes()
    async with open_reader(path) as reader:
        for sql in ("INSERT INTO n VALUES (9)", "DROP TABLE n", "PRAGMA user_version = 5"):
            with pytest.raises(StoreError, match=r"read.?only"):
                await reader.rows(sql)
    assert path.read_bytes() == before
    assert names(tmp_path) == ["e.db"]


@pytest.mark.parametrize("writable", [True, False])
async def test_what_a_killed_process_left_in_the_log_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writable: bool
) -> None:
    path = tmp_path / "e.db"
    await fill(path)
    await anyio.run_process([sys.executable, "-c", KILLED, str(path)], check=False)
    assert path.with_name("e.db-wal").read_bytes()
    monkeypatch.setattr(os, "access", lambda *_: writable)
    async with open_reader(path) as reader:
        assert await reader.rows("SELECT i FROM n") == [(1,), (2,)]
    if writable:  # the file holds all of it, as if the process had ended well
        assert names(tmp_path) == ["e.db", "e.db.lock"]
    else:
        assert path.with_name("e.db-wal").read_bytes()


async def test_a_reader_that_outlives_the_writer_leaves_the_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "e.db"
    await fill(path)
    async with AsyncExitStack() as readers, open_database(path) as database:
        await readers.enter_async_context(open_reader(path))
        await database.write(("INSERT INTO n VALUES (?)", [(2,)]))
    assert names(tmp_path) == ["e.db", "e.db.lock"]
    connection = sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)
    assert connection.execute("SELECT COUNT(*) FROM n").fetchall() == [(2,)]
    connection.close()


async def test_where_nothing_can_be_made_beside_it_the_file_is_read_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "e.db"
    await fill(path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    async with open_reader(path) as reader:
        assert await reader.rows("SELECT i FROM n") == [(1,)]
        assert not path.with_name("e.db-shm").exists()


async def test_a_path_is_no_uri(tmp_path: Path) -> None:
    path = tmp_path / "a b?mode=memory#é%41.db"
    await fill(path)
    async with open_reader(path) as reader:
        assert await reader.rows("SELECT i FROM n") == [(1,)]


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        ("missing", StoreUnusable, "no such database"),
        ("folder", StoreUnusable, "no file"),
        ("garbage", SchemaMismatch, "no evalsvc database"),
        ("empty", SchemaMismatch, "no job was ever filed"),
        ("foreign", SchemaMismatch, "not one of evalsvc's"),
        ("newer", SchemaMismatch, "has schema 999"),
        ("cut", StoreUnusable, "cannot be read|no evalsvc database"),
    ],
)
async def test_what_cannot_be_read_is_said_and_left_alone(tmp_path: Path, make: str, error: Any, said: str) -> None:
    path = tmp_path / "e.db"
    if make == "folder":
        path.mkdir()
    elif make == "garbage":
        path.write_bytes(b"no database at all" * 100)
    elif make == "empty":
        path.touch()
    elif make in {"foreign", "newer"}:
        mark = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 999;" if make == "newer" else ""
        connection = sqlite3.connect(path)
        connection.executescript(f"CREATE TABLE theirs (x); {mark}")
        connection.close()
    elif make == "cut":
        await fill(path)
        path.write_bytes(path.read_bytes()[:50])
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(error, match=said):
        async with open_reader(path):
            pass
    assert (path.read_bytes() if path.is_file() else None) == before
    assert make == "cut" or not path.with_name("e.db.lock").exists()


async def test_an_older_schema_is_not_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(tmp_path / "e.db")
    monkeypatch.setattr("evalsvc.store.database._migrations", lambda: [(1, ""), (999, "")])
    with pytest.raises(SchemaMismatch, match="this evalsvc reads 999"):
        async with open_reader(tmp_path / "e.db"):
            pass
