from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from filed_job import JOB_ID, cases, outcome, read_job

from evalsvc.core.records import Arm, Case, Completion, CountedScore, Job, Outcome, Score, Status
from evalsvc.engine.rescoring import Rescored, rescore
from evalsvc.errors import ScoringError
from evalsvc.scoring import base
from evalsvc.scoring.base import Scorer, build
from evalsvc.store.answers import Answers
from evalsvc.store.database import Database, open_database
from evalsvc.store.follow_ups import FollowUpRows
from evalsvc.store.jobs import JobStore
from evalsvc.store.outcomes import OutcomeStore

pytestmark = pytest.mark.anyio

CASE = list(cases(3))[2]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return read_job(tmp_path).job


@pytest.fixture
async def database(tmp_path: Path, job: Job) -> AsyncIterator[Database]:
    async with open_database(tmp_path / "e.db") as database:
        placed = [(case.position, case) for case in cases(3)]
        await JobStore(database).create(job, placed, job_id=JOB_ID, endpoints={}, now=1.0)
        yield database


def one(job: Job, **changes: Any) -> Outcome:
    """An outcome of the case 'what is 2?' of the suite 'sums' that is as it should be."""
    scorers = {spec.label: build(spec) for spec in job.suites[0].scorers}
    return replace(outcome(CASE, Arm.BASELINE, 0, scorers, Random(1)), **changes)


async def again(database: Database, job: Job, *filed: Outcome) -> Rescored:
    await OutcomeStore(database).add(JOB_ID, filed)
    return await rescore(job, JOB_ID, Answers(database), FollowUpRows(database))


async def test_what_is_as_it_should_be(database: Database, job: Job) -> None:
    done = await again(database, job, one(job), one(job, arm=Arm.CANDIDATE), one(job, trial=1, step="judge"))
    assert (done.scores, done.first, dict(done.unsure)) == (4, None, {})  # a follow-up is no answer


ZERO = {label: Score(value=0.0) for label in ("numeric", "exact_match")}
CUT = Completion(text="2", finish_reason="length")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"completion": Completion(text="3000")},
            '"numeric" is filed as 1.0, scoring the filed answer again gives 0.0',
        ),
        ({"completion": None}, "filed as ok, and what came back is nothing"),
        ({"completion": CUT}, "filed as ok, and what came back is truncated"),
        ({"status": Status.MODEL_ERROR, "kind": "truncated", "scores": ZERO}, "what came back is a usable answer"),
        ({"status": Status.MODEL_ERROR, "kind": "empty", "scores": ZERO, "completion": CUT}, "came back is truncated"),
        ({"status": Status.MODEL_ERROR, "kind": "truncated", "completion": CUT}, "of a failed answer is not 0"),
        ({"scores": {"numeric": Score(value=1.0)}}, 'scores are filed for ["numeric"], the job asks for'),
        ({"scores": {}}, "scores are filed for []"),
        ({"status": Status.INFRA_ERROR, "kind": "server", "scores": {"numeric": Score(value=None)}}, "asks for []"),
        ({"scores": dict(reversed(ZERO.items()))}, ""),
    ],
)
async def test_what_contradicts_itself(database: Database, job: Job, changes: dict[str, Any], said: str) -> None:
    done = await again(database, job, one(job, **changes))
    assert done.first is not None
    assert done.first.startswith('case "c2" of "sums", baseline, trial 0: ')
    assert said in done.first


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("UPDATE outcomes SET case_id = 'c1'", "its outcome names another case"),
        ("UPDATE outcomes SET score = 0.5", "its score is filed as 0.5 and as 1.0"),
    ],
)
async def test_what_the_recorder_cannot_write(database: Database, job: Job, sql: str, said: str) -> None:
    await again(database, job, one(job))
    await database.writer.execute("DROP TRIGGER outcomes_are_final")
    await database.writer.execute(sql)
    assert said in ((await rescore(job, JOB_ID, Answers(database), FollowUpRows(database))).first or "")


