"""docs/calibration.md says what the command takes and what stands in the record."""

from __future__ import annotations

import re
from array import array
from pathlib import Path

import click

from evalsvc.cli.calibrate import command
from evalsvc.core.records import GATES, Arm, ArmSpec, GateSpec, Job, Role
from evalsvc.core.repeats import Repeats, RepeatTable
from evalsvc.decide.calibration import FEWEST_RESAMPLES, MAX_FALSE_PASS, calibrate
from evalsvc.jobfile.gates import GatesTable

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_every_option_is_described_with_its_default() -> None:
    told = dict(re.findall(r"^\| `(--[a-z-]+)` \| (.*) \|$", (DOCS / "calibration.md").read_text(), re.MULTILINE))
    options = {each.opts[0]: each for each in command.params if isinstance(each, click.Option)}
    assert set(told) == set(options)
    for name in ("--resamples", "--patience"):
        assert f"({options[name].default:g})" in told[name]


def test_the_bounds_and_the_default_are_those_of_the_code() -> None:
    page = " ".join((DOCS / "calibration.md").read_text().split())
    assert f"at least {FEWEST_RESAMPLES} resamples" in page
    assert f"at most {MAX_FALSE_PASS:.0%}" in page
    told = re.search(r'^\| `calibration` \| `"(\w+)"` \|', (DOCS / "job-file.md").read_text(), re.MULTILINE)
    assert told
    assert told[1] == GatesTable().calibration


def test_every_key_is_named() -> None:
    table = RepeatTable(
        suite="s",
        role=Role.TARGET,
        label="l",
        scorer="s",
        primary=True,
        pass_at=1.0,
        categories=("a",),
        category=array("i", [0] * 5),
        cluster=None,
        scores=array("d", [1.0] * 10),
    )
    arms = {arm: ArmSpec(endpoint="e", model="m") for arm in Arm}
    gates = tuple(GateSpec(name=name, threshold=0.5) for name in GATES)
    job = Job(name="j", seed=1, trials=1, arms=arms, suites=(), gates=gates)
    found = calibrate(job, Repeats(each=2, tables=(table,), seconds={}, left_out=0), resamples=2, seed=1)
    page = (DOCS / "calibration.md").read_text()
    assert {*found, "job", "created_at", "arms"} <= set(re.findall(r"`(\w+)`", page))
