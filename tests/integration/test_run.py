"""`evalsvc run` as a user meets it: what it prints, writes and answers, on good input and on bad."""

from __future__ import annotations

import fcntl
import json
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

ROWS = [{"id": f"c{i}", "input": f"q{i}", "expected": "42", "category": "ab"[i % 2]} for i in range(30)]


def created(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"cases.jsonl", "config.toml", "job.toml"}


def outcomes(folder: Path) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(f"file:{folder / 'evalsvc.db'}?mode=ro", uri=True)
    try:
        return connection.execute(
            "SELECT case_id, arm, status, kind, score, text, repaired FROM outcomes ORDER BY position, arm"
        ).fetchall()
    finally:
        connection.close()


def test_a_job_end_to_end(evalsvc: Any, upstream: Any, write_job: Any, chat: Any, tmp_path: Path) -> None:
    server = upstream(lambda body: (200, chat("42" if body["model"] == "cand" else "41")))
    job = write_job(ROWS, url=server.url, more='[gates.human_preference]\nwaive = "none"')
    ran = evalsvc("run", job, "--out", tmp_path / "out")
    assert ran.code == 4, ran.err
    assert "HOLD" in ran.out
    assert "latency_p99" in ran.err
    assert "407 more cases" in ran.err  # what would resolve it: a p99 needs 437
    record = json.loads((tmp_path / "out" / "decision.json").read_text())
    assert record["decision"] == "HOLD"
    assert "<html" in (tmp_path / "out" / "report.html").read_text()
    verdicts = {gate["name"]: gate["verdict"] for gate in record["gates"]}
    assert verdicts["target_improvement"] == "PASS"
    assert verdicts["general_regression"] == "NOT_MEASURED"
    assert record["suites"][0]["wins"] == {"candidate": 30, "baseline": 0, "ties": 0}
    assert record["arms"]["candidate"]["tokens"] == {"input": 300, "output": 60}
    assert len(server.asked) == 60
    # decided is decided: the same command prints it again and asks nobody
    again = evalsvc("run", job, "--json")
    assert (again.code, len(server.asked)) == (4, 60)
    assert again.record == record
    assert evalsvc("run", job, "--again", "--json").record["job"]["id"] != record["job"]["id"]
    assert len(server.asked) == 120


def test_limit_is_another_job(evalsvc: Any, upstream: Any, write_job: Any, chat: Any) -> None:
    server = upstream(lambda _: (200, chat("42")))
    job = write_job(ROWS, url=server.url)
    some = evalsvc("run", job, "--limit", "7", "--json").record
    assert some["suites"][0]["cases"] == 7
    assert len(server.asked) == 14
    assert evalsvc("run", job, "--json").record["job"]["spec_sha256"] != some["job"]["spec_sha256"]


