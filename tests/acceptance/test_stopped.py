"""The process is stopped, started twice, told to end: whatever comes, one daemon, and every answer once."""

from __future__ import annotations

import signal
from random import Random
from typing import Any

from faults.disks import second
from faults.rounds import daemon_harmed
from faults.scene import Followed, Scene


def test_a_stopped_daemon_holds_its_database_and_goes_on(scene: Scene, golden: dict[str, Any]) -> None:
    daemon = Followed(scene.folder)
    job_id = daemon.send(scene)
    daemon.until(lambda: len(scene.sent()) >= scene.cases)
    daemon.process.send_signal(signal.SIGSTOP)
    link = scene.folder / "link.db"
    link.symlink_to(scene.database)
    for name in (scene.database, link):
        code, said, _ = second(scene, "--db", str(name))
        assert (code, "in use by another evalsvc process" in said) == (75, True), said
    daemon.process.send_signal(signal.SIGCONT)
    scene.check_end(daemon.decision(job_id), golden, crashes=0)
    assert len(scene.sent()) == 2 * scene.cases  # a pause, however long, is no reason to ask again
    daemon.stop(signal.SIGKILL)
    assert Followed(scene.folder).stop() == 0  # at once: the lock went with its process


def test_told_to_end_at_any_time_it_ends_well_and_asks_nothing_twice(scene: Scene, golden: dict[str, Any]) -> None:
    assert Followed(scene.folder).stop() == 0  # as soon as it can be known that it runs
    assert daemon_harmed(scene, golden, Random(3), 1, number=signal.SIGTERM)["stops"] == 1
