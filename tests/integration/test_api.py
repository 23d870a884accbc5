"""The real daemon behind the real API: a job by hand, tokens while it runs, and no secret anywhere."""

from __future__ import annotations

import json
import os
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from daemons import Daemon

CANARY = "sk-CANARY-0123456789abcdef"
FILED_CANARY = "another-canary-9876543210"  # looks like no key: only who knows it can hide it
ROWS = [{"id": f"c{i}", "input": f"q{i}", "expected": "yes"} for i in range(40)]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    started: list[Daemon] = []

    def start(**options: Any) -> Daemon:
        started.append(Daemon(tmp_path, **options))
        return started[-1]

    yield start
    for daemon in started:
        daemon.stop(signal.SIGKILL)


def parts(job: Path) -> dict[str, tuple[str, bytes]]:
    return {"job": ("job.toml", job.read_bytes()), "cases.jsonl": ("x", (job.parent / "cases.jsonl").read_bytes())}


def events(text: str) -> list[tuple[int, str, dict[str, Any]]]:
    found = []
    for frame in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in frame.splitlines())
        if "id" in fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


def test_a_job_by_hand(serve: Any, upstream: Any, chat: Any, write_job: Any) -> None:
    job = write_job(ROWS, url=upstream(lambda _: (200, chat("yes"))).url)
    with httpx2.Client(base_url=serve().url, timeout=60, trust_env=False) as http:
        filed = http.post("/api/v1/jobs", files=parts(job), headers={"Idempotency-Key": "k"})
        assert filed.status_code == 201
        where = filed.headers["location"]
        again = http.post("/api/v1/jobs", files=parts(job), headers={"Idempotency-Key": "k"})
        assert (again.status_code, again.json()["id"]) == (200, filed.json()["id"])

        seen = events(http.get(f"{where}/events").text)  # ends with the job
        ids = [each[0] for each in seen]
        assert ids == sorted(set(ids))
        assert {name for _, name, _ in seen} >= {"state", "gate", "decision"}
        assert [data["state"] for _, name, data in seen if name == "state"][-1] == "done"
        rest = events(http.get(f"{where}/events", headers={"Last-Event-ID": str(ids[2])}).text)
        assert rest == seen[3:]
        assert http.get(f"{where}/events", headers={"Last-Event-ID": str(ids[-1])}).status_code == 204

        found = http.get(where).json()
        assert (found["state"], found["progress"]["recorded"], found["progress"]["total"]) == ("done", 80, 80)
        record = http.get(f"{where}/decision").json()
        assert record["decision"] == found["decision"]
        outcomes: list[dict[str, Any]] = []
        after = 0
        while after is not None:
            page = http.get(f"{where}/outcomes?limit=33&after={after}").json()
            outcomes += page["items"]
            after = page["next"]
        assert len({(each["case_id"], each["arm"]) for each in outcomes}) == len(outcomes) == 80
        report = http.get(f"/jobs/{found['id']}/report")
        assert record["decision"] in report.text
        assert "script-src" not in report.headers["content-security-policy"]
        assert http.post(f"{where}/cancel").status_code == 409


def test_errors_of_a_job_name_file_line_and_key(serve: Any, write_job: Any) -> None:
    job = write_job([*ROWS, {"id": "c1", "input": "twice"}], url="http://127.0.0.1:9/v1")
    with httpx2.Client(base_url=serve().url, timeout=60, trust_env=False) as http:
        error = http.post("/api/v1/jobs", files=parts(job)).json()["error"]
        assert (error["code"], error["where"]["file"], error["where"]["line"]) == ("invalid_job", "cases.jsonl", 41)
        sent = {**parts(job), "job": ("j", job.read_bytes() + b"\nnonsense = 1\n")}
        error = http.post("/api/v1/jobs", files=sent).json()["error"]
        assert error["where"]["key"]
        assert http.get("/api/v1/jobs").json()["items"] == []


def test_no_path_of_a_client_is_opened(serve: Any, write_job: Any, tmp_path: Path) -> None:
    job = write_job(ROWS, url="http://127.0.0.1:9/v1")
    with httpx2.Client(base_url=serve().url, timeout=60, trust_env=False) as http:
        for path in ("/etc/passwd", "../../../../etc/passwd", "/proc/self/environ", str(tmp_path / "cases.jsonl")):
            text = job.read_bytes().replace(b"cases.jsonl", path.encode())
            answer = http.post("/api/v1/jobs", files={"job": ("j", text)})
            assert answer.status_code == 422, path
            assert "root:" not in answer.text


def test_tokens_while_a_daemon_runs(serve: Any, write_job: Any, upstream: Any, chat: Any, evalsvc: Any) -> None:
    job = write_job(ROWS, url=upstream(lambda _: (200, chat("yes"))).url)
    daemon = serve()

    def token(*arguments: str, by: str = "") -> str:
        done = evalsvc("token", *arguments, env={"EVALSVC_URL": daemon.url, "EVALSVC_TOKEN": by})
        assert done.code == 0, done.err
        return str(done.out)

    admin = token("create", "root", "--role", "admin").strip()
    viewer = token("create", "ci", "--role", "viewer", by=admin).strip()
    refused = evalsvc("token", "list", "--url", daemon.url, env={"EVALSVC_TOKEN": viewer})
    assert refused.code == 1
    assert "viewer" in refused.err
    rows = json.loads(token("list", "--json", by=admin))
    assert [(row["name"], row["role"], row["state"]) for row in rows] == [
        ("root", "admin", "valid"),
        ("ci", "viewer", "valid"),
    ]
    with httpx2.Client(base_url=daemon.url, timeout=60, trust_env=False) as http:
        good = {"Authorization": f"Bearer {viewer}"}
        assert http.get("/api/v1/jobs").status_code == 401
        assert http.get("/api/v1/jobs", headers=good).status_code == 200
        assert http.post("/api/v1/jobs", files=parts(job), headers=good).status_code == 403
        token("revoke", rows[1]["id"], by=admin)
        assert http.get("/api/v1/jobs", headers=good).status_code == 401


