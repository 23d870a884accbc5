"""Whole commands against a local nginx that answers at once: `evalsvc run` beside the bare loop, ratios first.

``python benchmarks/throughput.py [CASES] [IN_FLIGHT] [--delay-ms N]``; needs nginx (a Debian package).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent

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


def write_nginx(folder: Path, port: int, delay_ms: int) -> Path:
    """The configuration of a server that answers the same at once, or after a delay."""
    answer = json.dumps(ANSWER)
    reply = f"return 200 '{answer}';"
    if delay_ms:
        reply = f"content_by_lua_block {{ ngx.sleep({delay_ms / 1000}) ngx.print('{answer}') }}"
    path = folder / "nginx.conf"
    path.write_text(NGINX.format(folder=folder, port=port, reply=reply, modules=LUA if delay_ms else ""))
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a process took: seconds, CPU seconds, peak memory in MB."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def measure(command: list[str], folder: Path) -> Cost:
    """Run a command to its end."""
    with (folder / "out.txt").open("wb") as out:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status) not in (0, 3, 4):
        sys.exit(f"{command} failed:\n{(folder / 'out.txt').read_text()}")
    return Cost(wall_s=wall, cpu_s=usage.ru_utime + usage.ru_stime, peak_mb=usage.ru_maxrss / 1024)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def write_job(folder: Path, cases: int, port: int, in_flight: int) -> None:
    """A job of ``cases`` cases, half of them right."""
    rows = (json.dumps({"id": str(i), "input": f"question {i}", "expected": "42"}) for i in range(cases))
    (folder / "cases.jsonl").write_text("\n".join(rows))
    arm = 'endpoint = "constant"\nmodel = "constant"\n'
    (folder / "job.toml").write_text(
        f'name = "throughput"\nseed = 1\n[candidate]\n{arm}[baseline]\n{arm}'
        '[[suites]]\nname = "t"\nrole = "target"\ndataset = "cases.jsonl"\nscorer = "exact_match"\n'
    )
    (folder / "config.toml").write_text(
        f'[endpoints.constant]\nbase_url = "http://127.0.0.1:{port}/v1"\nmax_in_flight = {in_flight}\n'
    )


def main() -> None:
    """Measure both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", type=int, nargs="?", default=30_000)
    parser.add_argument("in_flight", type=int, nargs="?", default=64)
    parser.add_argument(
        "--delay-ms", type=int, default=0, help="the server answers after so long (needs its lua module)"
    )
    chosen = parser.parse_args()
    nginx = shutil.which("nginx") or sys.exit("nginx is not installed: apt-get install nginx libnginx-mod-http-lua")
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(20_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        conf = write_nginx(folder, port, chosen.delay_ms)
        server = subprocess.Popen([nginx, "-c", str(conf), "-p", "/usr/share/nginx"])
        try:
            wait_for(port)
            write_job(folder, chosen.cases, port, chosen.in_flight)
            loop = [sys.executable, str(HERE / "bare_loop.py"), f"http://127.0.0.1:{port}/v1/chat/completions"]
            bare = measure([*loop, str(2 * chosen.cases), str(chosen.in_flight), str(folder / "bare.db")], folder)
            ours = measure([sys.executable, "-m", "evalsvc", "run", "job.toml", "--db", "e.db"], folder)
        finally:
            server.terminate()
            server.wait()
    report(chosen, bare, ours)


def wait_for(port: int) -> None:
    """Wait until something listens."""
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit("the server did not start")


def report(chosen: argparse.Namespace, bare: Cost, ours: Cost) -> None:
    """Print ratios and figures."""
    requests = 2 * chosen.cases
    after = f"after {chosen.delay_ms} ms" if chosen.delay_ms else "at once"
    print(f"{requests} requests, {chosen.in_flight} in flight, answered {after}; whole commands")
    print(f"evalsvc / bare loop: CPU a request {ours.cpu_s / bare.cpu_s:.2f}, rate {bare.wall_s / ours.wall_s:.2f}")
    if chosen.delay_ms:
        ideal = requests / (chosen.in_flight / chosen.delay_ms * 1000)
        print(f"of the ideal rate: bare loop {ideal / bare.wall_s:.0%}, evalsvc {ideal / ours.wall_s:.0%}")
    for name, cost in (("bare loop", bare), ("evalsvc run", ours)):
        rate, micros = requests / cost.wall_s, cost.cpu_s / requests * 1e6
        print(f"{name:12} {rate:8.0f} requests/s {micros:6.0f} µs CPU a request {cost.peak_mb:6.0f} MB peak")


if __name__ == "__main__":
    main()
