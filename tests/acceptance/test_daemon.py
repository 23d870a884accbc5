"""The daemon as its users meet it: real processes, really stopped and killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from daemons import Daemon, count, rows

ROWS = [{"id": f"c{i}", "input": f"q{i}", "expected": "yes"} for i in range(300)]

Start = Callable[..., Daemon]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Start]:
    """Starts daemons in the test's folder; those still running at its end are killed."""
    started: list[Daemon] = []

    def start(**options: Any) -> Daemon:
        started.append(Daemon(options.pop("folder", tmp_path), **options))
        return started[-1]

    yield start
    for daemon in started:
        daemon.stop(signal.SIGKILL)


def right(body: dict[str, Any]) -> str:
    """The candidate is always right, the baseline every third time."""
    number = int(body["messages"][-1]["content"][1:])
    return "yes" if body["model"] == "cand" or number % 3 == 0 else "no"


@pytest.fixture
def model(upstream: Any, chat: Any) -> Callable[..., Any]:
    """Starts a model server that takes ``seconds`` for an answer."""

    def start(seconds: float = 0.0) -> Any:
        def answer(body: dict[str, Any]) -> tuple[int, bytes]:
            time.sleep(seconds)
            return 200, chat(right(body)).replace(b'"served"', f'"{body["model"]}"'.encode())

        return upstream(answer)

    return start


def essence(record: dict[str, Any]) -> dict[str, Any]:
    """What of a record does not depend on when and where it was made."""
    kept: dict[str, Any] = {
        "decision": record["decision"],
        "job": {key: record["job"][key] for key in ("name", "spec_sha256", "seed", "trials")},
        "suites": record["suites"],
        "outcomes": record["evidence"]["outcomes"],
        "gates": [gate for gate in record["gates"] if gate["name"] != "latency_p99"],
    }
    return kept


def key(body: dict[str, Any]) -> tuple[str, str]:
    return body["model"], body["messages"][-1]["content"]


def test_a_submitted_job_ends_as_the_same_job_run_here(serve: Start, model: Any, write_job: Any, evalsvc: Any) -> None:
    job = write_job(ROWS, url=model().url)
    daemon = serve()
    done = daemon.cli("submit", str(job), "--wait", "--json")
    filed = json.loads(done.stdout)
    assert set(filed) == {"id", "state", "url"}
    record = daemon.decision(filed["id"])
    assert done.returncode == {"SHIP": 0, "ITERATE": 3, "HOLD": 4}[record["decision"]]
    assert daemon.cli("decision", filed["id"], "--json").returncode == done.returncode
    assert daemon.cli("watch", "latest").returncode == done.returncode
    assert daemon.cli("status", "--json").stdout.count(filed["id"]) >= 1
    here = evalsvc("run", job, "--db", "other.db", "--json")
    assert essence(here.record) == essence(record)
    assert daemon.stop() == 0


def test_what_is_wrong_with_a_job_is_said_as_run_says_it(
    serve: Start, model: Any, write_job: Any, evalsvc: Any
) -> None:
    job = write_job([*ROWS, {"id": "c0", "input": "again"}], url=model().url)
    daemon = serve()
    sent, here = daemon.cli("submit", str(job)), evalsvc("run", job)
    assert (sent.returncode, here.code) == (2, 2)
    assert sent.stderr.split("cases.jsonl", 1)[1] == here.err.split("cases.jsonl", 1)[1]
    job.write_text(job.read_text().replace('endpoint = "up"', 'endpoint = "elsewhere"', 1))
    sent = daemon.cli("submit", str(job))
    assert sent.returncode == 2
    assert "job.toml:4: candidate.endpoint: no endpoint 'elsewhere'" in sent.stderr
    assert rows(daemon.folder, "SELECT COUNT(*) FROM jobs") == [(0,)]


def test_the_same_key_files_a_job_once(serve: Start, model: Any, write_job: Any) -> None:
    job = write_job(ROWS[:20], url=model().url)
    daemon = serve()
    first = daemon.submit(job, "--key", "ci-17")
    assert daemon.submit(job, "--key", "ci-17") == first
    other = daemon.cli("submit", str(job), "--key", "ci-17", "--limit", "3")
    assert other.returncode == 1
    assert first in other.stderr
    assert daemon.submit(job) != first
    assert rows(daemon.folder, "SELECT COUNT(*) FROM jobs") == [(2,)]


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_time_it_ends_as_if_it_never_was(
    serve: Start, model: Any, write_job: Any, tmp_path: Path, seed: int
) -> None:
    upstream = model(0.003)
    job = write_job(ROWS, url=upstream.url, endpoint="max_in_flight = 4")
    chance = random.Random(seed)
    daemon = serve()
    job_id = daemon.submit(job)
    for stop_at in sorted(chance.sample(range(1, 590), 3)):
        daemon.until(lambda goal=stop_at: count(tmp_path) >= goal)  # type: ignore[misc]
        assert daemon.stop(signal.SIGKILL) == -9
        daemon = serve()
    record = daemon.decision(job_id)
    assert record["evidence"]["outcomes"] == 600
    assert record["suites"][0]["wins"] == {"candidate": 200, "baseline": 0, "ties": 100}
    times = Counter(map(key, upstream.asked))
    assert len(times) == 600
    assert sum(times.values()) - 600 <= 3 * (4 + 256)
    assert rows(tmp_path, "PRAGMA integrity_check") == [("ok",)]
    uninterrupted = daemon.decision(daemon.submit(job))
    assert essence(record) == essence(uninterrupted)


