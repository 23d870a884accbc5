"""``evalsvc report``: the results of a job in the format asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from evalsvc.cli.client import Client, asked_for, client, of_daemon
from evalsvc.cli.results import PATH, colored, database, of_database, put, width

_FORMATS = ("text", "md", "html", "json", "junit", "csv", "jsonl", "inspect", "eee")


@click.command("report")
@click.argument("job")
@click.option(
    "--format", "name", type=click.Choice(_FORMATS), help="Format [by the ending of the file of -o, else text]."
)
@click.option("-o", "--output", type=PATH, help="Write to this file instead of stdout.")
@click.option("--color/--no-color", default=None, help="Paint a text for a terminal [where stdout is one].")
@click.option(
    "--arm",
    type=click.Choice(["candidate", "baseline"]),
    default="candidate",
    show_default=True,
    help="The model that inspect and eee hold.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@of_database
@of_daemon
def command(  # noqa: PLR0917 - click passes one argument a flag, by name
    job: str,
    name: str | None,
    output: Path | None,
    color: bool | None,
    arm: str,
    as_json: bool,
    db: Path | None,
    config_path: Path | None,
    url: str | None,
    token_file: Path | None,
) -> None:
    """Print the results of JOB (an id, the beginning of one, or `latest`).

    text, md, html and json hold the record and the cases that flipped; junit every case of the candidate; csv and jsonl
    a row for every outcome. csv and jsonl can be had while the job still runs. inspect is an eval log of Inspect, eee a
    log of Every Eval Ever: of one model each (--arm).

    With --url or EVALSVC_URL, and without --db, the job is one of that daemon's.
    """
    from evalsvc.app.results import FORMATS, whole_file, write_report

    if as_json and name not in (None, "json"):
        raise click.UsageError(f"--json and --format {name} contradict each other")
    by_ending = sorted(FORMATS, key=lambda known: -len(FORMATS[known]))  # .inspect.json before .json
    ended = (known for known in by_ending if output and output.name.endswith(f".{FORMATS[known]}"))
    chosen = "json" if as_json else name or next(ended, "text")
    if db is None and asked_for(url):
        daemon = client(url, token_file)
        write = partial(_of_daemon, daemon, daemon.find(job), chosen, arm=arm, width=width())
    else:
        write = partial(write_report, database(db, config_path), job, chosen, width=width(), arm=arm)
    if output is None:
        remark = write(put, color=colored() if color is None else color)
    else:
        try:
            with whole_file(output) as file:
                remark = write(file.write, color=bool(color))
        except OSError as error:
            raise click.ClickException(f"cannot write to {output}: {error.strerror}") from None
    if remark:
        click.echo(remark, err=True)


def _of_daemon(
    daemon: Client, job_id: str, name: str, sink: Callable[[str], object], *, arm: str, color: bool, width: int
) -> str | None:
    """Write what a daemon draws of a job, as it comes."""
    for piece in daemon.report(job_id, name, arm=arm, width=width, color=color):
        sink(piece)
    found = daemon.job(job_id)
    return None if found["decision"] else f"job {job_id} is {found['state']}: more may come"
