"""``evalsvc token``: who may use the daemon's HTTP API, and as what."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from evalsvc.cli.client import Client, asked_for, client, of_daemon
from evalsvc.cli.results import database, of_database, put
from evalsvc.errors import StoreBusy

_ROLES = ("admin", "submitter", "viewer", "annotator")


@click.group("token")
def command() -> None:
    """Make, list and revoke tokens of the HTTP API.

    On loopback no token is needed until one exists; from then on everybody needs one. The first has to be an admin's.
    While a daemon has the database in hand, it is asked to do it, with the token in EVALSVC_TOKEN.
    """


def _where(function: Any) -> Any:
    """Adds --json and the options that say where the tokens are."""
    return click.option("--json", "as_json", is_flag=True, help="Print as JSON.")(of_database(of_daemon(function)))


@command.command("create")
@click.argument("name")
@click.option("--role", type=click.Choice(_ROLES), required=True, help="What its holder may do.")
@click.option("--days", type=click.FloatRange(0, 3653, min_open=True), help="How long it is good [until revoked].")
@_where
def create(name: str, role: str, days: float | None, *, as_json: bool, **where: Any) -> None:
    """Make a token for NAME (a person, a CI job) and print it, this once: it is kept as a hash only."""
    from evalsvc.app import tokens

    made = _either(
        lambda path: tokens.create(path, name, role, days),
        lambda daemon: daemon.create({"name": name, "role": role, "days": days}),
        **where,
    )
    if as_json:
        put(json.dumps(made) + "\n")
        return
    until = f"until {made['expires_at']}" if made["expires_at"] else "until it is revoked"
    click.echo(f"token {made['id']}, {made['role']}, good {until}; it is not shown again:", err=True)
    put(made["token"] + "\n")


@command.command("list")
@_where
def list_(
    *, as_json: bool, url: str | None, token_file: Path | None, db: Path | None, config_path: Path | None
) -> None:
    """Show all tokens that were ever made; the tokens themselves cannot be shown."""
    from evalsvc.app import tokens

    if asked_for(url) is not None:
        found = _Tokens.of(client(url, token_file)).all()
    else:
        found = tokens.listed(database(db, config_path))
    put(json.dumps(found) + "\n" if as_json else _table(found))


@command.command("revoke")
@click.argument("token_id")
@_where
def revoke(token_id: str, *, as_json: bool, **where: Any) -> None:
    """Take the token with the id TOKEN_ID back, at once and for good."""
    from evalsvc.app import tokens

    gone = _either(lambda path: tokens.revoke(path, token_id), lambda daemon: daemon.revoke(token_id), **where)
    put(json.dumps(gone) + "\n" if as_json else f"token {gone['id']} ({_inert(gone['name'])}) is {gone['state']}\n")


class _Tokens(Client):
    """The daemon's routes for tokens."""

    @classmethod
    def of(cls, other: Client) -> _Tokens:
        made = cls(other.url, None)
        made._headers = other._headers  # noqa: SLF001 - the same class, and the token is nobody else's business
        return made

    def all(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._ask("GET", "/tokens")["items"]
        return found

    def create(self, wanted: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = self._ask("POST", "/tokens", json=wanted)
        return made

    def revoke(self, token_id: str) -> dict[str, Any]:
        from urllib.parse import quote

        gone: dict[str, Any] = self._ask("POST", f"/tokens/{quote(token_id, safe='')}/revoke")
        return gone


def _either(
    here: Callable[[Path], dict[str, Any]],
    there: Callable[[_Tokens], dict[str, Any]],
    *,
    url: str | None,
    token_file: Path | None,
    db: Path | None,
    config_path: Path | None,
) -> dict[str, Any]:
    """In the database itself, or by the daemon: the one that was named, or that has the database in hand."""
    if asked_for(url) is not None:
        return there(_Tokens.of(client(url, token_file)))
    path = database(db, config_path)
    try:
        return here(path)
    except StoreBusy:
        from evalsvc.app.tokens import daemon_url

        found = daemon_url(config_path)
        click.echo(f"{path} is in use: asking the daemon at {found}", err=True)
        return there(_Tokens.of(client(found, token_file)))


def _table(found: list[dict[str, Any]]) -> str:
    if not found:
        return "no token: on loopback none is needed, and no other address is listened on\n"
    head = ("ID", "ROLE", "STATE", "EXPIRES", "NAME")
    rows = [
        head,
        *(
            (each["id"], each["role"], each["state"], (each["expires_at"] or "never")[:16], _inert(each["name"]))
            for each in found
        ),
    ]
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    lines = (
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]) for row in rows
    )
    return "".join(f"{line}\n" for line in lines)


def _inert(text: str) -> str:
    """A name somebody chose, safe to print."""
    from evalsvc.app.reading import inert

    return inert(text)
