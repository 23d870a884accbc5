"""docs/results.md against the commands it describes."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from evalsvc.app.results import FORMATS
from evalsvc.cli.backup import command as backup
from evalsvc.cli.compare import command as compare
from evalsvc.cli.decision import command as decision
from evalsvc.cli.report import command as report
from evalsvc.cli.status import command as status
from evalsvc.reports.markdown import MOST

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "results.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(text: str, head: str) -> list[list[str]]:
    table = text.partition(f"| {head} |")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


@pytest.mark.parametrize("command", [status, decision, report, compare, backup], ids=lambda command: command.name)
def test_every_option_is_described(command: click.Command) -> None:
    options = {each.opts[0]: each for each in command.params if isinstance(each, click.Option)}
    described = {row[0].strip("`"): row[1] for row in rows(section((command.name or "").capitalize()), "option")}
    assert described.keys() == options.keys()
    for name, words in described.items():
        default = re.search(r"\(`?(\w+)`?\)$", words)
        shown = options[name].default if options[name].show_default else None
        assert (default[1] if default else None) == (str(shown) if shown is not None else None)


def test_every_format_is_described() -> None:
    assert {row[0].strip("`"): row[1].strip("`.") for row in rows(section("Report"), "format")} == FORMATS
    (option,) = (each for each in report.params if each.name == "name")
    assert isinstance(option.type, click.Choice)
    assert tuple(option.type.choices) == tuple(FORMATS)
    assert f"at most {MOST:,} characters" in PAGE
