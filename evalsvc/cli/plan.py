"""``evalsvc plan``: what a job can prove and what it will cost, before it is run."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evalsvc.cli.main import INTERRUPTED

if TYPE_CHECKING:
    from evalsvc.app.plan import Pilot
    from evalsvc.app.prepare import PreparedJob

_PATH = click.Path(path_type=Path)
_SHARE = click.FloatRange(min=0, max=1)


@click.command("plan")
@click.argument("job", type=_PATH)
@click.option("--config", "config_path", type=_PATH, help="Configuration [EVALSVC_CONFIG, ./config.toml, defaults].")
@click.option(
    "--limit", type=click.IntRange(1, 2**53 - 1), help="Plan for the first N cases of each suite only, as `run` does."
)
@click.option("--discordance", type=_SHARE, metavar="Q", help="Share of cases on which the arms differ [0.2].")
@click.option(
    "--improvement",
    type=click.FloatRange(min=-1, max=1),
    metavar="D",
    help="The candidate's true gain on target cases, 0.1 for 10 points [5 points above the margin].",
)
@click.option(
    "--rate",
    type=_SHARE,
    metavar="P",
    help="The candidate's true pass rate on target and adversarial cases [5 points above each threshold].",
)
@click.option("--pilot", type=click.IntRange(min=1), metavar="N", help="First run N cases of each suite, and learn.")
@click.option("--db", type=_PATH, help="Database of the pilot [store.path, evalsvc.db].")
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="Seconds the pilot waits for an endpoint that is down.",
)
@click.option("--show", type=click.IntRange(min=1), metavar="N", help="Also print the first N requests of each arm.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@click.pass_context
def command(  # noqa: PLR0917 - click passes one argument a flag, by name
    ctx: click.Context,
    job: Path,
    config_path: Path | None,
    limit: int | None,
    discordance: float | None,
    improvement: float | None,
    rate: float | None,
    pilot: int | None,
    db: Path | None,
    patience: float,
    show: int | None,
    as_json: bool,
) -> None:
    """Plan JOB (a job.toml): per gate what its cases can show, and what the job costs. Asks nobody without --pilot.

    A gate that cannot PASS at any result is warned of. A pilot is a job of its own: the first N cases of each suite's
    planned order, asked of both models, recorded in the database.
    """
    from evalsvc.app.plan import Said, plan_of
    from evalsvc.app.prepare import prepare

    prepared = prepare(job, config_path=config_path, database=db, limit=limit)
    learnt = None
    if pilot is not None:
        few = prepare(job, config_path=config_path, database=db, limit=min(pilot, limit or pilot))
        learnt = _run_pilot(few, patience)
        if learnt is None:
            click.echo("evalsvc: interrupted; run the same command again to go on", err=True)
            ctx.exit(INTERRUPTED)
    plan = plan_of(prepared, Said(discordance=discordance, rate=rate, improvement=improvement), learnt)
    _print(prepared, plan, show, as_json=as_json)


def _run_pilot(prepared: PreparedJob, patience: float) -> Pilot | None:
    import anyio

    from evalsvc.app.pilot import run_pilot
    from evalsvc.app.signals import until_signal
    from evalsvc.cli.progress import display

    finished: list[Pilot] = []

    async def work() -> None:
        finished.append(await run_pilot(prepared, display=display, patience_s=patience))

    anyio.run(until_signal, work, backend_options={"use_uvloop": True})
    return finished[0] if finished else None


def _print(prepared: PreparedJob, plan: dict[str, Any], show: int | None, *, as_json: bool) -> None:
    from evalsvc.app.plan import plan_as_text

    requests = None if show is None else _requests(prepared, show)
    if as_json:
        click.echo(json.dumps(plan if requests is None else {**plan, "requests": requests}))
        return
    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    click.echo(plan_as_text(plan, color=sys.stdout.isatty(), width=width), nl=False)
    if requests is not None:
        from evalsvc.app.preview import preview_as_text

        click.echo()
        click.echo(preview_as_text(requests, color=sys.stdout.isatty(), width=width), nl=False)


def _requests(prepared: PreparedJob, show: int) -> list[dict[str, Any]]:
    import anyio

    from evalsvc.app.preview import preview

    return anyio.run(preview, prepared, show)
