"""`evalsvc verify` and signed records as a user meets them, and what docs/record.md tells a user to do."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from conftest import need

from evalsvc.cli.verify import DIFFERS, HOLDS, UNUSABLE
from evalsvc.cli.verify import command as verify_command
from evalsvc.decide.schema import schema

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "record.md").read_text(encoding="utf-8")
ROWS = [{"id": f"c{i}", "input": f"q{i}", "expected": "42", "category": "ab"[i % 2]} for i in range(30)]
MORE = '[gates.human_preference]\nwaive = "none"'


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A pair of keys made as the page says."""
    need("openssl")
    (made,) = (block for block in blocks("sh") if "genpkey" in block)
    subprocess.run(["sh", "-e", "-c", made], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "signing.pem").stat().st_mode & 0o777 == 0o600
    return tmp_path


Run = Callable[..., Any]


@pytest.fixture
def decided(evalsvc: Run, upstream: Run, write_job: Run, chat: Run, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs a job into the folder `out` and gives its record."""

    def run(env: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
        server = upstream(lambda body: (200, chat("42" if body["model"] == "cand" else "41")))
        job = write_job(ROWS, url=server.url, more=MORE, **changes)
        ran = evalsvc("run", job, "--out", tmp_path / "out", env=env)
        assert ran.code == 4, ran.err
        record: dict[str, Any] = json.loads((tmp_path / "out" / "decision.json").read_text())
        return record

    return run


@pytest.fixture
def signed(keys: Path, decided: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """A record signed with the key."""
    return decided({"EVALSVC_SIGNING__KEY_FILE": str(keys / "signing.pem")})


def change(database: Path, sql: str) -> None:
    connection = sqlite3.connect(database)
    with connection:
        connection.execute("DROP TRIGGER IF EXISTS outcomes_are_final")
        assert connection.execute(sql).rowcount > 0
    connection.close()


def test_a_record_without_a_key(evalsvc: Run, decided: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    record = decided()
    assert record["signature"] is None
    assert not (tmp_path / "out" / "decision.dsse.json").exists()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    ran = evalsvc("verify", "out/decision.json")  # the database is the configuration's
    assert (ran.code, ran.err) == (HOLDS, "")
    assert "the record is not signed" in ran.out
    assert "declared, not verified" in ran.out
    assert ran.out.endswith("HOLDS\n")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before  # reads only


def test_a_signed_record(evalsvc: Run, signed: dict[str, Any], tmp_path: Path) -> None:
    for file in ("decision.json", "decision.dsse.json"):
        ran = evalsvc("verify", f"out/{file}", "--db", "evalsvc.db", "--key", "signing.pub")
        assert (ran.code, ran.err) == (HOLDS, ""), ran.out
        assert f"of the key {signed['signature']['keyid'][:16]}" in ran.out
    assert "signature not checked (no key given)" in evalsvc("verify", "out/decision.json").out
    report = json.loads(evalsvc("verify", "out/decision.json", "--key", "signing.pub", "--json").out)
    assert (report["holds"], report["difference"]) == (True, None)
    assert {check["state"] for check in report["checks"]} == {"holds"}
    # printed again it is the same, envelope included
    again = evalsvc("run", "job.toml", "--out", "again")
    assert again.code == 4
    for file in ("decision.json", "decision.dsse.json"):
        assert (tmp_path / "again" / file).read_bytes() == (tmp_path / "out" / file).read_bytes()


def test_an_edited_record(evalsvc: Run, signed: dict[str, Any], tmp_path: Path) -> None:
    was = signed["gates"][0]["interval"][0]
    signed["gates"][0]["interval"][0] = 0.5
    (tmp_path / "out" / "decision.json").write_text(json.dumps(signed))
    ran = evalsvc("verify", "out/decision.json", "--key", "signing.pub")
    assert ran.code == DIFFERS
    assert ran.err == (
        f"evalsvc: out/decision.json differs: gates[0].interval[0]: record says 0.5, the signed record says {was}\n"
    )
    assert f"gates[0].interval[0]: record says 0.5, outcomes give {was}" in ran.out
    report = json.loads(evalsvc("verify", "out/decision.json", "--json").out)
    assert (report["holds"], report["difference"]["place"]) == (False, "gates[0].interval[0]")


def test_an_edited_outcome(evalsvc: Run, signed: dict[str, Any], tmp_path: Path) -> None:
    change(tmp_path / "evalsvc.db", "UPDATE outcomes SET text = '42' WHERE case_id = 'c3' AND arm = 'baseline'")
    ran = evalsvc("verify", "out/decision.json", "--key", "signing.pub")
    assert ran.code == DIFFERS
    assert re.search(r"^signature +holds ", ran.out, re.MULTILINE)
    assert 'case "c3" of "s", "baseline", trial 0' in ran.err
    assert '"exact_match" is filed as 0.0, scoring the filed answer again gives 1.0' in ran.out
    assert signed["evidence"]["merkle_root"] in ran.err


def test_an_envelope_of_somebody_else(evalsvc: Run, signed: dict[str, Any], tmp_path: Path) -> None:
    assert signed["signature"]["envelope"] == "decision.dsse.json"
    (made,) = (block for block in blocks("sh") if "genpkey" in block)
    subprocess.run(["sh", "-e", "-c", made], cwd=tmp_path, check=True, capture_output=True)
    ran = evalsvc("verify", "out/decision.json", "--key", "signing.pub")
    assert ran.code == DIFFERS
    assert "no signature in the envelope is of the key" in ran.err


UNREADABLE = {
    "no file": ("none.json", [], "cannot be read"),
    "no JSON": ("job.toml", [], "no decision record: not JSON"),
    "no object": ("list.json", [], "not a JSON object"),
    "a key twice": ("twice.json", [], "stands twice"),
    "another record": ("other.json", [], "no job nobody in this database"),
    "no record": ("empty.json", [], "names no job"),
    "no database": ("out/decision.json", ["--db", "none.db"], "no such database"),
    "no key": ("out/decision.json", ["--key", "job.toml"], "holds no public key"),
    "the private key": ("out/decision.json", ["--key", "signing.pem"], "openssl pkey -in KEY -pubout"),
    "an envelope elsewhere": ("away.json", [], "signature.envelope"),
    "an envelope that is gone": ("gone.json", ["--key", "signing.pub"], "gone.dsse.json: cannot be read"),
    "an envelope that is none": ("torn.dsse.json", [], "no envelope of a decision record: its payload is no base64"),
}


def test_what_cannot_be_checked(evalsvc: Run, signed: dict[str, Any], tmp_path: Path) -> None:
    for file, value in {
        "list.json": [],
        "other.json": {"job": {"id": "nobody"}},
        "empty.json": {},
        "away.json": {**signed, "signature": {"keyid": "k", "envelope": "../secret"}},
        "gone.json": {**signed, "signature": {"keyid": "k", "envelope": "gone.dsse.json"}},
        "torn.dsse.json": {"payloadType": "application/vnd.in-toto+json", "payload": "?"},
    }.items():
        (tmp_path / file).write_text(json.dumps(value))
    (tmp_path / "twice.json").write_text(json.dumps(signed).replace('{"schema"', '{"decision": "SHIP", "schema"'))
    for name, (file, options, said) in UNREADABLE.items():
        ran = evalsvc("verify", file, *options)
        assert (ran.code, ran.out) == (UNUSABLE, ""), name
        assert said in ran.err, name
        assert len(ran.err.strip().splitlines()) == 1, name


def test_the_job_is_filed_before_the_first_request(
    evalsvc: Run, upstream: Run, write_job: Run, chat: Run, tmp_path: Path
) -> None:
    filed: list[tuple[str, str]] = []

    def answer(_: dict[str, Any]) -> tuple[int, bytes]:
        connection = sqlite3.connect(f"file:{tmp_path / 'evalsvc.db'}?mode=ro", uri=True)
        filed.extend(connection.execute("SELECT spec_sha256, document FROM jobs").fetchall())
        connection.close()
        return 200, chat("42")

    record = evalsvc("run", write_job(ROWS[:2], url=upstream(answer).url), "--json").record
    assert len(filed) == 4
    assert {spec for spec, _ in filed} == {record["job"]["spec_sha256"]}
    files = json.loads(filed[0][1])["files"]
    assert record["job"]["files"] == [{"name": "cases.jsonl", "sha256": files["cases.jsonl"]}]


def canary(text: str) -> Iterator[bytes]:
    """What must stand nowhere: the key's body, and its bytes."""
    body = "".join(text.splitlines()[1:-1])
    yield body[10:].encode()


def test_the_private_key_goes_nowhere(evalsvc: Run, signed: dict[str, Any], keys: Path) -> None:
    secret = (keys / "signing.pem").read_text()
    ran = evalsvc("verify", "out/decision.json", "--key", "signing.pem")
    written = b"".join(path.read_bytes() for path in keys.rglob("*") if path.is_file() and path.name != "signing.pem")
    for each in canary(secret):
        assert each not in written + ran.out.encode() + ran.err.encode()
    assert len(signed["signature"]["keyid"]) == 64


def test_a_key_that_others_can_read_is_said_in_the_record(
    evalsvc: Run, keys: Path, decided: Callable[..., dict[str, Any]]
) -> None:
    (keys / "signing.pem").chmod(0o644)
    record = decided({"EVALSVC_SIGNING__KEY_FILE": str(keys / "signing.pem")})
    assert "can be read by every user of this machine" in record["warnings"][-1]
    assert evalsvc("verify", "out/decision.json", "--key", "signing.pub").code == HOLDS


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file"), (b"", "holds no private key in PEM"), (b"\xff" * 90, "holds no private key in PEM")],
)
def test_a_key_that_cannot_sign_is_found_before_anybody_is_asked(
    evalsvc: Run, upstream: Run, write_job: Run, chat: Run, tmp_path: Path, content: bytes | None, said: str
) -> None:
    server = upstream(lambda _: (200, chat("42")))
    job = write_job(ROWS[:2], url=server.url)
    if content is not None:
        (tmp_path / "bad.pem").write_bytes(content)
    ran = evalsvc("run", job, env={"EVALSVC_SIGNING__KEY_FILE": "bad.pem"})
    assert ran.code == 2
    assert "signing.key_file: " in ran.err
    assert said in ran.err
    assert (server.asked, (tmp_path / "evalsvc.db").exists()) == ([], False)


