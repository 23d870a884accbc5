"""Tokens and sessions over HTTP."""

from __future__ import annotations

import time
from typing import Annotated, Literal

from fastapi import Path, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from evalsvc.api.guard import Access, Door, needs
from evalsvc.api.limits import ApiLimits
from evalsvc.api.problems import ApiError, as_json
from evalsvc.api.tokens import Role, TokenBook, shown

_TEN_YEARS = 3653


class NewToken(BaseModel):
    """A token to make."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        min_length=1,
        max_length=100,
        pattern=r"^[^\x00-\x1f\x7f-\x9f]+$",
        description="whose it is, what for",
    )
    role: Role
    days: float | None = Field(
        default=None, gt=0, le=_TEN_YEARS, description="how long it is good; null: until revoked"
    )


class TokenBody(BaseModel):
    """A token as it is listed."""

    id: str
    name: str
    role: Role
    state: Literal["valid", "expired", "revoked"]
    created_at: str
    expires_at: str | None
    revoked_at: str | None


class MadeToken(TokenBody):
    """A new token; ``token`` is shown this once."""

    token: str


class TokenList(BaseModel):
    """All tokens, oldest first."""

    items: list[TokenBody]
    next: None


class SignIn(BaseModel):
    """What a browser signs in with."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(max_length=200)


class Tokens:
    """The routes under ``/api/v1/tokens`` and ``/api/v1/session``.

    Args:
        tokens: all tokens.
        door: keeps the sessions.
        limits: how long one lasts.
    """

    def __init__(self, tokens: TokenBook, door: Door, limits: ApiLimits) -> None:
        self._tokens, self._door, self._limits = tokens, door, limits

    @needs(Access.ADMIN)
    async def list(self) -> Response:
        """All tokens that were ever made, without what would let somebody in."""
        return as_json({"items": [shown(row, time.time()) for row in self._tokens], "next": None})

    @needs(Access.ADMIN)
    async def create(self, wanted: NewToken) -> Response:
        """Make a token. It is shown in this answer and never again."""
        row, token = await self._tokens.create(wanted.name, wanted.role, days=wanted.days)
        return as_json({**shown(row, time.time()), "token": token}, 201)

    @needs(Access.ADMIN)
    async def revoke(self, token_id: Annotated[str, Path(pattern=r"^[0-9a-f]{12}$")]) -> Response:
        """Take a token back, at once and for good."""
        row = await self._tokens.revoke(token_id)
        if row is None:
            raise ApiError(404, f"no token {token_id}")
        return as_json(shown(row, time.time()))

    @needs(Access.PUBLIC)
    async def sign_in(self, request: Request, shown_token: SignIn) -> Response:
        """Start a browser's session: the answer sets a cookie that no script can read and no other site sends."""
        value = self._door.sign_in(request, shown_token.token.strip())
        response = Response(status_code=204)
        response.set_cookie(
            self._door.cookie,
            value,
            max_age=int(self._limits.session_s),
            path="/",
            secure=self._limits.https,
            httponly=True,
            samesite="strict",
        )
        return response

    @needs(Access.PUBLIC)
    async def sign_out(self, request: Request) -> Response:
        """End the session."""
        self._door.sign_out(request)
        response = Response(status_code=204)
        response.delete_cookie(self._door.cookie, path="/", secure=self._limits.https, httponly=True, samesite="strict")
        return response
