"""A small job with every sort of outcome, filed and decided in a real database without asking anybody."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from evalsvc import jobfile
from evalsvc.core.dsse import Signer
from evalsvc.core.records import Arm, Attempt, Case, Completion, Job, Outcome, Score, Status
from evalsvc.engine.finalizer import Finalizer
from evalsvc.jobfile.document import document_of
from evalsvc.scoring.base import build
from evalsvc.store.commitments import Commitments
from evalsvc.store.database import open_database
from evalsvc.store.jobs import JobStore
from evalsvc.store.outcomes import OutcomeStore
from evalsvc.store.views import Views

JOB_ID = "0193filed"
TOML = """\
name = "filed"
seed = 7
trials = 2
[candidate]
endpoint = "up"
model = "cand"
params = { temperature = 1.0, top_p = 0.5 }
[baseline]
endpoint = "up"
model = "base"
[[suites]]
name = "sums"
role = "target"
dataset = "sums.jsonl"
scorer = { name = "numeric", tolerance = 1.0 }
also = ["exact_match"]
[[suites]]
name = "words"
role = "general"
dataset = "words.jsonl"
scorer = { name = "regex", pattern = "yes|[0-9]" }
[gates.human_preference]
waive = "none"
"""
FAILED = {3: ("truncated", Status.MODEL_ERROR), 5: ("server", Status.INFRA_ERROR), 8: ("timeout", Status.INFRA_ERROR)}


def read_job(folder: Path, toml: str = TOML) -> jobfile.JobFile:
    for name in ("sums.jsonl", "words.jsonl"):
        (folder / name).write_text('{"input": "1", "expected": "1"}\n')
    (folder / "job.toml").write_text(toml)
    return jobfile.read(folder / "job.toml")


def cases(count: int) -> Iterator[Case]:
    for position in range(count):
        yield Case(
            suite="words" if position % 3 == 0 else "sums",
            id=f"c{position}",
            category="ab"[position % 2],
            input=f"what is {position}? \u2028é" if position % 4 else [{"role": "user", "content": str(position)}],
            expected=str(position),
            metadata={"weight": position / 10} if position % 2 else {},
            position=position,
        )


def outcomes(job: Job, count: int, rng: Random) -> Iterator[Outcome]:
    scorers = {suite.name: {spec.label: build(spec) for spec in suite.scorers} for suite in job.suites}
    for case in cases(count):
        for arm in Arm:
            for trial in range(job.trials):
                yield outcome(case, arm, trial, scorers[case.suite], rng)


def outcome(case: Case, arm: Arm, trial: int, scorers: dict[str, Any], rng: Random) -> Outcome:
    kind, status = FAILED.get(case.position + 4 * trial if arm is Arm.CANDIDATE else -1, (None, Status.OK))
    right = rng.random() < (0.9 if arm is Arm.CANDIDATE else 0.5)
    completion = Completion(
        text=str(case.expected) if right else "no\x00idea \u202e",
        finish_reason="length" if status is Status.MODEL_ERROR else "stop",
        tool_calls=[{"function": {"name": "f", "arguments": "{}"}}] if case.position == 1 else None,
        logprobs={"content": [{"logprob": -0.5}]} if case.position == 2 else None,
        model="served-1",
        fingerprint="fp",
        input_tokens=10,
        output_tokens=rng.randrange(5),
        latency_s=rng.random(),
        first_byte_s=rng.random() / 2,
    )
    scores = {label: scorer.score(case, completion) for label, scorer in scorers.items()}
    if status is Status.MODEL_ERROR:
        scores = {label: Score(value=0.0, explanation="cut off") for label in scores}
    return Outcome(
        case=case,
        arm=arm,
        trial=trial,
        step="answer",
        status=status,
        kind=kind,
        detail=None if kind is None else "what happened",
        completion=None if status is Status.INFRA_ERROR else completion,
        scores={} if status is Status.INFRA_ERROR else scores,
        attempts=(Attempt(seconds=0.5, kind="server", status=500), Attempt(slot_wait_s=2e-6, seconds=rng.random())),
        since_scheduled_s=1.0 + rng.random(),
        finished_at=1_700_000_000.0 + case.position,
    )


async def file_job(path: Path, *, count: int = 24, signer: Signer | None = None, toml: str = TOML) -> dict[str, Any]:
    """File and decide the job in a new database; gives its record."""
    file = read_job(path.parent, toml)
    async with open_database(path) as database:
        jobs = JobStore(database)
        placed = ((case.position, case) for case in cases(count))
        await jobs.create(file.job, placed, job_id=JOB_ID, endpoints={}, now=1.0, document=document_of(file))
        await jobs.start(JOB_ID, now=2.0)
        await OutcomeStore(database).add(JOB_ID, outcomes(file.job, count, Random(3)))
        finalizer = Finalizer(
            jobs=jobs,
            views=Views(database),
            commitments=Commitments(database),
            prices={Arm.CANDIDATE: (1.0, 2.0), Arm.BASELINE: None},
            signer=signer,
        )
        return await finalizer.run(file.job, JOB_ID, warnings=["told by nobody else"], now=3.5)


def unlock(path: Path) -> sqlite3.Connection:
    """A connection to the database that may do what an attacker with the file could."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("DROP TRIGGER IF EXISTS outcomes_are_final")
    connection.execute("PRAGMA ignore_check_constraints = ON")
    return connection


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path
