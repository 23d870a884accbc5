"""From answers to the corpus scores of the record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from anyio.to_thread import run_sync
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from evalsvc.core.progress import Progress
from evalsvc.core.records import (
    Arm,
    ArmSpec,
    Case,
    Completion,
    Job,
    Outcome,
    Request,
    Role,
    ScorerSpec,
    Status,
    SuiteSpec,
)
from evalsvc.engine import executor as executors
from evalsvc.engine.corpus import corpus_scores
from evalsvc.engine.executor import Executor
from evalsvc.engine.lag import LoopLag
from evalsvc.engine.retries import RetryPolicy
from evalsvc.scoring.base import SCORERS, Scorer, build
from evalsvc.store.database import Database, open_database
from evalsvc.store.jobs import JobStore
from evalsvc.store.outcomes import OutcomeStore
from evalsvc.store.views import Views

pytestmark = pytest.mark.anyio

SCORER_SPECS = (
    ScorerSpec(name="exact_match", label="exact"),
    ScorerSpec(name="bleu", label="news", options={"ignore_case": True}),
    ScorerSpec(name="chrf", label="chrf"),
)
JOB = Job(
    name="j",
    seed=1,
    trials=1,
    arms={arm: ArmSpec(endpoint="e", model="m") for arm in Arm},
    suites=(
        SuiteSpec(name="s", role=Role.TARGET, dataset="d", format="auto", scorers=SCORER_SPECS),
        SuiteSpec(name="plain", role=Role.GENERAL, dataset="d", format="auto", scorers=SCORER_SPECS[:1]),
    ),
    gates=(),
)
REFERENCES = ["The cat sat on the mat.", "It was late in the day.", "Nobody came to the door."]
ANSWERS = {
    Arm.CANDIDATE: ["the cat sat on a mat.", "It was late in the day.", "Nobody was at the door."],
    Arm.BASELINE: ["A cat on a mat.", "late in the day", ""],
}


def executor(**scorers: Scorer) -> Executor:
    policy = RetryPolicy(max_attempts=1, deadline_s=1.0)
    suites = {"s": list(scorers.items())}
    return Executor(endpoints={}, scorers=suites, policy=policy, lag=LoopLag(), progress=Progress())


def case(position: int) -> Case:
    return Case(suite="s", id=str(position), category="c", input="q", expected=REFERENCES[position], position=position)


async def answered(runner: Executor, arm: Arm, position: int, text: str) -> Outcome:
    """What becomes of an answer; the baseline's third was cut off."""
    request = Request(
        job="j", case=case(position), arm=arm, trial=0, step="answer", endpoint="e", model="m", messages=[], params={}
    )
    course = executors._Course(since=0.0, ready=0.0)
    completion = Completion(text=text, finish_reason=None if text else "length")
    return await runner._answered(request, course, completion, 0.0)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    runner = executor(**{spec.label: build(spec) for spec in SCORER_SPECS})
    async with open_database(tmp_path / "e.db") as database:
        placed = [(position, case(position)) for position in range(3)]
        await JobStore(database).create(JOB, placed, job_id="j", endpoints={}, now=1.0)
        outcomes = [await answered(runner, arm, k, text) for arm in Arm for k, text in enumerate(ANSWERS[arm])]
        await OutcomeStore(database).add("j", outcomes)
        yield database


async def test_the_record_has_sacrebleus_corpus_scores_and_signatures(database: Database) -> None:
    found = await corpus_scores(JOB, "j", Views(database), {})
    assert found["plain"] == {}
    for label, metric in (("news", BLEU(lowercase=True)), ("chrf", CHRF())):
        for arm in Arm:
            wanted = metric.corpus_score(ANSWERS[arm], [REFERENCES]).score / 100
            assert found["s"][label][arm.value] == pytest.approx(wanted, abs=1e-11)
        assert found["s"][label]["cases"] == 3
        assert found["s"][label]["signature"] == str(metric.get_signature())
    assert found["s"].keys() == {"news", "chrf"}


async def test_what_lies_beyond_a_suites_end_is_left_out(database: Database) -> None:
    found = await corpus_scores(JOB, "j", Views(database), {"s": 2})
    wanted = BLEU(lowercase=True).corpus_score(ANSWERS[Arm.BASELINE][:2], [REFERENCES[:2]]).score / 100
    assert (found["s"]["news"]["cases"], found["s"]["news"]["baseline"]) == (2, pytest.approx(wanted, abs=1e-11))
    nothing = await corpus_scores(JOB, "j", Views(database), {"s": 0})
    assert nothing["s"]["news"] == {"candidate": None, "baseline": None, "cases": 0, "signature": None}


async def test_a_scorer_that_cannot_say_what_a_fault_is_worth_costs_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(SCORERS["bleu"], "fault", raises)
    outcome = await answered(executor(bleu=build(SCORER_SPECS[1])), Arm.BASELINE, 0, "")
    assert (outcome.status, outcome.scores["bleu"].value) == (Status.MODEL_ERROR, 0.0)


@pytest.mark.parametrize(("name", "length", "off"), [("exact", 16_384, 0), ("exact", 16_385, 1), ("news", 1, 1)])
async def test_long_answers_and_slow_scorers_leave_the_loop(
    monkeypatch: pytest.MonkeyPatch, name: str, length: int, off: int
) -> None:
    sent: list[object] = []

    async def noted(*work: object) -> object:
        sent.append(work)
        return await run_sync(*work)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr("evalsvc.engine.executor.run_sync", noted)
    spec = next(each for each in SCORER_SPECS if each.label == name)
    await answered(executor(**{name: build(spec)}), Arm.BASELINE, 0, "x" * length)
    assert len(sent) == off
