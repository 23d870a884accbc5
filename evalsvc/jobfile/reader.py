"""Reads a job file into a `Job`; whatever is wrong in it is one `JobError` with file, line and key."""

from __future__ import annotations

import datetime as dt
import hashlib
import math
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rfc8785
from pydantic import ValidationError

from evalsvc.core.invalid import describe, first_error
from evalsvc.core.records import GATES, Arm, ArmSpec, GateSpec, Job, ScorerSpec, SuiteSpec
from evalsvc.core.toml_source import KeyPath, TomlSource
from evalsvc.errors import JobError
from evalsvc.jobfile.models import (
    MAX_INTEGER,
    ArmTable,
    GatesTable,
    JobTable,
    ScorerTable,
    SuiteTable,
    reserved_param,
)

Fault = tuple[KeyPath, str]
_MAX_DEPTH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFile:
    """A read job file.

    ``files`` holds every file the job names, by its path as written there, ``sha256`` its hex digest.
    """

    job: Job
    source: TomlSource[JobError]
    files: dict[str, Path]
    sha256: dict[str, str]

    def error(self, key_path: KeyPath, message: str) -> JobError:
        """An error at a key of the job file (``("suites", 0, "scorer", "tolerance")``), ready to be raised."""
        return self.source.error(key_path, message)

    def check_unchanged(self) -> None:
        """Raise `JobError` when a file the job names no longer holds what `sha256` says."""
        for name, path in self.files.items():
            if _file_sha256(path) != self.sha256[name]:
                raise JobError("changed while it was being read; run the job again", file=str(path))


def read(path: Path, *, limit: int | None = None) -> JobFile:
    """Read and check a job file and hash the files it names.

    Args:
        path: the job file; data sets are relative to its folder.
        limit: take only the first cases of each suite's planned order, at least 1.

    Raises:
        JobError: the first thing that is wrong, with file, line and key.
    """
    if limit is not None and limit < 1:
        raise JobError(f"must be at least 1, got {limit}", key="--limit")
    source = TomlSource.parse(_read_bytes(path), file=str(path), blame=JobError)
    for fault in (*_not_yet(source.data), *_not_json((), source.data)):
        raise source.error(*fault)
    try:
        table = JobTable.model_validate(source.data)
    except ValidationError as error:
        raise first_error(error, JobTable, source) from None
    for fault in (*_reserved_params(table), *_repeated_names(table)):
        raise source.error(*fault)
    files, sha256 = _datasets(table, path.parent, source)
    digest = _spec_sha256(table, sha256, limit)
    return JobFile(job=_job(table, limit, digest), source=source, files=files, sha256=sha256)


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise JobError(f"cannot be read: {_reason(error)}", file=str(path)) from None


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _not_yet(data: dict[str, Any]) -> Iterator[Fault]:
    """What the contract of job.toml knows and this version does not do: refused rather than ignored."""
    if data.get("stop") in ("hybrid", "anytime"):
        yield ("stop",), f'"{data["stop"]}" is not available yet; use "never"'
    if "judge" in data:
        yield ("judge",), "not available yet; remove it"
    for arm in Arm:
        yield from _arm_not_yet(str(arm), data.get(arm))
    suites = data.get("suites")
    for index, suite in enumerate(suites if isinstance(suites, list) else ()):
        name = suite.get("format") if isinstance(suite, dict) else None
        if isinstance(name, str) and name not in ("auto", "native"):
            yield ("suites", index, "format"), f'"{name}" is not available yet; use "auto" or "native"'


def _arm_not_yet(arm: str, table: object) -> Iterator[Fault]:
    if not isinstance(table, dict):
        return
    if table.get("endpoint") == "recorded":
        yield (arm, "endpoint"), '"recorded" is not available yet; name an endpoint of config.toml'
    if "outputs" in table:
        yield (arm, "outputs"), "not available yet; remove it"
    if table.get("api") == "responses" and table.get("stream") is True:
        yield (arm, "stream"), 'true is not available yet with api = "responses"; remove it'


