"""What was asked beyond the answers, as the store finds it again."""

from __future__ import annotations

from typing import Any

import pytest

from evalsvc.core.evidence import Fault, FollowUpTotals
from evalsvc.core.records import Arm, Completion, Score, Status
from evalsvc.store.follow_ups import FollowUpRows, label_of
from evalsvc.store.jobs import JobStore
from evalsvc.store.views import Views

pytestmark = pytest.mark.anyio

SAID = Completion(text="ok", model="judge-1", input_tokens=10, output_tokens=2, logprobs={"content": []})


async def filed(filing: Any) -> Any:
    job = filing.job("s")
    ((_, case),) = filing.cases([("s", "a")])
    ask = {"completion": SAID, "scores": {}}
    await filing.file(
        "J",
        job,
        [(0, case)],
        [
            filing.outcome(case, "candidate", 1.0),
            filing.outcome(case, "baseline", 0.0),
            filing.outcome(case, "candidate", 1.0, step="grade", key=b"k" * 32, **ask),
            filing.outcome(case, "baseline", 1.0, step="grade", attempts=(), **ask),
            filing.outcome(
                case, "candidate", 1.0, step="grade/canary/dot", **{**ask, "scores": {"grade": Score(value=0.0)}}
            ),
            filing.outcome(case, "candidate", 1.0, step="grade/canary/dot/more", **ask),
            filing.outcome(case, "baseline", None, step="ppl"),
        ],
    )
    return job


async def test_follow_ups_are_counted_apart_from_the_answers(filing: Any) -> None:
    job = await filed(filing)
    rows = FollowUpRows(filing.database)
    judge, models = await rows.totals("J", {"s": ["grade"]})
    assert judge == FollowUpTotals(
        requests=4, failed=0, attempts=3, cached=1, input_tokens=30, output_tokens=6, served_models=("judge-1",)
    )
    assert (models[Arm.BASELINE].requests, models[Arm.BASELINE].failed, set(models)) == (1, 1, {Arm.BASELINE})
    evidence = await Views(filing.database).evidence(job, "J")
    assert [evidence.totals[arm].requests for arm in Arm] == [1, 1]
    assert [evidence.totals[arm].attempts for arm in Arm] == [1, 1]
    assert evidence.totals[Arm.CANDIDATE].served_models == ("served",)


async def test_what_most_requests_to_the_judge_failed_of_is_found(filing: Any) -> None:
    cases = filing.cases([("s", name) for name in "abcd"])
    server: dict[str, Any] = {
        "status": Status.INFRA_ERROR,
        "kind": "server",
        "detail": "HTTP 500",
        "completion": None,
        "scores": {},
    }
    refused = {**server, "kind": "rejected", "detail": "HTTP 400: b"}
    asked = [server, refused, {**refused, "detail": "HTTP 400: a"}, {**server, "kind": "network", "detail": None}]
    rows = [
        *(filing.outcome(case, "candidate", 1.0) for _, case in cases),
        *(
            filing.outcome(case, "candidate", None, step="grade", **row)
            for (_, case), row in zip(cases, asked, strict=True)
        ),
        *(filing.outcome(case, "candidate", None, step="ppl", **{**server, "kind": "timeout"}) for _, case in cases),
    ]
    await filing.file("J", filing.job("s"), cases, rows)
    judge, models = await FollowUpRows(filing.database).totals("J", {"s": ["grade"]})
    assert judge is not None
    assert (judge.failed, judge.fault) == (4, Fault(kind="rejected", count=2, detail="HTTP 400: a"))
    assert models[Arm.CANDIDATE].fault is None


async def test_the_first_places_of_a_suite_are_those_of_the_planned_order(filing: Any) -> None:
    cases = filing.cases([(suite, f"{suite}{n}") for n in range(4) for suite in "ab"])
    await filing.file("J", filing.job("a", "b"), cases, [])
    rows = FollowUpRows(filing.database)
    assert await rows.first_places("J", ["b"], 3) == {"b": frozenset({1, 3, 5})}
    assert await rows.first_places("J", ["a", "none"], 9) == {"a": frozenset({0, 2, 4, 6}), "none": frozenset()}
    assert await rows.first_places("other", ["a"], 3) == {"a": frozenset()}


async def test_a_simulated_judge_makes_the_job_a_simulated_one(filing: Any) -> None:
    job = filing.job("s")
    ((_, case),) = filing.cases([("s", "a")])
    said = Completion(text="ok", simulated=True)
    rows = [filing.outcome(case, "candidate", 1.0), filing.outcome(case, "candidate", 1.0, step="j", completion=said)]
    await filing.file("J", job, [(0, case)], rows)
    assert (await Views(filing.database).evidence(job, "J")).simulated


async def test_follow_ups_are_found_by_their_answer_and_by_their_key(filing: Any) -> None:
    await filed(filing)
    rows = FollowUpRows(filing.database)
    found = await rows.between("J", 0, 0)
    assert set(found[0, Arm.CANDIDATE, 0]) == {"grade", "grade/canary/dot", "grade/canary/dot/more"}
    assert found[0, Arm.BASELINE, 0]["ppl"].status == Status.INFRA_ERROR
    assert await rows.between("J", 1, 9) == {}
    said = await rows.said(b"k" * 32)
    assert said is not None
    assert (said.text, said.model, said.input_tokens) == ("ok", "judge-1", 10)
    assert await rows.said(b"x" * 32) is None
    await JobStore(filing.database).remove("J")
    assert await rows.said(b"k" * 32) is None


def test_labels_of_steps() -> None:
    assert label_of("a/b/c", ["a", "a/b", "a/bc"]) == "a/b"
    assert label_of("ab", ["a"]) is None
