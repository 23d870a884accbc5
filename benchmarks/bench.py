"""What the benchmarks share: the server that answers at once, measured commands, jobs, environments of others."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ANSWER = {
    "id": "chatcmpl-0",
    "object": "chat.completion",
    "created": 0,
    "model": "constant",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "42"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 13},
}

NGINX = """
{modules}
daemon off; worker_processes 1; worker_rlimit_nofile 20000; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 16384; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port} backlog=16384;
    location / {{ default_type application/json; {reply} }}
  }}
}}
"""

#: Debian's nginx with its lua module (libnginx-mod-http-lua): answers after a while.
LUA = "load_module modules/ndk_http_module.so; load_module modules/ngx_http_lua_module.so;"

_INSTALL_S = 900


class Unmeasured(Exception):
    """Something could not be installed, started or run to its end; the message is the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a process and its children took: seconds, CPU seconds, peak memory of the largest in MB; what it printed."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    printed: str


def measure(
    command: list[str],
    folder: Path,
    *,
    timeout_s: float = 600,
    env: Mapping[str, str] | None = None,
    good: tuple[int, ...] = (0,),
) -> Cost:
    """Run a command to its end. Raises Unmeasured when it fails or is not done in time."""
    printed = folder / "out.txt"
    with printed.open("wb") as out:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        limit = threading.Timer(timeout_s, _kill, [process])
        limit.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            limit.cancel()
            _kill(process)  # what it left behind goes with it
        wall = time.perf_counter() - started
    code = process.returncode = os.waitstatus_to_exitcode(status)
    text = printed.read_text(errors="replace")
    if code not in good:
        why = f"not done after {timeout_s:.0f} s" if wall >= timeout_s else f"exit code {code}"
        raise Unmeasured(f"{Path(command[0]).name}: {why}: {_last_words(text)}")
    cpu, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    return Cost(wall_s=wall, cpu_s=cpu, peak_mb=peak, printed=text)


def evalsvc(folder: Path, database: str, *, timeout_s: float = 600) -> Cost:
    """Run ``evalsvc run job.toml`` of a folder, on its config.toml, to a decision of any kind."""
    command = [sys.executable, "-m", "evalsvc", "run", "job.toml", "--db", database]
    return measure(command, folder, timeout_s=timeout_s, good=(0, 3, 4))


def outcomes(folder: Path, database: str, columns: str) -> list[tuple[Any, ...]]:
    """Those columns of every recorded outcome; none where the command ended before it had made its tables."""
    with closing(sqlite3.connect(folder / database)) as connection, suppress(sqlite3.OperationalError):
        return connection.execute(f"SELECT {columns} FROM outcomes").fetchall()
    return []


def asking_s(folder: Path, database: str) -> float:
    """Seconds from the first request sent to the last answer scored."""
    times = outcomes(folder, database, "MIN(finished_at - since_scheduled_s), MAX(finished_at)")
    if not times:
        raise Unmeasured("nothing was recorded")
    first, last = times[0]
    return float(last - first)


def write_job(
    folder: Path,
    cases: int,
    base_url: str,
    in_flight: int,
    *,
    model: str = "constant",
    arm: str = "",
    endpoint: str = "",
) -> None:
    """A job of ``cases`` cases whose right answer is 42; ``arm`` and ``endpoint`` are further lines of their tables."""
    rows = (json.dumps({"id": str(i), "input": f"question {i}", "expected": "42"}) for i in range(cases))
    (folder / "cases.jsonl").write_text("\n".join(rows) + "\n")
    arm = f'endpoint = "bench"\nmodel = "{model}"\n{arm}\n'
    (folder / "job.toml").write_text(
        f'name = "benchmark"\nseed = 1\n[candidate]\n{arm}[baseline]\n{arm}'
        '[[suites]]\nname = "t"\nrole = "target"\ndataset = "cases.jsonl"\nscorer = "exact_match"\n'
    )
    (folder / "config.toml").write_text(
        f'[endpoints.bench]\nbase_url = "{base_url}"\nmax_in_flight = {in_flight}\n{endpoint}\n'
    )


@contextmanager
def nginx(folder: Path, delay_ms: int = 0) -> Iterator[int]:
    """A server that gives the same answer at once, or after a delay; yields its port."""
    program = shutil.which("nginx")
    if program is None:
        raise Unmeasured("nginx is not installed: apt-get install nginx libnginx-mod-http-lua")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(20_000, hard)), hard))
    port, answer = free_port(), json.dumps(ANSWER)
    reply = f"return 200 '{answer}';"
    if delay_ms:
        reply = f"content_by_lua_block {{ ngx.sleep({delay_ms / 1000}) ngx.print('{answer}') }}"
    modules = LUA if delay_ms else ""
    conf = folder / "nginx.conf"
    conf.write_text(NGINX.format(folder=folder, port=port, reply=reply, modules=modules))
    with server([program, "-c", str(conf), "-p", "/usr/share/nginx"], folder, port):
        yield port


@contextmanager
def server(
    command: list[str], folder: Path, port: int, *, ready_s: float = 10, env: Mapping[str, str] | None = None
) -> Iterator[None]:
    """A server that listens on ``port`` within ``ready_s`` seconds; ended with all its children on leaving."""
    printed = folder / f"{Path(command[0]).name}.log"
    with printed.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        try:
            if not _listens(port, process, ready_s):
                raise Unmeasured(f"{Path(command[0]).name} did not start: {_last_words(printed.read_text())}")
            yield
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            _kill(process)
            process.wait(5)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cache() -> Path:
    """Where the environments of others are kept between runs: outside the repository."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "evalsvc-benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def pip_environment(name: str, *steps: str) -> Path:
    """The ``bin`` folder of a venv of its own; each step is what one ``pip install`` is given, separated by blanks."""
    folder = cache() / name
    if not (folder / "installed").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _install([sys.executable, "-m", "venv", str(folder)])
        for step in steps:
            _install([str(folder / "bin/python"), "-m", "pip", "install", "--quiet", *step.split()])
        (folder / "installed").touch()
    return folder / "bin"


def npm_environment(name: str) -> Path:
    """The ``.bin`` folder of an npm package installed in a folder of its own."""
    npm, folder = shutil.which("npm"), cache() / name
    if npm is None:
        raise Unmeasured("npm is not installed")
    if not (folder / "installed").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        _install([npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--loglevel=error", name])
        (folder / "installed").touch()
    return folder / "node_modules/.bin"


def machine() -> str:
    """One line: date, processor, cores, load before the run."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    load = os.getloadavg()[0]
    return f"{time.strftime('%Y-%m-%d')}, {model}, {os.cpu_count()} cores, load before the run {load:.1f}"


def _install(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        raise Unmeasured(f"not installed after {_INSTALL_S} s") from None
    if done.returncode:
        raise Unmeasured(f"cannot be installed: {_last_words(done.stderr)}")


def _listens(port: int, process: subprocess.Popen[bytes], ready_s: float) -> bool:
    deadline = time.monotonic() + ready_s
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.05)
    return False


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _last_words(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-3:])[-300:] or "it printed nothing"
