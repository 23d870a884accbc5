"""``evalsvc resume``: a paused or failed job of the daemon, queued again."""

from __future__ import annotations

import json
from pathlib import Path

import click

from evalsvc.cli.client import client, of_daemon


@click.command("resume")
@click.argument("job")
@click.option("--json", "as_json", is_flag=True, help="Print the job as JSON.")
@of_daemon
def command(job: str, as_json: bool, url: str | None, token_file: Path | None) -> None:
    """Queue JOB (an id, the beginning of one, or `latest`) again after it failed.

    What is recorded is not asked again.
    """
    daemon = client(url, token_file)
    done = daemon.act(daemon.find(job), "resume")
    click.echo(json.dumps(done) if as_json else f"{done['id']} is {done['state']}")