async def test_failures_that_are_as_they_should_be(database: Database, job: Job) -> None:
    done = await again(
        database,
        job,
        one(job, status=Status.MODEL_ERROR, kind="truncated", completion=CUT, scores=ZERO),
        one(job, trial=1, status=Status.MODEL_ERROR, kind="context_overflow", completion=None, scores=ZERO),
        one(job, arm=Arm.CANDIDATE, status=Status.INFRA_ERROR, kind="server", completion=None, scores={}),
    )
    assert (done.scores, done.first) == (4, None)


async def test_the_answer_is_scored_with_all_that_was_filed_of_it(
    database: Database, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Case, Completion]] = []
    completion = Completion(
        text="2",
        finish_reason="stop",
        tool_calls=[{"function": {"name": "f", "arguments": '{"x": 1}'}}],
        reasoning="because",
        logprobs={"content": [{"logprob": -0.25}]},
        model="m",
        fingerprint="fp",
        input_tokens=3,
        output_tokens=1,
        first_byte_s=0.1,
        first_token_s=0.2,
        simulated=True,
        repaired="mended",
    )
    scores = {label: Score(value=1.0) for label in ("numeric", "exact_match")}
    filed = one(job, completion=completion, scores=scores)
    numeric = type(build(job.suites[0].scorers[0]))

    def look(_: Scorer, case: Case, answer: Completion) -> Score:
        seen.append((case, answer))
        return Score(value=1.0)

    monkeypatch.setattr(numeric, "score", look)
    assert (await again(database, job, filed)).first is None
    assert seen == [(CASE, completion)]


class _Odd(Scorer):
    def __init__(self, result: Any) -> None:
        self.result = result

    def check(self, case: Case) -> str | None:
        raise NotImplementedError

    def score(self, case: Case, completion: Completion) -> Score:
        assert (case, completion.text) == (CASE, "2")
        if isinstance(self.result, Exception):
            raise self.result
        return self.result  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("filed", "same"),
    [
        (CountedScore(value=1.0, parts=(2.0, 3.0)), True),
        (CountedScore(value=1.0, parts=(2.0, 4.0)), False),
        (CountedScore(value=1.0, parts=(2.0, 3.0, 0.0)), False),
        (Score(value=1.0), False),
    ],
)
async def test_the_share_of_a_corpus_score_counts_too(
    database: Database, job: Job, monkeypatch: pytest.MonkeyPatch, filed: Score, same: bool
) -> None:
    answer = one(job, scores=dict.fromkeys(("numeric", "exact_match"), filed))
    monkeypatch.setattr("evalsvc.engine.rescoring.build", lambda _: _Odd(CountedScore(value=1.0, parts=(2.0, 3.0))))
    assert ((await again(database, job, answer)).first is None) == same


@pytest.mark.parametrize(
    ("result", "filed", "unsure"),
    [
        (ScoringError("too slow"), 1.0, "the scorer raises ScoringError"),
        (RecursionError(), 1.0, "the scorer raises RecursionError"),
        (Score(value=None), 1.0, "the scorer gives none"),
        (Score(value=1.0), None, "the scorer raised then and does not now"),
        ("a follow-up", 1.0, "the scorer gives no score"),
    ],
)
async def test_what_cannot_be_scored_again_is_counted_and_no_contradiction(
    database: Database, job: Job, monkeypatch: pytest.MonkeyPatch, result: Any, filed: float | None, unsure: str
) -> None:
    monkeypatch.setattr("evalsvc.engine.rescoring.build", lambda _: _Odd(result))
    scores = {label: Score(value=filed) for label in ("numeric", "exact_match")}
    done = await again(database, job, one(job, scores=scores))
    assert (done.first, dict(done.unsure), done.scores) == (None, {unsure: 2}, 0)


async def test_a_scorer_that_is_not_installed_here(
    database: Database, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed = one(job)
    known = {name: base.SCORERS[name] for name in base.SCORERS if name != "numeric"}
    monkeypatch.setattr(base.SCORERS, "_known", known)
    done = await again(database, job, filed)
    assert (done.first, dict(done.unsure), done.scores) == (None, {"the scorer is not installed here": 1}, 1)
