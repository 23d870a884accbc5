"""A job that is filed, with all it takes to run it: built from its row alone, whoever filed it and when."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalsvc import config
from evalsvc.app.plugins import check_gates, plugin_arguments
from evalsvc.core.records import Arm, Job, SuiteSpec
from evalsvc.errors import ConfigError, JobError, StoreError
from evalsvc.jobfile.document import job_in
from evalsvc.providers.settings import EndpointSettings
from evalsvc.scoring.base import Scorer, build
from evalsvc.store.jobs import JobRow
from evalsvc.store.uploads import Uploads
from evalsvc.suites.answers import RecordedAnswers
from evalsvc.suites.reading import detect


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """How the built-in simulator learns the right answers: arguments of its command, a line on its standard input."""

    arguments: tuple[str, ...]
    line: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What it takes to run a job.

    ``endpoints`` are those that are asked, ``keys`` theirs; ``answers`` are those of the arms that were recorded
    instead; ``rehearsal`` is how the built-in simulator learns the job's cases. ``formats`` are those the suites' data
    sets are read in, those found by looking included.
    """

    job: Job
    config: config.Config
    endpoints: Mapping[str, EndpointSettings]
    keys: Mapping[str, str | None]
    answers: Mapping[Arm, RecordedAnswers]
    scorers: Mapping[str, Sequence[tuple[str, Scorer]]]
    rehearsal: Rehearsal
    formats: Mapping[str, str]


def work_of(row: JobRow, settings: config.Config, uploads: Uploads) -> Work:
    """What it takes to run a submitted job, from its row and the files that came with it.

    Raises:
        JobError, ConfigError, StoreError: the configuration or the files are no longer what the job needs.
    """
    job = job_in(row.document)
    check_gates(job)
    endpoints = dict(_asked(job, settings))
    files = _files(row, uploads)
    return Work(
        job=job,
        config=settings,
        endpoints=endpoints,
        keys={name: config.api_key(name, endpoint, os.environ) for name, endpoint in endpoints.items()},
        answers=_answers(job, files, settings.engine.max_row_mb * 2**20),
        scorers={suite.name: _scorers(suite) for suite in job.suites},
        rehearsal=_rehearsal(row.source or "", files, plugin_arguments(settings)),
        formats={suite.name: _format(suite, files, settings.engine.max_row_mb * 2**20) for suite in job.suites},
    )


def _asked(job: Job, settings: config.Config) -> Sequence[tuple[str, EndpointSettings]]:
    names = [spec.endpoint for spec in job.arms.values() if not spec.recorded]
    names += [] if job.judge is None else [job.judge.endpoint]
    for name in names:
        if name not in settings.endpoints:
            raise ConfigError(f"no endpoint {name!r} in the configuration any more")
    return [(name, settings.endpoints[name]) for name in names]


def _files(row: JobRow, uploads: Uploads) -> dict[str, Path]:
    digests: dict[str, str] = json.loads(row.document)["files"]
    return {name: uploads.path(digest) for name, digest in digests.items()}


def _rehearsal(source: str, files: Mapping[str, Path], plugins: tuple[str, ...]) -> Rehearsal:
    told = {"job": source, "files": {name: str(path) for name, path in files.items()}}
    return Rehearsal(arguments=("--uploaded", *plugins), line=json.dumps(told).encode() + b"\n")


def _format(suite: SuiteSpec, files: Mapping[str, Path], max_row_bytes: int) -> str:
    return detect(files[suite.dataset], suite, name_for_errors=suite.dataset, max_row_bytes=max_row_bytes)


def _answers(job: Job, files: Mapping[str, Path], max_row_bytes: int) -> dict[Arm, RecordedAnswers]:
    found = {}
    for arm, spec in job.arms.items():
        if spec.recorded and spec.outputs is not None:
            path = files[spec.outputs]
            if not path.exists():
                raise StoreError(f"the file {spec.outputs} that came with the job is no longer there")
            found[arm] = RecordedAnswers(path, model=spec.model, name=spec.outputs, max_row_bytes=max_row_bytes)
    return found


def _scorers(suite: SuiteSpec) -> list[tuple[str, Scorer]]:
    try:
        return [(spec.label, build(spec)) for spec in suite.scorers]
    except JobError as error:
        raise JobError(f"suite {suite.name}: {error.message}") from None
