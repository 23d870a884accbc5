"""A real daemon for benchmarks, and what the system says of its process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from bench import Unmeasured

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """``evalsvc serve`` on a free port."""

    pid: int
    url: str

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return str(parts.hostname), int(parts.port or 0)

    async def submit(self, session: aiohttp.ClientSession, job: str, rows: bytes, *, priority: int = 0) -> str:
        """File a job whose data set is ``cases.jsonl``; gives its id."""
        form = aiohttp.FormData()
        form.add_field("job", job.encode(), filename="job.toml")
        form.add_field("cases.jsonl", rows, filename="cases.jsonl")
        async with session.post("/api/v1/jobs", data=form, params={"priority": priority}) as answer:
            found = await answer.json()
            if answer.status != 201:
                raise Unmeasured(f"a job was refused: {found}")
            return str(found["id"])

    async def job(self, session: aiohttp.ClientSession, job_id: str) -> dict[str, Any]:
        """A job as it stands."""
        async with session.get(f"/api/v1/jobs/{job_id}") as answer:
            return dict(await answer.json())


@contextmanager
def daemon(folder: Path) -> Iterator[Daemon]:
    """A daemon in a folder, on its config.toml; ended on leaving."""
    command = [sys.executable, "-m", "evalsvc", "serve", "--port", "0"]
    with (folder / "serve.err").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    try:
        greeting = process.stdout.readline()
        if "listens on" not in greeting:
            raise Unmeasured(f"the daemon did not start: {(folder / 'serve.err').read_text()[-300:]}")
        yield Daemon(pid=process.pid, url=greeting.split("listens on ")[1].split()[0])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def cpu_s(pid: int) -> float:
    """CPU seconds a process has taken, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def threads(pid: int) -> int:
    """Threads of a process."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def called(name: str, parent: int) -> list[int]:
    """Processes of that name below another, children of children included."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue  # it has just ended
        pid, _, command = head.partition(" (")
        if int(rest.split()[1]) == parent:
            found += [int(pid)] if command.startswith(name) else []
            found += called(name, int(pid))
    return found
