"""Killed at a system call, anywhere: `make soak` goes through all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from faults.disks import upgrade_killed
from faults.rounds import killed_at_calls
from faults.scene import Scene

pytestmark = pytest.mark.usefixtures("strace")


def test_killed_at_system_calls_it_ends_as_if_it_never_was(scene: Scene, golden: dict[str, Any]) -> None:
    # while the schema is made, while answers are recorded, at a commit on the way back
    kills = [("pwrite64", 20), ("pwrite64", 95), ("fdatasync", 4)]
    assert killed_at_calls(scene, golden, kills)["kills"] == 3


def test_killed_while_the_schema_changes_it_is_the_old_one_or_the_new_one(
    scene: Scene, golden: dict[str, Any], finished: Path
) -> None:
    assert upgrade_killed(scene, golden, ("pwrite64", 60), finished)["kills"] == 1
