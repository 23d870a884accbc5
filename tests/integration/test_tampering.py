"""Ten thousand random changes of a record, its envelope and the rows under it: every one is found."""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import aiosqlite
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from filed_job import JOB_ID, file_job, unlock

from evalsvc.app import verify as app
from evalsvc.core import canonical
from evalsvc.core.dsse import PublicKey, Signer
from evalsvc.engine.recompute import Recomputed, read_rows, recompute
from evalsvc.engine.verify import Signed, State, compare, compare_rows, verify
from evalsvc.errors import InputError, StoreError
from evalsvc.jobfile.document import job_in
from evalsvc.store.database import Reader

pytestmark = pytest.mark.anyio

VALUES, BYTES, ENVELOPES, ROWS = 4000, 1500, 1000, 3500
OTHER_JOB = "another"


def a_key() -> tuple[Signer, PublicKey]:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return Signer.from_pem(private), PublicKey.from_pem(public)


async def opened(path: Path) -> aiosqlite.Connection:
    """The database for a reader and an attacker at once: what one changes the other sees, until it is rolled back."""
    unlock(path).close()
    connection = await aiosqlite.connect(path, isolation_level=None)
    await connection.executescript("PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF")
    return connection


async def decided(path: Path, signer: Signer | None = None) -> tuple[dict[str, Any], aiosqlite.Connection, Recomputed]:
    record = await file_job(path, count=12, signer=signer)
    connection = await opened(path)
    rows = await read_rows(Reader(connection), JOB_ID, job_in)
    return record, connection, await recompute(Reader(connection), rows)


def other(rng: Random, value: Any) -> Any:
    """Another value than this one."""
    while True:
        made = _other(rng, value)
        if canonical.dumps([made]) != canonical.dumps([value]):
            return made


def _other(rng: Random, value: Any) -> Any:
    if isinstance(value, bool):
        return rng.choice([not value, int(value), None])
    if isinstance(value, int | float):
        near = [math.nextafter(value, math.inf), value + 1, -value, value * (1 + 1e-12), value * 2, None, str(value)]
        return rng.choice(near)
    if isinstance(value, str):
        place = rng.randrange(len(value) + 1)
        return rng.choice(
            [value[:place], value[:place] + "x" + value[place:], value.swapcase(), value[::-1], value + " ", None, ""]
        )
    return rng.choice([0, "", "x", False])


