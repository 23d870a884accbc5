"""Two jobs side by side: which cases they share, and what each scored on them."""

from __future__ import annotations

from dataclasses import replace
from math import isnan
from typing import Any

import pytest

from evalsvc.core.records import Arm, Completion
from evalsvc.store.pairing import Pairing

pytestmark = pytest.mark.anyio


async def filed(filing: Any, job_id: str, scores: dict[str, float | None], *, suite: str = "s", **case: Any) -> None:
    """A job with a case per entry; its baseline always scores 1."""
    cases = filing.cases([(suite, name) for name in scores], **case)
    outcomes = [
        filing.outcome(each, "candidate", score) for (_, each), score in zip(cases, scores.values(), strict=True)
    ]
    outcomes += [filing.outcome(each, "baseline", 1.0) for _, each in cases]
    await filing.file(job_id, filing.job(suite), cases, outcomes)


async def test_shared_cases_are_paired_by_id_whatever_their_place(filing: Any) -> None:
    await filed(filing, "A", {"c0": 1, "c1": 0, "c2": 0.5, "gone": 1})
    await filed(filing, "B", {"new": 1, "c2": 1, "c1": None, "c0": 0})
    pairing = Pairing(filing.database)
    found = await pairing.scores("A", "B", filing.job("s"), Arm.CANDIDATE)
    (coverage,) = found.coverage
    assert (coverage.shared, coverage.only_first, coverage.only_second, coverage.changed) == (3, 1, 1, 0)
    assert not coverage.whole
    (table,) = found.tables
    second, first = table.arms[Arm.CANDIDATE], table.arms[Arm.BASELINE]
    assert list(first.mean) == [0.5, 0, 1]
    assert [None if isnan(x) else x for x in second.mean] == [1, None, 0]
    assert (list(second.low), list(second.high)) == ([1, 0, 0], [1, 1, 0])
    assert (table.primary, table.label, table.categories) == (True, "exact_match", ("a",))
    other = await pairing.scores("A", "B", filing.job("s"), Arm.BASELINE)
    assert list(other.tables[0].arms[Arm.CANDIDATE].mean) == [1, 1, 1]


@pytest.mark.parametrize("change", [{"input": "else"}, {"expected": "y"}, {"schema": {"type": "object"}}])
async def test_a_case_of_the_same_id_and_another_content_is_not_shared(filing: Any, change: dict[str, Any]) -> None:
    await filed(filing, "A", {"c0": 1})
    await filed(filing, "B", {"c0": 1}, **change)
    found = await Pairing(filing.database).scores("A", "B", filing.job("s"), Arm.CANDIDATE)
    assert (found.coverage[0].shared, found.coverage[0].changed) == (0, 1)
    flips, total = await Pairing(filing.database).flips("A", "B", Arm.CANDIDATE, limit=9)
    assert (flips, total) == ([], 0)


async def test_clusters_are_those_of_the_second_job(filing: Any) -> None:
    for job_id in "AB":
        cases = filing.cases([("s", f"c{k}") for k in range(4)])
        cases = [(k, replace(case, metadata={"doc": f"{job_id}{k // 2}"} if k < 3 else {})) for k, case in cases]
        outcomes = [filing.outcome(case, "candidate", 1) for _, case in cases]
        await filing.file(job_id, filing.job("s"), cases, outcomes)
    plain, job = filing.job("s"), filing.job("s")
    job = replace(job, suites=tuple(replace(suite, cluster="doc") for suite in job.suites))
    pairing = Pairing(filing.database)
    assert (await pairing.scores("A", "B", plain, Arm.CANDIDATE)).tables[0].cluster is None
    found = await pairing.scores("A", "B", job, Arm.CANDIDATE)
    assert list(found.tables[0].cluster or ()) == [0, 0, 1, 2]


