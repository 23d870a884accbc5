"""A daemon that has done many jobs holds on to no more than one that has done a few."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from daemons import Daemon, rows

CASES = [{"id": f"c{i}", "input": f"q{i}", "expected": "yes"} for i in range(5)]
KEEP_S = 3.0
FEW, MANY = 8, 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a daemon's process holds: bytes, open files, threads, tasks of its loop, lines of a scrape."""

    rss: float
    fds: float
    threads: int
    tasks: float
    series: int


@pytest.fixture
def daemon(tmp_path: Path, upstream: Any, chat: Any, write_job: Any) -> Iterator[Daemon]:
    server = upstream(lambda _: (200, chat("yes")))
    keeping = f"max_in_flight = 4\n[store]\nkeep_days = {KEEP_S / 86_400!r}"
    write_job(CASES, url=server.url, endpoint=keeping)
    started = Daemon(tmp_path)
    yield started
    started.stop()


def test_many_jobs_leave_nothing_behind(daemon: Daemon, tmp_path: Path) -> None:
    job = (tmp_path / "job.toml").read_text()
    for number in range(FEW):
        run(daemon, named(job, number))
    young = settled(daemon)
    for number in range(FEW, FEW + MANY):
        run(daemon, named(job, number))
    daemon.until(lambda: rows(tmp_path, "SELECT (SELECT COUNT(*) FROM jobs) + (SELECT COUNT(*) FROM events)") == [(0,)])
    old = settled(daemon)
    assert old.fds <= young.fds
    assert old.threads <= young.threads
    assert old.tasks <= young.tasks
    assert old.rss - young.rss < MANY * 2**18  # a quarter of a MiB a job: what a job leaves behind is more, if it does
    assert old.series <= 5000
    assert rows(tmp_path, "SELECT COUNT(*) FROM cases") == rows(tmp_path, "SELECT COUNT(*) FROM outcomes") == [(0,)]
    assert (tmp_path / "evalsvc.db-wal").stat().st_size < 8 * 2**20
    daemon.until(lambda: [path.name for path in (tmp_path / "evalsvc.db.uploads").iterdir()] == ["incoming"])


def named(job: str, number: int) -> str:
    """A job of its own, on models of its own."""
    return job.replace('name = "', f'name = "{number} ').replace('model = "', f'model = "{number}-')


def run(daemon: Daemon, job: str) -> None:
    """From its submission to its decision, followed as `submit --watch` does."""
    data = (daemon.folder / "cases.jsonl").read_text()
    parts = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n\r\n{text}\r\n'
        for name, text in (("job", job), ("cases.jsonl", data))
    )
    kind = "multipart/form-data; boundary=b"
    status, filed = daemon.ask("/api/v1/jobs", method="POST", body=f"{parts}--b--\r\n".encode(), Content_Type=kind)
    assert status == 201, filed
    with urllib.request.urlopen(f"{daemon.url}/api/v1/jobs/{filed['id']}/events", timeout=30) as events:
        assert b'"state":"done"' in events.read()


def settled(daemon: Daemon) -> Held:
    """What it holds once it has let go of what it was about."""
    seen: list[tuple[float, ...]] = []

    def steady() -> bool:
        held = now(daemon)
        seen.append((held.fds, held.threads, held.tasks))
        return len(seen) >= 20 and len(set(seen[-20:])) == 1

    daemon.until(steady)
    return now(daemon)


def now(daemon: Daemon) -> Held:
    with urllib.request.urlopen(f"{daemon.url}/metrics", timeout=10) as answer:
        lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
    found = dict(line.rsplit(" ", 1) for line in lines)
    return Held(
        rss=float(found["process_resident_memory_bytes"]),
        fds=float(found["process_open_fds"]),
        threads=len(list(Path(f"/proc/{daemon.process.pid}/task").iterdir())),
        tasks=float(found["evalsvc_event_loop_tasks"]),
        series=len(lines),
    )
