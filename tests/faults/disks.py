"""Rounds of harm by the disk: it is full for a while, it fails, or the process dies while the schema is changed."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

from faults.altered import altered
from faults.rounds import Figures, Point, Record
from faults.scene import Followed, Scene, contents, essence
from faults.strace import killed_at, refused


def _accepted(daemon: Followed, scene: Scene) -> str:
    """Send the job until it is taken: while there is no room it is refused, with that reason."""
    job_id = ""
    while not job_id:
        job_id = daemon.send(scene)
    return job_id


def disk_full(scene: Scene, record: Record, number: int, times: int) -> Figures:
    """So many writes of a daemon fail for want of room, from the ``number``-th on.

    Everything can be read meanwhile, the job says why it waits, goes on by itself, and asks nothing twice.
    """
    scene.make_database()
    daemon = Followed(scene.folder, prefix=refused("pwrite64", "ENOSPC", f"{number}..{number + times - 1}"))
    job_id = _accepted(daemon, scene)
    paused = False
    while (job := daemon.job(job_id))["state"] != "done":
        paused |= job["state"] == "paused" and "no room left on the disk" in job["reason"]
        assert job["state"] not in {"failed", "cancelled"}, job
        assert _reads(daemon, job_id)
        time.sleep(0.02)
    ended = daemon.decision(job_id)
    assert daemon.stop() == 0
    scene.check_end(ended, record, crashes=0)
    assert len(scene.sent()) == 2 * scene.cases, "a full disk made it ask twice"
    return Figures(jobs=1, paused=paused)


def _reads(daemon: Followed, job_id: str) -> bool:
    """Whether everything can be read."""
    with urllib.request.urlopen(f"{daemon.url}/metrics", timeout=30) as metrics:
        told = b"evalsvc_jobs" in metrics.read()
    pages = ("/healthz", f"/api/v1/jobs/{job_id}/outcomes?limit=1", "/api/v1/jobs")
    return told and all(daemon.ask(page)[0] == 200 for page in pages)


def disk_fails(scene: Scene, record: Record, call: str, number: int) -> Figures:
    """One system call of a daemon fails with EIO: it ends at once and says so; the next one finds what was told."""
    scene.make_database()
    daemon = Followed(scene.folder, prefix=refused(call, "EIO", str(number)))
    told = None
    with suppress(OSError, HTTPException, ValueError, AssertionError):  # the answer may be cut off
        job_id = daemon.send(scene)
        told = daemon.follow(job_id) if job_id else None
    if told is not None:
        told.join(60)
    failed = told is None or told.news[-1].state != "done"
    code = daemon.process.wait(15) if failed else daemon.stop()
    assert code in ({1} if failed else {0, 1}), daemon.log  # 1 at the end, too: its last checkpoint failed
    assert not failed or f"the disk of {scene.database} failed" in daemon.log, daemon.log
    daemon.stop()
    if told is not None:
        told.check(scene.left(), time.time())
    known, asked = scene.left().keys(), len(scene.sent())
    daemon = Followed(scene.folder)
    ended = daemon.decision(told.job_id if told is not None else _again(daemon, scene))
    assert daemon.stop() == 0
    scene.check_resumed(known, asked)
    scene.check_end(ended, record, crashes=1)
    return Figures(jobs=1, failed=failed)


def _again(daemon: Followed, scene: Scene) -> str:
    jobs = daemon.ask("/api/v1/jobs")[1]["items"]
    return str(jobs[0]["id"]) if jobs else daemon.send(scene)


def upgrade_killed(scene: Scene, record: Record, at: Point, finished: Path) -> Figures:
    """A newer evalsvc is killed while it changes the schema: it is the old one or the new one, and there is a copy.

    ``finished`` is a database with the scene's job, done.
    """
    scene.forget()
    shutil.copy(finished, scene.database)
    newer = altered("upgraded")
    code, _, _ = scene.run(*killed_at(*at), *newer)
    left = scene.left()
    version, names = _schema(scene.database)
    assert (version, names) in {(1, "faults"), (2, "faults later")}, (version, names)
    assert [essence(each) for each in left.records.values()] == [essence(record)]
    copy = scene.database.with_name(f"{scene.database.name}.schema-1")
    if version > 1:
        assert contents(copy).records == left.records
        assert scene.run()[0] == 78, "an older evalsvc took a newer database"
    code_again, out, err = scene.run(*newer)
    assert code_again in {0, 3, 4}, err
    assert essence(json.loads(out)) == essence(record)
    return Figures(jobs=1, kills=code == -9)


def _schema(database: Path) -> tuple[int, str]:
    connection = sqlite3.connect(database)
    try:
        ((version,),) = connection.execute("PRAGMA user_version")
        ((name,),) = connection.execute("SELECT name FROM jobs")
        return int(version), str(name)
    finally:
        connection.close()


def second(scene: Scene, *arguments: str) -> tuple[int, str, float]:
    """One more daemon on the same database: exit code, stderr, seconds."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "evalsvc", "serve", "--port", "0", *arguments],
        cwd=scene.folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=os.environ,
    )
    return done.returncode, done.stderr, time.monotonic() - began
