"""The trees over a job's rows, held against what docs/record.md says of them, by other code."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest
import rfc8785
from filed_job import cases, outcomes, read_job

from evalsvc.core.records import Job
from evalsvc.errors import StoreError
from evalsvc.store.commitments import CASE_COLUMNS, OUTCOME_COLUMNS, Commitments
from evalsvc.store.database import Database, open_database
from evalsvc.store.jobs import JobStore
from evalsvc.store.outcomes import OutcomeStore

pytestmark = pytest.mark.anyio

COUNT = 9


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return read_job(tmp_path).job


@pytest.fixture
async def database(tmp_path: Path, job: Job) -> AsyncIterator[Database]:
    async with open_database(tmp_path / "e.db") as database:
        await file(database, job, "J")
        yield database


async def file(database: Database, job: Job, job_id: str, *, order: int = 1) -> None:
    placed = [(case.position, case) for case in cases(COUNT)][::order]
    await JobStore(database).create(job, placed, job_id=job_id, endpoints={}, now=1.0)
    await OutcomeStore(database).add(job_id, list(outcomes(job, COUNT, Random(1)))[::order])


def root(leaves: list[bytes]) -> bytes:
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256().digest()
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01" + root(leaves[:half]) + root(leaves[half:])).digest()


async def expected(database: Database, table: str, name: str, key: str) -> str:
    columns = [row[1] for row in await database.rows(f"PRAGMA table_info({table})") if row[1] != "job_id"]
    rows = await database.rows(f"SELECT {', '.join(columns)} FROM {table} WHERE job_id = 'J' ORDER BY {key}")
    return root([sha256(b"\x00" + rfc8785.dumps([name, *row])).digest() for row in rows]).hex()


async def test_every_column_is_in_a_leaf(database: Database) -> None:
    for table, columns in (("cases", CASE_COLUMNS), ("outcomes", OUTCOME_COLUMNS)):
        there = [row[1] for row in await database.rows(f"PRAGMA table_info({table})")]
        said = "a column was added: add it to the leaf, rename its format, and tell docs/record.md"
        assert ("job_id", *columns) == tuple(there), said


async def test_the_roots_are_what_the_page_says(database: Database) -> None:
    trees = Commitments(database)
    found = await trees.cases("J"), await trees.outcomes("J")
    assert [tree.count for tree in found] == [COUNT, 4 * COUNT]
    assert found[0].root == await expected(database, "cases", "evalsvc.case/1", "position")
    assert found[1].root == await expected(database, "outcomes", "evalsvc.outcome/1", "position, arm, trial, step")


async def test_they_depend_on_the_rows_alone(database: Database, job: Job) -> None:
    await file(database, job, "K", order=-1)
    trees = Commitments(database)
    assert (await trees.cases("J")).root == (await trees.cases("K")).root
    assert (await trees.outcomes("J")).root == (await trees.outcomes("K")).root
    assert (await trees.outcomes("none")).count == 0


async def test_numbers_that_print_in_more_than_one_way(database: Database, job: Job) -> None:
    odd = [1e-7, 1.5e-5, 0.0001, 1e16, 123456789.0, 0.1 + 0.2, 5e-324]
    made = [
        replace(outcome, step=f"odd{n}", since_scheduled_s=value, finished_at=value)
        for n, value in enumerate(odd)
        for outcome in outcomes(job, 1, Random(1))
    ]
    await OutcomeStore(database).add("J", made)
    found = await Commitments(database).outcomes("J")
    assert found.count == 4 * COUNT + 4 * len(odd)
    assert found.root == await expected(database, "outcomes", "evalsvc.outcome/1", "position, arm, trial, step")


async def test_rows_have_names(database: Database) -> None:
    trees = Commitments(database)
    assert await trees.name_of_case("J", 3) == 'case "c3" of "words"'
    assert await trees.name_of_outcome("J", 5) == 'case "c1" of "sums", "baseline", trial 1, "answer"'
    assert await trees.name_of_case("J", COUNT) is None
    assert await trees.name_of_outcome("J", 4 * COUNT) is None


@pytest.mark.parametrize(
    ("column", "value"), [("input_tokens", 2**53), ("latency_s", float("inf")), ("latency_s", float("-inf"))]
)
async def test_what_evalsvc_never_writes_is_an_error(database: Database, column: str, value: Any) -> None:
    await database.writer.execute("DROP TRIGGER outcomes_are_final")
    await database.writer.execute(f"UPDATE outcomes SET {column} = ?", (value,))
    with pytest.raises(StoreError, match="cannot be read"):
        await Commitments(database).outcomes("J")
