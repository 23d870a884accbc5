"""``evalsvc decision``: the record of a decided job, and its exit code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from evalsvc.cli.client import asked_for, client, of_daemon
from evalsvc.cli.decided import say
from evalsvc.cli.results import database, of_database, put


@click.command("decision")
@click.argument("job")
@click.option("--json", "as_json", is_flag=True, help="Print the record on one line.")
@click.option("--envelope", is_flag=True, help="Print the signed envelope (decision.dsse.json) instead.")
@of_database
@of_daemon
@click.pass_context
def command(
    ctx: click.Context,
    job: str,
    as_json: bool,
    envelope: bool,
    db: Path | None,
    config_path: Path | None,
    url: str | None,
    token_file: Path | None,
) -> None:
    """Print the decision record of JOB (an id, the beginning of one, or `latest`).

    Exits 0 for SHIP, 3 for ITERATE, 4 for HOLD, 1 when nothing was decided yet; the reasons are on stderr.
    With --url or EVALSVC_URL, and without --db, the job is one of that daemon's. `evalsvc verify` takes
    what is printed.
    """
    from evalsvc.app import reading

    if db is None and asked_for(url):
        daemon = client(url, token_file)
        job_id = daemon.find(job)
        record: Mapping[str, Any] = daemon.decision(job_id)
        printed = daemon.envelope(job_id) if envelope else record
    else:
        path = database(db, config_path)
        record = reading.decision(path, job)
        printed = reading.envelope(path, record["job"]["id"]) if envelope else record
    put(json.dumps(printed, indent=None if as_json else 1) + "\n")  # ASCII: names may hold what a terminal would obey
    ctx.exit(say(record["decision"], record["reasons"], simulated=record["job"]["simulated"]))
