"""Progress on a terminal, with everything a server may say in it."""

from __future__ import annotations

import io
import sys
import unicodedata

import anyio
import pytest
from inert_texts import TEXTS

from evalsvc.cli import progress as shown
from evalsvc.core.progress import Progress
from evalsvc.engine.limits import EndpointLimits


def paused(said: str) -> Progress:
    progress = Progress()
    progress.total, progress.paused, progress.stopped = 10, said, said
    return progress


@pytest.mark.parametrize("said", TEXTS)
def test_facts_are_one_line_that_commands_nothing(said: str) -> None:
    line = shown.facts(paused(said))
    assert "PAUSED" in line
    assert not {c for c in line if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}} - set("\u200c\u200d")


def test_recorded_answers_are_no_endpoint() -> None:
    line = shown.facts(Progress(total=2, loads={"recorded": EndpointLimits(8), "up": EndpointLimits(4)}))
    assert "up 0/4" in line
    assert "recorded" not in line


class Terminal(io.StringIO):
    """What is drawn on it is kept."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        """It looks like one."""
        return True


@pytest.mark.anyio
@pytest.mark.parametrize("said", ["[bold red]SHIP[/bold red][/x][link=https://evil.example]x[/link]", "\x1b[2J\x9b2J"])
async def test_a_bar_draws_words_as_they_are(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "stderr", terminal)
    drawn = anyio.Event()
    monkeypatch.setattr(shown, "_BAR_S", 0.0)

    async def look() -> None:
        while said[:5] not in terminal.getvalue() and "PAUSED" not in terminal.getvalue():
            await anyio.lowlevel.checkpoint()
        drawn.set()

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(shown.display, paused(said))
            tasks.start_soon(look)
            await drawn.wait()
            tasks.cancel_scope.cancel()
    assert "\x1b]8" not in terminal.getvalue()
    assert "\x1b[2J" not in terminal.getvalue()
    if "bold" in said:
        assert "[bold red]SHIP[/bold red][/x]" in terminal.getvalue()
