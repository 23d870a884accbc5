"""Reads a job file into a `Job`; whatever is wrong in it is one `JobError` with file, line and key."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import rfc8785
from pydantic import ValidationError

from evalsvc.core.invalid import first_error
from evalsvc.core.records import Arm, Job
from evalsvc.core.toml_source import KeyPath, TomlSource
from evalsvc.errors import JobError
from evalsvc.jobfile.faults import faults_of_data, faults_of_table
from evalsvc.jobfile.models import JobTable
from evalsvc.jobfile.shipped import PREFIX as SHIPPED
from evalsvc.jobfile.shipped import path_of as shipped_path
from evalsvc.jobfile.specs import arm_of, job_of


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFile:
    """A read job file.

    ``files`` holds every file the job names, by its path as written there, ``names`` what errors call it, ``sha256``
    its hex digest.
    """

    job: Job
    source: TomlSource[JobError]
    files: dict[str, Path]
    names: dict[str, str]
    sha256: dict[str, str]

    def error(self, key_path: KeyPath, message: str) -> JobError:
        """An error at a key of the job file (``("suites", 0, "scorer", "tolerance")``), ready to be raised."""
        return self.source.error(key_path, message)

    def check_unchanged(self) -> None:
        """Raise `JobError` when a file the job names no longer holds what `sha256` says."""
        for name, path in self.files.items():
            if _file_sha256(path) != self.sha256[name]:
                raise JobError("changed while it was being read; run the job again", file=self.names[name])


def read(path: Path, *, limit: int | None = None) -> JobFile:
    """Read and check a job file and hash the files it names.

    Args:
        path: the job file; data sets are relative to its folder.
        limit: take only the first cases of each suite's planned order, at least 1.

    Raises:
        JobError: the first thing that is wrong, with file, line and key.
    """
    return _parsed(_read_bytes(path), str(path), lambda name: _beside(path, name), limit)


def read_upload(raw: bytes, files: Mapping[str, Path], *, limit: int | None = None) -> JobFile:
    """Read and check a job file that was uploaded, and hash the files that came with it; no other is opened.

    Args:
        raw: the job file.
        files: those that came with it, by their path in the job: where they lie.
        limit: as in `read`.

    Raises:
        JobError: as `read`; also for a file that came and that the job does not name.
    """

    def locate(name: str) -> tuple[Path, str]:
        if name not in files:
            raise ValueError("it did not come with the job")
        return files[name], name

    file = _parsed(raw, "job.toml", locate, limit)
    for name in files:
        if name not in file.files:
            raise JobError(f'the job names no file "{name}"; it names: {", ".join(file.files)}', file="job.toml")
    return file


def against_itself(file: JobFile) -> JobFile:
    """The job in which the baseline takes the candidate's place, too: same suites and gates, asked whole.

    Raises:
        JobError: the baseline's answers are recorded: they would be the same again.
    """
    if file.job.arms[Arm.BASELINE].recorded:
        said = '"recorded" answers do not change when they are read twice: name a finished job with two trials (--job)'
        raise file.error((str(Arm.BASELINE), "endpoint"), said)
    data = file.source.data
    gates = {**data.get("gates", {}), "calibration": "optional"}
    name = f"{file.job.name}: the baseline against itself"
    data = {**data, "name": name, "candidate": data[str(Arm.BASELINE)], "stop": "never", "gates": gates}
    table = JobTable.model_validate(data)
    named = {name for _, name in _named_files(table)}
    sha256 = {name: digest for name, digest in file.sha256.items() if name in named}
    return JobFile(
        job=job_of(table, file.job.limit, _spec_sha256(table, sha256, file.job.limit)),
        source=replace(file.source, data=data),
        files={name: path for name, path in file.files.items() if name in named},
        names=file.names,
        sha256=sha256,
    )


#: From the name of a file in a job to where it lies, and what errors call it. Raises ValueError.
Locate = Callable[[str], tuple[Path, str]]


def _parsed(raw: bytes, name: str, locate: Locate, limit: int | None) -> JobFile:
    if limit is not None and limit < 1:
        raise JobError(f"must be at least 1, got {limit}", key="--limit")
    source = TomlSource.parse(raw, file=name, blame=JobError)
    for fault in faults_of_data(source.data):
        raise source.error(*fault)
    try:
        table = JobTable.model_validate(source.data)
    except ValidationError as error:
        raise first_error(error, JobTable, source) from None
    for fault in faults_of_table(table):
        raise source.error(*fault)
    files, names, sha256 = _hashed(table, locate, source)
    digest = _spec_sha256(table, sha256, limit)
    return JobFile(job=job_of(table, limit, digest), source=source, files=files, names=names, sha256=sha256)


def _beside(job: Path, name: str) -> tuple[Path, str]:
    """Where a file lies that a job of this machine names, and what errors call it."""
    if name.startswith(SHIPPED):
        return shipped_path(name), name
    return job.parent / name, str(job.parent / name)


def _read_bytes(path: Path) -> bytes:
    try:
        _require_regular(path)
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise JobError(f"cannot be read: {_reason(error)}", file=str(path)) from None


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _hashed(
    table: JobTable, locate: Locate, source: TomlSource[JobError]
) -> tuple[dict[str, Path], dict[str, str], dict[str, str]]:
    """Where each file lies, what errors call it, and its SHA-256."""
    files: dict[str, Path] = {}
    names: dict[str, str] = {}
    sha256: dict[str, str] = {}
    for key, name in _named_files(table):
        if name in files:
            continue
        shown = name
        try:
            path, shown = locate(name)
            sha256[name] = _file_sha256(path)
        except (OSError, ValueError) as error:
            raise source.error(key, f"cannot read {shown}: {_reason(error)}") from None
        files[name], names[name] = path, shown
    return files, names, sha256


def _named_files(table: JobTable) -> Iterator[tuple[KeyPath, str]]:
    """Every file a job names, with the key it stands at."""
    for arm in Arm:
        outputs = arm_of(table, arm).outputs
        if outputs is not None:
            yield (str(arm), "outputs"), outputs
    for index, suite in enumerate(table.suites):
        yield ("suites", index, "dataset"), suite.dataset
        if suite.answers is not None:
            yield ("suites", index, "answers"), suite.answers
        if suite.prompt is not None and suite.prompt.examples is not None:
            yield ("suites", index, "prompt", "examples"), suite.prompt.examples


def _require_regular(path: Path) -> None:
    """Looked at before it is opened: opening a pipe would wait for its writer. Raises ValueError."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("not a regular file")


def _file_sha256(path: Path) -> str:
    _require_regular(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _spec_sha256(table: JobTable, files: dict[str, str], limit: int | None) -> str:
    spec = {"job": table.model_dump(mode="json"), "files": files, "limit": limit}
    return hashlib.sha256(rfc8785.dumps(spec)).hexdigest()