def _not_json(path: KeyPath, value: object) -> Iterator[Fault]:
    """Values of TOML that canonical JSON does not have, or that are too deep for its writers."""
    if len(path) > _MAX_DEPTH:
        yield path[:3], f"nested deeper than {_MAX_DEPTH} levels"
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _not_json((*path, key), inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _not_json((*path, index), inner)
    elif isinstance(value, dt.date | dt.time):
        yield path, "a date or time is no JSON value; write it as a string"
    elif isinstance(value, float) and not math.isfinite(value):
        yield path, f"must be a finite number, got {describe(value)}"
    elif isinstance(value, int) and abs(value) > MAX_INTEGER:
        yield path, f"must lie within ±{MAX_INTEGER}, got {describe(value)}: JSON keeps no larger integer exactly"


def _reserved_params(table: JobTable) -> Iterator[Fault]:
    for arm in Arm:
        found = reserved_param(_arm(table, arm).params)
        if found:
            yield (str(arm), "params", found[0]), found[1]


def _repeated_names(table: JobTable) -> Iterator[Fault]:
    suites: set[str] = set()
    for index, suite in enumerate(table.suites):
        if suite.name in suites:
            yield ("suites", index, "name"), f'another suite is called "{suite.name}" already; names are unique'
        suites.add(suite.name)
        yield from _repeated_labels(index, suite)


def _repeated_labels(index: int, suite: SuiteTable) -> Iterator[Fault]:
    labels = {suite.scorer.label}
    for place, scorer in enumerate(suite.also):
        if scorer.label in labels:
            message = f'another scorer of this suite is labelled "{scorer.label}" already; give one a label of its own'
            yield ("suites", index, "also", place), message
        labels.add(scorer.label)


def _datasets(table: JobTable, folder: Path, source: TomlSource[JobError]) -> tuple[dict[str, Path], dict[str, str]]:
    files: dict[str, Path] = {}
    sha256: dict[str, str] = {}
    for index, suite in enumerate(table.suites):
        if suite.dataset in files:
            continue
        path = folder / suite.dataset
        try:
            sha256[suite.dataset] = _file_sha256(path)
        except (OSError, ValueError) as error:
            raise source.error(("suites", index, "dataset"), f"cannot read {path}: {_reason(error)}") from None
        files[suite.dataset] = path
    return files, sha256


def _file_sha256(path: Path) -> str:
    # looked at before it is opened: opening a pipe would wait for its writer
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("not a regular file")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _spec_sha256(table: JobTable, files: dict[str, str], limit: int | None) -> str:
    spec = {"job": table.model_dump(mode="json"), "files": files, "limit": limit}
    return hashlib.sha256(rfc8785.dumps(spec)).hexdigest()


def _job(table: JobTable, limit: int | None, spec_sha256: str) -> Job:
    return Job(
        name=table.name,
        seed=table.seed,
        trials=table.trials,
        rate=table.rate,
        arms={arm: _arm_spec(_arm(table, arm)) for arm in Arm},
        suites=tuple(_suite_spec(suite) for suite in table.suites),
        gates=tuple(_gate_spec(table.gates, name) for name in GATES),
        evidence=table.gates.evidence,
        limit=limit,
        spec_sha256=spec_sha256,
    )


def _arm(table: JobTable, arm: Arm) -> ArmTable:
    return table.candidate if arm is Arm.CANDIDATE else table.baseline


def _arm_spec(table: ArmTable) -> ArmSpec:
    return ArmSpec(
        endpoint=table.endpoint,
        model=table.model,
        system=table.system,
        params=table.params,
        api=table.api,
        stream=table.stream,
    )


def _suite_spec(table: SuiteTable) -> SuiteSpec:
    scorers = tuple(_scorer_spec(scorer) for scorer in (table.scorer, *table.also))
    return SuiteSpec(name=table.name, role=table.role, dataset=table.dataset, format=table.format, scorers=scorers)


def _scorer_spec(table: ScorerTable) -> ScorerSpec:
    return ScorerSpec(name=table.name, label=table.label, pass_at=table.pass_at, options=table.model_extra or {})


def _gate_spec(gates: GatesTable, name: str) -> GateSpec:
    gate = getattr(gates, name)
    return GateSpec(name=name, threshold=gate.core_threshold(), required=gate.required, waived=gate.waive)
