"""What `verify` says of a record that holds, and of each part that does not; real SQLite, nobody asked."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from filed_job import TOML, file_job, unlock

from evalsvc.core.dsse import PublicKey, Signer, payload_of
from evalsvc.decide.statement import record_in
from evalsvc.engine import finalizer
from evalsvc.engine.verify import Check, Signed, State, Verification, verify
from evalsvc.errors import JobNotFound, StoreError
from evalsvc.jobfile.document import job_in
from evalsvc.store.database import open_reader

pytestmark = pytest.mark.anyio

Record = dict[str, Any]
Checked = Callable[..., Awaitable[Verification]]


def keys() -> tuple[Signer, PublicKey]:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return Signer.from_pem(private), PublicKey.from_pem(public)


SIGNER, PUBLIC = keys()
_, STRANGER = keys()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "e.db"


@pytest.fixture
async def record(path: Path) -> Record:
    return await file_job(path, signer=SIGNER)


@pytest.fixture
def check(path: Path) -> Checked:
    async def run(record: Record, signed: Signed | None = None, key: PublicKey | None = None) -> Verification:
        async with open_reader(path) as reader:
            return await verify(record, signed, reader=reader, job_in=job_in, key=key)

    return run


def signed(path: Path) -> Signed:
    connection = unlock(path)
    ((text,),) = connection.execute("SELECT envelope FROM jobs").fetchall()
    connection.close()
    envelope = orjson.loads(text)
    return Signed(envelope=envelope, record=record_in(orjson.loads(payload_of(envelope))))


def attack(path: Path, sql: str, *values: Any) -> None:
    connection = unlock(path)
    assert connection.execute(sql, values).rowcount > 0
    connection.close()


def by_name(found: Verification) -> dict[str, Check]:
    return {each.name: each for each in found.checks}


async def test_a_record_that_holds(path: Path, record: Record, check: Checked) -> None:
    found = await check(record, signed(path), PUBLIC)
    assert [(each.name, each.state) for each in found.checks] == [
        ("signature", State.HOLDS),
        ("job", State.HOLDS),
        ("cases", State.HOLDS),
        ("outcomes", State.HOLDS),
        ("scores", State.HOLDS),
        ("verdicts", State.HOLDS),
        ("copy", State.HOLDS),
    ]
    assert (found.first, found.remarks) == (None, ())
    assert any("declared, not verified" in each for each in found.trusted)
    assert record["warnings"][-1] == "told by nobody else"
    tokens = record["arms"]["candidate"]["tokens"]
    assert record["arms"]["candidate"]["cost"] == (tokens["input"] + 2 * tokens["output"]) / 1e6
    inside = signed(path)
    assert (await check(dict(inside.record), inside, PUBLIC)).first is None


async def test_the_record_is_bound_to_rows_job_scorers_and_versions(record: Record) -> None:
    assert record["evidence"]["leaves"] == 96
    assert record["evidence"]["cases"] == 24
    assert [file["name"] for file in record["job"]["files"]] == ["sums.jsonl", "words.jsonl"]
    assert [row["label"] for row in record["scorers"]] == ["numeric", "exact_match", "regex"]
    assert {row["version"] for row in record["scorers"]} == {f"evalsvc {record['environment']['evalsvc']}"}
    assert {"cryptography", "numpy", "rfc8785", "scipy"} <= set(record["environment"])
    assert record["signature"] == {"keyid": SIGNER.keyid, "envelope": "decision.dsse.json"}


@pytest.mark.parametrize(
    "toml",
    [
        TOML.replace("trials = 2", 'trials = 1\nstop = "hybrid"'),
        TOML.replace("[gates.human", '[gates]\nevidence = "point"\n[gates.human'),
        TOML.replace('also = ["exact_match"]', 'also = ["bleu", "rouge_l"]'),
    ],
    ids=["hybrid", "point", "corpus"],
)
async def test_jobs_of_every_sort_hold(path: Path, check: Checked, toml: str) -> None:
    record = await file_job(path, count=60, toml=toml)
    found = await check(record)
    assert (found.first, found.remarks) == (None, ())
    record["decision"] = "SHIP"
    assert (await check(record)).first is not None


async def test_a_changed_number_is_named_by_its_place(record: Record, check: Checked) -> None:
    record["gates"][0]["interval"][1] += 0.01
    first = (await check(record)).first
    assert first is not None
    assert (first.name, first.place) == ("verdicts", "gates[0].interval[1]")
    was, now = record["gates"][0]["interval"][1], record["gates"][0]["interval"][1] - 0.01
    assert first.said == f"gates[0].interval[1]: record says {was}, outcomes give {now}"


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"decision": "SHIP"}, {"verdicts", "copy"}),
        ({"environment": {"python": "2.7"}}, {"verdicts", "copy"}),
        ({"warnings": []}, {"verdicts", "copy"}),
        ({"more": 1}, {"verdicts", "copy"}),
        ({"signature": None}, {"copy"}),
        ({"evidence": None}, {"cases", "outcomes", "verdicts", "copy"}),
        ({"scorers": 3, "arms": [], "environment": "x"}, {"verdicts", "copy"}),
    ],
)
async def test_what_differs_in_a_record(record: Record, check: Checked, change: Record, names: set[str]) -> None:
    found = await check({**record, **change})
    assert {each.name for each in found.checks if each.state is State.DIFFERS} == names


async def test_a_warning_that_only_the_copy_knows_cannot_be_left_out(record: Record, check: Checked) -> None:
    assert record["warnings"].pop() == "told by nobody else"
    first = (await check(record)).first
    assert first is not None
    assert (first.name, first.place) == ("verdicts", f"warnings[{len(record['warnings'])}]")


async def test_the_last_digit_is_held_against_the_copy(record: Record, check: Checked) -> None:
    record["arms"]["candidate"]["latency"]["p50"] *= 1 + 1e-12
    found = await check(record)
    assert found.first is not None
    assert (found.first.name, found.first.place) == ("copy", "arms.candidate.latency.p50")


async def test_a_changed_outcome_is_named(path: Path, record: Record, check: Checked) -> None:
    attack(path, "UPDATE outcomes SET latency_s = 0.001 WHERE position = 4 AND arm = 'candidate' AND trial = 1")
    found = by_name(await check(record))
    assert found["outcomes"].place == "evidence.merkle_root"
    assert 'number 19, case "c4" of "sums", "candidate", trial 1, "answer"' in found["outcomes"].said
    assert found["scores"].state is State.HOLDS
    assert found["cases"].state is State.HOLDS


async def test_a_score_that_was_never_given(path: Path, record: Record, check: Checked) -> None:
    given = "UPDATE outcomes SET score = 1, scores = replace(scores, '0.0', '1.0') WHERE rowid = ("
    attack(path, f"{given}SELECT rowid FROM outcomes WHERE score = 0 AND status = 'ok' AND suite = 'words' LIMIT 1)")
    found = by_name(await check(record))
    assert "is filed as 1.0, scoring the filed answer again gives 0.0" in found["scores"].said
    assert found["verdicts"].state is State.DIFFERS


async def test_outcomes_cut_off_at_the_end(path: Path, record: Record, check: Checked) -> None:
    attack(path, "DELETE FROM outcomes WHERE position > 20")
    found = by_name(await check(record))
    assert "evidence.leaves: record says 96, the database gives 84" in found["outcomes"].said
    assert "from number 84 on are gone" in found["outcomes"].said


async def test_a_changed_case(path: Path, record: Record, check: Checked) -> None:
    attack(path, "UPDATE cases SET payload = replace(payload, 'what is 5', 'what is 6') WHERE position = 5")
    found = by_name(await check(record))
    assert 'the first changed row is number 5, case "c5" of "sums"' in found["cases"].said
    assert found["outcomes"].state is State.HOLDS
    assert found["verdicts"].state is State.DIFFERS  # the record's own cases_root


async def test_a_case_with_another_right_answer_scores_otherwise(path: Path, record: Record, check: Checked) -> None:
    attack(
        path, """UPDATE cases SET payload = replace(payload, '"expected":"5"', '"expected":"77"') WHERE position = 5"""
    )
    assert by_name(await check(record))["scores"].state is State.DIFFERS


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("""UPDATE jobs SET document = replace(document, '"seed":7', '"seed":8')""", "job.spec_sha256: record says"),
        ("UPDATE jobs SET document = '{}'", "job.spec_sha256: record says"),
        ("UPDATE jobs SET spec_sha256 = 'x'", 'the job is filed under "x"'),
        ("""UPDATE jobs SET spec = replace(spec, '"threshold":0.85', '"threshold":0.1')""", "that was worked with"),
        ("UPDATE jobs SET spec = '{'", "cannot be read"),
    ],
)
async def test_a_job_that_was_changed_afterwards(
    path: Path, record: Record, check: Checked, sql: str, said: str
) -> None:
    attack(path, sql)
    first = (await check(record)).first
    assert first is not None
    assert first.name == "job"
    assert said in first.said


@pytest.mark.parametrize("table", ["cases", "outcomes"])
@pytest.mark.parametrize("value", ["'{'", "'[]'", "'3'", "'{\"input\": 3}'", "'null'"])
async def test_rows_that_cannot_be_computed_with_are_a_difference_and_no_crash(
    path: Path, record: Record, check: Checked, table: str, value: str
) -> None:
    columns = {"cases": ["payload", "suite"], "outcomes": ["scores", "attempts", "tool_calls", "logprobs"]}[table]
    for column in columns:
        attack(path, f"UPDATE {table} SET {column} = {value} WHERE position = 3")
    found = by_name(await check(record))
    assert found[table].state is State.DIFFERS
    assert all(each.said.isascii() for each in found.values())


async def test_an_error_of_ours_is_no_difference(
    record: Record, check: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(finalizer, "judge_all", broken)
    with pytest.raises(KeyError, match="a bug"):
        await check(record)


async def test_signatures(path: Path, record: Record, check: Checked) -> None:
    envelope = signed(path)
    unchecked = by_name(await check(record, envelope))["signature"]
    assert (unchecked.state, unchecked.said) == (State.UNCHECKED, "signature not checked (no key given)")
    assert by_name(await check(record))["signature"].said == "signature not checked (no key given)"
    stranger = (await check(record, envelope, STRANGER)).first
    assert stranger is not None
    assert stranger.said == f"no signature in the envelope is of the key {STRANGER.keyid[:16]}"
    other = {**record, "job": {**record["job"], "name": "another"}}
    swapped = (await check(other, envelope, PUBLIC)).first
    assert swapped is not None
    assert swapped.said == 'job.name: record says "another", the signed record says "filed"'
    no_envelope = Signed(envelope={**envelope.envelope, "signatures": 3}, record=envelope.record)
    broken = (await check(record, no_envelope, PUBLIC)).first
    assert broken is not None
    assert "the envelope is none" in broken.said


async def test_an_unsigned_record(path: Path, check: Checked) -> None:
    record = await file_job(path)
    assert record["signature"] is None
    assert by_name(await check(record))["signature"].said == "the record is not signed"
    wanted = (await check(record, None, PUBLIC)).first
    assert wanted is not None
    assert (wanted.name, wanted.said) == ("signature", "the record is not signed")


async def test_who_can_change_the_database_cannot_make_a_signed_record_fit(
    path: Path, record: Record, check: Checked
) -> None:
    """Rows, copy and record all changed to agree: only the signature is left, and it is enough."""
    attack(path, "UPDATE jobs SET started_at = started_at - 100")
    forged = copy.deepcopy(record)
    forged["job"]["started_at"] = "1969-12-31T23:58:22.000Z"
    attack(path, "UPDATE jobs SET record = ?, envelope = NULL", orjson.dumps(forged).decode())
    assert (await check(forged)).first is None
    assert (await check(forged, Signed(envelope={}, record=record))).first is not None


async def test_other_versions_are_a_remark(record: Record, check: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    now = {**finalizer.environment(), "numpy": "99"}
    monkeypatch.setattr("evalsvc.engine.verify.environment", lambda: now)
    monkeypatch.setattr("evalsvc.engine.verify.scorer_versions", lambda _: {"regex": "evalsvc 99"})
    found = await check(record)
    assert found.first is None
    (remark,) = found.remarks
    assert f'numpy "{record["environment"]["numpy"]}" then and "99" now' in remark
    assert 'scorer regex "evalsvc' in remark


async def test_what_cannot_be_checked_at_all(path: Path, record: Record, check: Checked) -> None:
    with pytest.raises(StoreError, match=r"names no job"):
        await check({})
    with pytest.raises(JobNotFound):
        await check({"job": {"id": "none"}})
    attack(path, "UPDATE jobs SET record = '{'")
    with pytest.raises(StoreError, match="cannot be read"):
        await check(record)
    attack(path, "UPDATE jobs SET record = NULL")
    with pytest.raises(StoreError, match="it has no record to compare with"):
        await check(record)