async def test_what_changed_shows_calls(filing: Any) -> None:
    for job_id, score in (("A", 1.0), ("B", 0.0)):
        cases = filing.cases([("s", "c0")])
        call = {"function": {"name": "f", "arguments": f'{{"x": {score}}}'}}
        outcome = replace(
            filing.outcome(cases[0][1], "candidate", score), completion=Completion(text="", tool_calls=[call])
        )
        await filing.file(job_id, filing.job("s"), cases, [outcome])
    ((flip,), _) = await Pairing(filing.database).flips("A", "B", Arm.CANDIDATE, limit=9)
    assert (flip.first.text, flip.second.text) == ('f({"x": 1.0})', 'f({"x": 0.0})')


async def test_metadata_and_category_do_not_make_another_case(filing: Any) -> None:
    await filed(filing, "A", {"c0": 1}, metadata={"seen": "2025"})
    await filed(filing, "B", {"c0": 0}, category="renamed")
    found = await Pairing(filing.database).scores("A", "B", filing.job("s"), Arm.CANDIDATE)
    assert found.coverage[0].whole
    assert found.tables[0].categories == ("renamed",)


async def test_a_case_one_job_never_asked_is_left_out_and_counted(filing: Any) -> None:
    await filed(filing, "A", {"c0": 1, "c1": 1})
    cases = filing.cases([("s", "c0"), ("s", "c1")])
    await filing.file("B", filing.job("s"), cases, [filing.outcome(cases[0][1], "candidate", 1.0)])
    found = await Pairing(filing.database).scores("A", "B", filing.job("s"), Arm.CANDIDATE)
    assert (found.coverage[0].shared, found.coverage[0].unasked) == (1, 1)


async def test_a_suite_of_one_job_alone_is_counted_and_has_no_table(filing: Any) -> None:
    await filed(filing, "A", {"c0": 1}, suite="old")
    await filed(filing, "B", {"c0": 1}, suite="new")
    found = await Pairing(filing.database).scores("A", "B", filing.job("new"), Arm.CANDIDATE)
    assert [(each.suite, each.only_first, each.only_second) for each in found.coverage] == [
        ("new", 0, 1),
        ("old", 1, 0),
    ]
    assert found.tables == ()


async def test_trials_are_averaged_and_a_missing_one_leaves_bounds(filing: Any) -> None:
    ((_, case),) = filing.cases([("s", "c0")])
    trials: dict[str, list[float | None]] = {"A": [1.0, 0.0], "B": [1.0, None]}
    for job_id, scores in trials.items():
        outcomes = [filing.outcome(case, "candidate", score, trial=k) for k, score in enumerate(scores)]
        await filing.file(job_id, filing.job("s", trials=2), [(0, case)], outcomes)
    (table,) = (await Pairing(filing.database).scores("A", "B", filing.job("s"), Arm.CANDIDATE)).tables
    assert list(table.arms[Arm.BASELINE].mean) == [0.5]
    second = table.arms[Arm.CANDIDATE]
    assert (isnan(second.mean[0]), second.low[0], second.high[0]) == (True, 0.5, 1.0)
    assert await Pairing(filing.database).flips("A", "B", Arm.CANDIDATE, limit=9) == ([], 0)


async def test_flips_are_the_worst_first_with_both_answers(filing: Any) -> None:
    await filed(filing, "A", {"c0": 1, "c1": 0, "c2": 0.5, "c3": 1, "c4": 1})
    await filed(filing, "B", {"c4": None, "c3": 1, "c2": 0.25, "c1": 1, "c0": 0})
    flips, total = await Pairing(filing.database).flips("A", "B", Arm.CANDIDATE, limit=2)
    assert ([(flip.case_id, flip.delta) for flip in flips], total) == ([("c0", -1.0), ("c2", -0.25)], 3)
    assert (flips[0].input, flips[0].expected, flips[0].first.score, flips[0].second.score) == ("q c0", "x", 1.0, 0.0)
    assert (flips[0].first.text, flips[0].second.explanation) == ("candidate on c0", "why")
