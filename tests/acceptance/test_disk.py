"""A disk that is full for a while, and one that fails."""

from __future__ import annotations

from typing import Any

import pytest
from faults.disks import disk_fails, disk_full
from faults.scene import Scene

pytestmark = pytest.mark.usefixtures("strace")


def test_without_room_a_job_waits_is_read_and_goes_on(scene: Scene, golden: dict[str, Any]) -> None:
    assert disk_full(scene, golden, number=45, times=2)["paused"] == 1


def test_a_sync_that_fails_ends_the_daemon_and_nothing_is_lost(scene: Scene, golden: dict[str, Any]) -> None:
    assert disk_fails(scene, golden, "fdatasync", 1)["failed"] == 1  # where a job is sent, not where one is run