def test_what_a_model_may_do_wrong_has_its_own_outcome(
    evalsvc: Any, upstream: Any, write_job: Any, chat: Any, tmp_path: Path
) -> None:
    replies = {
        "q0": (200, chat("42", "length")),
        "q1": (200, chat("")),
        "q2": (200, chat("I cannot", "content_filter")),
        "q3": (400, b'{"error":{"code":"context_length_exceeded"}}'),
        "q4": (400, b'{"error":{"message":"bad temperature"}}'),
        "q5": (200, b"<html>502 Bad Gateway</html>"),
        "q6": (200, b'{"choices":[]}'),
        "q7": (200, chat("\ud800 42 \x00")),
        "q8": (500, b"oops"),
    }
    server = upstream(lambda body: replies.get(body["messages"][-1]["content"], (200, chat("42"))))
    job = write_job(ROWS, url=server.url, scorer='{ name = "contains" }')
    ran = evalsvc("run", job, "--json", env={"EVALSVC_ENGINE__MAX_ATTEMPTS": "2"})
    assert ran.code == 4, ran.err
    found = {row[0]: row[2:] for row in outcomes(tmp_path) if row[1] == "candidate"}
    assert {f"c{i}": found[f"c{i}"][:3] for i in range(9)} == {
        "c0": ("model_error", "truncated", 0.0),
        "c1": ("model_error", "empty", 0.0),
        "c2": ("model_error", "refused", 0.0),
        "c3": ("model_error", "context_overflow", 0.0),
        "c4": ("infra_error", "rejected", None),
        "c5": ("infra_error", "protocol", None),
        "c6": ("infra_error", "protocol", None),
        "c7": ("ok", None, 1.0),
        "c8": ("infra_error", "server", None),
    }
    assert found["c7"][3:] == ("� 42 \x00", "lone surrogates replaced")
    record = ran.record
    assert (record["arms"]["candidate"]["model_error"], record["arms"]["candidate"]["infra_error"]) == (4, 4)
    assert record["arms"]["candidate"]["retries"] == {"protocol": 2, "server": 1}
    assert next(g for g in record["gates"] if g["name"] == "target_improvement")["verdict"] == "NOT_MEASURED"
    assert any("cut off" in warning for warning in record["warnings"])


@pytest.mark.parametrize(
    ("status", "body", "word"),
    [(401, b'{"error":{"message":"bad key"}}', "401"), (404, b'{"error":{"code":"model_not_found"}}', "404")],
)
def test_a_wrong_key_or_model_stops_the_job_at_once(
    evalsvc: Any, upstream: Any, write_job: Any, chat: Any, status: int, body: bytes, word: str
) -> None:
    broken = [True]
    server = upstream(lambda _: (status, body) if broken[0] else (200, chat("42")))
    job = write_job(ROWS * 1, url=server.url, endpoint="max_in_flight = 4")
    ran = evalsvc("run", job)
    assert ran.code == 1
    assert word in ran.err
    assert "endpoint up" in ran.err
    assert "Traceback" not in ran.err
    assert len(server.asked) <= 8
    broken[0] = False  # mended, the same command goes on
    assert evalsvc("run", job).code == 4


