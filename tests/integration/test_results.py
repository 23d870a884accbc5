"""Commands that read results, as a user meets them: real jobs on the simulator, real processes."""

from __future__ import annotations

import csv
import fcntl
import hashlib
import io
import json
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
HOSTILE = "\x1b[31mred\x1b]52;c;Zm9v\x07 =1+1 </failure> | `x` @all \u202e"
ROWS = [{"id": f"c{i}", "input": f"q{i}", "expected": "42", "category": "ab"[i % 2]} for i in range(30)]

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose database holds the demo job twice: with a good and with a bad candidate (the newer one)."""
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "config.toml").touch()
    for model in ("sim-candidate", "sim-regressed"):
        shutil.copytree(EXAMPLES, folder / model)
        job = folder / model / "demo" / "job.toml"
        job.write_text(job.read_text(encoding="utf-8").replace("sim-candidate", model), encoding="utf-8")
        command = [sys.executable, "-m", "evalsvc", "run", str(job), "--limit", "40"]
        subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=False)
    return folder


@pytest.fixture
def read(jobs: Path) -> Run:
    """Runs ``evalsvc ARGUMENTS`` in that folder; gives code, stdout and stderr."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "evalsvc", *map(str, arguments)]
        done = subprocess.run(command, cwd=jobs, capture_output=True, timeout=120, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    return run


@pytest.fixture
def untouched(jobs: Path) -> Iterator[None]:
    """What reads leaves the database as it was, and nothing beside it."""

    def state() -> tuple[str, list[str]]:
        digest = hashlib.sha256((jobs / "evalsvc.db").read_bytes()).hexdigest()
        return digest, sorted(path.name for path in jobs.glob("evalsvc.db*"))

    before = state()
    yield
    assert state() == before


pytestmark = pytest.mark.usefixtures("untouched")


def test_status_of_all_and_of_one(read: Run) -> None:
    code, out, err = read("status")
    assert (code, err) == (0, "")
    heads, newer, older = out.splitlines()
    assert heads.startswith("ID ")
    assert "ITERATE" in newer
    assert "320/320" in newer
    entries = json.loads(read("status", "--json")[1])
    assert [entry["models"]["candidate"] for entry in entries] == ["sim-regressed", "sim-candidate"]
    assert older.startswith(entries[1]["id"])
    code, out, _ = read("status", entries[1]["id"][:14])
    assert code == 0
    assert "sim-candidate" in out
    one = json.loads(read("status", "latest~1", "--json")[1])
    assert one.pop("answers") == [
        {"arm": arm, "status": "ok", "kind": None, "count": 160} for arm in ("candidate", "baseline")
    ]
    assert one == entries[1]
    assert "older jobs not shown: 1" in read("status", "--limit", "1")[1]


def test_a_decision_gives_its_record_and_its_code(read: Run) -> None:
    code, out, err = read("decision", "latest")
    record = json.loads(out)
    assert code == {"SHIP": 0, "ITERATE": 3, "HOLD": 4}[record["decision"]] == 3
    assert err.splitlines()[0].startswith("ITERATE (simulated): ")
    assert json.loads(read("decision", record["job"]["id"], "--json")[1]) == record
    other = json.loads(read("decision", "latest~1")[1])
    assert other["arms"]["candidate"]["model"] == "sim-candidate"


@pytest.mark.parametrize("command", [["decision"], ["status"], ["report"], ["compare", "latest"]])
def test_an_unknown_job_is_a_usage_error_that_names_the_known(read: Run, command: list[str]) -> None:
    code, out, err = read(*command, "nope")
    assert (code, out) == (2, "")
    known = [entry["id"] for entry in json.loads(read("status", "--json")[1])]
    assert all(job_id in err for job_id in known)
    assert len(err.strip().splitlines()) == 1


def test_every_format_of_a_report(read: Run, tmp_path: Path) -> None:
    record = json.loads(read("decision", "latest")[1])
    outcomes, cases = record["evidence"]["outcomes"], sum(suite["cases"] for suite in record["suites"])
    out = {
        name: read("report", "latest", "--format", name)[1] for name in ("text", "md", "html", "junit", "csv", "jsonl")
    }
    assert "ITERATE" in out["text"]
    assert out["md"].startswith("## ❌ ITERATE")
    assert out["html"].startswith("<!doctype html>")
    report = json.loads(read("report", "latest", "--json")[1])
    assert report["record"] == record
    assert 0 < len(report["flips"]) <= report["flips_total"]
    root = ET.fromstring(out["junit"].encode())
    assert int(root.attrib["tests"]) == cases + len(record["gates"]) == len(list(root.iter("testcase")))
    assert int(root.attrib["failures"]) == len(list(root.iter("failure")))
    rates = {suite["name"]: suite["pass_rates"][suite["primary"]]["candidate"] for suite in record["suites"]}
    failed = {suite.attrib["name"]: int(suite.attrib["failures"]) for suite in root if suite.attrib["name"] in rates}
    assert failed == {name: rate["n"] - rate["passes"] for name, rate in rates.items()}
    rows = list(csv.DictReader(io.StringIO(out["csv"], newline=""), strict=True))
    lines = [json.loads(line) for line in out["jsonl"].splitlines()]
    assert len(rows) == len(lines) == outcomes
    assert [row["case_id"] for row in rows] == [line["case_id"] for line in lines]
    for name, ending in {"junit": "xml", "csv": "csv", "text": "log"}.items():
        assert read("report", "latest", "-o", tmp_path / f"a.{ending}") == (0, "", "")
        assert (tmp_path / f"a.{ending}").read_bytes().decode() == out[name]
    assert len(list(tmp_path.iterdir())) == 3


def test_logs_of_other_tools_hold_one_arm(read: Run, tmp_path: Path) -> None:
    record = json.loads(read("decision", "latest")[1])
    logs = {}
    for arm in ("candidate", "baseline"):
        assert read("report", "latest", "--arm", arm, "-o", tmp_path / f"{arm}.inspect.json") == (0, "", "")
        logs[arm] = json.loads((tmp_path / f"{arm}.inspect.json").read_text(encoding="utf-8"))
    for suite in record["suites"]:
        for arm, log in logs.items():
            name = f"{suite['name']}/{suite['primary']}"
            values = [sample["scores"][name]["value"] for sample in log["samples"] if name in sample["scores"]]
            assert len(values) == suite["cases"]
            assert sum(values) / len(values) == pytest.approx(suite["scores"][suite["primary"]][arm])
    shared = json.loads(read("report", "latest", "--format", "eee", "--arm", "baseline")[1])
    assert shared["model_info"]["id"] == record["arms"]["baseline"]["model"]
    assert len(shared["evaluation_results"]) >= len(record["suites"])
    page = (EXAMPLES.parent / "docs" / "results.md").read_text(encoding="utf-8")
    code = page.partition("```python\n")[2].partition("```")[0].replace("new.", "candidate.")
    said = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, timeout=60, check=True)
    suite = record["suites"][0]
    wanted = suite["scores"][suite["primary"]]["candidate"]
    assert said.stdout.decode().split() == ["sim-regressed", f"{suite['name']}/{suite['primary']}", str(wanted)]


