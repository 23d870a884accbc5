"""``evalsvc sim``: the rehearsal server."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import anyio

_PATH = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command("sim")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8330, show_default=True, help="0 takes a free one.")
@click.option("--profile", type=_PATH, help="TOML with models: skills, latencies, errors [built-in models].")
@click.option("--replay", type=_PATH, help='JSONL of recorded answers: {"model", "prompt", "output"}.')
@click.option("--job", type=_PATH, help="Knows the right answers of this job's cases.")
@click.option("--uploaded", is_flag=True, hidden=True, help="The same of a job on the first line of standard input.")
@click.option("--plugin", "plugins", multiple=True, hidden=True, help="A module of [plugins] that its job needs.")
@click.option("--with-parent", is_flag=True, hidden=True, help="Ends when its standard input does.")
def command(
    host: str,
    port: int,
    profile: Path | None,
    replay: Path | None,
    job: Path | None,
    uploaded: bool,
    plugins: tuple[str, ...],
    with_parent: bool,
) -> None:
    """Serve an OpenAI-compatible endpoint that plays models of known skill.

    Prints its base URL when it listens. Every answer carries the header `x-evalsvc-simulated: 1`, and a decision that
    rests on one says so.
    """
    import anyio

    from evalsvc.app.signals import until_signal
    from evalsvc.app.simulate import simulate

    if replay and (profile or job):
        raise click.UsageError("--replay answers from the recording alone: leave out --profile and --job")

    if plugins:
        from evalsvc.app.plugins import load_modules

        load_modules(plugins)
    told = sys.stdin.buffer.readline() if uploaded else None

    async def work() -> None:
        async with anyio.create_task_group() as group:
            if with_parent:
                group.start_soon(_until_orphaned, group.cancel_scope)
            await simulate(
                profile_path=profile,
                replay_path=replay,
                job_path=job,
                uploaded=told,
                host=host,
                port=port,
                ready=_say,
            )

    anyio.run(until_signal, work, backend_options={"use_uvloop": True})


def _say(url: str) -> None:
    with suppress(BrokenPipeError):  # whoever started it has gone: it is about to notice
        click.echo(f"evalsvc sim listens on {url}")


async def _until_orphaned(scope: anyio.CancelScope) -> None:
    from anyio.to_thread import run_sync

    await run_sync(sys.stdin.buffer.read, abandon_on_cancel=True)
    scope.cancel()
