"""The command ``evalsvc``: finds the subcommand, turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
from typing import NoReturn

import click

from evalsvc import __version__
from evalsvc.errors import EvalsvcError, InputError, StoreBusy, StoreUnusable

#: Exit codes of product.md.
FAILED, USAGE, BUSY, UNUSABLE, INTERRUPTED = 1, 2, 75, 78, 130

_COMMANDS = {
    "run": ("evalsvc.cli.run", "The whole job in this process: asks, scores, compares, decides."),
    "sim": ("evalsvc.cli.sim", "An OpenAI-compatible server for rehearsal."),
    "schema": ("evalsvc.cli.schema", "The JSON Schema of a job file or the configuration."),
}


class _Commands(click.Group):
    """Commands that are imported when they are called, so that --help stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(_COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="evalsvc")
def evalsvc() -> None:
    """Is the fine-tuned model really better than what you run today, and may it ship?

    A job file names two models (candidate and baseline), suites of cases and gates. Start with:

        evalsvc run examples/demo/job.toml

    Exit codes: 0 SHIP (or the command did its work), 1 failed, 2 usage or invalid input, 3 ITERATE, 4 HOLD, 75 the
    database is in use, 78 the database cannot be used, 130 interrupted (run it again to resume).
    """


def main() -> NoReturn:
    """Entry point: runs the command line and exits with its code."""
    try:
        code = evalsvc.main(standalone_mode=False)
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.Abort:
        code = INTERRUPTED
    except click.ClickException as error:
        error.show()
        code = USAGE
    except EvalsvcError as error:
        click.echo(f"evalsvc: {error}", err=True)
        code = exit_code_of(error)
    except OSError as error:  # a full disk behind stdout, a reader that went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        click.echo(f"evalsvc: cannot print: {error.strerror}", err=True)
        code = FAILED
    sys.exit(code if isinstance(code, int) else 0)


def exit_code_of(error: EvalsvcError) -> int:
    """The exit code an error means."""
    for sort, code in ((InputError, USAGE), (StoreBusy, BUSY), (StoreUnusable, UNUSABLE)):
        if isinstance(error, sort):
            return code
    return FAILED
