"""How far a job is: a bar on a terminal, a plain line now and then elsewhere. Both on stderr."""

from __future__ import annotations

import sys
from time import monotonic

import anyio
import click

from evalsvc.app.reading import inert
from evalsvc.core.progress import Load, Progress

_BAR_S = 0.2
_LINE_S = 5.0


async def display(progress: Progress) -> None:
    """Show progress until cancelled."""
    if sys.stderr.isatty():
        await _bar(progress)
    else:
        await _lines(progress)


async def _bar(progress: Progress) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar
    from rich.table import Column

    columns = (
        MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=11)),
        BarColumn(bar_width=12),
        TextColumn(
            "{task.fields[facts]}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")
        ),
    )
    with Bar(*columns, console=Console(stderr=True), refresh_per_second=5, transient=True, expand=True) as bar:
        task = bar.add_task("", total=None, facts="")
        while True:
            bar.update(task, total=progress.total or None, completed=progress.recorded, facts=facts(progress))
            await anyio.sleep(_BAR_S)


async def _lines(progress: Progress) -> None:
    while True:
        await anyio.sleep(_LINE_S)
        click.echo(f"{progress.recorded}/{progress.total} {facts(progress)}", err=True)


def facts(progress: Progress) -> str:
    """Rate, time left, load, mean scores and errors, in one line; the first matter most where the line is cut.

    What a server said is in it, made plain.
    """
    now = monotonic()
    parts = [f"{progress.rate(now):,.0f}/s"]
    if progress.stopped:
        parts.append(f"STOPPED EARLY: {progress.stopped}")
    if progress.paused:
        parts.append(f"PAUSED: {progress.paused}")
    elif (left := progress.eta_s(now)) is not None:
        parts.append(f"{_duration(left)} left")
    parts += [_load(name, load) for name, load in progress.asked.items()]
    parts += [f"{arm} {progress.score_sums[arm] / count:.1%}" for arm, count in sorted(progress.scored.items())]
    errors = sum(count for status, count in progress.statuses.items() if status != "ok")
    parts.append(f"errors {errors:,}")
    if progress.retries:
        parts.append(f"retries {progress.retries:,}")
    return " · ".join(map(inert, parts))


def _load(name: str, load: Load) -> str:
    why = f", waits for {load.reason}" if load.reason else ""
    return f"{name} {load.in_flight}/{load.limit}{why}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
