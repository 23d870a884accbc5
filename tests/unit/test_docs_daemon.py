"""docs/daemon.md says what the program does, docs/http-api.md and docs/metrics.md what it answers and logs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click

from evalsvc.api import problems
from evalsvc.api.problems import code_of
from evalsvc.cli.submit import command as submit
from evalsvc.core.settings import ServerSettings
from evalsvc.core.states import JobState

ROOT = Path(__file__).resolve().parents[2]


def table(title: str, page: str = "daemon.md") -> dict[str, list[str]]:
    """The rows of the first table of a section, by their first cell."""
    text = re.split(r"^## ", (ROOT / "docs" / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
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


def calls(*names: str) -> Iterator[tuple[str, ast.Call]]:
    """(room, call) of every call of a function or method of one of these names."""
    for path in (ROOT / "evalsvc").glob("*/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in names:
                yield path.parent.name, node


def test_every_error_of_the_api_is_described() -> None:
    rows = table("Errors", "http-api.md")
    made = [call for _, call in calls("ApiError", "self._refuse")]
    statuses = {str(call.args[0].value) for call in made if isinstance(call.args[0], ast.Constant)}
    assert set(rows) == statuses | {"405"}  # the framework's own
    given = {key.value.value for call in made for key in call.keywords if isinstance(key.value, ast.Constant)}
    usual = {code_of(int(status)) for status in rows} - {"conflict"}  # a 409 always says more
    house = {code for _, _, code, _ in problems._HOUSE}
    described = {code for cells in rows.values() for code in re.findall("`([a-z_]+)`", cells[0])}
    assert described == given | usual | house


def test_every_event_of_the_log_is_described() -> None:
    levels = [f"{log}.{level}" for log in ("_log", "_LOG") for level in ("info", "warning", "error", "exception")]
    told = [(room, call.args[0]) for room, call in calls(*levels)]
    named = {first.value for room, first in told if isinstance(first, ast.Constant)}
    described = {name for row in table("The log", "metrics.md") for name in re.findall("([a-z_]+[.][a-z_]+)", row)}
    assert described - {"log.lost", "library.log"} == named
