"""What all tests share: real parts are asked for here, and their absence is said, not hidden."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from evalsvc.app.process import manage_memory

ROOT = Path(__file__).resolve().parents[1]

# CI tries the same cases on every run: what it says is about the change. New ones are tried at every desk.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("desk", deadline=None)
settings.load_profile("ci" if os.environ.get("EVALSVC_TESTS_MAY_SKIP") == "no" else "desk")


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, the loop the house runs on."""
    return "asyncio"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded data beside the checkout."""
    folder = ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("no recorded data beside this checkout")
    return folder


def need(program: str) -> str:
    """The path of a Debian program; its absence skips the test, or fails it where no skip is allowed."""
    path = shutil.which(program)
    if path is None and os.environ.get("EVALSVC_TESTS_MAY_SKIP") == "no":
        pytest.fail(f"{program} is not installed, and this run allows no skip")
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


@pytest.fixture(scope="session")
def chromium() -> str:
    """Debian's Chromium."""
    return need("chromium")


@pytest.fixture(scope="session")
def prometheus() -> str:
    """Debian's Prometheus."""
    return need("prometheus")


@pytest.fixture(scope="session")
def promtool() -> str:
    """What comes with it to check metrics and rules."""
    return need("promtool")


@dataclass(slots=True)
class Ran:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def record(self) -> dict[str, Any]:
        """The decision record it printed with --json."""
        record: dict[str, Any] = json.loads(self.out)
        return record


@pytest.fixture
def evalsvc(tmp_path: Path) -> Callable[..., Ran]:
    """Runs ``evalsvc ARGUMENTS`` as a process of its own in the test's folder."""

    def run(*arguments: str | Path, env: Mapping[str, str] | None = None) -> Ran:
        command = [sys.executable, "-m", "evalsvc", *map(str, arguments)]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, **(env or {})},
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


Answer = Callable[[dict[str, Any]], tuple[int, bytes]]


@dataclass(slots=True)
class Upstream:
    """A model server that answers as told and keeps a journal of what it was asked."""

    url: str
    asked: list[dict[str, Any]]
    keys: list[str | None]


def says(content: Any, finish_reason: str = "stop") -> bytes:
    """The body of a plain chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 10, "completion_tokens": 2}
    return json.dumps({"id": "1", "model": "served", "choices": [choice], "usage": usage}).encode()


@pytest.fixture
def chat() -> Callable[..., bytes]:
    """Makes the body of a plain chat completion."""
    return says


@pytest.fixture
def upstream() -> Iterator[Callable[[Answer], Upstream]]:
    """Starts model servers on loopback: each is given a function from the request's JSON to (status, body)."""
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Answer) -> Upstream:
        asked: list[dict[str, Any]] = []
        keys: list[str | None] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                asked.append(body)
                keys.append(self.headers.get("authorization"))
                status, content = answer(body)
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, *_: object) -> None:
                pass  # a client that was killed in the middle is part of the test

        server = Server(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return Upstream(f"http://127.0.0.1:{server.server_address[1]}/v1", asked, keys)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def write_job(tmp_path: Path) -> Callable[..., Path]:
    """Writes cases, job.toml and config.toml for one suite; gives the job's path."""

    def write(
        rows: Sequence[Mapping[str, Any]],
        *,
        url: str,
        scorer: str = '"exact_match"',
        role: str = "target",
        candidate: str = "cand",
        baseline: str = "base",
        more: str = "",
        endpoint: str = "",
    ) -> Path:
        (tmp_path / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        (tmp_path / "config.toml").write_text(f'[endpoints.up]\nbase_url = "{url}"\n{endpoint}\n')
        (tmp_path / "job.toml").write_text(
            f'name = "a job"\nseed = 7\n'
            f'[candidate]\nendpoint = "up"\nmodel = "{candidate}"\n[baseline]\nendpoint = "up"\nmodel = "{baseline}"\n'
            f'[[suites]]\nname = "s"\nrole = "{role}"\ndataset = "cases.jsonl"\nscorer = {scorer}\n{more}\n',
            encoding="utf-8",
        )
        return tmp_path / "job.toml"

    return write


@pytest.fixture
def replay(tmp_path: Path) -> Iterator[Callable[[Sequence[Mapping[str, str]]], str]]:
    """Starts ``evalsvc sim --replay`` on recorded answers; gives its base URL."""
    processes: list[subprocess.Popen[str]] = []

    def start(rows: Sequence[Mapping[str, str]]) -> str:
        file = tmp_path / "replay.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        command = [sys.executable, "-m", "evalsvc", "sim", "--port", "0", "--replay", str(file)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        return process.stdout.readline().split()[-1]

    yield start
    for process in processes:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="session", autouse=True)
def _memory_as_in_a_run() -> None:
    """As `run` and `serve` set themselves up: what a test costs is then what it costs there."""
    manage_memory()
