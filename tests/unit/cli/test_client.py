"""The client of the daemon against servers that answer well, badly, and not at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evalsvc.cli import client as module
from evalsvc.cli.cancel import command as cancel
from evalsvc.cli.client import Client, DaemonError, asked_for, client
from evalsvc.cli.following import follow
from evalsvc.cli.status import command as status
from evalsvc.errors import InputError, JobNotFound

#: From method and path to status, body; a body that is a list of str is a stream, broken off where it ends.
Script = Callable[[str, str, dict[str, str]], tuple[int, Any]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_FIRST_WAIT_S", "_LONGEST_WAIT_S", "_PATIENCE_S"):
        monkeypatch.setattr(module, name, 0.001)
    for name in ("EVALSVC_URL", "EVALSVC_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def serve() -> Iterator[Callable[[Script], str]]:
    servers: list[ThreadingHTTPServer] = []

    def start(script: Script) -> str:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                code, body = script(self.command, self.path, headers)
                raw = body if isinstance(body, bytes) else json.dumps(body).encode()
                if isinstance(body, list) and all(isinstance(each, str) for each in body):
                    raw = "".join(body).encode()
                self.send_response(code)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def do_GET(self) -> None:
                self.answer()

            def do_POST(self) -> None:
                self.answer()

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def event(number: int, name: str, **data: Any) -> str:
    return f"id: {number}\nevent: {name}\ndata: {json.dumps(data)}\n\n"


def job(state: str = "done", **other: Any) -> dict[str, Any]:
    plain = {"id": "j1", "name": "n", "state": state, "reason": None, "decision": None, "progress": None}
    return {**plain, **other}


def test_events_are_followed_over_broken_streams_without_gap_or_repeat(serve: Any) -> None:
    last_ids: list[str] = []
    streams = [
        ["retry: 2000\n\n", event(1, "state", state="running"), ": still here\n\n"],
        [event(2, "progress", recorded=1), "id: 3\nevent: st"],  # broken off in the middle
        [event(3, "state", state="done")],
    ]

    def script(_: str, path: str, headers: dict[str, str]) -> tuple[int, Any]:
        if path.endswith("/events"):
            last_ids.append(headers["last-event-id"])
            return 200, streams.pop(0)
        return 200, job("running" if streams else "done")

    found = list(Client(serve(script), None).follow("j1"))
    assert [(name, data.get("state")) for name, data in found] == [
        ("state", "running"),
        ("progress", None),
        ("state", "done"),
    ]
    assert last_ids == ["0", "1", "2"]


def test_a_job_that_has_ended_with_nothing_new_ends_the_stream(serve: Any) -> None:
    url = serve(lambda _, path, __: (204, b"") if path.endswith("/events") else (200, job()))
    assert list(Client(url, None).follow("j1")) == []


def test_a_daemon_that_stays_away_is_given_up(serve: Any) -> None:
    del serve
    with pytest.raises(DaemonError, match=r"no daemon answers at http://127\.0\.0\.1:9: "):
        list(Client("http://127.0.0.1:9", None).follow("j1"))


@pytest.mark.parametrize(
    ("code", "body", "sort", "said"),
    [
        (
            422,
            {"error": {"code": "invalid_job", "message": "no", "where": {"file": "a.jsonl", "line": 3, "key": "id"}}},
            InputError,
            "a.jsonl:3: id: no",
        ),
        (404, {"error": {"code": "job_not_found", "message": "no job x", "where": None}}, JobNotFound, "no job x"),
        (404, {"error": {"code": "not_found", "message": "not found"}}, DaemonError, "the daemon refused: not found"),
        (401, {"error": {"code": "unauthorized", "message": "who?"}}, DaemonError, "EVALSVC_TOKEN"),
        (409, {"error": {"code": "key_reused", "message": "used"}}, DaemonError, "the daemon refused: used"),
        (502, b"<html>", DaemonError, "the daemon refused: HTTP 502"),
        (500, [1, 2], DaemonError, "the daemon refused: HTTP 500"),
        (500, {"error": "x"}, DaemonError, "the daemon refused: HTTP 500"),
        (200, b"<html>", DaemonError, "does not answer as an evalsvc daemon"),
    ],
)
def test_what_a_daemon_refuses_is_said(serve: Any, code: int, body: Any, sort: type[Exception], said: str) -> None:
    with pytest.raises(sort, match=said.replace("?", r"\?")):
        Client(serve(lambda *_: (code, body)), None).job("j1")


def test_a_submission_whose_answer_was_lost_is_sent_again_with_its_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sent: list[dict[str, Any]] = []

    def ask(_: Client, method: str, path: str, **options: Any) -> Any:
        sent.append({"method": method, "path": path, **options})
        if len(sent) == 1:
            raise module._Unreachable("reset")
        return job("queued")

    monkeypatch.setattr(Client, "_ask", ask)
    (tmp_path / "a").write_text("x")
    (tmp_path / "mine.toml").write_text("toml")
    files = {"sub/a.jsonl": tmp_path / "a"}
    made = Client("http://h", None).submit(tmp_path / "mine.toml", files, key="k", limit=None, priority=3)
    assert made["id"] == "j1"
    assert [each["headers"] for each in sent] == [{"Idempotency-Key": "k"}] * 2
    assert sent[1]["params"] == {"priority": 3}
    assert [name for name, _ in sent[1]["files"]] == ["job", "sub/a.jsonl"]
    assert sent[1]["files"][0][1] == ("job.toml", b"toml")


def test_what_is_wrong_with_a_job_names_its_file_as_it_was_given(serve: Any, tmp_path: Path) -> None:
    where = {"file": "job.toml", "line": 3, "key": "trials"}
    url = serve(lambda *_: (422, {"error": {"code": "invalid", "message": "a number", "where": where}}))
    (tmp_path / "mine.toml").write_text("toml")
    with pytest.raises(InputError, match=r"mine\.toml:3: trials: a number"):
        Client(url, None).submit(tmp_path / "mine.toml", {}, key="k")


def test_a_job_is_meant_by_the_beginning_of_its_id(serve: Any) -> None:
    ids = ["aa2", "aa1", "b1"]

    def script(_: str, path: str, __: dict[str, str]) -> tuple[int, Any]:
        if "?" in path:
            return 200, {"items": [job(id=each) for each in ids], "next": None}
        wanted = path.rsplit("/", 1)[1]
        missing = {"error": {"code": "job_not_found", "message": "no", "where": None}}
        return (200, job(id=wanted)) if wanted in ids else (404, missing)

    daemon = Client(serve(script), None)
    assert [daemon.find(wanted) for wanted in ("latest", "b", "aa1")] == ["aa2", "b1", "aa1"]
    for wanted, said in (("aa", "2 jobs begin with 'aa'"), ("c", "no job 'c'"), ("", "no job ''")):
        with pytest.raises(JobNotFound, match=said):
            daemon.find(wanted)


def test_the_token_goes_along_and_is_told_nobody(serve: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[str | None] = []

    def script(_: str, __: str, headers: dict[str, str]) -> tuple[int, Any]:
        seen.append(headers.get("authorization"))
        return 200, job()

    url = serve(script)
    (tmp_path / "token").write_text("evs_file\n")
    client(url, None).job("j1")
    monkeypatch.setenv("EVALSVC_TOKEN", "evs_variable\n")
    client(url, None).job("j1")
    client(url, tmp_path / "token").job("j1")
    assert seen == [None, "Bearer evs_variable", "Bearer evs_file"]
    with pytest.raises(InputError, match="cannot be read"):
        client(url, tmp_path / "none")
    with pytest.raises(InputError) as caught:
        Client(url, "evs_\nX-Evil: 1")
    assert "Evil" not in str(caught.value)


def test_which_daemon_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (asked_for(None), client(None, None).url) == (None, "http://127.0.0.1:8321")
    monkeypatch.setenv("EVALSVC_URL", "https://h/base/")
    assert client(None, None).url == "https://h/base"
    assert asked_for("http://flag") == "http://flag"
    for wrong in ("ftp://x", "http://[::1", "http://", "http://h:99999", "http://h\n"):
        with pytest.raises(InputError, match="must be an http"):
            client(wrong, None)
    for inside in ("http://h/api/v1", "http://h/api/v1/", "http://h/?x=1"):
        with pytest.raises(InputError, match="names the daemon alone"):
            client(inside, None)
    with pytest.raises(JobNotFound, match="no job ''"):
        Client("http://h", None).find("")


def test_a_busy_daemon_is_asked_again_for_a_minute(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = (503, {"error": {"code": "busy", "message": "too many", "where": None}})
    answers: list[tuple[int, Any]] = [busy, busy, (200, b"drawn")]
    waits: list[float] = []
    monkeypatch.setattr(module, "_PATIENCE_S", 60)
    monkeypatch.setattr("evalsvc.cli.client.time.sleep", waits.append)
    daemon = Client(serve(lambda *_: answers.pop(0)), None)
    asked: dict[str, Any] = {"arm": "candidate", "width": 80, "color": False}
    assert "".join(daemon.report("j1", "text", **asked)) == "drawn"
    assert waits == [1, 1]
    answers += [busy, (200, {"gates": []})]
    assert daemon.calibrate("j1", 9, "ab") == {"gates": []}
    monkeypatch.setattr(module, "_PATIENCE_S", 0.5)
    answers += [busy]
    with pytest.raises(DaemonError, match="too many"):
        list(daemon.report("j1", "text", **asked))


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (job(decision="SHIP"), 0),
        (job(decision="ITERATE"), 3),
        (job(decision="HOLD"), 4),
        (job("failed", reason="\x1b[31m401"), 1),
        (job("cancelled"), 1),
    ],
)
def test_the_exit_code_is_the_decision_s(
    serve: Any, end: dict[str, Any], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    url = serve(lambda _, path, __: (200, [event(1, "state", state="x")]) if "events" in path else (200, end))
    assert follow(Client(url, None), "j1") == code
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize("simulated", [True, False])
@pytest.mark.parametrize("quiet", [True, False])
def test_every_line_of_a_decision_says_whether_it_was_a_rehearsal(
    serve: Any, simulated: bool, quiet: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    reasons = event(1, "decision", decision="SHIP", reasons=["it is\x1b[2J better", "it is fast"])
    stream, end = [reasons + event(2, "state", state="done")], job(decision="SHIP", simulated=simulated)
    url = serve(lambda _, path, __: (200, stream if "events" in path else end))
    assert follow(Client(url, None), "j1", quiet=quiet) == 0
    said = "SHIP (simulated)" if simulated else "SHIP"
    lines = [f"{said}: it is better", f"{said}: it is fast"]
    assert capsys.readouterr().err.splitlines() == (lines if quiet else ["done", *lines])


def test_status_of_a_daemon_is_inert_and_json_is_as_sent(serve: Any) -> None:
    items = [
        job("paused", name="\x1b]0;x\x07", reason="disk", progress={"recorded": 5, "total": 9}),
        job("cancelled", progress={"recorded": 3, "total": None}),
        job("queued"),
    ]
    url = serve(lambda *_: (200, {"items": items, "next": None}))
    shown = CliRunner().invoke(status, ["--url", url])
    assert "paused" in shown.output
    assert [line.split()[2] for line in shown.output.splitlines()] == ["5/9", "3/-", "-/-"]
    assert "\x1b" not in shown.output
    assert json.loads(CliRunner().invoke(status, ["--url", url, "--json"]).output) == items


def test_cancel_says_what_became_of_the_job(serve: Any) -> None:
    url = serve(lambda method, *_: (200, job("cancelled" if method == "POST" else "running")))
    assert CliRunner().invoke(cancel, ["j1", "--url", url]).output == "j1 is cancelled\n"
