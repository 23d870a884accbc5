"""Stored calibrations, and the repeats they are made of."""

from __future__ import annotations

from dataclasses import replace
from math import inf, isnan
from typing import Any

import numpy as np
import pytest

from evalsvc.core.records import Arm, Attempt, Job, Status
from evalsvc.store.calibrations import Calibrations, newest_calibration
from evalsvc.store.jobs import JobStore
from evalsvc.store.repeats import read_repeats
from evalsvc.store.views import Views

pytestmark = pytest.mark.anyio


async def test_the_newest_before_a_time_is_found(filing: Any) -> None:
    job = filing.job("s")
    for job_id in ("one", "two"):
        await filing.file(job_id, job, filing.cases([("s", "a")]))
    store = Calibrations(filing.database)
    await store.add("k", "one", {"resamples": 1}, now=10.0)
    await store.add("k", "two", {"resamples": 2}, now=20.0)
    await store.add("other", "two", {"resamples": 3}, now=15.0)
    views = Views(filing.database)
    assert await views.calibration("k", until=9.0) is None
    assert await views.calibration("k", until=10.0) == {"job": "one", "created_at": 10.0, "resamples": 1}
    assert await newest_calibration(filing.database, "k", until=99) == {"job": "two", "created_at": 20, "resamples": 2}
    await JobStore(filing.database).remove("two")
    left = await views.calibration("k", until=99)
    assert left is not None, "a calibration goes with the job whose answers it rests on"
    assert left["job"] == "one"


def clustered(job: Job) -> Job:
    return replace(job, suites=tuple(replace(suite, cluster="doc") for suite in job.suites))


async def test_repeats_are_read_case_by_case(filing: Any) -> None:
    job = clustered(filing.job("s", "g", trials=2))
    names = [("s", f"c{k}") for k in range(700)] + [("g", "x")]
    cases = [
        (position, replace(case, metadata={"doc": position // 100, "noise": 1}))
        for position, case in filing.cases(names)
    ]
    outcomes = []
    for position, case in cases:
        for place, (arm, trial) in enumerate([("baseline", 0), ("baseline", 1), ("candidate", 0), ("candidate", 1)]):
            score = None if position == 3 and place == 1 else (position * 4 + place) / 4000
            made = filing.outcome(case, arm, score, trial=trial)
            if score is not None:
                made = replace(made, attempts=(Attempt(seconds=float(place)),))
            outcomes.append(made)
    outcomes = [each for each in outcomes if (each.case.position, each.arm, each.trial) != (5, Arm.CANDIDATE, 1)]
    late = next(k for k, each in enumerate(outcomes) if each.case.position == 7 and each.trial == 0)
    outcomes[late] = replace(
        outcomes[late], status=Status.INFRA_ERROR, kind="timeout", detail="late", completion=None, scores={}
    )
    await filing.file("j", job, cases, outcomes)
    both = await read_repeats(filing.database, job, "j", list(Arm), 4)
    assert both.left_out == 1
    table, other = both.tables
    assert (len(table.category), len(other.category)) == (699, 1)
    scores = np.array(table.scores).reshape(-1, 4)
    assert scores[10] == pytest.approx((np.arange(4) + 4 * 11) / 4000), "the case that lacks one is not in it"
    assert isnan(scores[3, 1])
    assert isnan(scores[6, 0])
    assert list(table.cluster or ())[98:101] == [0, 1, 1]
    seconds = np.array(both.seconds["s"]).reshape(-1, 4)
    assert seconds[10].tolist() == [0, 1, 2, 3]
    assert seconds[6, 0] == inf
    assert isnan(seconds[3, 1])
    one = await read_repeats(filing.database, job, "j", [Arm.BASELINE], 2)
    assert one.left_out == 0
    assert np.array(one.tables[0].scores).reshape(-1, 2)[10] == pytest.approx(np.array([40, 41]) / 4000)


async def test_clusters_are_read_with_the_scores(filing: Any) -> None:
    job = clustered(filing.job("s"))
    said = [{"doc": "a"}, {"doc": ["b", 1]}, {"doc": "a"}, {}, {"doc": None}, {"doc": ["b", 1]}, {"other": "a"}]
    cases = filing.cases([("s", f"c{k}") for k in range(7)])
    cases = [(position, replace(case, metadata=said[position])) for position, case in cases]
    outcomes = [filing.outcome(case, arm, 1.0) for _, case in cases for arm in ("candidate", "baseline")]
    await filing.file("j", job, cases, outcomes)
    (table,) = await Views(filing.database).scores(job, "j").read()
    assert table.cluster is not None
    assert table.cluster.tolist() == [0, 1, 0, 2, 3, 1, 4]
    plain = replace(job, suites=tuple(replace(suite, cluster=None) for suite in job.suites))
    (table,) = await Views(filing.database).scores(plain, "j").read()
    assert table.cluster is None
