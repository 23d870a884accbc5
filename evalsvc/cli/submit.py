"""``evalsvc submit``: a job and its data sets, sent to the daemon."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import click

from evalsvc.app.reading import inert as plain
from evalsvc.cli.client import client, of_daemon


@click.command("submit")
@click.argument("job", type=click.Path(path_type=Path))
@click.option("--wait", is_flag=True, help="Wait for the decision; its exit code is this command's.")
@click.option("--watch", is_flag=True, help="The same, and show on stderr what happens meanwhile.")
@click.option(
    "--limit", type=click.IntRange(1, 2**53 - 1), help="Only the first N cases of each suite's planned order."
)
@click.option("--priority", type=click.IntRange(-1000, 1000), help="Of the jobs that wait, the highest is next [0].")
@click.option("--key", help="Idempotency key: a job that was sent with it before is not filed again [a new one].")
@click.option("--json", "as_json", is_flag=True, help="Print id, state and URL as JSON.")
@of_daemon
@click.pass_context
def command(  # noqa: PLR0917 - click passes one argument a flag, by name
    ctx: click.Context,
    job: Path,
    wait: bool,
    watch: bool,
    limit: int | None,
    priority: int | None,
    key: str | None,
    as_json: bool,
    url: str | None,
    token_file: Path | None,
) -> None:
    """Send JOB (a job.toml) with all files it names to the daemon, and print its id.

    The daemon checks it as `run` would: what is wrong is said with file, line and key, and nothing is filed. Endpoints
    are those of the daemon's configuration.
    """
    from evalsvc import jobfile

    file = jobfile.read(job, limit=limit)
    daemon = client(url, token_file)
    filed = daemon.submit(job, file.files, key=key or secrets.token_hex(16), limit=limit, priority=priority)
    for warning in filed.get("warnings", ()):
        click.echo(f"warning: {plain(warning)}", err=True)
    if as_json:
        click.echo(json.dumps({"id": filed["id"], "state": filed["state"], "url": f"{daemon.url}/jobs/{filed['id']}"}))
    else:
        click.echo(filed["id"])
    if wait or watch:
        from evalsvc.cli.following import follow

        ctx.exit(follow(daemon, filed["id"], quiet=not watch))
