"""``evalsvc calibrate``: the baseline against itself through the job's gates."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evalsvc.cli.client import Client, asked_for, client, of_daemon
from evalsvc.cli.following import follow
from evalsvc.cli.main import INTERRUPTED
from evalsvc.errors import InputError

if TYPE_CHECKING:
    from evalsvc.app.calibrate import Ask
    from evalsvc.app.prepare import PreparedJob

_PATH = click.Path(path_type=Path)


@click.command("calibrate")
@click.argument("job", type=_PATH)
@click.option("--config", "config_path", type=_PATH, help="Configuration [EVALSVC_CONFIG, ./config.toml, defaults].")
@click.option("--db", type=_PATH, help="Database [store.path, evalsvc.db].")
@click.option(
    "--limit", type=click.IntRange(1, 2**53 - 1), help="Only the first N cases of each suite, as `run` takes them."
)
@click.option(
    "--job",
    "of_job",
    metavar="ID",
    help="Use the answers of this finished run of JOB (trials = 2 or more); ask nobody.",
)
@click.option(
    "--resamples", type=click.IntRange(min=1, max=100_000), default=400, show_default=True, help="How often to judge."
)
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="Seconds an endpoint may be down before the command gives up.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the calibration as JSON.")
@of_daemon
@click.pass_context
def command(  # noqa: PLR0917 - click passes one argument a flag, by name
    ctx: click.Context,
    job: Path,
    config_path: Path | None,
    db: Path | None,
    limit: int | None,
    of_job: str | None,
    resamples: int,
    patience: float,
    as_json: bool,
    url: str | None,
    token_file: Path | None,
) -> None:
    """How often the gates of JOB (a job.toml) flip when both arms are the same model.

    Asks the baseline in both places, as a job of its own in the database; stopped at any time, the same command goes
    on. Then its answers are dealt out to the two arms again and again, and every deal is judged.

    With --url or EVALSVC_URL, and without --db, that daemon asks and deals, and the calibration is stored there.
    """
    from evalsvc.app.calibrate import Ask, as_text

    found: dict[str, Any] | None
    if db is None and asked_for(url):
        found = _by_daemon(client(url, token_file), job, limit, of_job, resamples)
    else:
        from evalsvc.app.prepare import prepare
        from evalsvc.app.process import manage_memory

        manage_memory()
        prepared = prepare(job, config_path=config_path, database=db, limit=limit)
        found = _calibrated(prepared, Ask(resamples=resamples, job=of_job, patience_s=patience))
    if found is None:
        click.echo("evalsvc: interrupted; run the same command again to go on", err=True)
        ctx.exit(INTERRUPTED)
    if as_json:
        click.echo(json.dumps(found))
        return
    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    click.echo(as_text(found, color=sys.stdout.isatty(), width=width), nl=False)


def _by_daemon(daemon: Client, path: Path, limit: int | None, of_job: str | None, resamples: int) -> dict[str, Any]:
    """What the daemon finds by a job of its own, which the same command finds again."""
    from evalsvc import jobfile
    from evalsvc.app.calibrate import MOST_RESAMPLES, key_of_file
    from evalsvc.jobfile.reader import against_itself

    if resamples > MOST_RESAMPLES:
        raise InputError(f"a daemon deals at most {MOST_RESAMPLES:,} times, got {resamples:,}", key="--resamples")
    file = jobfile.read(path, limit=limit)
    if of_job is None:
        key = f"calibrate-{against_itself(file).job.spec_sha256}"
        filed = daemon.submit(path, file.files, key=key, limit=limit, itself=True)
        while filed["state"] == "cancelled":  # its successor has the same key whoever asks
            key = f"calibrate-{filed['id']}-{file.job.spec_sha256}"
            filed = daemon.submit(path, file.files, key=key, limit=limit, itself=True)
        click.echo(f"job {filed['id']}", err=True)
        follow(daemon, filed["id"])
        of_job = filed["id"]
    return {**daemon.calibrate(daemon.find(of_job), resamples, key_of_file(file)), "name": file.job.name}


def _calibrated(prepared: PreparedJob, ask: Ask) -> dict[str, Any] | None:
    import anyio

    from evalsvc.app.calibrate import calibrate
    from evalsvc.app.signals import until_signal
    from evalsvc.cli.progress import display

    found: list[dict[str, Any]] = []

    async def work() -> None:
        found.append(await calibrate(prepared, ask, display=display))

    anyio.run(until_signal, work, backend_options={"use_uvloop": True})
    return found[0] if found else None
