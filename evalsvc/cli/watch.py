"""``evalsvc watch``: a job of the daemon, followed to its decision."""

from __future__ import annotations

from pathlib import Path

import click

from evalsvc.cli.client import client, of_daemon


@click.command("watch")
@click.argument("job")
@of_daemon
@click.pass_context
def command(ctx: click.Context, job: str, url: str | None, token_file: Path | None) -> None:
    """Show what happens to JOB (an id, the beginning of one, or `latest`) until it has ended.

    Exits 0 for SHIP, 3 for ITERATE, 4 for HOLD, 1 when the job failed or was cancelled.
    """
    from evalsvc.cli.following import follow

    daemon = client(url, token_file)
    ctx.exit(follow(daemon, daemon.find(job)))