def test_told_to_stop_it_gives_jobs_back_and_asks_nothing_twice(
    serve: Start, model: Any, write_job: Any, tmp_path: Path
) -> None:
    upstream = model(0.02)
    job = write_job(ROWS, url=upstream.url, endpoint="max_in_flight = 4")
    daemon = serve()
    job_id = daemon.submit(job)
    daemon.until(lambda: count(tmp_path) >= 60)
    assert daemon.stop(signal.SIGTERM) == 0
    assert rows(tmp_path, "SELECT state, reason FROM jobs") == [("queued", "the daemon was stopped")]
    asked = len(upstream.asked)
    assert count(tmp_path) == asked < 600  # what was in flight ended, and was recorded
    daemon = serve()
    assert daemon.decision(job_id)["evidence"]["outcomes"] == 600
    assert len(upstream.asked) == 600
    assert daemon.stop(signal.SIGINT) == 0


def test_a_server_that_does_not_answer_holds_up_no_stop(
    serve: Start, upstream: Any, chat: Any, write_job: Any, tmp_path: Path
) -> None:
    never = threading.Event()

    def answer(_: dict[str, Any]) -> tuple[int, bytes]:
        never.wait(60)
        return 200, chat("yes")

    server = upstream(answer)
    job = write_job(ROWS, url=server.url, endpoint="max_in_flight = 4\n[server]\ngrace_s = 0.5")
    daemon = serve()
    daemon.submit(job)
    daemon.until(lambda: len(server.asked) >= 4)
    began = time.monotonic()
    assert daemon.stop(signal.SIGTERM) == 0
    assert time.monotonic() - began < 5
    never.set()
    assert rows(tmp_path, "SELECT state FROM jobs") == [("queued",)]


def test_a_second_daemon_is_refused_and_a_killed_one_blocks_nobody(serve: Start, tmp_path: Path) -> None:
    daemon = serve()
    (tmp_path / "link.db").symlink_to(tmp_path / "evalsvc.db")
    for db in ("evalsvc.db", "link.db"):
        command = [sys.executable, "-m", "evalsvc", "serve", "--port", "0", "--db", db]
        second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
        assert (second.returncode, second.stdout) == (75, "")
        assert "in use by another evalsvc process" in second.stderr
    daemon.stop(signal.SIGKILL)
    assert "SQLite 3." in serve().greeting


def test_a_small_job_does_not_wait_for_a_big_one(serve: Start, model: Any, write_job: Any, tmp_path: Path) -> None:
    upstream = model(0.01)
    many = [*ROWS, *({**row, "id": f"d{row['id']}"} for row in ROWS)]
    big = write_job(many, url=upstream.url, endpoint="max_in_flight = 4")
    daemon = serve()
    first = daemon.submit(big)
    daemon.until(lambda: count(tmp_path) > 50)
    small = write_job(ROWS[:10], url=upstream.url, endpoint="max_in_flight = 4")
    second = daemon.submit(small)
    daemon.until(lambda: daemon.job(second)["state"] == "done")
    assert daemon.job(first)["state"] == "running"


def test_one_job_that_fails_harms_no_other(
    serve: Start, upstream: Any, chat: Any, write_job: Any, tmp_path: Path
) -> None:
    def answer(body: dict[str, Any]) -> tuple[int, bytes]:
        return (401, b"{}") if body["model"] == "locked" else (200, chat("yes"))

    url = upstream(answer).url
    daemon_job = write_job(ROWS[:50], url=url)
    bad = tmp_path / "bad.toml"
    bad.write_text(daemon_job.read_text().replace('"cand"', '"locked"'))
    daemon = serve()
    failed, good = daemon.submit(bad), daemon.submit(daemon_job)
    assert daemon.decision(good)["evidence"]["outcomes"] == 100
    daemon.until(lambda: daemon.job(failed)["state"] == "failed")
    assert "401" in daemon.job(failed)["reason"]
    watched = daemon.cli("watch", failed)
    assert (watched.returncode, "401" in watched.stderr) == (1, True)
    again = daemon.cli("resume", failed)
    assert again.returncode == 0
    daemon.until(lambda: daemon.job(failed)["resumes"] == 1 and daemon.job(failed)["state"] == "failed")
    assert daemon.cli("resume", good).returncode == 1


