"""``evalsvc status``: the jobs of a database, and how far they are."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from evalsvc.cli.client import Client, asked_for, client, of_daemon
from evalsvc.cli.results import colored, database, of_database, put, width


@click.command("status")
@click.argument("job", required=False)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many jobs.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@of_database
@of_daemon
def command(
    job: str | None,
    limit: int,
    as_json: bool,
    db: Path | None,
    config_path: Path | None,
    url: str | None,
    token_file: Path | None,
) -> None:
    """Show all jobs, the newest first, or one JOB.

    JOB is an id, the beginning of one, `latest`, or `latest~1` for the job before it. The database may be in use. With
    --url or EVALSVC_URL, and without --db, the jobs are those of that daemon.
    """
    if db is None and asked_for(url):
        _of_daemon(client(url, token_file), job, limit, as_json=as_json)
    elif job is None:
        _all(database(db, config_path), limit, as_json=as_json)
    else:
        _one(database(db, config_path), job, as_json=as_json)


def _all(path: Path, limit: int, *, as_json: bool) -> None:
    from evalsvc.app import reading

    found = reading.jobs(path, limit)
    if as_json:
        put(json.dumps([entry.as_json() for entry in found.entries]) + "\n")
    else:
        put(reading.table(found, now=time.time(), color=colored(), width=width()))


def _one(path: Path, wanted: str, *, as_json: bool) -> None:
    from evalsvc.app import reading

    found = reading.job(path, wanted)
    if as_json:
        tallies = [dict(zip(("arm", "status", "kind", "count"), row, strict=True)) for row in found.tallies]
        put(json.dumps({**found.entry.as_json(), "answers": tallies}) + "\n")
    else:
        put(reading.detail(found, now=time.time(), width=width()))


def _of_daemon(daemon: Client, wanted: str | None, limit: int, *, as_json: bool) -> None:
    from evalsvc.app.reading import inert

    found = daemon.jobs(limit) if wanted is None else [daemon.job(daemon.find(wanted))]
    if as_json:
        put(json.dumps(found if wanted is None else found[0]) + "\n")
        return
    for job in found:
        count = "/".join(_number((job["progress"] or {}).get(key)) for key in ("recorded", "total"))
        reason = f": {job['reason']}" if job["reason"] else ""
        decision = f"{job['decision'] or '-'}{' (simulated)' if job.get('simulated') else ''}"
        said = f"{job['id']}  {job['state']:<9} {count:>15}  {decision:<7}  {job['name']}{reason}"
        put(inert(said) + "\n")


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
