"""``evalsvc run``: the whole job in this process."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalsvc.cli.decided import say
from evalsvc.cli.main import INTERRUPTED

if TYPE_CHECKING:
    from evalsvc.app.prepare import PreparedJob
    from evalsvc.app.run import FinishedJob

_PATH = click.Path(path_type=Path)


@click.command("run")
@click.argument("job", type=_PATH)
@click.option("--config", "config_path", type=_PATH, help="Configuration [EVALSVC_CONFIG, ./config.toml, defaults].")
@click.option("--db", type=_PATH, help="Database; the same job on it resumes [store.path, evalsvc.db].")
@click.option("--out", type=_PATH, help="Folder for decision.json and report.html [evalsvc-out/<job id>].")
@click.option(
    "--limit", type=click.IntRange(1, 2**53 - 1), help="Only the first N cases of each suite's planned order."
)
@click.option("--again", is_flag=True, help="Start anew, even if this job is finished or half done.")
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="Seconds to wait for an endpoint that is down.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the decision record as JSON.")
@click.pass_context
def command(  # noqa: PLR0917 - click passes one argument a flag, by name
    ctx: click.Context,
    job: Path,
    config_path: Path | None,
    db: Path | None,
    out: Path | None,
    limit: int | None,
    again: bool,
    patience: float,
    as_json: bool,
) -> None:
    """Run JOB (a job.toml): ask both models, score, compare, decide.

    Writes decision.json and report.html, prints the report, and exits 0 for SHIP, 3 for ITERATE, 4 for HOLD. Stopped at
    any time, the same command goes on where it was; nothing that was answered is asked again.
    """
    from evalsvc.app.prepare import prepare
    from evalsvc.app.process import manage_memory

    manage_memory()
    prepared = prepare(job, config_path=config_path, database=db, limit=limit)
    if out is not None:
        _check_writable(out)
    _warn(prepared)
    finished = _run(prepared, again=again, patience=patience)
    if finished is None:
        click.echo("evalsvc: interrupted; run the same command again to go on", err=True)
        ctx.exit(INTERRUPTED)
    folder = out or Path("evalsvc-out") / finished.job_id
    _write(finished, folder)
    ctx.exit(_show(finished, folder, as_json=as_json))


def _warn(prepared: PreparedJob) -> None:
    """What no answer can mend is said before the first one is paid for."""
    from evalsvc.app.plan import warnings_before
    from evalsvc.app.reading import inert

    for warning in warnings_before(prepared):
        click.echo(f"warning: {inert(warning)}", err=True)


def _run(prepared: PreparedJob, *, again: bool, patience: float) -> FinishedJob | None:
    import anyio

    from evalsvc.app.run import run_job
    from evalsvc.app.signals import until_signal
    from evalsvc.cli.progress import display

    finished: list[FinishedJob] = []

    async def work() -> None:
        finished.append(await run_job(prepared, display=display, again=again, patience_s=patience))

    anyio.run(until_signal, work, backend_options={"use_uvloop": True})
    return finished[0] if finished else None


def _check_writable(folder: Path) -> None:
    """Found out before anything is asked, not after."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".evalsvc").touch()
        (folder / ".evalsvc").unlink()
    except OSError as error:
        raise click.ClickException(f"cannot write to {folder}: {error.strerror}") from None


def _write(finished: FinishedJob, folder: Path) -> None:
    from evalsvc.app.results import write_results

    try:
        write_results(finished.view, folder)
    except OSError as error:
        raise click.ClickException(f"cannot write to {folder}: {error.strerror}") from error


def _show(finished: FinishedJob, folder: Path, *, as_json: bool) -> int:
    """Print what came of it; gives the exit code."""
    from evalsvc.app.results import report_text

    record = finished.view.record
    if as_json:
        click.echo(json.dumps(record))  # ASCII: a model's name may hold what a terminal would obey
    else:
        width = min(shutil.get_terminal_size((100, 24)).columns, 120)
        click.echo(report_text(finished.view, color=sys.stdout.isatty(), width=width))
    if finished.before:
        click.echo(f"job {finished.job_id} was decided before; --again starts it anew", err=True)
    code = say(record["decision"], record["reasons"], simulated=record["job"]["simulated"])
    click.echo(f"report: {folder / 'report.html'}", err=True)
    return code
