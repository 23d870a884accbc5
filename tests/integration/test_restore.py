"""A backup of a daemon at work, restored elsewhere: the job goes on there, and its record holds."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event
from typing import Any

from daemons import Daemon, count

ROOT = Path(__file__).resolve().parents[2]
_CASES, _BEFORE = 60, 40


def test_a_job_goes_on_in_a_restored_database(upstream: Any, write_job: Any, chat: Any, tmp_path: Path) -> None:
    restored = Event()
    answered: list[str] = []

    def answer(body: dict[str, Any]) -> tuple[int, bytes]:
        if len(answered) >= _BEFORE:
            restored.wait(60)
        answered.append(body["messages"][-1]["content"] + body["model"])
        return 200, chat("42" if body["model"] == "cand" else "41")

    server = upstream(answer)
    job = write_job([{"id": f"c{i}", "input": f"q{i}", "expected": "42"} for i in range(_CASES)], url=server.url)
    there, copies = tmp_path / "there", tmp_path / "copies"
    there.mkdir()
    copies.mkdir()
    here = Daemon(tmp_path)
    try:
        job_id = here.submit(job)
        here.until(lambda: count(tmp_path) >= _BEFORE)
        env = {**os.environ, "EVALSVC": f"{sys.executable} -m evalsvc"}
        backup = [ROOT / "deploy" / "backup.sh", tmp_path / "evalsvc.db", copies]
        subprocess.run(backup, check=True, capture_output=True, timeout=60, env=env)
    finally:
        here.stop(signal.SIGKILL)
        restored.set()
    (copy,) = copies.glob("evalsvc-*.db")
    shutil.copy(copy, there / "evalsvc.db")
    shutil.copytree(copies / "evalsvc.db.uploads", there / "evalsvc.db.uploads")
    shutil.copy(tmp_path / "config.toml", there)
    held = count(there)
    assert _BEFORE <= held < 2 * _CASES
    elsewhere = Daemon(there)
    try:
        record = elsewhere.decision(job_id)
        (there / "record.json").write_text(json.dumps(record))
        verified = elsewhere.cli("verify", "record.json", "--db", "evalsvc.db")
    finally:
        assert elsewhere.stop() == 0
    assert record["evidence"]["outcomes"] == 2 * _CASES
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert set(answered) == {f"q{i}{model}" for i in range(_CASES) for model in ("cand", "base")}
