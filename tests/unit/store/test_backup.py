"""A copy while the database is in use: of one moment, whole, and never in another file's place."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest

from evalsvc.errors import StoreError, StoreUnusable
from evalsvc.store import backup
from evalsvc.store.backup import back_up
from evalsvc.store.database import open_database, open_reader
from evalsvc.store.listing import Listing

pytestmark = pytest.mark.anyio


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_a_copy_is_a_database_like_any_other(filing: Any, tmp_path: Path) -> None:
    cases = filing.cases([("s", "c0")])
    await filing.file("J", filing.job("s"), cases, [filing.outcome(cases[0][1], "candidate", 1.0)])
    made = await back_up(filing.path, tmp_path / "copy.db")
    assert (made.jobs, made.outcomes, made.size) == (1, 1, (tmp_path / "copy.db").stat().st_size)
    assert names(tmp_path) == ["copy.db", "e.db", "e.db-shm", "e.db-wal", "e.db.lock"]
    (tmp_path / "alone").mkdir()
    (tmp_path / "copy.db").rename(tmp_path / "alone" / "copy.db")
    async with open_reader(tmp_path / "alone" / "copy.db") as reader:
        assert await Listing(reader).job("J") == filing.job("s")
    assert names(tmp_path / "alone") == ["copy.db"]  # one file, no log of its own
    async with open_database(tmp_path / "alone" / "copy.db") as copy:
        assert await copy.rows("PRAGMA journal_mode") == [("wal",)]


async def test_a_copy_is_for_no_other_eyes_than_the_source(filing: Any, tmp_path: Path) -> None:
    await filing.file("J", filing.job("s"), [])
    for mode in (0o600, 0o640):
        filing.path.chmod(mode)
        made = await back_up(filing.path, tmp_path / f"copy{mode}.db")
        assert stat.S_IMODE(made.path.stat().st_mode) == mode


async def test_it_holds_one_moment_although_rows_are_added_meanwhile(
    filing: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filing.database.write(("CREATE TABLE n (i INTEGER PRIMARY KEY, t TEXT)", [()]))
    await filing.database.write(("INSERT INTO n VALUES (?, ?)", [(k, "x" * 2000) for k in range(50)]))
    monkeypatch.setattr(backup, "_PAGES", 8)
    real = sqlite3.Connection.backup
    steps = []

    class Stepping(sqlite3.Connection):
        def backup(self, target: Any, **options: Any) -> None:
            def between(status: int, left: int, total: int) -> None:
                steps.append((status, left, total))
                if len(steps) > 20:
                    return
                other = sqlite3.connect(filing.path, isolation_level=None)
                other.execute("INSERT INTO n VALUES (?, ?)", (10_000 + len(steps), "y" * 9000))
                other.close()

            real(self, target, **{**options, "progress": between})

    monkeypatch.setattr(sqlite3, "Connection", Stepping)
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **{"factory": Stepping, **k}))
    await back_up(filing.path, tmp_path / "copy.db")
    assert len(steps) > 3
    monkeypatch.undo()
    copy = sqlite3.connect(tmp_path / "copy.db")
    assert copy.execute("SELECT COUNT(*), MAX(i) FROM n").fetchone() == (50, 49)
    copy.close()


@pytest.mark.parametrize("there", ["file", "dangling link", "folder"])
async def test_it_overwrites_nothing(filing: Any, tmp_path: Path, there: str) -> None:
    target = tmp_path / "copy.db"
    if there == "file":
        target.write_text("mine")
    elif there == "folder":
        target.mkdir()
    else:
        target.symlink_to(tmp_path / "no")
    with pytest.raises(StoreError, match="overwrites nothing"):
        await back_up(filing.path, target)
    if there == "file":
        assert target.read_text() == "mine"


async def test_a_name_taken_meanwhile_stays_with_who_took_it(
    filing: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, sync = tmp_path / "copy.db", backup._sync

    def taken(path: Path) -> None:
        target.write_text("mine")
        sync(path)

    monkeypatch.setattr(backup, "_sync", taken)
    with pytest.raises(StoreError, match="overwrites nothing"):
        await back_up(filing.path, target)
    assert target.read_text() == "mine"
    assert [name for name in names(tmp_path) if name.startswith(".")] == []


async def test_what_goes_wrong_leaves_nothing(filing: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        await back_up(filing.path, tmp_path / "no" / "copy.db")
    with pytest.raises(StoreUnusable, match="no such database"):
        await back_up(tmp_path / "other.db", tmp_path / "copy.db")

    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup, "_sync", full)
    with pytest.raises(StoreError, match="No space left"):
        await back_up(filing.path, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
    assert [name for name in names(tmp_path) if name.startswith(".")] == []


async def test_a_damaged_database_is_said_to_be_instead_of_copied(filing: Any, tmp_path: Path) -> None:
    cases = filing.cases([("s", f"c{k}") for k in range(300)])
    await filing.file("J", filing.job("s"), cases, [filing.outcome(case, "candidate", 1.0) for _, case in cases])
    await filing.database.writer.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
    broken = bytearray(filing.path.read_bytes())
    page = int.from_bytes(broken[16:18], "big")
    for at in range(20 * page, 24 * page, page):
        broken[at : at + 200] = b"\xff" * 200
    (tmp_path / "broken.db").write_bytes(broken)
    with pytest.raises(StoreError, match=r"damaged|malformed"):
        await back_up(tmp_path / "broken.db", tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
