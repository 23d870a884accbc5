"""Uploaded files: kept by content, under no name of a client's, as long as somebody needs them."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path
from typing import Any

import pytest

from evalsvc.errors import StoreError, StoreFull, StoreUnusable
from evalsvc.store import uploads as module
from evalsvc.store.uploads import Uploads


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(tmp_path / "e.db.uploads")


def arrived(uploads: Uploads, name: str, content: bytes) -> Path:
    path = uploads.incoming / name
    path.write_bytes(content)
    return path


def test_a_file_is_kept_by_what_it_holds(uploads: Uploads, tmp_path: Path) -> None:
    files = {"../../etc/passwd": arrived(uploads, "1", b"one"), "b": arrived(uploads, "2", b"one")}
    kept = uploads.keep(files)
    digest = hashlib.sha256(b"one").hexdigest()
    assert kept == dict.fromkeys(files, digest)
    assert uploads.path(digest).read_bytes() == b"one"
    assert list(uploads.incoming.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["e.db.uploads"]


@pytest.mark.parametrize("name", ["../x", "", "a" * 63, "A" * 64, "a" * 64 + "\n", "/etc/passwd"])
def test_no_path_is_made_of_what_is_no_digest(uploads: Uploads, name: str) -> None:
    with pytest.raises(StoreError):
        uploads.path(name)


def test_only_what_nobody_needs_is_swept(uploads: Uploads) -> None:
    kept = uploads.keep({name: arrived(uploads, name, name.encode()) for name in ("held", "needed", "gone")})
    uploads.release([kept["needed"], kept["gone"]])
    arrived(uploads, "arriving", b"half")
    uploads.sweep({kept["needed"]})
    assert {name: uploads.path(digest).exists() for name, digest in kept.items()} == {
        "held": True,
        "needed": True,
        "gone": False,
    }
    assert (uploads.incoming / "arriving").exists()


def test_a_file_that_comes_twice_is_held_by_both(uploads: Uploads) -> None:
    (digest,) = uploads.keep({"a": arrived(uploads, "a", b"x")}).values()
    uploads.keep({"b": arrived(uploads, "b", b"x")})
    uploads.release([digest])
    uploads.sweep(set())
    assert uploads.path(digest).exists()


def test_what_had_half_arrived_is_gone_after_a_restart(uploads: Uploads, tmp_path: Path) -> None:
    (digest,) = uploads.keep({"a": arrived(uploads, "a", b"x")}).values()
    arrived(uploads, "half", b"x")
    again = Uploads(tmp_path / "e.db.uploads")
    assert list(again.incoming.iterdir()) == []
    assert again.path(digest).exists()


def test_a_disk_that_will_not_do_is_said(uploads: Uploads, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for number, sort in ((errno.ENOSPC, StoreFull), (errno.EDQUOT, StoreFull), (errno.EIO, StoreError)):

        def fail(*_: Any, number: int = number) -> None:
            raise OSError(number, "no")

        with monkeypatch.context() as patched:
            patched.setattr(module, "_sync", fail)
            with pytest.raises(sort):
                uploads.keep({"a": arrived(uploads, "a", b"x")})
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnusable):
        Uploads(tmp_path / "file")
