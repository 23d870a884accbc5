"""``evalsvc backup``: a safe copy of the database."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import click

from evalsvc.cli.results import database, of_database, put
from evalsvc.errors import InputError


@click.command("backup")
@click.argument("target", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@of_database
def command(target: str | None, as_json: bool, db: Path | None, config_path: Path | None) -> None:
    """Copy the database to TARGET, a new file or a folder, while it is in use [./<database>-<time>.db].

    The copy holds what was committed when it began, is checked and on disk before it gets its name, and overwrites
    nothing. It is a database like any other: every command takes it with --db.
    """
    from evalsvc.app.backup import backup

    if target is not None and target.endswith(os.sep) and not Path(target).is_dir():
        raise InputError("no such folder; the copy goes into one that is there, or to a new file", file=target)
    made = backup(database(db, config_path), Path(target) if target else None, now=time.time())
    if as_json:
        facts = {"path": str(made.path), "bytes": made.size, "jobs": made.jobs, "outcomes": made.outcomes}
        put(json.dumps(facts) + "\n")
    else:
        put(f"{made.path}: {made.jobs:,} jobs, {made.outcomes:,} outcomes, {made.size:,} bytes\n")