def containers(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [value] if isinstance(value, dict | list) and value else []
    return own + [each for part in inner for each in containers(part)]


def changed_in_place(rng: Random, record: Any) -> str:
    """Change something in a JSON value; says what sort of a change it was."""
    chosen = rng.choice(containers(record))
    if isinstance(chosen, dict):
        key = rng.choice(list(chosen))
        sort = rng.choice(["value", "value", "value", "delete", "add", "rename", "swap"])
        if sort == "value":
            chosen[key] = other(rng, chosen[key])
        elif sort == "add":
            chosen[f"{key}_"] = chosen[key]
        elif sort == "swap":
            second = rng.choice(list(chosen))
            chosen[key], chosen[second] = chosen[second], chosen[key]
        else:
            value = chosen.pop(key)
            if sort == "rename":
                chosen[key.swapcase() + "x"] = value
        return f"key: {sort}"
    place = rng.randrange(len(chosen))
    sort = rng.choice(["value", "delete", "repeat", "reverse", "truncate"])
    if sort == "value":
        chosen[place] = other(rng, chosen[place])
    elif sort == "repeat":
        chosen.insert(place, chosen[place])
    elif sort == "reverse":
        chosen.reverse()
    else:
        del chosen[place : place + 1 if sort == "delete" else None]
    return f"list: {sort}"


async def test_every_change_of_a_value_in_a_record_is_found(tmp_path: Path) -> None:
    record, connection, found = await decided(tmp_path / "e.db")
    assert compare(record, None, found).first is None
    rng, done, checks = Random(1), Counter[str](), Counter[str]()
    while done.total() < VALUES:
        changed = orjson.loads(orjson.dumps(record))
        sort = changed_in_place(rng, changed)
        if changed == record and "value" not in sort:
            continue  # two equal values changed places, say
        done[sort] += 1
        first = compare(changed, None, found).first
        assert first is not None, (sort, changed)
        checks[first.name] += 1
    await connection.close()
    assert len(done) == 10
    # recomputing names nearly all of them; what it takes on trust is seen in the copy
    assert checks["verdicts"] > 0.9 * VALUES
    assert {"job", "cases", "outcomes", "copy"} <= set(checks)


def bytes_changed(rng: Random, raw: bytes) -> bytes:
    place = rng.randrange(len(raw))
    return rng.choice(
        [
            raw[:place] + bytes([raw[place] ^ 1 << rng.randrange(8)]) + raw[place + 1 :],
            raw[:place] + bytes([rng.randrange(256)]) + raw[place:],
            raw[:place] + raw[place + 1 :],
            raw[:place],
            raw[:place] + raw[place : place + 40] + raw[place:],
        ]
    )


def loads(raw: bytes | str) -> Any:
    """The value of a JSON text, None where it has none."""
    try:
        return json.loads(raw)
    except ValueError:
        return None


async def test_every_change_of_a_byte_of_the_file_is_found(tmp_path: Path) -> None:
    record, connection, found = await decided(tmp_path / "e.db")
    raw = (json.dumps(record, indent=1) + "\n").encode()
    rng, sorts = Random(2), Counter[str]()
    while sorts.total() < BYTES:
        changed = bytes_changed(rng, raw)
        if loads(changed) == record:
            continue  # white space, another way to write the same number
        (tmp_path / "decision.json").write_bytes(changed)
        try:
            read, signed = app._read(tmp_path / "decision.json", wanted=False)
        except InputError:
            sorts["unusable"] += 1
            continue
        assert compare(read, signed, found).first is not None, changed
        sorts["differs"] += 1
    await connection.close()
    assert min(sorts["unusable"], sorts["differs"]) > 100


async def test_every_change_of_the_envelope_is_found(tmp_path: Path) -> None:
    signer, public = a_key()
    record, connection, found = await decided(tmp_path / "e.db", signer)
    envelope = dict(found.rows.row.envelope or {})
    raw = json.dumps(envelope).encode()
    file = tmp_path / "decision.dsse.json"
    file.write_bytes(raw)
    assert compare(*app._read(file, wanted=True), found, public).first is None
    (tmp_path / "decision.json").write_text(json.dumps(record))
    assert compare(*app._read(tmp_path / "decision.json", wanted=True), found, public).first is None
    rng, checks = Random(3), Counter[str]()
    while checks.total() < ENVELOPES:
        changed = bytes_changed(rng, raw)
        if loads(changed) == envelope:
            continue
        file.write_bytes(changed)
        try:
            first = compare(*app._read(file, wanted=True), found, public).first
        except InputError:
            checks["unusable"] += 1
            continue
        assert first is not None, changed
        checks[first.name] += 1
    await connection.close()
    assert {"unusable", "signature", "copy"} <= set(checks)


Attack = Callable[[Random, aiosqlite.Connection], Any]


async def one(connection: aiosqlite.Connection, sql: str, *values: Any) -> Any:
    return next(iter(await connection.execute_fetchall(sql, values)))


async def some(rng: Random, connection: aiosqlite.Connection, table: str, count: int) -> list[int]:
    """The numbers of some rows of the job."""
    rows = await connection.execute_fetchall(f"SELECT rowid FROM {table} WHERE job_id = ? ORDER BY rowid", (JOB_ID,))
    return rng.sample([row for (row,) in rows], count)


async def columns_of(connection: aiosqlite.Connection, table: str) -> list[str]:
    """Every column there is but the job's id, whatever the code thinks of."""
    rows = await connection.execute_fetchall(f"PRAGMA table_info({table})")
    return [name for _, name, *_ in rows if name != "job_id"]


def edit(table: str) -> Attack:
    async def attack(rng: Random, connection: aiosqlite.Connection) -> None:
        (row,) = await some(rng, connection, table, 1)
        column = rng.choice(await columns_of(connection, table))
        (before,) = await one(connection, f"SELECT {column} FROM {table} WHERE rowid = ?", row)
        await connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (other(rng, before), row))
        (after,) = await one(connection, f"SELECT {column} FROM {table} WHERE rowid = ?", row)
        if (type(after), after) == (type(before), before):
            raise sqlite3.IntegrityError("the column took it for the same")

    return attack


def delete(table: str) -> Attack:
    async def attack(rng: Random, connection: aiosqlite.Connection) -> None:
        if rng.random() < 0.5:
            gone = str(await some(rng, connection, table, rng.randrange(1, 4)))[1:-1]
        else:  # the end of them, or the beginning
            order = f"position {rng.choice(['DESC', 'ASC'])} LIMIT {rng.randrange(1, 9)}"
            gone = f"SELECT rowid FROM {table} WHERE job_id = '{JOB_ID}' ORDER BY {order}"
        await connection.execute(f"DELETE FROM {table} WHERE rowid IN ({gone})")

    return attack


def insert(table: str) -> Attack:
    async def attack(rng: Random, connection: aiosqlite.Connection) -> None:
        columns = await columns_of(connection, table)
        new = rng.choice(["position + 100", "position - 100"])
        values = ", ".join({"position": new, "case_id": "case_id || 'x'"}.get(column, column) for column in columns)
        chosen = str(await some(rng, connection, table, rng.randrange(1, 4)))[1:-1]
        sql = f"INSERT INTO {table} (job_id, {', '.join(columns)}) SELECT job_id, {values} FROM {table}"
        await connection.execute(f"{sql} WHERE rowid IN ({chosen})")

    return attack


