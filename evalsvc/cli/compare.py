"""``evalsvc compare``: two finished jobs, case by case."""

from __future__ import annotations

import json
from pathlib import Path

import click

from evalsvc.cli.client import asked_for, client, of_daemon
from evalsvc.cli.results import colored, database, of_database, put, width


@click.command("compare")
@click.argument("first")
@click.argument("second")
@click.option(
    "--arm", type=click.Choice(["candidate", "baseline"]), default="candidate", show_default=True, help="Of both jobs."
)
@click.option("--only-shared", is_flag=True, help="Compare the cases both jobs have, although they differ in others.")
@click.option("--flips", type=click.IntRange(min=0), default=10, show_default=True, help="Show so many changed cases.")
@click.option("--color/--no-color", default=None, help="Paint a text for a terminal [where stdout is one].")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@of_database
@of_daemon
def command(  # noqa: PLR0917 - click passes one argument a flag, by name
    first: str,
    second: str,
    arm: str,
    only_shared: bool,
    flips: int,
    color: bool | None,
    as_json: bool,
    db: Path | None,
    config_path: Path | None,
    url: str | None,
    token_file: Path | None,
) -> None:
    """Show what changed from the FIRST job to the SECOND, over the same cases.

    Both must be decided, and ask alike: the same cases, prompt, parameters and scorers; what differs is listed and
    nothing compared. The model and its endpoint may differ. `evalsvc compare latest~1 latest` takes the two newest.

    With --url or EVALSVC_URL, and without --db, the jobs are that daemon's.
    """
    painted = colored() if color is None else color
    if db is None and asked_for(url):
        daemon = client(url, token_file)
        pieces = daemon.comparison(
            daemon.find(first),
            daemon.find(second),
            format="json" if as_json else "text",
            arm=arm,
            only_shared=only_shared,
            flips=flips,
            width=width(),
            color=painted,
        )
        for piece in pieces:
            put(piece)
        return
    from evalsvc.app.compare import compare, render

    found = compare(database(db, config_path), first, second, arm=arm, only_shared=only_shared, flips=flips)
    put(json.dumps(found.as_json()) + "\n" if as_json else render(found, color=painted, width=width()))
