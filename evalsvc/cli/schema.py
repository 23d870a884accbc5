"""``evalsvc schema``: JSON Schemas for editors and machines."""

from __future__ import annotations

import json

import click


@click.command("schema")
@click.argument("what", type=click.Choice(["job", "config", "decision"]))
def command(what: str) -> None:
    """Print the JSON Schema of WHAT: a job file, the configuration, or a decision record.

    With `#:schema ./job.schema.json` as its first line, a job file gets completion and checks in an editor:

        evalsvc schema job > job.schema.json
    """
    from evalsvc.app.schemas import schema

    click.echo(json.dumps(schema(what), indent=2))
