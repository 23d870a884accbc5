"""What commands that end in a decision share: its lines on stderr, and its exit code."""

from __future__ import annotations

from collections.abc import Iterable

import click

from evalsvc.app.reading import inert

#: Exit code of each decision.
DECISIONS = {"SHIP": 0, "ITERATE": 3, "HOLD": 4}


def say(decision: str, reasons: Iterable[str], *, simulated: bool) -> int:
    """Print the reasons on stderr, a line each that begins with the decision; gives its exit code.

    A decision on answers of the simulator says so in every line: a line may be all that is read, or kept.
    """
    shown = inert(f"{decision} (simulated)" if simulated else decision)
    for reason in reasons:
        click.echo(f"{shown}: {inert(reason)}", err=True)
    return DECISIONS[decision]
