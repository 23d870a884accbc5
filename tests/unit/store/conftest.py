"""Jobs filed in a real database, for tests of what is read out of one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from evalsvc.core.records import (
    Arm,
    ArmSpec,
    Attempt,
    Case,
    Completion,
    Job,
    Outcome,
    Role,
    Score,
    ScorerSpec,
    Status,
    SuiteSpec,
)
from evalsvc.core.states import JobState
from evalsvc.store.database import Database, open_database
from evalsvc.store.jobs import JobStore
from evalsvc.store.outcomes import OutcomeStore

#: (suite, case id) → score of each arm; None: no answer came.
Scores = Mapping[tuple[str, str], Mapping[str, float | None]]


@dataclass(slots=True)
class Filing:
    """Files jobs into one open database."""

    path: Path
    database: Database

    @staticmethod
    def job(*suites: str, trials: int = 1, **other: Any) -> Job:
        exact = ScorerSpec(name="exact_match", label="exact_match")
        specs = tuple(
            SuiteSpec(name=name, role=Role.TARGET, dataset=name, format="auto", scorers=(exact,)) for name in suites
        )
        arms = {arm: ArmSpec(endpoint="e", model=f"m-{arm}") for arm in Arm}
        made = Job(name="a job", seed=1, trials=trials, spec_sha256="abc", arms=arms, suites=specs, gates=())
        return replace(made, **other)

    @staticmethod
    def cases(ids: Sequence[tuple[str, str]], **other: Any) -> list[tuple[int, Case]]:
        return [
            (k, replace(Case(suite=suite, id=name, category="a", input=f"q {name}", expected="x", position=k), **other))
            for k, (suite, name) in enumerate(ids)
        ]

    async def file(
        self, job_id: str, job: Job, cases: Sequence[tuple[int, Case]], outcomes: Sequence[Outcome] = (), now: float = 5
    ) -> None:
        await JobStore(self.database).create(job, cases, job_id=job_id, endpoints={"e": "http://x"}, now=now)
        await JobStore(self.database).start(job_id, now=now + 1)
        if outcomes:
            await OutcomeStore(self.database).add(job_id, outcomes)

    async def file_outcomes(self, job_id: str, outcomes: Sequence[Outcome]) -> None:
        await OutcomeStore(self.database).add(job_id, outcomes)

    async def decide(self, job_id: str, record: Mapping[str, Any], now: float = 9) -> None:
        await JobStore(self.database).move(job_id, JobState.DECIDING)
        await JobStore(self.database).finish(job_id, record, now=now)

    @staticmethod
    def outcome(case: Case, arm: str, score: float | None, *, trial: int = 0, **other: Any) -> Outcome:
        """A usable answer with that score, or, for None, a network error."""
        answered = score is not None
        made = Outcome(
            case=case,
            arm=Arm(arm),
            trial=trial,
            step="answer",
            status=Status.OK if answered else Status.INFRA_ERROR,
            kind=None if answered else "network",
            detail=None if answered else "refused",
            completion=Completion(text=f"{arm} on {case.id}", model="served") if answered else None,
            scores={"exact_match": Score(value=score, explanation="why")} if answered else {},
            attempts=(Attempt(seconds=0.5),),
            since_scheduled_s=0.6,
            finished_at=7.0,
        )
        return replace(made, **other)


@pytest.fixture
async def filing(tmp_path: Path) -> AsyncIterator[Filing]:
    async with open_database(tmp_path / "e.db") as database:
        yield Filing(tmp_path / "e.db", database)
