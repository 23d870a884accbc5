"""``evalsvc doctor`` as a process, on real databases and model servers."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from anyio import to_thread

from evalsvc.store.database import open_database


def checks(ran: Any) -> dict[str, dict[str, Any]]:
    """The last word on each thing that was looked at."""
    return {each["name"]: each for each in json.loads(ran.out)["checks"]}


@contextmanager
def server(
    models: list[str] | None, answers: dict[str, Any], key: str = "sk-1234567"
) -> Iterator[tuple[str, list[Any]]]:
    """A model server: lists ``models`` (None: not at all), answers those of ``answers``, other models with a 404.

    An answer is the one limit of tokens it takes, or a status.
    """
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers["authorization"] != f"Bearer {key}":
                self.reply(401, {"error": {"message": f"no such key {self.headers['authorization']}"}})
            elif models is None:
                self.reply(404, {})
            else:
                self.reply(200, {"data": [{"id": model} for model in models]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked.append(body)
            takes = answers.get(body["model"], 404)
            if isinstance(takes, int):
                self.reply(takes, {"error": {"message": f"{key} \x1b[31mred"}})
            elif takes not in body:
                self.reply(400, {"error": {"message": "another limit, please"}})
            else:
                choice = {"index": 0, "message": {"role": "assistant", "content": "H"}, "finish_reason": "length"}
                self.reply(200, {"id": "1", "model": body["model"], "choices": [choice]})

        def reply(self, status: int, body: Any) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_address[1]}/v1", asked
        found.shutdown()


def configure(folder: Path, **urls: str) -> None:
    tables = (f'[endpoints.{name}]\nbase_url = "{url}"\napi_key_env = "KEY"\n' for name, url in urls.items())
    (folder / "config.toml").write_text("".join(tables))


def test_a_fresh_machine_has_no_problem(evalsvc: Any, tmp_path: Path) -> None:
    ran = evalsvc("doctor")
    assert ran.code == 0, ran.out
    assert "SQLite" in ran.out
    assert not list(tmp_path.iterdir())


def test_problems_give_1_and_say_what_to_mend(evalsvc: Any, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[server]\nport = "x"\n')
    ran = evalsvc("doctor", "--json")
    assert (ran.code, json.loads(ran.out)["healthy"]) == (1, False)
    assert "config.toml:2: server.port" in checks(ran)["configuration"]["found"]
    assert checks(ran)["configuration"]["mend"]


def test_a_database_of_a_newer_evalsvc(evalsvc: Any, tmp_path: Path) -> None:
    assert evalsvc("token", "create", "me", "--role", "admin").code == 0
    ran = evalsvc("doctor", "--json")
    assert (ran.code, checks(ran)["database"]["level"]) == (0, "ok")
    assert "1 API tokens" in checks(ran)["server"]["found"]
    with sqlite3.connect(tmp_path / "evalsvc.db") as connection:
        connection.execute("PRAGMA user_version = 9999")
    connection.close()
    ran = evalsvc("doctor", "--json")
    assert ran.code == 1
    assert "9999" in checks(ran)["database"]["found"]


@pytest.mark.anyio
async def test_a_database_that_somebody_has_in_hand(evalsvc: Any, tmp_path: Path) -> None:
    async with open_database(tmp_path / "evalsvc.db"):
        ran = await to_thread.run_sync(evalsvc, "doctor", "--json")
    assert ran.code == 0
    assert "in use by an evalsvc process" in checks(ran)["database"]["found"]


def test_asking(evalsvc: Any, tmp_path: Path) -> None:
    with (
        server(["m"], {"m": "max_tokens"}) as (old, asked),
        server(["n"], {"n": "max_completion_tokens"}) as (new, _),
        server(["m"], {}, key="other") as (closed, _),
        server(["whisper", "m"], {"m": "max_tokens", "whisper": 400}) as (mixed, _),
        server(None, {}) as (secretive, _),
        server(["m"], {"m": 500}) as (broken, _),
    ):
        configure(tmp_path, old=old, new=new, closed=closed, mixed=mixed, secretive=secretive, broken=broken)
        ran = evalsvc("doctor", "--ask", "--json", env={"KEY": "sk-1234567"})
        found = checks(ran)
        assert ran.code == 1
        levels = {name.removeprefix("endpoint "): c["level"] for name, c in found.items() if "endpoint" in name}
        assert {name: levels[name] for name in ("old", "new", "closed", "mixed", "secretive", "broken")} == {
            "old": "ok",
            "new": "ok",
            "closed": "problem",
            "mixed": "warning",
            "secretive": "warning",
            "broken": "problem",
        }
        assert asked[0]["max_tokens"] == 1
        assert "--model mixed=MODEL" in found["endpoint mixed"]["mend"]
        assert "sk-1234567" not in ran.out
        shown = evalsvc("doctor", "--model", "mixed=m", env={"KEY": "sk-1234567"})
        assert re.search("ok +endpoint mixed +m answered", shown.out)
        assert "\x1b" not in shown.out


def test_an_endpoint_that_is_not_there(evalsvc: Any, tmp_path: Path) -> None:
    configure(tmp_path, gone="http://127.0.0.1:9/v1")
    ran = evalsvc("doctor", "--json", "--ask", env={"KEY": "k"})
    assert (ran.code, checks(ran)["endpoint gone"]["level"]) == (1, "problem")


def test_a_model_of_no_endpoint(evalsvc: Any) -> None:
    ran = evalsvc("doctor", "--model", "nowhere=m")
    assert ran.code == 2
    assert "it has openai, sim" in ran.err
