"""The command ``evalsvc``: finds the subcommand, turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
from typing import NoReturn

import click

from evalsvc import __version__
from evalsvc.errors import EvalsvcError, InputError, JobNotFound, StoreBusy, StoreUnusable

#: Exit codes of product.md.
FAILED, USAGE, BUSY, UNUSABLE, INTERRUPTED = 1, 2, 75, 78, 130

_ITEM = "\n  - "
_COMMANDS = {
    "run": ("evalsvc.cli.run", "The whole job in this process: asks, scores, compares, decides."),
    "serve": ("evalsvc.cli.serve", "The daemon: HTTP API, pages, many jobs on one database."),
    "submit": ("evalsvc.cli.submit", "Sends a job and its data sets to the daemon."),
    "watch": ("evalsvc.cli.watch", "Follows a job of the daemon to its decision."),
    "cancel": ("evalsvc.cli.cancel", "Ends a job of the daemon for good."),
    "resume": ("evalsvc.cli.resume", "Queues a paused or failed job of the daemon again."),
    "plan": ("evalsvc.cli.plan", "What a job can prove and what it costs, before it is run."),
    "calibrate": ("evalsvc.cli.calibrate", "The baseline against itself: how often the job's gates flip."),
    "sim": ("evalsvc.cli.sim", "An OpenAI-compatible server for rehearsal."),
    "status": ("evalsvc.cli.status", "The jobs of a database, and how far they are."),
    "report": ("evalsvc.cli.report", "Results: text, Markdown, HTML, JSON, JUnit, CSV, JSON Lines."),
    "compare": ("evalsvc.cli.compare", "Two finished jobs, case by case."),
    "decision": ("evalsvc.cli.decision", "The decision record, and its exit code."),
    "verify": ("evalsvc.cli.verify", "A decision record held against its outcomes, and its signature."),
    "backup": ("evalsvc.cli.backup", "A safe copy of the database, while it is in use."),
    "token": ("evalsvc.cli.token", "Tokens of the HTTP API: who may use it, and as what."),
    "doctor": ("evalsvc.cli.doctor", "Is everything here that evalsvc needs, and what to mend."),
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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from evalsvc.core.nearest import did_you_mean

            hint = "" if args[0].startswith("-") else did_you_mean(args[0], _COMMANDS)
            if not hint:
                raise
            raise click.UsageError(f"{error.message.rstrip('.')}; {hint.rstrip()}", ctx) from None

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
    # Else numpy and scipy each start a thread a core, which spin at start; nothing here multiplies large matrices.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
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
        click.echo(f"evalsvc: {_plain(str(error))}", err=True)
        code = exit_code_of(error)
    except OSError as error:  # a full disk behind stdout, a reader that went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        click.echo(f"evalsvc: cannot print: {error.strerror}", err=True)
        code = FAILED
    sys.exit(code if isinstance(code, int) else 0)


def _plain(message: str) -> str:
    """An error, which may quote a server or a data set; only a list of ours has lines of its own."""
    from evalsvc.app.reading import inert

    return _ITEM.join(map(inert, message.split(_ITEM)))


def exit_code_of(error: EvalsvcError) -> int:
    """The exit code an error means."""
    for sort, code in ((InputError, USAGE), (JobNotFound, USAGE), (StoreBusy, BUSY), (StoreUnusable, UNUSABLE)):
        if isinstance(error, sort):
            return code
    return FAILED
