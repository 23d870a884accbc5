"""A daemon as a process of its own, and what its tests ask of it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_PATIENCE_S = 60.0


class Daemon:
    """``evalsvc serve`` in a folder, on a free port."""

    def __init__(self, folder: Path, *, prefix: tuple[str, ...] = (), env: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        command = [*prefix, sys.executable, "-m", "evalsvc", "serve", "--port", "0"]
        with (folder / "serve.err").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **(env or {})}
            )
        assert self.process.stdout is not None
        self.greeting = self.process.stdout.readline()
        assert "listens on" in self.greeting, self.log
        self.url = self.greeting.split("listens on ")[1].split()[0]

    @property
    def log(self) -> str:
        """Its stderr so far."""
        return (self.folder / "serve.err").read_text()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; gives the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(40)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def ask(self, path: str, *, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON of one request."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(f"{self.url}{path}", data=body, method=method, headers=named)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def job(self, job_id: str) -> dict[str, Any]:
        """One job."""
        status, found = self.ask(f"/api/v1/jobs/{job_id}")
        assert status == 200, found
        return dict(found)

    def decision(self, job_id: str) -> dict[str, Any]:
        """The record of a job, once it is done."""
        self.until(lambda: self.job(job_id)["state"] == "done")
        return dict(self.ask(f"/api/v1/jobs/{job_id}/decision")[1])

    def submit(self, job: Path, *arguments: str) -> str:
        """The id of a job that was sent."""
        done = self.cli("submit", str(job), *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command that asks this daemon."""
        command = [sys.executable, "-m", "evalsvc", *arguments]
        env = {**os.environ, "EVALSVC_URL": self.url}
        return subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=90, check=False, env=env
        )

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for a condition."""
        deadline = time.monotonic() + _PATIENCE_S
        while not holds():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.01)


def rows(folder: Path, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """What a query of the daemon's database gives; nothing while its tables are not there."""
    connection = sqlite3.connect(f"file:{folder / 'evalsvc.db'}?mode=ro", uri=True, timeout=10)
    try:
        return connection.execute(sql, parameters).fetchall()
    except sqlite3.OperationalError:
        return []
    finally:
        connection.close()


def count(folder: Path) -> int:
    """Outcomes recorded so far."""
    found = rows(folder, "SELECT COUNT(*) FROM outcomes")
    return int(found[0][0]) if found else 0