def test_a_report_that_cannot_be_written_is_one_error(read: Run, tmp_path: Path) -> None:
    code, out, err = read("report", "latest", "-o", tmp_path / "no" / "a.md")
    assert (code, out) == (2, "")
    assert "No such file" in err
    assert read("report", "latest", "--format", "md", "--json")[0] == 2
    (tmp_path / "a.md").write_text("mine")
    assert read("report", "nope", "-o", tmp_path / "a.md")[0] == 2
    assert (tmp_path / "a.md").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["a.md"]


def test_two_jobs_are_compared_case_by_case(read: Run) -> None:
    code, out, err = read("compare", "latest~1", "latest")
    assert (code, err) == (0, "")
    assert "second worse" in out
    assert "Drift: the baseline" in out
    assert not re.search("SHIP|HOLD|ITERATE", out)
    found = json.loads(read("compare", "latest~1", "latest", "--json", "--flips", "3")[1])
    first, second = (json.loads(read("decision", job)[1]) for job in ("latest~1", "latest"))
    for suite, one, other in zip(found["suites"], first["suites"], second["suites"], strict=True):
        assert suite["first"] == pytest.approx(one["scores"][one["primary"]]["candidate"])
        assert suite["second"] == pytest.approx(other["scores"][other["primary"]]["candidate"])
        assert suite["difference"] == pytest.approx(suite["second"] - suite["first"])
        assert suite["better"] + suite["worse"] + suite["same"] == suite["n"] == 40
    assert all(drift["difference"] == 0 for drift in found["drift"])  # the simulator's answers hang on the case alone
    assert (len(found["flips"]), found["flips"][0]["delta"]) == (3, -1.0)
    assert found["flips_total"] == sum(suite["better"] + suite["worse"] for suite in found["suites"])
    back = json.loads(read("compare", "latest", "latest~1", "--json")[1])
    assert [suite["difference"] for suite in back["suites"]] == [-suite["difference"] for suite in found["suites"]]
    same = json.loads(read("compare", "latest", "latest~1", "--arm", "baseline", "--json")[1])
    assert {suite["difference"] for suite in same["suites"]} == {0}
    assert read("compare", "latest", "latest")[0] == 2


