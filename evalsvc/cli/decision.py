"""``evalsvc decision``: the record of a decided job, and its exit code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from evalsvc.cli.client import asked_for, client, of_daemon
from evalsvc.cli.results import database, of_database, put
from evalsvc.cli.run import DECISIONS


@click.command("decision")
@click.argument("job")
@click.option("--json", "as_json", is_flag=True, help="Print the record on one line.")
@of_database
@of_daemon
@click.pass_context
def command(
    ctx: click.Context,
    job: str,
    as_json: bool,
    db: Path | None,
    config_path: Path | None,
    url: str | None,
    token_file: Path | None,
) -> None:
    """Print the decision record of JOB (an id, the beginning of one, or `latest`).

    Exits 0 for SHIP, 3 for ITERATE, 4 for HOLD, 1 when nothing was decided yet; the reasons are on stderr.
    With --url or EVALSVC_URL, and without --db, the job is one of that daemon's.
    """
    from evalsvc.app import reading

    if db is None and asked_for(url):
        daemon = client(url, token_file)
        record: Mapping[str, Any] = daemon.decision(daemon.find(job))
    else:
        record = reading.decision(database(db, config_path), job)
    put(json.dumps(record, indent=None if as_json else 1) + "\n")  # ASCII: names may hold what a terminal would obey
    for reason in record["reasons"]:
        click.echo(f"{record['decision']}: {reading.inert(reason)}", err=True)
    ctx.exit(DECISIONS[record["decision"]])