def test_a_refused_endpoint_is_waited_for_and_the_job_can_be_resumed(
    evalsvc: Any, upstream: Any, write_job: Any, chat: Any, tmp_path: Path
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        job = write_job(ROWS[:3], url=f"http://127.0.0.1:{closed.getsockname()[1]}/v1")
        ran = evalsvc("run", job, "--patience", "1")
    assert ran.code == 1
    assert "endpoint up is down" in ran.err
    assert outcomes(tmp_path) == []
    server = upstream(lambda _: (200, chat("42")))
    resumed = evalsvc("run", job, "--json", env={"EVALSVC_ENDPOINTS__UP__BASE_URL": server.url})
    assert resumed.code == 4
    assert any("URL was" in warning for warning in resumed.record["warnings"])


def test_a_scorer_that_raises_costs_a_score_and_no_job(
    evalsvc: Any, upstream: Any, write_job: Any, chat: Any, tmp_path: Path
) -> None:
    server = upstream(lambda body: (200, chat("a" * 40 + "!" if body["messages"][-1]["content"] == "q1" else "42")))
    scorer = r'{ name = "regex", pattern = "(a|aa)+$|42", time_limit_s = 0.05 }'
    ran = evalsvc("run", write_job(ROWS, url=server.url, scorer=scorer), "--json")
    assert ran.code == 4, ran.err
    scores = {(row[0], row[2]): row[4] for row in outcomes(tmp_path)}
    assert scores["c1", "ok"] is None
    assert scores["c2", "ok"] == 1.0


BAD_ROWS = {
    "empty data set": (b"", "cases.jsonl", "no cases"),
    "not UTF-8": (b'{"input": "caf\xe9", "expected": "x"}\n', "cases.jsonl:1", "UTF-8"),
    "half a line": (b'{"input": "a", "expected": "x"}\n{"input": "b", "exp', "cases.jsonl:2", ""),
    "duplicate key": (b'{"input": "a", "input": "b", "expected": "x"}\n', "cases.jsonl:1", "input"),
    "NaN": (b'{"input": "a", "expected": "x", "metadata": {"w": NaN}}\n', "cases.jsonl:1", ""),
    "unknown key": (b'{"inputs": "a", "expected": "x"}\n', "cases.jsonl:1", "input"),
    "duplicate id": (b'{"id": "1", "input": "a", "expected": "x"}\n{"id": "1", "input": "b", "expected": "x"}\n',
                     "cases.jsonl:2", "id"),
    "no expected": (b'{"id": "1", "input": "a"}\n', "cases.jsonl", "expected"),
    "too long": (b'{"input": "' + b"a" * (2**20) + b'", "expected": "x"}\n', "cases.jsonl:1", "row"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_bad_data_set_is_one_error_and_nothing_is_created(
    evalsvc: Any, write_job: Any, tmp_path: Path, name: str
) -> None:
    content, place, word = BAD_ROWS[name]
    job = write_job([], url="http://127.0.0.1:9/v1")
    (tmp_path / "cases.jsonl").write_bytes(content)
    ran = evalsvc("run", job, env={"EVALSVC_ENGINE__MAX_ROW_MB": "1"})
    assert (ran.code, ran.out) == (2, "")
    assert place in ran.err
    assert word in ran.err
    assert len(ran.err.strip().splitlines()) == 1
    assert created(tmp_path) == set()


BAD_JOBS: dict[str, tuple[Callable[[str], str], str, str]] = {
    "unknown key": (lambda text: text.replace("seed", "sead"), "job.toml:2", "seed"),
    "wrong type": (lambda text: text.replace("seed = 7", 'seed = "7"'), "job.toml:2", "integer"),
    "unknown endpoint": (lambda text: text.replace('"up"', '"down"', 1), "job.toml:4", "known: openai, sim, up"),
    "unknown scorer": (
        lambda text: text.replace("exact_match", "exactmatch"),
        "job.toml:13",
        'did you mean "exact_match"?',
    ),
    "scorer option": (
        lambda text: text.replace('"exact_match"', '{ name = "numeric", tolerence = 1 }'),
        "job.toml:13",
        'did you mean "tolerance"?',
    ),
    "misspelt format": (
        lambda text: text.replace("scorer =", 'format = "natve"\nscorer ='),
        "job.toml:13",
        'did you mean "native"?',
    ),
    "misspelt endpoint": (lambda text: text.replace('"up"', '"simm"', 1), "job.toml:4", 'did you mean "sim"?'),
    "misspelt gate": (
        lambda text: text + "[gates.latency_p9]\nthreshold = 2\n",
        "job.toml:15",
        'did you mean "latency_p99"?',
    ),
    "missing data set": (lambda text: text.replace("cases.jsonl", "none.jsonl"), "job.toml:12", "none.jsonl"),
    "no TOML": (lambda text: text + "\n[[[", "job.toml:16", ""),
    "unknown gate": (lambda text: text + "[gates.speed]\n", "job.toml:15", "latency_p99"),
    "a URL": (lambda text: text.replace('"up"', '"http://x/v1"', 1), "job.toml:4", "config.toml"),
}


@pytest.mark.parametrize("name", BAD_JOBS)
def test_a_bad_job_is_one_error_and_nothing_is_created(evalsvc: Any, write_job: Any, tmp_path: Path, name: str) -> None:
    change, place, word = BAD_JOBS[name]
    job = write_job(ROWS, url="http://127.0.0.1:9/v1")
    job.write_text(change(job.read_text()))
    ran = evalsvc("run", job)
    assert (ran.code, ran.out) == (2, "")
    assert place in ran.err
    assert word in ran.err
    assert len(ran.err.strip().splitlines()) == 1
    assert created(tmp_path) == set()


def test_a_key_is_sent_to_its_endpoint_and_shown_nowhere(
    evalsvc: Any, upstream: Any, write_job: Any, chat: Any, tmp_path: Path
) -> None:
    canary = "sk-CANARY-0123456789"
    echo = chat(f"my key is {canary}").replace(b'"served"', f'"{canary}"'.encode())
    padded = ("x" * 190 + canary).encode()
    replies = iter([(400, f'{{"error": "your key {canary} is odd"}}'.encode()), (200, echo), (400, padded)])
    server = upstream(lambda _: next(replies, (200, chat("42"))))
    job = write_job(ROWS[:5], url=server.url, endpoint='api_key_env = "CANARY_KEY"')
    missing = evalsvc("run", job)
    assert missing.code == 2
    assert "CANARY_KEY" in missing.err
    ran = evalsvc("run", job, "--out", tmp_path / "out", env={"CANARY_KEY": canary})
    assert set(server.keys) == {f"Bearer {canary}"}
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"CANARY-0" not in written + ran.out.encode() + ran.err.encode()


def test_the_database_is_held_by_one_process(evalsvc: Any, write_job: Any, tmp_path: Path) -> None:
    job = write_job(ROWS, url="http://127.0.0.1:9/v1")
    with (tmp_path / "evalsvc.db.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ran = evalsvc("run", job)
    assert ran.code == 75
    assert "in use" in ran.err


def test_a_database_of_a_newer_evalsvc_is_left_alone(evalsvc: Any, write_job: Any, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "evalsvc.db") as connection:
        connection.executescript("PRAGMA application_id = 0x65767376; PRAGMA user_version = 999")
    connection.close()
    ran = evalsvc("run", write_job(ROWS, url="http://127.0.0.1:9/v1"))
    assert ran.code == 78
    assert "999" in ran.err


def test_the_schemas_are_json_schemas(evalsvc: Any) -> None:
    for what in ("job", "config"):
        jsonschema_rs.meta.validate(json.loads(evalsvc("schema", what).out))


def test_help_teaches(evalsvc: Any) -> None:
    assert "evalsvc run" in evalsvc("--help").out
    assert "--patience" in evalsvc("run", "--help").out
    assert evalsvc("fly").code == 2


def test_cases_that_repeat_each_other_are_said_to(evalsvc: Any, upstream: Any, write_job: Any, chat: Any) -> None:
    server = upstream(lambda _: (200, chat("42")))
    rows = [{"id": str(i), "input": "the same", "expected": "42"} for i in range(5)]
    ran = evalsvc("run", write_job(rows, url=server.url), "--json")
    assert any("4 of 5 target cases repeat" in warning for warning in ran.record["warnings"])


def test_a_database_with_two_names_or_another_content_is_not_touched(
    evalsvc: Any, write_job: Any, tmp_path: Path
) -> None:
    job = write_job(ROWS, url="http://127.0.0.1:9/v1")
    (tmp_path / "text").write_text("no database")
    ran = evalsvc("run", job, "--db", "text")
    assert (ran.code, (tmp_path / "text").read_text()) == (78, "no database")
    (tmp_path / "a.db").touch()
    (tmp_path / "b.db").hardlink_to(tmp_path / "a.db")
    ran = evalsvc("run", job, "--db", "b.db")
    assert ran.code == 78
    assert "hard links" in ran.err
    assert not list(tmp_path.glob("*.lock"))


def test_a_full_disk_behind_stdout_is_one_line(evalsvc: Any, upstream: Any, write_job: Any, chat: Any) -> None:
    server = upstream(lambda _: (200, chat("42")))
    job = write_job(ROWS, url=server.url)
    evalsvc("run", job)
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "evalsvc", "run", str(job), "--json"]
        done = subprocess.run(command, cwd=job.parent, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "cannot print" in done.stderr
    assert "Traceback" not in done.stderr
