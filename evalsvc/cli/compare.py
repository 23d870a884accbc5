"""``evalsvc compare``: two finished jobs, case by case."""

from __future__ import annotations

import json
from pathlib import Path

import click

from evalsvc.cli.results import colored, database, of_database, put, width


@click.command("compare")
@click.argument("first")
@click.argument("second")
@click.option(
    "--arm", type=click.Choice(["candidate", "baseline"]), default="candidate", show_default=True, help="Of both jobs."
)
@click.option("--only-shared", is_flag=True, help="Compare the cases both jobs have, although they differ in others.")
@click.option("--flips", type=click.IntRange(min=0), default=10, show_default=True, help="Show so many changed cases.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@of_database
def command(
    first: str,
    second: str,
    arm: str,
    only_shared: bool,
    flips: int,
    as_json: bool,
    db: Path | None,
    config_path: Path | None,
) -> None:
    """Show what changed from the FIRST job to the SECOND, over the same cases.

    Both must be decided, and ask alike: the same cases, prompt, parameters and scorers; what differs is listed and
    nothing compared. The model and its endpoint may differ. `evalsvc compare latest~1 latest` takes the two newest.
    """
    from evalsvc.app.compare import compare, render

    found = compare(database(db, config_path), first, second, arm=arm, only_shared=only_shared, flips=flips)
    put(json.dumps(found.as_json()) + "\n" if as_json else render(found, color=colored(), width=width()))