def test_jobs_that_do_not_ask_alike_are_refused_by_name(evalsvc: Any, upstream: Any, write_job: Any, chat: Any) -> None:
    server = upstream(lambda body: (200, chat("42" if "please" in str(body["messages"]) else "41")))
    job = write_job(ROWS, url=server.url)
    evalsvc("run", job)
    text = job.read_text().replace("[candidate]\n", '[candidate]\nsystem = "please"\nparams = { temperature = 1 }\n')
    job.write_text(text.replace('"exact_match"', '{ name = "exact_match", strip = false }'))
    evalsvc("run", job)
    ran = evalsvc("compare", "latest~1", "latest")
    assert (ran.code, ran.out) == (2, "")
    for word in (
        'candidate.system: none in the first job, "please" in the second',
        "candidate.params",
        "s.scorer.options",
    ):
        assert word in ran.err
    assert evalsvc("compare", "latest~1", "latest", "--arm", "baseline").code == 2  # the scorer still differs
    rows = [
        dict(ROWS[0], expected="43"),
        *ROWS[1:20],
        *({"id": f"n{i}", "input": f"n{i}", "expected": "42"} for i in range(5)),
    ]
    write_job(rows, url=server.url)
    evalsvc("run", job)
    ran = evalsvc("compare", "latest~2", "latest")
    assert ran.code == 2
    assert (
        "cases of s: 10 only in the first job, 5 only in the second job, 1 with one id and another content" in ran.err
    )
    assert "--only-shared compares the 19 cases they share" in ran.err
    ran = evalsvc("compare", "latest~2", "latest", "--only-shared")
    assert ran.code == 0
    assert "left out of s" in ran.out
    assert "19 shared cases" in ran.out


def test_a_job_at_work_can_be_read_and_is_not_decided(
    evalsvc: Any, upstream: Any, write_job: Any, chat: Any, tmp_path: Path
) -> None:
    release = threading.Event()

    def answer(body: dict[str, Any]) -> tuple[int, bytes]:
        if body["messages"][-1]["content"] == "q9":
            release.wait(100)
        return 200, chat("42")

    job = write_job(ROWS, url=upstream(answer).url, endpoint="max_in_flight = 8")
    command = [sys.executable, "-m", "evalsvc", "run", str(job)]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        recorded = 0
        while not recorded and process.poll() is None:
            ran = evalsvc("status", "latest", "--json")
            recorded = json.loads(ran.out)["progress"]["recorded"] if ran.code == 0 else 0
        table = evalsvc("status")
        assert "running" in table.out
        assert table.out.replace("\n", "").isprintable()
        undecided = evalsvc("decision", "latest")
        assert (undecided.code, undecided.out) == (1, "")
        assert "is running, not decided" in undecided.err
        assert evalsvc("report", "latest").code == 1
        partial = evalsvc("report", "latest", "--format", "jsonl")
        assert partial.code == 0
        assert len(partial.out.splitlines()) >= recorded
        assert "is running" in partial.err
        assert evalsvc("backup", "copy.db").code == 0
    finally:
        process.kill()
        process.wait()
        release.set()
    assert "interrupted" in evalsvc("status").out
    assert "interrupted" in evalsvc("status", "latest").out
    assert json.loads(evalsvc("status", "--json", "--db", "copy.db").out)[0]["progress"]["recorded"] >= recorded


