"""What a job file may not say although its grammar allows it, each with the key it stands at."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from typing import Any

from evalsvc.core.invalid import describe, unknown_key
from evalsvc.core.records import FIELDS, RECORDED, Arm
from evalsvc.core.toml_source import KeyPath
from evalsvc.jobfile.gates import GatesTable, PluggedGate
from evalsvc.jobfile.models import MAX_INTEGER, JobTable, SuiteTable, reserved_param
from evalsvc.jobfile.specs import arm_of, arm_spec, judge_spec

Fault = tuple[KeyPath, str]
_MAX_DEPTH = 100


def faults_of_data(data: dict[str, Any]) -> Iterator[Fault]:
    """What is wrong before the tables are looked at one by one."""
    yield from _not_yet(data)
    yield from _not_json((), data)
    yield from _no_gates(data)


def faults_of_table(table: JobTable) -> Iterator[Fault]:
    """What is wrong between the tables of a job whose grammar is right."""
    yield from _peeking(table)
    yield from _reserved_params(table)
    yield from _own_judge(table)
    yield from _recorded_or_not(table)
    yield from _unknown_fields(table)
    yield from _examples(table)
    yield from _repeated_names(table)


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
        found = reserved_param(arm_of(table, arm).params)
        if found:
            yield (str(arm), "params", found[0]), found[1]
    found = reserved_param(table.judge.params) if table.judge is not None else None
    if found:
        yield ("judge", "params", found[0]), found[1]


def _own_judge(table: JobTable) -> Iterator[Fault]:
    """A model prefers its own answers: that has to be wanted."""
    judge = None if table.judge is None else judge_spec(table.judge)
    for arm in Arm:
        if judge is not None and not judge.allow_self and judge.judges_itself(arm_spec(arm_of(table, arm))):
            said = (
                f"the {arm} would judge itself: name another model, or set allow_self = true (the record then warns)"
                " where it is wanted, or only the name is the same"
            )
            yield ("judge", "model"), said


def _recorded_or_not(table: JobTable) -> Iterator[Fault]:
    for arm in Arm:
        found = arm_of(table, arm)
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
        other = next((arm for arm in Arm if arm_of(table, arm).api != "chat"), None)
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
