"""A judged job in real processes, really stopped: every follow-up is there once, and the decision is the same."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CASES = 30
ROWS = [{"id": f"c{n}", "input": f"Q{n}", "expected": f"A{n}"} for n in range(CASES)]
DUEL = '{ name = "judge_pair", label = "duel", rubric = "Better?" }'
MORE = 'also = [{ name = "judge", rubric = "Right?" }]\n[judge]\nendpoint = "up"\nmodel = "court"\ncache = false\n'
FOLLOW_UPS = {
    "candidate": {"answer", "judge/judge", "duel/judge", "duel/swapped"},
    "baseline": {"answer", "judge/judge"},
}


def honest(shown: dict[str, Any]) -> str:
    """The verdict of a judge that goes by the reference."""
    if "answer" in shown:
        return json.dumps({"reasoning": "so", "verdict": 5 if shown["answer"] == shown["reference"] else 1})
    right = [shown[name] == shown["reference"] for name in ("answer A", "answer B")]
    return json.dumps({"reasoning": "so", "verdict": "tie" if right[0] == right[1] else "A" if right[0] else "B"})


def court(chat: Callable[..., bytes]) -> Callable[[dict[str, Any]], tuple[int, bytes]]:
    def answer(body: dict[str, Any]) -> tuple[int, bytes]:
        time.sleep(0.004)  # or all is recorded before it can be stopped
        asked = body["messages"][-1]["content"]
        if body["model"] == "court":
            found = re.search(r"^([0-9a-f]{32})\n(.*)\n\1$", asked, re.MULTILINE)
            assert found
            return 200, chat(honest(json.loads(found[2])))
        number = int(asked.removeprefix("Q"))
        return 200, chat(f"A{number}" if body["model"] == "cand" or number % 3 == 0 else "no idea")

    return answer


def steps(folder: Path) -> list[tuple[int, str, str]]:
    if not (folder / "evalsvc.db").exists():
        return []
    connection = sqlite3.connect(f"file:{folder / 'evalsvc.db'}?mode=ro", uri=True)
    try:
        return connection.execute("SELECT position, arm, step FROM outcomes").fetchall()
    except sqlite3.OperationalError:  # the tables are not there yet
        return []
    finally:
        connection.close()


def stopped(folder: Path, job: Path, number: signal.Signals, *, at: int) -> int:
    """Runs a job until so many rows are recorded, then stops it; gives its exit code."""
    command = [sys.executable, "-m", "evalsvc", "run", str(job)]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ
    )
    deadline = time.monotonic() + 60
    while process.poll() is None and len(steps(folder)) < at:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(number)
    return process.wait(30)


def said(record: dict[str, Any]) -> dict[str, Any]:
    """What must not depend on when a job was stopped: everything but times, attempts and tokens."""
    gates = [gate for gate in record["gates"] if gate["name"] != "latency_p99"]
    judge = {key: value for key, value in record["judge"].items() if key not in ("attempts", "tokens")}
    return {"gates": gates, "suites": record["suites"], "decision": record["decision"], "judge": judge}


def whole(rows: list[tuple[int, str, str]]) -> None:
    """Each answer stands with all that its scores took, and with the other arm's answer."""
    found: dict[tuple[int, str], set[str]] = {}
    for position, arm, step in rows:
        found.setdefault((position, arm), set()).add(step)
    for (position, arm), each in found.items():
        assert {step for step in each if "/canary/" not in step} == FOLLOW_UPS[arm]
        assert (position, "baseline" if arm == "candidate" else "candidate") in found


def test_a_judged_job_that_is_stopped_ends_as_if_it_had_not_been(
    evalsvc: Any, upstream: Any, write_job: Any, chat: Any, tmp_path: Path
) -> None:
    server = upstream(court(chat))
    job = write_job(ROWS, url=server.url, scorer=DUEL, more=MORE, endpoint="max_in_flight = 4")
    golden = evalsvc("run", job, "--json", "--db", "golden.db", "--out", "golden").record
    before = len(server.asked)
    assert stopped(tmp_path, job, signal.SIGKILL, at=1) == -signal.SIGKILL
    rows = steps(tmp_path)
    whole(rows)
    assert stopped(tmp_path, job, signal.SIGTERM, at=len(rows) + 1) == 130
    rows = steps(tmp_path)
    whole(rows)
    assert len(rows) < golden["evidence"]["leaves"]
    ended = evalsvc("run", job, "--json", "--out", "out")
    rows = steps(tmp_path)
    whole(rows)
    assert len(set(rows)) == len(rows) == ended.record["evidence"]["leaves"] == golden["evidence"]["leaves"]
    tried = {(position, step.split("/")[0]) for position, _, step in rows if "/canary/" in step}
    assert sorted(label for _, label in tried) == ["duel"] * 5 + ["judge"] * 5
    assert any("resumed 2 times" in warning for warning in ended.record["warnings"])
    assert said(ended.record) == said(golden)
    assert golden["judge"]["trusted"] is True
    assert len(server.asked) - before < 2 * before  # what was recorded is not asked again
    assert evalsvc("verify", tmp_path / "out" / "decision.json").code == 0
