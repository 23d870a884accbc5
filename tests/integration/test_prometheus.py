"""A real Prometheus scrapes a real daemon: every panel and every rule shows something."""

from __future__ import annotations

import json
import math
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from daemons import Daemon

ROOT = Path(__file__).resolve().parents[2]
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
CONFIG = """
[endpoints.sim]
price_in = 2.5
price_out = 10.0
[endpoints.streams]
base_url = "{url}"
price_in = 1.0
price_out = 2.0
"""
STREAMED = """
name = "streams"
seed = 1
rate = 20
[candidate]
endpoint = "streams"
model = "s1"
stream = true
[baseline]
endpoint = "streams"
model = "s0"
stream = true
[[suites]]
name = "s"
role = "target"
dataset = "cases.jsonl"
scorer = "exact_match"
"""
PATIENCE_S = 25.0


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running server."""

    url: str

    def get(self, path: str, **parameters: str) -> Any:
        with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(parameters)}", timeout=10) as answer:
            return json.load(answer)["data"]

    def values(self, expr: str) -> list[float]:
        """What an expression gives at present; what is no number is none."""
        found = [float(row["value"][1]) for row in self.get("/api/v1/query", query=expr)["result"]]
        return [value for value in found if not math.isnan(value)]


class Streaming(BaseHTTPRequestHandler):
    """A model that streams its answer."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        choice = {"index": 0, "delta": {"content": "yes"}, "finish_reason": "stop"}
        chunk = {"id": "1", "model": "m", "choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 1}}
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        self.wfile.write(f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def streaming() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Streaming) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, streaming: str) -> Path:
    """Two jobs that last for some scrapes: the demo on the simulator, and one whose arms stream."""
    folder = tmp_path_factory.mktemp("scraped")
    shutil.copytree(ROOT / "examples" / "demo", folder / "demo")
    demo = folder / "demo" / "job.toml"
    demo.write_text(demo.read_text().replace("seed =", "rate = 80\nseed =", 1))
    rows = [json.dumps({"id": f"c{i}", "input": f"q{i}", "expected": "yes", "category": "a"}) for i in range(40)]
    (folder / "cases.jsonl").write_text("\n".join(rows))
    (folder / "job.toml").write_text(STREAMED)
    (folder / "config.toml").write_text(CONFIG.format(url=streaming))
    return folder


