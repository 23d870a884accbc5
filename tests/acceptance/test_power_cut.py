"""The power is cut: what a client was told is there. The control shows that the proof could fail."""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random
from typing import Any

import pytest
from faults.power import Call, cut
from faults.rounds import goes_on, power_cuts, write
from faults.scene import Scene, contents

pytestmark = pytest.mark.usefixtures("strace")


def test_nothing_that_was_told_is_lost(scene: Scene, golden: dict[str, Any]) -> None:
    counts, found = power_cuts(scene, Random(7), 60)
    assert counts["lost"] == 0, counts
    unfinished = [cut for cut in found if 0 < len(kept(cut, scene)) < 2 * scene.cases]
    assert goes_on(unfinished[0], scene, golden)["continued"] == 1


def kept(cut: Any, scene: Scene) -> set[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        write(cut, scene, Path(folder))
        database = Path(folder) / scene.database.name
        return contents(database).keys() if database.exists() else set()


def test_the_same_proof_sees_commits_that_are_not_synced(scene: Scene) -> None:
    counts, _ = power_cuts(scene, Random(7), 40, alter="unsynced")
    assert counts["lost"] >= 5, counts


def written(path: str, data: bytes, at: float, offset: int = 0) -> Call:
    return Call(name="pwrite64", path=path, data=data, offset=offset, at=at, done=at + 0.1)


def called(name: str, path: str, at: float, *, to: str = "", flags: str = "") -> Call:
    return Call(name=name, path=path, at=at, done=at + 0.1, to=to, flags=flags)


LOG = [
    called("openat", "/d/a", 1, flags="O_RDWR|O_CREAT"),
    written("/d/a", b"1" * 1024, 2),
    called("fdatasync", "/d/a", 3),
    called("fsync", "/d", 4),
    written("/d/a", b"2" * 1024, 5),
    called("rename", "/d/a", 6, to="/d/b"),
]


def outcomes(number: int) -> set[tuple[tuple[str, bytes], ...]]:
    found = (cut({}, LOG, number, Random(seed)).files for seed in range(200))
    return {tuple(sorted(files.items())) for files in found}


OLD = b"1" * 1024


def test_a_file_is_there_once_it_and_its_folder_are_synced() -> None:
    assert outcomes(0) == {()}
    parts = (b"", b"1" * 512, bytes(512) + b"1" * 512, OLD)  # torn, in any order
    assert outcomes(2) == {(), *((("/d/a", part),) for part in parts)}
    assert outcomes(3) == {(), (("/d/a", OLD),)}
    assert outcomes(4) == {(("/d/a", OLD),)}


def test_of_what_was_not_synced_any_part_may_be_kept() -> None:
    torn = {OLD, b"2" * 512 + b"1" * 512, b"1" * 512 + b"2" * 512, b"2" * 1024}
    assert outcomes(6) == {((name, data),) for name in ("/d/a", "/d/b") for data in torn}


def test_a_sync_that_has_not_returned_promises_nothing() -> None:
    late = [*LOG[:2], Call(name="fdatasync", path="/d/a", at=3, done=9), *LOG[3:5]]
    files = [cut({}, late, 4, Random(seed)).files["/d/a"] for seed in range(50)]
    assert b"" in files
