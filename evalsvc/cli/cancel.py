"""``evalsvc cancel``: a job of the daemon, ended for good."""

from __future__ import annotations

import json
from pathlib import Path

import click

from evalsvc.cli.client import client, of_daemon


@click.command("cancel")
@click.argument("job")
@click.option("--json", "as_json", is_flag=True, help="Print the job as JSON.")
@of_daemon
def command(job: str, as_json: bool, url: str | None, token_file: Path | None) -> None:
    """End JOB (an id, the beginning of one, or `latest`) for good. What is recorded stays, and is not decided on."""
    daemon = client(url, token_file)
    done = daemon.act(daemon.find(job), "cancel")
    click.echo(json.dumps(done) if as_json else f"{done['id']} is {done['state']}")
