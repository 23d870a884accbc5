"""Results of a daemon's jobs: what it gives over HTTP is what its database gives, signature included."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from daemons import Daemon

from evalsvc.app.compare import compare
from evalsvc.app.results import FORMATS, write_report
from evalsvc.cli.main import evalsvc as command_line

ROWS = [{"id": f"c{i}", "input": f"q{i} é\u202e", "expected": "yes", "category": "ab"[i % 2]} for i in range(60)]


def on_the_command_line(*arguments: str) -> Any:
    """What a command prints and how it ends, in this process."""
    return CliRunner().invoke(command_line, list(arguments))


@pytest.fixture
def daemon(tmp_path: Path, write_job: Any, upstream: Any, chat: Any) -> Iterator[Daemon]:
    """One that has signed two decided jobs, the first of which it calls worse."""

    def answer(body: dict[str, Any]) -> tuple[int, bytes]:
        return 200, chat("no" if body["model"] == "weak" and hash(str(body["messages"])) % 3 else "yes")

    url = upstream(answer).url
    key = Ed25519PrivateKey.generate()
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "public.pem").write_bytes(public)
    (tmp_path / "key.pem").chmod(0o600)
    jobs = {name: write_job(ROWS, url=url, candidate=name).read_bytes() for name in ("weak", "strong")}
    with (tmp_path / "config.toml").open("a") as config:
        config.write('\n[signing]\nkey_file = "key.pem"\n')
    daemon = Daemon(tmp_path)
    with httpx2.Client(base_url=daemon.url, timeout=60, trust_env=False) as http:
        for job in jobs.values():
            parts = {"job": ("j", job), "cases.jsonl": ("x", (tmp_path / "cases.jsonl").read_bytes())}
            filed = http.post("/api/v1/jobs", files=parts).json()
            http.get(f"/api/v1/jobs/{filed['id']}/events")  # ends with the job
    yield daemon
    daemon.stop(signal.SIGKILL)


def test_a_daemon_gives_what_its_database_gives(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    database = tmp_path / "evalsvc.db"
    with httpx2.Client(base_url=f"{daemon.url}/api/v1", timeout=60, trust_env=False) as http:
        newest, first = (job["id"] for job in http.get("/jobs").json()["items"])
        for name in FORMATS.keys() - {"text"}:
            pieces: list[str] = []
            write_report(database, first, name, pieces.append, color=False, width=100)
            answer = http.get(f"/jobs/{first}/report", params={"format": name})
            assert answer.content == "".join(pieces).encode(), name
            assert answer.headers["content-disposition"].endswith(f'{first}.{FORMATS[name]}"')

        alike = http.get(f"/jobs/{first}/compare/{first}")
        assert alike.status_code == 422
        assert "with itself" in alike.json()["error"]["message"]

    painted = on_the_command_line("report", first[:15], "--url", daemon.url, "--color")
    assert painted.exit_code == 0, painted.output
    pieces = []
    write_report(database, first, "text", pieces.append, color=True, width=90)
    assert painted.stdout == "".join(pieces)
    for arm in ("candidate", "baseline"):
        log = on_the_command_line("report", first, "--url", daemon.url, "--format", "inspect", "--arm", arm)
        pieces = []
        write_report(database, first, "inspect", pieces.append, color=False, width=90, arm=arm)
        assert log.stdout == "".join(pieces)
        assert json.loads(log.stdout)["eval"]["model"].endswith({"candidate": "weak", "baseline": "base"}[arm])
    changed = on_the_command_line("compare", "latest~1", "latest", "--url", daemon.url, "--json")
    assert json.loads(changed.stdout) == json.loads(json.dumps(compare(database, first, newest).as_json()))
    assert on_the_command_line("compare", "latest~2", "latest", "--url", daemon.url).exception is not None

    signed = on_the_command_line("decision", "latest", "--url", daemon.url, "--envelope")
    assert signed.exit_code in (0, 3, 4)
    assert signed.stdout == on_the_command_line("decision", newest, "--db", str(database), "--envelope").stdout
    (tmp_path / "decision.dsse.json").write_text(signed.stdout)
    file, public = str(tmp_path / "decision.dsse.json"), str(tmp_path / "public.pem")
    checked = on_the_command_line("verify", file, "--db", str(database), "--key", public, "--json")
    assert checked.exit_code == 0, checked.output
    found = json.loads(checked.stdout)
    assert found["holds"] is True
    assert {check["name"]: check["state"] for check in found["checks"]}["signature"] == "holds"

    lines = [json.loads(line) for line in daemon.log.splitlines()]
    states = [line for line in lines if line["event"] == "job.state"]
    assert {line["job"] for line in states} == {first, newest}
    posted = [line for line in lines if (line["event"], line.get("path")) == ("http.answered", "/api/v1/jobs")]
    assert len({line["request"] for line in posted}) == 2


def test_a_daemon_calibrates_and_its_next_job_knows(daemon: Daemon, tmp_path: Path) -> None:
    command = ("calibrate", str(tmp_path / "job.toml"), "--url", daemon.url, "--resamples", "20", "--json")
    first = on_the_command_line(*command)
    assert first.exit_code == 0, first.output
    found = json.loads(first.stdout)
    assert (found["name"], found["baseline"], found["cases"], found["resamples"]) == ("a job", "base", 60, 20)
    again = json.loads(on_the_command_line(*command).stdout)
    assert again == found  # nobody was asked again
    refused = on_the_command_line(*command, "--resamples", "10001")
    assert "at most 10,000" in str(refused.exception)

    job = (tmp_path / "job.toml").read_bytes()
    with httpx2.Client(base_url=f"{daemon.url}/api/v1", timeout=60, trust_env=False) as http:
        itself = http.get(f"/jobs/{found['job']}").json()
        assert itself["name"] == "a job: the baseline against itself"
        told = http.get(f"/jobs/{found['job']}/calibration").json()
        assert told["gates"] == found["gates"]
        others = [each["id"] for each in http.get("/jobs").json()["items"] if each["id"] != found["job"]]
        assert len(others) == 2
        assert http.get(f"/jobs/{others[0]}/calibration").json()["error"]["code"] == "not_calibrated"
        once = http.post(f"/jobs/{others[0]}/calibration")
        assert (once.status_code, once.json()["error"]["code"]) == (422, "invalid_job")
        parts = {"job": ("j", job), "cases.jsonl": ("x", (tmp_path / "cases.jsonl").read_bytes())}
        filed = http.post("/jobs", files=parts, headers={"Idempotency-Key": "new"}).json()
        http.get(f"/jobs/{filed['id']}/events")
        record = http.get(f"/jobs/{filed['id']}/decision").json()
    assert record["calibration"]["job"] == found["job"]
    assert record["calibration"]["gates"] == found["gates"]

    other = (tmp_path / "job.toml").read_text().replace('name = "a job"', 'name = "other"\ntrials = 2')
    (tmp_path / "other.toml").write_text(other)
    of = ("calibrate", str(tmp_path / "other.toml"), "--url", daemon.url, "--job", found["job"])
    assert "another baseline, other suites or other gates" in str(on_the_command_line(*of).exception)

    path = f"{daemon.url}/api/v1/jobs/{found['job']}/calibration"
    for _ in range(8):  # each goes away before it is answered; the next would else be told to wait
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(path, params={"resamples": 10_000}, timeout=0.2, trust_env=False)
    assert on_the_command_line(*command).exit_code == 0
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.post(path, params={"resamples": 10_000}, timeout=0.2, trust_env=False)
    assert daemon.stop(signal.SIGTERM) == 0
    assert "Traceback" not in daemon.log
    assert "ASGI" not in daemon.log