def test_nothing_a_model_says_commands_a_terminal(evalsvc: Any, upstream: Any, write_job: Any, chat: Any) -> None:
    server = upstream(lambda body: (200, chat(HOSTILE if body["model"] == "cand" else "42")))
    rows = [dict(row, input=f"{row['input']} {HOSTILE}", expected=HOSTILE) for row in ROWS[:8]]
    evalsvc("run", write_job(rows, url=server.url))
    evalsvc("run", write_job(rows, url=server.url, candidate="base"))
    formats = {name: ["report", "latest~1", "--format", name] for name in ("text", "md", "junit", "csv", "jsonl")}
    out = {}
    for name, command in {
        **formats,
        "decision": ["decision", "latest"],
        "compare": ["compare", "latest~1", "latest"],
    }.items():
        ran = evalsvc(*command)
        assert ran.out, name
        said = ran.out + ran.err
        assert not {
            c for c in said if c not in "\n\t" and (ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u202e\u2028")
        }, name
        out[name] = ran.out
    table = csv.DictReader(io.StringIO(out["csv"], newline=""), strict=True)
    assert {row["text"] for row in table} == {"42", "␛[31mred␛]52;c;Zm9v␇ =1+1 </failure> | `x` @all ⟨U+202E⟩"}
    assert {json.loads(line)["text"] for line in out["jsonl"].splitlines()} == {"42", HOSTILE}


def test_a_backup_is_named_for_its_moment_and_overwrites_nothing(read: Run, tmp_path: Path) -> None:
    made = json.loads(read("backup", tmp_path, "--json")[1])
    path = Path(made["path"])
    assert re.fullmatch(r"evalsvc-\d{8}T\d{6}Z\.db", path.name)
    assert (made["jobs"], made["outcomes"], made["bytes"]) == (2, 640, path.stat().st_size)
    code, _, err = read("backup", path)
    assert code == 1
    assert "overwrites nothing" in err
    assert read("decision", "latest", "--db", path) == read("decision", "latest")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


@pytest.mark.parametrize("command", [["status"], ["decision", "latest"], ["report", "latest"], ["backup", "x.db"]])
def test_a_database_that_cannot_be_read_is_78(evalsvc: Any, tmp_path: Path, command: list[str]) -> None:
    ran = evalsvc(*command)
    assert (ran.code, ran.out) == (78, "")
    assert "evalsvc.db" in ran.err
    connection = sqlite3.connect(tmp_path / "evalsvc.db")
    connection.executescript("PRAGMA application_id = 0x65767376; PRAGMA user_version = 999; CREATE TABLE x (y)")
    connection.close()
    ran = evalsvc(*command)
    assert (ran.code, ran.out) == (78, "")
    assert "999" in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["evalsvc.db"]


def test_the_database_is_that_of_the_configuration(read: Run, jobs: Path, evalsvc: Any, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f'[store]\npath = "{jobs / "evalsvc.db"}"\n')
    expected = read("decision", "latest")[1]
    assert evalsvc("decision", "latest").out == expected
    (tmp_path / "config.toml").rename(tmp_path / "other.toml")
    assert evalsvc("decision", "latest").code == 78
    assert evalsvc("decision", "latest", "--config", "other.toml").out == expected
    assert evalsvc("decision", "latest", env={"EVALSVC_STORE__PATH": str(jobs / "evalsvc.db")}).out == expected


def test_reading_asks_for_no_lock(read: Run, jobs: Path) -> None:
    with (jobs / "evalsvc.db.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert read("status")[0] == 0
        assert read("decision", "latest")[0] == 3


@pytest.mark.parametrize("command", [["--help"], ["status"], ["status", "latest"], ["decision", "latest"]])
def test_small_commands_import_nothing_heavy(jobs: Path, command: list[str]) -> None:
    asked = [sys.executable, "-X", "importtime", "-m", "evalsvc", *command]
    done = subprocess.run(asked, cwd=jobs, capture_output=True, text=True, timeout=60, check=False)
    imported = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert "click" in imported
    assert not imported & {
        "scipy",
        "numpy",
        "openai",
        "httpx2",
        "aiohttp",
        "starlette",
        "fastapi",
        "uvicorn",
        "jinja2",
        "rich",
    }


def test_why_a_job_failed_is_said_without_what_a_server_put_in(evalsvc: Any, upstream: Any, write_job: Any) -> None:
    server = upstream(lambda _: (404, b'{"error": {"message": "\\u001b[31mno \x1b]52;c;x\x07such model"}}'))
    evalsvc("run", write_job(ROWS[:1], url=server.url))
    for command in (["status"], ["status", "latest"], ["decision", "latest"], ["report", "latest"]):
        ran = evalsvc(*command)
        assert "failed" in ran.out + ran.err
        assert (ran.out + ran.err).replace("\n", "").isprintable()
        assert ran.code == (0 if command[0] == "status" else 1)
