"""``evalsvc report``: the results of a job in the format asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from evalsvc.cli.client import Client, asked_for, client, of_daemon
from evalsvc.cli.results import PATH, colored, database, of_database, put, width

_FORMATS = ("text", "md", "html", "json", "junit", "csv", "jsonl")


@click.command("report")
@click.argument("job")
@click.option(
    "--format", "name", type=click.Choice(_FORMATS), help="Format [by the ending of the file of -o, else text]."
)
@click.option("-o", "--output", type=PATH, help="Write to this file instead of stdout.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@of_database
@of_daemon
def command(
    job: str,
    name: str | None,
    output: Path | None,
    as_json: bool,
    db: Path | None,
    config_path: Path | None,
    url: str | None,
    token_file: Path | None,
) -> None:
    """Print the results of JOB (an id, the beginning of one, or `latest`).

    text, md, html and json hold the record and the cases that flipped; junit every case of the candidate; csv and jsonl
    a row for every outcome. csv and jsonl can be had while the job still runs.

    With --url or EVALSVC_URL, and without --db, the job is one of that daemon's, in html, csv or jsonl.
    """
    from evalsvc.app.results import FORMATS, whole_file, write_report

    if as_json and name not in (None, "json"):
        raise click.UsageError(f"--json and --format {name} contradict each other")
    by_ending = {ending: known for known, ending in FORMATS.items()}
    ending = output.suffix.removeprefix(".") if output else ""
    chosen = "json" if as_json else name or by_ending.get(ending, "text")
    if db is None and asked_for(url):
        daemon = client(url, token_file)
        write = partial(_of_daemon, daemon, daemon.find(job), chosen)
    else:
        write = partial(write_report, database(db, config_path), job, chosen, width=width())
    if output is None:
        remark = write(put, color=colored())
    else:
        try:
            with whole_file(output) as file:
                remark = write(file.write, color=False)
        except OSError as error:
            raise click.ClickException(f"cannot write to {output}: {error.strerror}") from None
    if remark:
        click.echo(remark, err=True)


def _of_daemon(daemon: Client, job_id: str, name: str, sink: Callable[[str], object], *, color: bool) -> str | None:
    """Write what a daemon gives of a job; rows come in the order they were filed."""
    del color
    if name == "html":
        sink(daemon.report(job_id))
        return None
    if name == "csv":
        from evalsvc.app.results import csv_of

        for piece in csv_of(job_id, daemon.decision(job_id), daemon.outcomes(job_id)):
            sink(piece)
        return None
    if name != "jsonl":
        raise click.UsageError(
            f"of a daemon's job there is html, csv and jsonl; {name} needs its database (--db),"
            " and `evalsvc decision` prints the record"
        )
    for outcome in daemon.outcomes(job_id):
        outcome.pop("seq")
        sink(json.dumps({"job": job_id, **outcome}) + "\n")
    found = daemon.job(job_id)
    return None if found["decision"] else f"job {job_id} is {found['state']}: more may come"
