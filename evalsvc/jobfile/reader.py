"""Reads a job file into a `Job`; whatever is wrong in it is one `JobError` with file, line and key."""

from __future__ import annotations

import datetime as dt
import hashlib
import math
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import rfc8785
from pydantic import ValidationError

from evalsvc.core.invalid import describe, first_error, unknown_key
from evalsvc.core.records import (
    FIELDS,
    GATES,
    RECORDED,
    Arm,
    ArmSpec,
    GateSpec,
    Job,
    JudgeSpec,
    PromptSpec,
    ScorerSpec,
    SuiteSpec,
)
from evalsvc.core.toml_source import KeyPath, TomlSource
from evalsvc.errors import JobError
from evalsvc.jobfile.models import (
    MAX_INTEGER,
    ArmTable,
    GatesTable,
    JobTable,
    JudgeTable,
    PluggedGate,
    ScorerTable,
    SuiteTable,
    plugged_gates,
    reserved_param,
)
from evalsvc.jobfile.shipped import PREFIX as SHIPPED
from evalsvc.jobfile.shipped import path_of as shipped_path

Fault = tuple[KeyPath, str]
_MAX_DEPTH = 100


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
    for fault in (*_not_yet(source.data), *_not_json((), source.data), *_no_gates(source.data)):
        raise source.error(*fault)
    try:
        table = JobTable.model_validate(source.data)
    except ValidationError as error:
        raise first_error(error, JobTable, source) from None
    for check in (
        _peeking,
        _reserved_params,
        _own_judge,
        _recorded_or_not,
        _unknown_fields,
        _examples,
        _repeated_names,
    ):
        for fault in check(table):
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


def _not_yet(data: dict[str, Any]) -> Iterator[Fault]:
    """What the contract of job.toml knows and this version does not do: refused rather than ignored."""
    for arm in Arm:
        yield from _arm_not_yet(str(arm), data.get(arm))


def _arm_not_yet(arm: str, table: object) -> Iterator[Fault]:
    if not isinstance(table, dict):
        return
    if table.get("api") == "responses" and table.get("stream") is True:
        yield (arm, "stream"), 'true is not available yet with api = "responses"; remove it'


def _no_gates(data: dict[str, Any]) -> Iterator[Fault]:
    """What is neither one of the seven gates nor can be one of a plug-in, which always has a threshold."""
    gates = data.get("gates")
    for name, table in gates.items() if isinstance(gates, dict) else ():
        if name in GatesTable.model_fields:
            continue
        if not isinstance(table, dict) or "threshold" not in table:
            yield ("gates", name), unknown_key(name, GatesTable.model_fields)
            continue
        for key in table.keys() - PluggedGate.model_fields.keys():
            yield ("gates", name, key), unknown_key(key, PluggedGate.model_fields)


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


def _peeking(table: JobTable) -> Iterator[Fault]:
    """An estimate looked at again and again crosses any threshold some time."""
    if table.stop != "never" and table.gates.evidence == "point":
        yield ("stop",), f'"{table.stop}" judges by intervals; with evidence = "point" in [gates] it must be "never"'
    for index, suite in enumerate(table.suites):
        if table.stop != "never" and suite.cluster is not None:
            said = f'cases in clusters are judged when all are asked; with stop = "{table.stop}" remove it'
            yield ("suites", index, "cluster"), said


def _reserved_params(table: JobTable) -> Iterator[Fault]:
    for arm in Arm:
        found = reserved_param(_arm(table, arm).params)
        if found:
            yield (str(arm), "params", found[0]), found[1]
    found = reserved_param(table.judge.params) if table.judge is not None else None
    if found:
        yield ("judge", "params", found[0]), found[1]


def _own_judge(table: JobTable) -> Iterator[Fault]:
    """A model prefers its own answers: that has to be wanted."""
    judge = None if table.judge is None else _judge_spec(table.judge)
    for arm in Arm:
        if judge is not None and not judge.allow_self and judge.judges_itself(_arm_spec(_arm(table, arm))):
            said = (
                f"the {arm} would judge itself: name another model, or set allow_self = true (the record then warns)"
                " where it is wanted, or only the name is the same"
            )
            yield ("judge", "model"), said


def _recorded_or_not(table: JobTable) -> Iterator[Fault]:
    for arm in Arm:
        found = _arm(table, arm)
        if found.endpoint == RECORDED and found.outputs is None:
            yield (str(arm), "endpoint"), '"recorded" needs the file of the answers: outputs = "answers.jsonl"'
        if found.endpoint != RECORDED and found.outputs is not None:
            yield (str(arm), "outputs"), 'only with endpoint = "recorded": another endpoint is asked for its answers'


def _unknown_fields(table: JobTable) -> Iterator[Fault]:
    for index, suite in enumerate(table.suites):
        for key in suite.fields:
            if key not in FIELDS:
                yield ("suites", index, "fields", key), unknown_key(key, FIELDS)


def _examples(table: JobTable) -> Iterator[Fault]:
    """A file of examples of which none would be shown, and pictures that would not be."""
    for index, suite in enumerate(table.suites):
        if suite.prompt is not None and suite.prompt.examples is not None and not suite.prompt.shots:
            said = "needs shots = N: how many of them stand before each question"
            yield ("suites", index, "prompt", "examples"), said
        if suite.prompt is not None and suite.prompt.image is not None and suite.prompt.shots:
            yield ("suites", index, "prompt", "image"), "not together with shots: examples are shown as text alone"
        other = next((arm for arm in Arm if _arm(table, arm).api != "chat"), None)
        if suite.prompt is not None and suite.prompt.image is not None and other is not None:
            yield ("suites", index, "prompt", "image"), f'pictures go with api = "chat"; the {other} has another'


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
        outputs = _arm(table, arm).outputs
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


def job_of(table: JobTable, limit: int | None, spec_sha256: str) -> Job:
    """The job a checked table describes."""
    return Job(
        name=table.name,
        seed=table.seed,
        trials=table.trials,
        rate=table.rate,
        stop=table.stop,
        arms={arm: _arm_spec(_arm(table, arm)) for arm in Arm},
        suites=tuple(_suite_spec(suite, table.seed) for suite in table.suites),
        gates=tuple(_gate_spec(table.gates, name) for name in (*GATES, *plugged_gates(table.gates))),
        evidence=table.gates.evidence,
        calibration=table.gates.calibration,
        judge=None if table.judge is None else _judge_spec(table.judge),
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
        outputs=table.outputs,
    )


def _judge_spec(table: JudgeTable) -> JudgeSpec:
    return JudgeSpec(**table.model_dump())


def _suite_spec(table: SuiteTable, seed: int) -> SuiteSpec:
    scorers = tuple(_scorer_spec(scorer) for scorer in (table.scorer, *table.also))
    return SuiteSpec(
        name=table.name,
        role=table.role,
        dataset=table.dataset,
        format=table.format,
        scorers=scorers,
        fields=table.fields,
        cluster=table.cluster,
        prompt=None if table.prompt is None else PromptSpec(**table.prompt.model_dump(), seed=seed),
        answers=table.answers,
    )


def _scorer_spec(table: ScorerTable) -> ScorerSpec:
    return ScorerSpec(name=table.name, label=table.label, pass_at=table.pass_at, options=table.model_extra or {})


def _gate_spec(gates: GatesTable, name: str) -> GateSpec:
    gate = getattr(gates, name)
    return GateSpec(name=name, threshold=gate.core_threshold(), required=gate.required, waived=gate.waive)
