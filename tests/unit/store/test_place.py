"""Where a database may lie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from evalsvc.errors import StoreUnusable
from evalsvc.store import place
from evalsvc.store.database import open_database
from evalsvc.store.place import check_place, file_system

REFUSED = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "ceph",
    "glusterfs",
    "lustre",
    "afs",
    "fuse.sshfs",
    "fuse.s3fs",
    "fuse.rclone",
]
LOCAL = ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuse.ntfs-3g", "9p", None]


def test_the_file_system_of_a_file(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    spaced = tmp_path / "a b"
    (spaced / "deep").mkdir(parents=True)
    mounts.write_text(
        "21 1 8:1 / / rw shared:1 - ext4 /dev/sda rw\n"
        f"22 21 0:5 / {tmp_path}/a rw - tmpfs tmpfs rw\n"
        f"23 21 0:6 / {tmp_path}/a\\040b rw shared:2 master:1 - nfs4 host:/x rw\n"
    )
    assert file_system(spaced / "deep" / "x.db", mounts) == "nfs4"
    assert file_system(tmp_path / "ab" / "x.db", mounts) == "ext4"
    assert file_system(tmp_path / "x.db", tmp_path / "none") is None
    assert file_system(tmp_path)


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Puts every file on a file system of that kind."""

    def put(system: str | None) -> None:
        monkeypatch.setattr(place, "file_system", lambda _: system)

    return put


@pytest.mark.parametrize("system", REFUSED)
def test_a_network_file_system_is_refused(on: Any, tmp_path: Path, system: str) -> None:
    on(system)
    with pytest.raises(StoreUnusable, match=rf"network file system \({system}\).*local disk"):
        check_place(tmp_path / "e.db")


@pytest.mark.parametrize("system", LOCAL)
def test_others_are_not(on: Any, tmp_path: Path, system: str | None) -> None:
    on(system)
    check_place(tmp_path / "e.db")


def test_nothing_is_written_where_a_database_may_not_lie(on: Any, tmp_path: Path) -> None:
    async def opened() -> None:
        async with open_database(tmp_path / "e.db"):
            pass

    on("nfs4")
    with pytest.raises(StoreUnusable, match="nfs4"):
        anyio.run(opened)
    assert list(tmp_path.iterdir()) == []
