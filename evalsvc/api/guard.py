"""Who may do what: every route names the access it needs, and one that does not cannot be added."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from evalsvc.api.bind import is_loopback
from evalsvc.api.limits import ApiLimits
from evalsvc.api.problems import ApiError
from evalsvc.api.tokens import Refused, Role, TokenBook
from evalsvc.store.tokens import TokenRow
from evalsvc.telemetry.log import get_log

_LOG = get_log("evalsvc.api")
_F = TypeVar("_F", bound=Callable[..., Any])

#: Headers only a proxy sets: what came through one did not come from this machine.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
_ADDRESSES, _SESSIONS = 4096, 1024


class Access(StrEnum):
    """What a route needs."""

    PUBLIC = "public"
    VIEW = "view"
    SUBMIT = "submit"
    ANNOTATE = "annotate"
    ADMIN = "admin"


_MAY: dict[Role, frozenset[Access]] = {
    Role.ADMIN: frozenset(Access),
    Role.SUBMITTER: frozenset({Access.PUBLIC, Access.VIEW, Access.SUBMIT}),
    Role.VIEWER: frozenset({Access.PUBLIC, Access.VIEW}),
    Role.ANNOTATOR: frozenset({Access.PUBLIC, Access.ANNOTATE}),  # blind: it sees no job, no result
}


def may(role: Role, access: Access) -> bool:
    """Whether a role's holder gets in."""
    return access in _MAY[role]


def needs(access: Access) -> Callable[[_F], _F]:
    """Names the access a route's function needs."""

    def mark(function: _F) -> _F:
        function.access = access  # type: ignore[attr-defined]  # read by GuardedRoute
        return function

    return mark


class GuardedRoute(APIRoute):
    """A route nobody reaches without the access it names; checked before a byte of the body is read."""

    @property
    def access(self) -> Access:
        """What it needs. Raises TypeError when its function names nothing."""
        access = getattr(self.endpoint, "access", None)
        if not isinstance(access, Access):
            raise TypeError(f"{self.path} names no access: mark its function with @needs(...)")
        return access

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The framework's handler behind the door."""
        access, handler = self.access, super().get_route_handler()

        async def guarded(request: Request) -> Response:
            who = request.app.state.door.admit(request, access)
            response = await handler(request)
            if request.method != "GET":
                said = {"method": request.method, "path": request.url.path, "status": response.status_code}
                _LOG.info("http.answered", **said, who=who)
            return response

        return guarded


@dataclass(slots=True)
class _Session:
    token_id: str
    ends: float


class Door:
    """Lets requests in by token or session; counts wrong tokens by address.

    Args:
        tokens: all tokens.
        limits: how many wrong ones an address may show a minute, and how long a session lasts.
        clock: a clock that never goes back, in seconds.
    """

    def __init__(self, tokens: TokenBook, limits: ApiLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._tokens, self._limits, self._clock = tokens, limits, clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()
        self.cookie = "__Host-evalsvc" if limits.https else "evalsvc"

    def admit(self, request: Request, access: Access) -> str:
        """Let a request pass, or raise `ApiError` 401, 403 or 429; gives who it is, for the log."""
        if access is Access.PUBLIC:
            return "anybody"
        if not len(self._tokens) and _from_this_machine(request):
            return "this machine"
        row = self._row(request)
        if not may(Role(row.role), access):
            raise ApiError(403, f"a token with the role {row.role} may not do this", code="forbidden")
        return f"token {row.id}"

    def sign_in(self, request: Request, token: str) -> str:
        """A session for who shows a good token: the cookie's value. Raises `ApiError`."""
        row = self._known(request, token)
        value = secrets.token_urlsafe(32)
        self._sessions[_key(value)] = _Session(row.id, self._clock() + self._limits.session_s)
        while len(self._sessions) > _SESSIONS:
            self._sessions.popitem(last=False)
        return value

    def sign_out(self, request: Request) -> None:
        """End the request's session, if it has one."""
        self._sessions.pop(_key(request.cookies.get(self.cookie, "")), None)

    def _row(self, request: Request) -> TokenRow:
        given = request.headers.get("authorization")
        if given is not None:
            scheme, _, token = given.partition(" ")
            if scheme.lower() != "bearer":
                raise self._refusal(request, "a token is sent as `Authorization: Bearer TOKEN`")
            return self._known(request, token.strip())
        row = self._of_session(request)
        if row is None:
            raise _unauthorized("a token is needed: send `Authorization: Bearer TOKEN`, or sign in under /")
        return row

    def _of_session(self, request: Request) -> TokenRow | None:
        key = _key(request.cookies.get(self.cookie, ""))
        session = self._sessions.get(key)
        if session is None:
            return None
        row = self._tokens.standing(session.token_id)
        if isinstance(row, Refused) or session.ends <= self._clock():
            del self._sessions[key]
            return None
        return row

    def _known(self, request: Request, token: str) -> TokenRow:
        # A good token passes however many wrong ones its address showed: 256 bits are not guessed, and users behind
        # one proxy share an address. The limit keeps wrong ones from filling logs.
        row = self._tokens.check(token)
        if isinstance(row, Refused):
            raise self._refusal(request, row.reason)
        return row

    def _refusal(self, request: Request, reason: str) -> ApiError:
        address, now = _address(request), self._clock()
        times = self._failures.setdefault(address, deque())
        self._failures.move_to_end(address)
        while len(self._failures) > _ADDRESSES:
            self._failures.popitem(last=False)
        while times and times[0] <= now - 60:
            times.popleft()
        if len(times) >= self._limits.failures_a_minute:
            wait_s = int(times[0] + 60 - now) + 1
            return ApiError(429, "too many wrong tokens from this address", headers={"Retry-After": str(wait_s)})
        times.append(now)
        route = request.scope["route"].path
        _LOG.warning("http.refused", method=request.method, route=route, address=address, reason=reason)
        return _unauthorized(reason)


def _unauthorized(reason: str) -> ApiError:
    return ApiError(401, reason, headers={"WWW-Authenticate": "Bearer"})


def _from_this_machine(request: Request) -> bool:
    client = request.client
    return client is not None and is_loopback(client.host) and not any(name in request.headers for name in _FORWARDED)


def _address(request: Request) -> str:
    """What failures are counted by: the address, of IPv6 the network a client can choose addresses from."""
    host = request.client.host if request.client else "unknown"
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        return host[:64]
    if isinstance(parsed, ipaddress.IPv4Address):
        return host
    return str(parsed.ipv4_mapped or ipaddress.IPv6Network((int(parsed), 64), strict=False))


def _key(value: str) -> bytes:
    """Sessions are kept by hash: finding one takes no time that tells of another."""
    return hashlib.sha256(value.encode("utf-8", "replace")).digest()