def test_an_unsigned_record_leaves_no_envelope_of_an_earlier_one(
    evalsvc: Run, signed: dict[str, Any], tmp_path: Path
) -> None:
    assert evalsvc("run", "job.toml", "--out", "out", "--again").code == 4
    assert not (tmp_path / "out" / "decision.dsse.json").exists()
    record = json.loads((tmp_path / "out" / "decision.json").read_text())
    assert (record["signature"], record["job"]["id"] != signed["job"]["id"]) == (None, True)


def test_a_real_record_follows_the_schema(evalsvc: Run, signed: dict[str, Any]) -> None:
    printed = json.loads(evalsvc("schema", "decision").out)
    assert printed == schema()
    jsonschema_rs.meta.validate(printed)
    check = jsonschema_rs.validator_for(printed)
    check.validate(signed)
    assert not check.is_valid({**signed, "decision": "MAYBE"})
    assert not check.is_valid({key: value for key, value in signed.items() if key != "gates"})


def test_the_page_recomputes_the_roots_without_evalsvc(
    evalsvc: Run, decided: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    decided()
    (script,) = blocks("python")
    assert "evalsvc." not in script.replace('"evalsvc.case/1"', "").replace('"evalsvc.outcome/1"', "")
    assert len(script.splitlines()) <= 33
    (tmp_path / "recompute.py").write_text(script)

    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "ignore", "recompute.py", "out/decision.json", "evalsvc.db"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert run().stdout == "the record rests on these rows\n"
    change(tmp_path / "evalsvc.db", "UPDATE outcomes SET finished_at = finished_at + 1e-6 WHERE case_id = 'c3'")
    assert 'evidence["merkle_root"]' in run().stderr
    assert evalsvc("verify", "out/decision.json").code == DIFFERS


def test_the_page_checks_a_signature_with_openssl(signed: dict[str, Any], tmp_path: Path) -> None:
    (recipe,) = (block for block in blocks("sh") if "pkeyutl" in block)
    recipe = recipe.replace("' decision.dsse.json", "' out/decision.dsse.json").replace("python3", sys.executable)
    done = subprocess.run(["sh", "-c", recipe], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Verified Successfully" in done.stdout + done.stderr
    assert signed["signature"]["envelope"] == "decision.dsse.json"


def test_every_option_is_on_the_page() -> None:
    options = {parameter.opts[0] for parameter in verify_command.params}
    table = PAGE.partition("| option |")[2].partition("\n\n")[0]
    described = {line.split("|")[1].strip().strip("`") for line in table.splitlines()[2:]}
    assert described == {"RECORD" if option == "record" else option for option in options}


def test_every_check_and_bound_key_is_on_the_page(evalsvc: Run, decided: Callable[..., dict[str, Any]]) -> None:
    record = decided()
    report = json.loads(evalsvc("verify", "out/decision.json", "--json").out)
    table = PAGE.partition("| check |")[2].partition("\n\n")[0]
    described = [line.split("|")[1].strip().strip("`") for line in table.splitlines()[2:]]
    assert described == [check["name"] for check in report["checks"]]
    for key in (*record["evidence"], *record["scorers"][0], *record["job"]["files"][0]):
        assert re.search(rf"`(evidence\.)?{key}`", PAGE), key
