"""API tokens as they are kept: never the token, only the SHA-256 of it."""

from __future__ import annotations

from dataclasses import dataclass

from evalsvc.store.database import Database, Reader

_COLUMNS = "id, name, role, sha256, created_at, expires_at, revoked_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """One API token; times are Unix seconds. ``sha256`` is the digest of the whole token."""

    id: str
    name: str
    role: str
    sha256: bytes
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None


async def read_tokens(reader: Reader) -> list[TokenRow]:
    """Every token that was ever made, oldest first."""
    names = _COLUMNS.split(", ")
    rows = await reader.rows(f"SELECT {_COLUMNS} FROM tokens ORDER BY created_at, id")  # noqa: S608 - constants
    return [TokenRow(**dict(zip(names, row, strict=True))) for row in rows]


class TokenStore:
    """The table ``tokens``. No row is ever deleted: who was let in remains to be seen."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def all(self) -> list[TokenRow]:
        """See `read_tokens`."""
        return await read_tokens(self._db)

    async def add(self, token: TokenRow) -> None:
        """File a new token."""
        row = tuple(getattr(token, name) for name in _COLUMNS.split(", "))
        await self._db.write((f"INSERT INTO tokens ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", [row]))  # noqa: S608 - the same

    async def revoke(self, token_id: str, *, now: float) -> None:
        """Take a token back; the first time stands."""
        sql = "UPDATE tokens SET revoked_at = COALESCE(revoked_at, ?) WHERE id = ?"
        await self._db.write((sql, [(now, token_id)]))