def swap(table: str, columns: tuple[str, ...]) -> Attack:
    """Two rows exchange what stands in some columns: their place in the order, an answer, a score."""

    async def attack(rng: Random, connection: aiosqlite.Connection) -> None:
        sql = f"SELECT rowid, {', '.join(columns)} FROM {table} WHERE rowid = ?"
        chosen = await some(rng, connection, table, 2)
        (first, *mine), (second, *yours) = [await one(connection, sql, row) for row in chosen]
        if mine == yours:
            raise sqlite3.IntegrityError("both have the same")
        sets = ", ".join(f"{column} = ?" for column in columns)
        if "position" in columns:  # out of the way first: no two rows may have one key
            await connection.execute(f"UPDATE {table} SET position = -1 WHERE rowid = ?", (first,))
        await connection.execute(f"UPDATE {table} SET {sets} WHERE rowid = ?", (*mine, second))
        await connection.execute(f"UPDATE {table} SET {sets} WHERE rowid = ?", (*yours, first))

    return attack


async def give_away(rng: Random, connection: aiosqlite.Connection) -> None:
    chosen = str(await some(rng, connection, "outcomes", rng.randrange(1, 5)))[1:-1]
    await connection.execute(f"UPDATE outcomes SET job_id = ? WHERE rowid IN ({chosen})", (OTHER_JOB,))


async def edit_text_of_job(rng: Random, connection: aiosqlite.Connection) -> None:
    column = rng.choice(["document", "spec_sha256", "record", "envelope"])
    (before,) = await one(connection, f"SELECT {column} FROM jobs WHERE id = ?", JOB_ID)
    place = rng.randrange(len(before))
    after = before[:place] + rng.choice('0123456789abcdef,."}') + before[place + 1 :]
    if after == before or (column != "spec_sha256" and loads(after) == loads(before)):
        raise sqlite3.IntegrityError("the same")
    await connection.execute(f"UPDATE jobs SET {column} = ? WHERE id = ?", (after, JOB_ID))


async def edit_times_of_job(rng: Random, connection: aiosqlite.Connection) -> None:
    column = rng.choice(["started_at", "finished_at", "resumes"])
    await connection.execute(f"UPDATE jobs SET {column} = {column} + {rng.randrange(1, 99)} WHERE id = ?", (JOB_ID,))


#: How many of each. Most show in a root; where the whole record has to be made again, some will do.
ATTACKS: dict[str, tuple[int, Attack]] = {
    "edit an outcome": (1500, edit("outcomes")),
    "edit a case": (600, edit("cases")),
    "delete outcomes": (320, delete("outcomes")),
    "delete cases": (160, delete("cases")),
    "insert outcomes": (200, insert("outcomes")),
    "insert cases": (140, insert("cases")),
    "exchange places": (200, swap("outcomes", ("position", "arm", "trial"))),
    "exchange answers": (200, swap("outcomes", ("text", "score", "scores", "latency_s"))),
    "exchange cases": (80, swap("cases", ("position",))),
    "give outcomes away": (60, give_away),
    "edit the job": (30, edit_text_of_job),
    "edit its times": (10, edit_times_of_job),
}


async def test_every_change_of_the_rows_is_found(tmp_path: Path) -> None:
    signer, _ = a_key()
    record, connection, found = await decided(tmp_path / "e.db", signer)
    signed = app._signed(dict(found.rows.row.envelope or {}), Path("envelope"))
    rng = Random(4)
    assert sum(count for count, _ in ATTACKS.values()) == ROWS
    for name, (count, attack) in ATTACKS.items():
        done = 0
        while done < count:
            await connection.execute("BEGIN")
            try:
                await attack(rng, connection)
                assert await found_out(record, signed, Reader(connection)), name
                done += 1
            except (sqlite3.IntegrityError, sqlite3.OperationalError, OverflowError):
                pass  # the table itself refuses such a row
            finally:
                await connection.execute("ROLLBACK")
    assert not await found_out(record, signed, Reader(connection))  # and nothing has stayed
    await connection.close()


async def found_out(record: dict[str, Any], signed: Signed, reader: Reader) -> bool:
    """Whether `verify` finds something; where the hashes do already, the slow rest is left out."""
    try:
        rows = await read_rows(reader, JOB_ID, job_in)
    except StoreError:
        return True
    if any(check.state is State.DIFFERS for check in compare_rows(record, rows)):
        return True
    return (await verify(record, signed, reader=reader, job_in=job_in)).first is not None
