"""Reads and checks a job and everything it names, before anything is created or anybody is asked."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from evalsvc import config, jobfile
from evalsvc.core.records import Case, Job, Role
from evalsvc.errors import JobError
from evalsvc.providers.settings import EndpointSettings
from evalsvc.scoring.base import Scorer, build
from evalsvc.suites.base import read_suite


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedJob:
    """A job that has been read and checked whole: every file, option, endpoint and key it names is there.

    ``counts`` are the cases of each suite, before ``--limit``; ``warnings`` belong into the record.
    """

    path: Path
    config: config.Config
    file: jobfile.JobFile
    endpoints: Mapping[str, EndpointSettings]
    keys: Mapping[str, str | None]
    scorers: Mapping[str, Sequence[tuple[str, Scorer]]]
    counts: Mapping[str, int]
    warnings: Sequence[str]

    @property
    def job(self) -> Job:
        """The job itself."""
        return self.file.job

    def cases(self, suite: str) -> Iterator[Case]:
        """The cases of a suite in the order of its data set."""
        spec = next(spec for spec in self.job.suites if spec.name == suite)
        return read_suite(
            self.file.files[spec.dataset],
            spec,
            name_for_errors=str(self.file.files[spec.dataset]),
            max_row_bytes=self.config.engine.max_row_mb * 2**20,
        )


def prepare(
    job_path: Path, *, config_path: Path | None = None, database: Path | None = None, limit: int | None = None
) -> PreparedJob:
    """Read and check a job and everything it names; nothing is created and nobody is asked.

    Raises:
        JobError, ConfigError: the first thing found wrong, with file, line, key.
    """
    settings = config.load(config_path, os.environ)
    if database is not None:
        settings = replace(settings, store=settings.store.model_copy(update={"path": str(database)}))
    file = jobfile.read(job_path, limit=limit)
    endpoints = {}
    for arm, spec in file.job.arms.items():
        if spec.endpoint not in settings.endpoints:
            known = ", ".join(sorted(settings.endpoints))
            raise file.error(
                (arm.value, "endpoint"), f"no endpoint {spec.endpoint!r} in the configuration; known: {known}"
            )
        endpoints[spec.endpoint] = settings.endpoints[spec.endpoint]
    keys = {name: config.api_key(name, endpoint, os.environ) for name, endpoint in endpoints.items()}
    scorers = {suite.name: _scorers(file, index) for index, suite in enumerate(file.job.suites)}
    prepared = PreparedJob(
        path=job_path,
        config=settings,
        file=file,
        endpoints=endpoints,
        keys=keys,
        scorers=scorers,
        counts={},
        warnings=[],
    )
    inputs = {role: array("q") for role in Role}
    counts = {suite.name: _check_cases(prepared, suite.name, inputs[suite.role]) for suite in file.job.suites}
    warnings = [warning for role, hashes in inputs.items() for warning in _repeated(role, hashes)]
    return replace(prepared, counts=counts, warnings=warnings)


def _scorers(file: jobfile.JobFile, index: int) -> list[tuple[str, Scorer]]:

    scorers = []
    for place, spec in enumerate(file.job.suites[index].scorers):
        key = ("suites", index, *(("also", place - 1) if place else ("scorer",)))
        try:
            scorers.append((spec.label, build(spec)))
        except JobError as error:
            option = (error.key,) if error.key and error.key in spec.options else ()
            raise file.error((*key, *option), error.message) from None
    return scorers


def _check_cases(prepared: PreparedJob, suite: str, inputs: array[int]) -> int:
    """Read a suite whole; raises `JobError` for a case that its scorers cannot score. ``inputs`` gathers hashes."""
    count = 0
    for case in prepared.cases(suite):
        count += 1
        inputs.append(hash(case.input if isinstance(case.input, str) else str(case.input)))
        for label, scorer in prepared.scorers[suite]:
            lack = scorer.check(case)
            if lack is not None:
                dataset = next(spec.dataset for spec in prepared.job.suites if spec.name == suite)
                file = str(prepared.file.files[dataset])
                raise JobError(f"{lack} (scorer {label!r})", file=file, line=case.line, key=scorer.needs)
    return count


def _repeated(role: Role, inputs: array[int]) -> list[str]:
    """A warning when cases of one role ask the same: each counts as if it were evidence of its own."""
    ordered = sorted(inputs)
    repeats = sum(one == other for one, other in pairwise(ordered))
    said = f"{repeats} of {len(inputs)} {role} cases repeat the input of another one, and count as if they did not"
    return [said] if repeats else []
