"""Real processes, really stopped: what was recorded is there, and is not asked again."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROWS = [{"id": f"c{i}", "input": f"q{i}", "expected": "yes"} for i in range(300)]


def recorded(folder: Path) -> set[tuple[str, str]]:
    path = folder / "evalsvc.db"
    if not path.exists():
        return set()
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return set(connection.execute("SELECT model, case_id FROM outcomes JOIN jobs ON jobs.id = job_id").fetchall())
    except sqlite3.OperationalError:  # the tables are not there yet
        return set()
    finally:
        connection.close()


def start(folder: Path, job: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "evalsvc", "run", str(job), "--json"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ)


def until(folder: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while len(recorded(folder)) < count:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


def key(body: dict[str, Any]) -> tuple[str, str]:
    return body["model"], "c" + body["messages"][-1]["content"][1:]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_resumes_and_asks_nothing_twice_that_was_recorded(
    evalsvc: Any, upstream: Any, write_job: Any, chat: Any, tmp_path: Path, number: signal.Signals
) -> None:
    def answer(body: dict[str, Any]) -> tuple[int, bytes]:
        time.sleep(0.01)
        right = body["model"] == "cand" or int(body["messages"][-1]["content"][1:]) % 3 == 0
        return 200, chat("yes" if right else "no").replace(b'"served"', f'"{body["model"]}"'.encode())

    server = upstream(answer)
    job = write_job(ROWS, url=server.url, endpoint="max_in_flight = 4")
    done: set[tuple[str, str]] = set()
    for stop_at in (60, 250):
        process = start(tmp_path, job)
        until(tmp_path, stop_at, process)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
        assert process.returncode == (-9 if number is signal.SIGKILL else 130)
        assert number is signal.SIGKILL or b"run the same command again" in err
        done = recorded(tmp_path)
    first_part = len(server.asked)
    finished = evalsvc("run", job, "--json")
    assert finished.code in (3, 4), finished.err
    assert not {key(body) for body in server.asked[first_part:]} & done
    record = finished.record
    assert record["evidence"]["outcomes"] == 600
    assert record["suites"][0]["wins"] == {"candidate": 200, "baseline": 0, "ties": 100}
    assert any("resumed 2 times" in warning for warning in record["warnings"])
    # at least once upstream, exactly once on record: only what was in flight at a stop was asked again
    times = Counter(key(body) for body in server.asked)
    assert len(times) == 600
    assert sum(times.values()) - 600 <= 2 * (4 + 256)
    connection = sqlite3.connect(tmp_path / "evalsvc.db")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
