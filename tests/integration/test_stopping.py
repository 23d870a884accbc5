"""`evalsvc run` with `stop`: it asks no more than it takes, says so, and ends the same however often it is killed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CASES = 600
ROWS = [{"id": f"c{i}", "input": f"q{i}", "expected": "42", "category": "ab"[i % 2]} for i in range(CASES)]
WAIVED = "".join(
    f'[gates.{name}]\nwaive = "not here"\n'
    for name in ("general_regression", "latency_p99", "human_preference", "adversarial_robustness", "schema_compliance")
)


@pytest.fixture
def stopping_job(write_job: Callable[..., Path]) -> Callable[..., Path]:
    def write(url: str, stop: str = "hybrid", rate: float | None = 250) -> Path:
        """A job at a rate: what is asked between a look and its end does not hang on how busy the machine is."""
        job = write_job(ROWS, url=url, more=WAIVED, endpoint="max_in_flight = 4")
        pace = "" if rate is None else f"rate = {rate}\n"
        job.write_text(job.read_text().replace("seed = 7\n", f'seed = 7\nstop = "{stop}"\n{pace}'))
        return job

    return write


def recorded(folder: Path, database: str = "evalsvc.db") -> int:
    if not (folder / database).exists():
        return 0
    connection = sqlite3.connect(f"file:{folder / database}?mode=ro", uri=True)
    try:
        return int(connection.execute("SELECT COUNT(*) FROM outcomes").fetchone()[0])
    except sqlite3.OperationalError:  # the tables are not there yet
        return 0
    finally:
        connection.close()


def right_more_often(chat: Any) -> Callable[[dict[str, Any]], tuple[int, bytes]]:
    """The candidate is always right, the baseline on three questions of four."""

    def answer(body: dict[str, Any]) -> tuple[int, bytes]:
        question = int(body["messages"][-1]["content"][1:])
        return 200, chat("42" if body["model"] == "cand" or question % 4 else "41")

    return answer


def judged(record: dict[str, Any]) -> dict[str, Any]:
    """What must not depend on when a job was killed: everything but times and what was in flight at the stop."""
    sequential = {key: value for key, value in record["sequential"].items() if key not in ("requests_saved", "said")}
    gates = [gate for gate in record["gates"] if gate["name"] != "latency_p99"]
    return {"gates": gates, "sequential": sequential, "decision": record["decision"], "suites": record["suites"]}


def test_a_job_that_is_decided_asks_no_more(
    evalsvc: Any, upstream: Any, stopping_job: Any, chat: Any, tmp_path: Path
) -> None:
    server = upstream(right_more_often(chat))
    job = stopping_job(server.url)
    ran = evalsvc("run", job, "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    record = json.loads((tmp_path / "out" / "decision.json").read_text())
    sequential, gates = record["sequential"], {gate["name"]: gate for gate in record["gates"]}
    assert sequential["reason"] == "every required gate is decided"
    asked = sequential["prefix"]["s"]
    assert asked % sequential["every"] == 0
    assert asked < CASES / 2
    assert len(server.asked) == record["evidence"]["outcomes"] == recorded(tmp_path) < 2 * CASES - 300
    assert sequential["requests_saved"] == 2 * CASES - len(server.asked)
    said = f"after {asked} of {CASES} cases; {sequential['requests_saved']:,} requests saved"
    assert f"Stopped early: every required gate is decided {said}." in " ".join(ran.out.split())
    assert said in (tmp_path / "out" / "report.html").read_text()
    assert {gates[name]["verdict"] for name in ("target_improvement", "exact_match")} == {"PASS"}
    assert max(gates[name]["n"] for name in ("target_improvement", "exact_match")) == asked
    assert gates["latency_p99"]["verdict"] == "INCONCLUSIVE"
    assert record["suites"][0]["cases"] == asked
    assert any("lean to the side" in warning for warning in record["warnings"])
    again = evalsvc("run", job, "--json")  # decided is decided
    assert (again.code, again.record, len(server.asked)) == (0, record, record["evidence"]["outcomes"])
    with sqlite3.connect(tmp_path / "evalsvc.db") as connection:  # killed after the stop, before the record was filed
        connection.execute("UPDATE jobs SET state = 'deciding', record = NULL, finished_at = NULL")
    connection.close()
    resumed = evalsvc("run", job, "--json")
    assert (resumed.code, len(server.asked)) == (0, record["evidence"]["outcomes"])
    assert judged(resumed.record) == judged(record)
    assert resumed.record["sequential"] == record["sequential"]


def test_asked_whole_it_says_the_same_with_more_cases(
    evalsvc: Any, upstream: Any, stopping_job: Any, chat: Any
) -> None:
    server = upstream(right_more_often(chat))
    record = evalsvc("run", stopping_job(server.url, "never", rate=None), "--json").record
    assert record["decision"] == "SHIP"
    assert (record["job"]["stop"], record["sequential"]) == ("never", None)
    assert len(server.asked) == 2 * CASES


def test_a_required_gate_that_fails_ends_the_job(evalsvc: Any, upstream: Any, stopping_job: Any, chat: Any) -> None:
    server = upstream(lambda body: (200, chat("41" if body["model"] == "cand" else "42")))
    ran = evalsvc("run", stopping_job(server.url, "anytime"), "--json")
    assert ran.code == 3, ran.err
    assert "fail" in ran.record["sequential"]["reason"]
    assert len(server.asked) < CASES


@pytest.mark.parametrize("kills", [(40, 150), (200,)])
def test_a_killed_job_goes_on_to_the_same_looks(
    evalsvc: Any, upstream: Any, stopping_job: Any, chat: Any, tmp_path: Path, kills: tuple[int, ...]
) -> None:
    server = upstream(right_more_often(chat))
    job = stopping_job(server.url)
    whole = evalsvc("run", job, "--json", "--db", "whole.db").record
    for count in kills:
        command = [sys.executable, "-m", "evalsvc", "run", str(job)]
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ
        )
        deadline = time.monotonic() + 60
        while process.poll() is None and recorded(tmp_path) < count:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    resumed = evalsvc("run", job, "--json")
    assert resumed.code == 0, resumed.err
    assert judged(resumed.record) == judged(whole)


def test_the_simulator_and_its_suites_of_several_roles(evalsvc: Any, tmp_path: Path) -> None:
    for name in "tg":
        rows = [{"id": f"{name}{i}", "input": f"{name}{i}?", "expected": f"word{i}"} for i in range(300)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, table, rest = WAIVED.partition("[gates.latency_p99]")
    (tmp_path / "job.toml").write_text(
        'name = "j"\nseed = 3\nstop = "hybrid"\n'
        '[candidate]\nendpoint = "sim"\nmodel = "sim-candidate"\n[baseline]\nendpoint = "sim"\nmodel = "sim-baseline"\n'
        '[[suites]]\nname = "t"\nrole = "target"\ndataset = "t.jsonl"\nscorer = "exact_match"\n'
        '[[suites]]\nname = "g"\nrole = "general"\ndataset = "g.jsonl"\nscorer = "exact_match"\n'
        f'{table}{rest}[gates.exact_match]\nwaive = "not here"\n'
        "[gates.target_improvement]\nmargin = 0\n[gates.general_regression]\nmargin = 0.2\n"
    )
    ran = evalsvc("run", tmp_path / "job.toml", "--out", tmp_path / "out", "--json")
    assert ran.code == 0, ran.err
    record = ran.record
    assert record["job"]["simulated"]
    assert sum(record["sequential"]["prefix"].values()) < 600
    assert record["sequential"]["requests_saved"] == 1200 - record["evidence"]["outcomes"]
    for gate in record["gates"]:
        if gate["verdict"] == "PASS" and gate["required"] and gate["waived"] is None:
            assert (gate["method"], gate["level"]) in {("betting", 0.99), ("tango", 0.96)}
    verified = evalsvc("verify", tmp_path / "out" / "decision.json", "--db", "evalsvc.db")
    assert verified.code == 0, verified.out + verified.err
