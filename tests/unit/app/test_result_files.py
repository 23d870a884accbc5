"""Files that are written: whole under their name, and on disk before they have it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalsvc.app.results import whole_file

Calls = list[tuple[str, str]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """What is synced, with its size where that is a file, and what is renamed, in order."""
    seen: Calls = []
    fsync, replace = os.fsync, Path.replace

    def synced(fd: int) -> None:
        found = os.fstat(fd)
        seen.append(("sync", "folder" if stat.S_ISDIR(found.st_mode) else f"{found.st_size} bytes"))
        fsync(fd)

    def renamed(path: Path, target: Path) -> Path:
        seen.append(("rename", target.name))
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    return seen


def test_a_file_is_on_disk_before_it_has_its_name_and_its_name_after(calls: Calls, tmp_path: Path) -> None:
    with whole_file(tmp_path / "decision.json") as file:
        file.write("x" * 100)
        assert calls == []
    assert calls == [("sync", "100 bytes"), ("rename", "decision.json"), ("sync", "folder")]
    assert [path.name for path in tmp_path.iterdir()] == ["decision.json"]


def test_one_that_broke_off_leaves_what_was_there(calls: Calls, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("before")

    def write(path: Path, then: Callable[[], Any]) -> None:
        with whole_file(path) as file:
            file.write("half")
            then()

    with pytest.raises(ZeroDivisionError):
        write(tmp_path / "f", lambda: 1 / 0)
    assert (tmp_path / "f").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    assert calls == []


def test_what_cannot_be_synced_gets_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise OSError("the disk failed")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="disk failed"), whole_file(tmp_path / "f") as file:
        file.write("x")
    assert list(tmp_path.iterdir()) == []
