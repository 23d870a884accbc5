"""How long a killed process takes to go on: from its start to its first new request, of a job with many cases.

``PYTHONPATH=tests python -m faults.resume 100000``: both arms; the job is killed once half of its answers are recorded.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from faults.scene import Followed, Scene


def recorded(database: Path) -> int:
    """Outcomes in a database that somebody has open."""
    if not database.exists():
        return 0
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)
    try:
        ((count,),) = connection.execute("SELECT COALESCE(MAX(rowid), 0) FROM outcomes")
        return int(count)
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()


def _until(holds: Callable[[], bool], pause_s: float) -> float:
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < 1200
        time.sleep(pause_s)
    return time.monotonic() - began


def seconds(cases: int) -> dict[str, float]:
    """Seconds from the start to the first new request, of ``run`` and of ``serve``."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, Scene(Path(folder), cases=cases, in_flight=64) as scene:
        for way in ("run", "serve"):
            scene.forget()
            if way == "run":
                process = scene.start()
            else:
                daemon = Followed(scene.folder)
                daemon.submit(scene.job)
                process = daemon.process
            _until(lambda: recorded(scene.database) >= cases, 0.2)
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            asked, began = len(scene.sent()), time.monotonic()
            if way == "run":
                process = scene.start()
                _until(lambda: len(scene.server.journal.entries) > asked, 0.002)  # noqa: B023 - asked of this way
                found[way] = round(time.monotonic() - began, 2)
                process.kill()
                process.communicate()
            else:
                daemon = Followed(scene.folder)
                _until(lambda: len(scene.server.journal.entries) > asked, 0.002)  # noqa: B023
                found[way] = round(time.monotonic() - began, 2)
                daemon.stop(signal.SIGKILL)
            found[f"{way}_recorded"] = recorded(scene.database)
    return found


if __name__ == "__main__":
    print(json.dumps(seconds(int(sys.argv[1]))))  # noqa: T201