@pytest.fixture(scope="module")
def daemon(folder: Path) -> Iterator[Daemon]:
    running = Daemon(folder)
    yield running
    running.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def server(prometheus: str, daemon: Daemon, folder: Path) -> Iterator[Prometheus]:
    config = (ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text()
    config = config.replace("127.0.0.1:8321", daemon.url.removeprefix("http://")).replace(
        "interval: 15s", "interval: 1s"
    )
    (folder / "prometheus.yml").write_text(config)
    shutil.copy(RULES, folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [prometheus, f"--web.listen-address={address}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen([*command, f"--config.file={folder / 'prometheus.yml'}"], stdout=log, stderr=log)
        try:
            until(lambda: answers(f"http://{address}/-/ready"), (folder / "prometheus.log").read_text)
            yield Prometheus(f"http://{address}")
        finally:
            process.kill()
            process.wait(10)


@pytest.fixture(scope="module")
def jobs(server: Prometheus, daemon: Daemon, folder: Path) -> list[str]:
    """Jobs that were run while Prometheus looked on, the demo first."""
    until(lambda: server.values("up") == [1.0], lambda: server.get("/api/v1/targets"))
    jobs = [daemon.submit(folder / "demo" / "job.toml", "--limit", "40"), daemon.submit(folder / "job.toml")]
    daemon.until(lambda: all(daemon.job(job_id)["state"] == "done" for job_id in jobs))
    return jobs


def until(holds: Any, why: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, why()
        time.sleep(0.1)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def expressions() -> Iterator[tuple[str, str]]:
    """(where it stands, PromQL) of every panel; the dashboards' variables are left to substitute."""
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", ()):
                yield f"{path.name}: {panel['title']}", target["expr"]


def substituted(expr: str, job_id: str) -> str:
    for variable, value in {"$instance": ".*", "$model": ".*", "$eval_job": job_id, "$__rate_interval": "1m"}.items():
        expr = expr.replace(variable, value)
    assert "$" not in expr
    return expr


def watched(expr: str) -> str:
    """What an alert looks at, without the threshold or what excuses it; the jobs are done meanwhile."""
    return re.sub(r'state=~?"[a-z|]+"', 'state="done"', re.split(r"\s(?:unless|[<>]|==)\s", expr)[0])


def test_every_panel_shows_something(server: Prometheus, jobs: list[str]) -> None:
    empty = {(where, substituted(expr, jobs[0])) for where, expr in expressions()}
    assert len(empty) > 25

    def all_shown() -> bool:
        empty.difference_update({(where, expr) for where, expr in empty if server.values(expr)})
        return not empty

    until(all_shown, lambda: "\n".join(map(str, empty)))


def test_every_rule_looks_at_something(server: Prometheus, jobs: list[str]) -> None:
    def rules() -> list[dict[str, Any]]:
        return [rule for group in server.get("/api/v1/rules")["groups"] for rule in group["rules"]]

    until(lambda: {rule["health"] for rule in rules()} == {"ok"}, rules)
    assert len(rules()) > 10
    for rule in rules():
        looked_at = rule["name"] if rule["type"] == "recording" else watched(rule["query"])
        until(lambda expr=looked_at: server.values(expr), lambda rule=rule: rule)
    assert server.values('ALERTS{alertstate="firing"}') == []
    assert server.values(f'evalsvc_job_state{{eval_job="{jobs[0]}", state="done"}}') == [1.0]


@pytest.mark.parametrize("arm", ["candidate", "baseline"])
def test_the_counts_are_those_of_the_records(server: Prometheus, daemon: Daemon, jobs: list[str], arm: str) -> None:
    rows = [daemon.decision(job_id)["arms"][arm] for job_id in jobs]
    total = f'sum(evalsvc_outcomes_total{{arm="{arm}"}})'
    until(lambda: server.values(total) == [sum(row["requests"] for row in rows)], lambda: rows)
    for status in ("ok", "model_error", "infra_error"):
        counted = server.values(f'sum(evalsvc_outcomes_total{{arm="{arm}", status="{status}"}})')
        assert counted == [sum(row[status] for row in rows)]
    calls = server.values(f'sum(gen_ai_client_operation_duration_seconds_count{{arm="{arm}"}})')
    assert calls == [sum(row["attempts"] for row in rows)]
    cost = server.values(f'evalsvc_cost_total{{arm="{arm}"}}')
    assert cost == pytest.approx([sum(row["cost"] for row in rows)])
    for sort in ("input", "output"):
        used = server.values(f'sum(gen_ai_client_token_usage_sum{{arm="{arm}", gen_ai_token_type="{sort}"}})')
        assert used == [sum(row["tokens"][sort] for row in rows)]
    for job_id, row in zip(jobs, rows, strict=True):
        p99 = f'evalsvc_job_latency_seconds{{eval_job="{job_id}", arm="{arm}", q="0.99"}}'
        until(
            lambda p99=p99, row=row: server.values(p99) == pytest.approx([row["latency"]["p99"]]), lambda row=row: row
        )


def test_the_pass_ratios_are_those_of_the_record(server: Prometheus, daemon: Daemon, jobs: list[str]) -> None:
    for suite in daemon.decision(jobs[0])["suites"]:
        for category in suite["categories"]:
            for arm in ("candidate", "baseline"):
                where = f'eval_job="{jobs[0]}", arm="{arm}", suite="{suite["name"]}", category="{category["name"]}"'
                assert server.values(f"evalsvc_job_pass_ratio{{{where}}}") == pytest.approx([category[arm]])


def test_the_pass_ratios_of_a_role_are_those_of_its_suites(server: Prometheus, daemon: Daemon, jobs: list[str]) -> None:
    suites = daemon.decision(jobs[0])["suites"]
    for role in {suite["role"] for suite in suites}:
        parts = [part for suite in suites if suite["role"] == role for part in suite["categories"]]
        for arm in ("candidate", "baseline"):
            mean = sum(part["cases"] * part[arm] for part in parts) / sum(part["cases"] for part in parts)
            where = f'eval_job="{jobs[0]}", arm="{arm}", role="{role}"'
            assert server.values(f"evalsvc_job_role_pass_ratio{{{where}}}") == pytest.approx([mean])


def test_the_exposition_is_clean_and_a_new_daemon_shows_what_is_done(
    promtool: str, daemon: Daemon, jobs: list[str], folder: Path
) -> None:
    before = scrape(daemon)
    checked = subprocess.run([promtool, "check", "metrics"], input=before, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    assert daemon.stop() == 0
    following = Daemon(folder)
    try:
        until(lambda: of_jobs(scrape(following)) == of_jobs(before), lambda: scrape(following))
    finally:
        assert following.stop() == 0
    lines = [json.loads(line) for line in following.log.splitlines()]
    states = {line["job"]: line["state"] for line in lines if line["event"] == "job.state"}
    assert states == dict.fromkeys(jobs, "done")


def scrape(daemon: Daemon) -> str:
    with urllib.request.urlopen(f"{daemon.url}/metrics", timeout=10) as answer:
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        return str(answer.read().decode())


def of_jobs(exposition: str) -> set[str]:
    return {line for line in exposition.splitlines() if line.startswith("evalsvc_job")}
