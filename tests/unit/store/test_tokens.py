"""Tokens in the database: added, read, taken back, never changed otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from evalsvc.errors import StoreError
from evalsvc.store.tokens import TokenRow, TokenStore, read_tokens

pytestmark = pytest.mark.anyio

ROW = TokenRow(id="a", name="é", role="admin", sha256=bytes(range(32)), created_at=2.0, expires_at=9.0)


async def test_tokens_come_back_as_they_were_filed(filing: Any) -> None:
    store = TokenStore(filing.database)
    assert await store.all() == []
    await store.add(ROW)
    await store.add(replace(ROW, id="b", created_at=1.0, expires_at=None))
    assert [row.id for row in await read_tokens(filing.database)] == ["b", "a"]
    assert (await store.all())[1] == ROW


async def test_the_first_revocation_stands(filing: Any) -> None:
    store = TokenStore(filing.database)
    await store.add(ROW)
    await store.add(replace(ROW, id="b"))
    await store.revoke("a", now=5.0)
    await store.revoke("a", now=6.0)
    assert {row.id: row.revoked_at for row in await store.all()} == {"a": 5.0, "b": None}


@pytest.mark.parametrize("wrong", [{"role": "root"}, {"sha256": b"short"}, {"id": "a"}])
async def test_the_database_refuses_what_is_no_token(filing: Any, wrong: dict[str, Any]) -> None:
    store = TokenStore(filing.database)
    await store.add(ROW)
    with pytest.raises(StoreError):
        await store.add(replace(ROW, **{"id": "c", **wrong}))
    assert len(await store.all()) == 1