def test_a_cancelled_job_stays_cancelled(serve: Start, model: Any, write_job: Any, tmp_path: Path) -> None:
    upstream = model(0.02)
    job = write_job(ROWS, url=upstream.url, endpoint="max_in_flight = 4")
    daemon = serve()
    job_id = daemon.submit(job)
    daemon.until(lambda: count(tmp_path) > 10)
    assert daemon.cli("cancel", job_id).stdout == f"{job_id} is cancelled\n"
    asked, recorded = len(upstream.asked), count(tmp_path)
    assert daemon.cli("cancel", job_id).returncode == 1
    assert daemon.cli("watch", job_id).returncode == 1
    daemon.stop(signal.SIGKILL)
    daemon = serve()
    assert daemon.job(job_id)["state"] == "cancelled"
    assert (len(upstream.asked), count(tmp_path)) == (asked, recorded)


def test_events_go_on_after_a_restart_where_they_were_left(
    serve: Start, model: Any, write_job: Any, tmp_path: Path
) -> None:
    job = write_job(ROWS[:30], url=model(0.02).url, endpoint="max_in_flight = 2")
    daemon = serve()
    job_id = daemon.submit(job)
    daemon.until(lambda: count(tmp_path) > 5)
    daemon.stop(signal.SIGKILL)
    before = rows(tmp_path, "SELECT id, name, data FROM events ORDER BY id")
    daemon = serve()
    daemon.decision(job_id)
    after = rows(tmp_path, "SELECT id, name, data FROM events ORDER BY id")
    kept = [event for event in before if event[1] != "progress"]
    assert kept == [event for event in after if event[1] != "progress"][: len(kept)]
    states = [json.loads(data)["state"] for _, name, data in after if name == "state"]
    assert states == ["queued", "running", "queued", "running", "deciding", "done"]
    assert [name for _, name, _ in after][-2:] == ["decision", "state"]
    assert sum(name == "progress" for _, name, _ in after) <= 1


def test_a_second_signal_ends_it_at_once(serve: Start, upstream: Any, chat: Any, write_job: Any) -> None:
    never = threading.Event()

    def answer(_: dict[str, Any]) -> tuple[int, bytes]:
        never.wait(60)
        return 200, chat("yes")

    server = upstream(answer)
    job = write_job(ROWS[:20], url=server.url)
    daemon = serve()
    job_id = daemon.submit(job)
    daemon.until(lambda: len(server.asked) > 0)
    daemon.process.send_signal(signal.SIGTERM)
    daemon.until(lambda: daemon.ask("/readyz")[0] == 503)
    assert daemon.job(job_id)["state"] == "running"  # who watches is answered to the end
    began = time.monotonic()
    assert daemon.stop(signal.SIGTERM) == 130
    assert time.monotonic() - began < 2
    never.set()
    assert serve().job(job_id)["id"] == job_id


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own, whose size can be changed by mounting it again."""
    folder = tmp_path / "small"
    folder.mkdir()
    if resize(folder, "size=64m", "-t", "tmpfs", "tmpfs").returncode != 0:
        skip("a small disk can only be mounted as root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=False)


def resize(folder: Path, size: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["mount", "-o", size, *arguments, str(folder)], capture_output=True, check=False)


def skip(reason: str) -> None:
    if os.environ.get("EVALSVC_TESTS_MAY_SKIP") == "no":
        pytest.fail(f"{reason}, and this run allows no skip")
    pytest.skip(reason)


def test_a_full_disk_pauses_jobs_and_they_go_on_once_there_is_room(
    serve: Start, model: Any, write_job: Any, tmp_path: Path, small_disk: Path
) -> None:
    upstream = model()
    job = write_job([{**row, "metadata": {"long": "x" * 2000}} for row in ROWS], url=upstream.url)
    (small_disk / "config.toml").write_text((tmp_path / "config.toml").read_text())
    daemon = serve(folder=small_disk)
    job_id = daemon.submit(job)
    used = sum(path.stat().st_blocks * 512 for path in small_disk.rglob("*"))
    assert resize(small_disk, f"remount,size={used + 2**17}").returncode == 0
    daemon.until(lambda: daemon.job(job_id)["state"] == "paused")
    assert "no room left on the disk" in daemon.job(job_id)["reason"]
    recorded = daemon.job(job_id)["progress"]["recorded"]
    assert recorded == count(small_disk) < 600  # never told of more than there is
    assert daemon.ask("/healthz")[0] == 200
    assert daemon.ask("/readyz")[0] == 503
    assert daemon.ask(f"/api/v1/jobs/{job_id}/outcomes?limit=1")[0] == 200
    refused = daemon.cli("submit", str(job))
    assert refused.returncode == 1
    assert "disk" in refused.stderr
    assert resize(small_disk, "remount,size=64m").returncode == 0
    assert daemon.decision(job_id)["evidence"]["outcomes"] == 600
    assert max(Counter(map(key, upstream.asked)).values()) == 1  # nothing that was answered was asked again
    assert rows(small_disk, "PRAGMA integrity_check") == [("ok",)]
    assert daemon.stop() == 0
