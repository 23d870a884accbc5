"""Scores of all answers together, where they are not the mean of the cases: BLEU, chrF."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalsvc.core.records import Arm, Job, SuiteSpec
from evalsvc.scoring.base import SCORERS, Scorer, build
from evalsvc.store.parts import PartSums
from evalsvc.store.views import Views

_BEYOND = 2**62


async def corpus_scores(
    job: Job, job_id: str, views: Views, ends: Mapping[str, int]
) -> dict[str, dict[str, dict[str, Any]]]:
    """By suite and label {"candidate", "baseline", "cases", "signature"}, for the scorers that have a corpus score.

    ``ends`` are the places in the job's order where a suite's evidence ends. Both arms' scores are over the same cases,
    those that every trial of both arms has answered; without any they are None.
    """
    return {suite.name: await _of_suite(suite, job, job_id, views, ends) for suite in job.suites}


async def _of_suite(
    suite: SuiteSpec, job: Job, job_id: str, views: Views, ends: Mapping[str, int]
) -> dict[str, dict[str, Any]]:
    scorers = {spec.label: build(spec) for spec in suite.scorers if spec.name in SCORERS and SCORERS[spec.name].corpus}
    if not scorers:
        return {}
    until = ends.get(suite.name, _BEYOND)
    sums = await views.parts(job_id, suite.name, list(scorers), trials=job.trials, until=until)
    return {label: _row(scorers[label], sums[label]) for label in scorers}


def _row(scorer: Scorer, parts: PartSums) -> dict[str, Any]:
    found = {arm: scorer.aggregate(parts.sums[arm]) for arm in Arm if parts.cases}
    values = {arm.value: found[arm].value if arm in found else None for arm in Arm}
    signature = found[Arm.CANDIDATE].signature if found else None
    return {**values, "cases": parts.cases, "signature": signature}
