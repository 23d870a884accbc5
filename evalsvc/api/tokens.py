"""API tokens: who may come in, and as what.

A token reads ``evs_<id>_<secret>``: the id finds it, the secret is 256 random bits. Only its SHA-256 is kept; a fast
hash is enough for a secret nobody can guess. The daemon holds the database alone, so the table is read once and kept in
memory, and a request costs no query.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

from evalsvc.core.listing import rfc3339
from evalsvc.errors import InputError
from evalsvc.store.tokens import TokenRow

_TOKEN = re.compile(r"evs_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NO_DIGEST = b"\0" * 32
_DAY_S = 86400.0


class Role(StrEnum):
    """What a token's holder may do: an admin everything, a submitter also what a viewer may, an annotator only vote."""

    ADMIN = "admin"
    SUBMITTER = "submitter"
    VIEWER = "viewer"
    ANNOTATOR = "annotator"


class Shelf(Protocol):
    """Where tokens are kept."""

    async def all(self) -> Sequence[TokenRow]:
        """Every token, revoked and expired ones too."""
        ...

    async def add(self, token: TokenRow, /) -> None:
        """File a new one."""
        ...

    async def revoke(self, token_id: str, /, *, now: float) -> None:
        """Take one back."""
        ...


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a token lets nobody in; said in full only to who holds the right one."""

    reason: str


class TokenBook:
    """All tokens of one database. Make it with `load`.

    Args:
        shelf: where they are kept.
        rows: what lies there.
        now: Unix seconds.
    """

    def __init__(self, shelf: Shelf, rows: Sequence[TokenRow], now: Callable[[], float] = time.time) -> None:
        self._shelf = shelf
        self._rows = {row.id: row for row in rows}
        self._now = now

    @classmethod
    async def load(cls, shelf: Shelf, now: Callable[[], float] = time.time) -> TokenBook:
        """Read all tokens. Raises `StoreError`."""
        return cls(shelf, await shelf.all(), now)

    def __len__(self) -> int:
        """How many were ever made: revoked ones count, or revoking the last would open every door."""
        return len(self._rows)

    def __iter__(self) -> Iterator[TokenRow]:
        return iter(list(self._rows.values()))

    def check(self, token: str) -> TokenRow | Refused:
        """The row of a token that is good now, or why it is not."""
        parts = _TOKEN.fullmatch(token)
        row = self._rows.get(parts[1]) if parts else None
        same = hmac.compare_digest(_digest(token), row.sha256 if row else _NO_DIGEST)
        if row is None or not same:
            return Refused("this token is not known")
        return self.standing(row.id)

    def standing(self, token_id: str) -> TokenRow | Refused:
        """The same for a token that was checked before."""
        row = self._rows[token_id]
        if row.revoked_at is not None:
            return Refused("this token was revoked")
        if row.expires_at is not None and row.expires_at <= self._now():
            return Refused("this token has expired")
        return row

    async def create(self, name: str, role: Role, *, days: float | None = None) -> tuple[TokenRow, str]:
        """Make a token; the second value is the token itself, which nobody can read again.

        Raises:
            InputError: it is the first and not an admin's: nobody could make or revoke the others.
            StoreError: it cannot be filed.
        """
        if not self._rows and role is not Role.ADMIN:
            raise InputError(
                "the first token has to be an admin's: from then on only an admin makes others", key="role"
            )
        token_id, now = secrets.token_hex(6), self._now()
        token = f"evs_{token_id}_{secrets.token_urlsafe(32)}"
        expires = None if days is None else now + days * _DAY_S
        row = TokenRow(
            id=token_id, name=name, role=role.value, sha256=_digest(token), created_at=now, expires_at=expires
        )
        await self._shelf.add(row)
        self._rows[token_id] = row
        return row, token

    async def revoke(self, token_id: str) -> TokenRow | None:
        """Take a token back at once; None: there is none of that id. Raises `StoreError`."""
        row = self._rows.get(token_id)
        if row is None or row.revoked_at is not None:
            return row
        now = self._now()
        await self._shelf.revoke(token_id, now=now)
        self._rows[token_id] = replace(row, revoked_at=now)
        return self._rows[token_id]


def shown(row: TokenRow, now: float) -> dict[str, Any]:
    """A token as it is listed: everything but what would let somebody in."""
    expired = row.expires_at is not None and row.expires_at <= now
    state = "revoked" if row.revoked_at is not None else "expired" if expired else "valid"
    times = {key: rfc3339(getattr(row, key)) for key in ("created_at", "expires_at", "revoked_at")}
    return {"id": row.id, "name": row.name, "role": row.role, "state": state, **times}


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
