"""``evalsvc doctor``: is everything here that evalsvc needs?"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalsvc.cli.main import FAILED
from evalsvc.cli.results import colored, of_database, put
from evalsvc.errors import InputError

if TYPE_CHECKING:
    from evalsvc.app.checks import Check

_COLORS = {"ok": "green", "warning": "yellow", "problem": "red"}


@click.command("doctor")
@click.option("--ask", is_flag=True, help="Ask each endpoint for its models, and one of them for one token.")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="ENDPOINT=MODEL",
    help="The model to ask there [the first it lists]; asks.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@of_database
def command(ask: bool, models: tuple[str, ...], as_json: bool, db: Path | None, config_path: Path | None) -> int:
    """Look at versions, limits, clocks, configuration, database, disk and keys, and say what to mend.

    Changes nothing. Exit code: 0 without problems (a warning is none), 1 with.
    """
    from evalsvc.app.doctor import look

    named = dict(map(_by_alias, models))
    checks = look(config_path, db, os.environ, models=named if ask or named else None)
    problems = sum(check.level == "problem" for check in checks)
    if as_json:
        each = [{"name": c.name, "level": c.level, "found": c.found, "mend": c.mend or None} for c in checks]
        put(json.dumps({"healthy": not problems, "checks": each}) + "\n")
    else:
        put("".join(_lines(checks)))
    return FAILED if problems else 0


def _by_alias(text: str) -> tuple[str, str]:
    alias, _, model = text.partition("=")
    if not (alias and model):
        raise InputError(f"must be ENDPOINT=MODEL, got {text[:80]!a}", key="--model")
    return alias, model


def _lines(checks: list[Check]) -> Iterator[str]:
    from evalsvc.app.reading import inert

    wide = max(len(check.name) for check in checks)
    for check in checks:
        level = f"{check.level:<7}"
        shown = click.style(level, fg=_COLORS[check.level]) if colored() else level
        yield f"{shown}  {inert(check.name):<{wide}}  {inert(check.found)}\n"
        if check.mend:
            yield f"{'':9}{'':{wide}}  → {inert(check.mend)}\n"