def test_tokens_survive_and_are_made_without_a_daemon(evalsvc: Any, tmp_path: Path) -> None:
    database = ("--db", tmp_path / "e.db")
    first = evalsvc("token", "create", "x", "--role", "viewer", *database)
    assert first.code == 2
    assert "admin" in first.err
    made = evalsvc("token", "create", "root", "--role", "admin", "--days", "1", *database, "--json")
    token = json.loads(made.out)
    assert (token["role"], token["state"]) == ("admin", "valid")
    listed = evalsvc("token", "list", *database)
    assert "root" in listed.out
    assert token["token"] not in listed.out
    assert evalsvc("token", "revoke", token["id"], *database).code == 0
    assert "revoked" in evalsvc("token", "list", *database).out
    assert evalsvc("token", "revoke", "nothing", *database).code == 2


def test_no_other_address_is_listened_on_without_tokens(evalsvc: Any, tmp_path: Path) -> None:
    done = evalsvc("serve", "--host", "0.0.0.0", "--port", "0", "--db", tmp_path / "e.db")
    assert done.code == 2
    assert "evalsvc token create" in done.err


def test_no_secret_is_anywhere(
    serve: Any, upstream: Any, chat: Any, write_job: Any, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def leak(body: dict[str, Any]) -> tuple[int, bytes]:
        # each endpoint repeats the other's key, too, and one writes it in JSON's other ways
        said = f"bad key {CANARY} in Bearer {FILED_CANARY}"
        if body["model"] == "cand":
            return 400, json.dumps({"error": {"message": said}}).encode()
        text = "".join(f"\\u{ord(letter):04x}" for letter in said)
        return 200, chat("TEXT").replace(b"TEXT", text.encode())

    server = upstream(leak)
    job = write_job(ROWS, url=server.url, endpoint='api_key_env = "UP_KEY"')
    job.write_text(job.read_text().replace('endpoint = "up"\nmodel = "base"', 'endpoint = "filed"\nmodel = "base"'))
    with (tmp_path / "config.toml").open("a") as config:
        config.write('\n[telemetry]\nlog_level = "debug"\n')
        config.write(f'[endpoints.filed]\nbase_url = "{server.url}"\n')
        config.write('api_key_file = "$CREDENTIALS_DIRECTORY/key"\n')
    credentials = tmp_path_factory.mktemp("credentials")
    (credentials / "key").write_text(FILED_CANARY)
    daemon = serve(env={"UP_KEY": CANARY, "CREDENTIALS_DIRECTORY": str(credentials)})
    said = []
    with httpx2.Client(base_url=daemon.url, timeout=60, trust_env=False) as http:
        filed = http.post("/api/v1/jobs", files=parts(job), headers={"Authorization": f"Bearer {CANARY}"}).json()
        where = f"/api/v1/jobs/{filed['id']}"
        said.append(http.get(f"{where}/events").text)
        pages = (where, f"{where}/outcomes", f"{where}/decision", "/metrics", "/", f"/jobs/{filed['id']}")
        said += [http.get(path, headers={"Accept": "text/html"}).text for path in pages]
        assert "bad key" in said[2]  # the server's own words are there, without the key
        said.append(http.get(f"/jobs/{filed['id']}/report").text)
        said += [http.get(f"{where}/report", params={"format": name}).text for name in ("text", "junit", "jsonl")]
        admin = http.post("/api/v1/tokens", json={"name": "a", "role": "admin"}).json()["token"]
        for given in (CANARY, f"evs_000000000000_{CANARY.ljust(43, 'x')}"):
            said.append(http.get("/api/v1/jobs", headers={"Authorization": f"Bearer {given}"}).text)
            said.append(http.post("/api/v1/session", json={"token": given}).text)
        assert http.get("/api/v1/jobs", headers={"Authorization": f"Bearer {admin}"}).status_code == 200
    assert set(server.keys) == {f"Bearer {CANARY}", f"Bearer {FILED_CANARY}"}  # where they belong, they are sent
    daemon.stop(signal.SIGTERM)
    said.append(daemon.log)
    assert len(said[1]) > 100
    for each in said:
        assert CANARY not in each
        assert FILED_CANARY not in each
        assert admin not in each
    secret = admin.split("_", 2)[2].encode()
    for folder, _, names in os.walk(tmp_path):
        for name in names:
            path = Path(folder, name)
            if stat.S_ISREG(path.stat().st_mode) and path.name != "config.toml":
                assert CANARY.encode() not in path.read_bytes(), path
                assert FILED_CANARY.encode() not in path.read_bytes(), path
                assert secret not in path.read_bytes(), path
