"""API tokens, made and taken back where no daemon has the database in hand."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from evalsvc.api.tokens import Role, TokenBook, shown
from evalsvc.app.reading import run
from evalsvc.config import load
from evalsvc.errors import InputError
from evalsvc.store.database import open_database, open_reader
from evalsvc.store.tokens import TokenStore, read_tokens


def create(database: Path, name: str, role: str, days: float | None) -> dict[str, Any]:
    """Make a token; ``token`` in the answer is shown this once.

    Raises:
        InputError: it is the first and not an admin's.
        StoreBusy: a daemon has the database in hand: it makes tokens itself.
        StoreError: it cannot be filed.
    """

    async def make() -> dict[str, Any]:
        async with open_database(database) as opened:
            book = await TokenBook.load(TokenStore(opened))
            row, token = await book.create(name, Role(role), days=days)
            return {**shown(row, time.time()), "token": token}

    return run(make)


def revoke(database: Path, token_id: str) -> dict[str, Any]:
    """Take a token back. Raises `InputError` where there is none of that id, and `StoreBusy`, `StoreError`."""

    async def take() -> dict[str, Any]:
        async with open_database(database) as opened:
            row = await (await TokenBook.load(TokenStore(opened))).revoke(token_id)
            if row is None:
                raise InputError(f"no token {token_id[:40]!a} in {database}; `evalsvc token list` shows all")
            return shown(row, time.time())

    return run(take)


def listed(database: Path) -> list[dict[str, Any]]:
    """All tokens that were ever made, oldest first, without what would let somebody in. Raises `StoreError`."""

    async def read() -> list[dict[str, Any]]:
        async with open_reader(database) as reader:
            return [shown(row, time.time()) for row in await read_tokens(reader)]

    return run(read)


def daemon_url(config_path: Path | None) -> str:
    """Where a daemon of the configuration listens, as this machine reaches it. Raises `ConfigError`."""
    config = load(config_path, os.environ)
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(config.server.host, config.server.host)  # noqa: S104 - compared only
    bracketed = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"http://{bracketed}:{config.server.port}"
