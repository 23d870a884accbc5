"""docs/daemon.md says what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import click

from evalsvc.cli.submit import command as submit
from evalsvc.core.settings import ServerSettings
from evalsvc.core.states import JobState

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "daemon.md").read_text(encoding="utf-8")


def table(title: str) -> dict[str, list[str]]:
    """The rows of the first table of a section, by their first cell."""
    text = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    (part,) = (each for each in text if each.startswith(f"{title}\n"))
    lines = [line for line in part.splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): row[1:] for row in cells}


def test_every_option_of_submit_is_described() -> None:
    options = {each.opts[0] for each in submit.params if isinstance(each, click.Option)}
    assert set(table("Submitting")) == options


def test_every_state_is_described() -> None:
    assert set(table("Which jobs run")) == {state.value for state in JobState}


def test_every_setting_is_described_with_its_default() -> None:
    found = {key: row[0].strip("`") for key, row in table("Settings").items()}
    defaults = {key: field.default for key, field in ServerSettings.model_fields.items()}
    assert {key: said.replace("none", "") for key, said in found.items()} == {
        key: f"{value:g}" if isinstance(value, float) else str(value).lower() for key, value in defaults.items()
    }
