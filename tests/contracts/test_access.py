"""Every route against everybody: who gets in is written down here, and nobody else does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import anyio
import httpx2
import pytest

from evalsvc.api.app import make_app
from evalsvc.api.front import Front
from evalsvc.api.guard import Access, GuardedRoute
from evalsvc.api.limits import ApiLimits
from evalsvc.api.tokens import Role, TokenBook
from evalsvc.errors import JobNotFound
from evalsvc.store.tokens import TokenRow

pytestmark = pytest.mark.anyio

#: Whom each access lets in. `anonymous` comes from this machine, as tokens exist.
ADMITTED = {
    Access.PUBLIC: {"anonymous", "viewer", "submitter", "annotator", "admin", "expired", "revoked", "garbled"},
    Access.VIEW: {"viewer", "submitter", "admin"},
    Access.SUBMIT: {"submitter", "admin"},
    Access.ANNOTATE: {"annotator", "admin"},
    Access.ADMIN: {"admin"},
}
#: What each route needs, said a second time: a change has to be meant.
NEEDED = {
    "POST /api/v1/jobs": Access.SUBMIT,
    "GET /api/v1/jobs": Access.VIEW,
    "GET /api/v1/jobs/{job_id}": Access.VIEW,
    "GET /api/v1/jobs/{job_id}/outcomes": Access.VIEW,
    "GET /api/v1/jobs/{job_id}/decision": Access.VIEW,
    "GET /api/v1/jobs/{job_id}/report": Access.VIEW,
    "GET /api/v1/jobs/{job_id}/compare/{second_id}": Access.VIEW,
    "GET /api/v1/jobs/{job_id}/calibration": Access.VIEW,
    "POST /api/v1/jobs/{job_id}/calibration": Access.SUBMIT,
    "GET /api/v1/jobs/{job_id}/events": Access.VIEW,
    "POST /api/v1/jobs/{job_id}/cancel": Access.SUBMIT,
    "POST /api/v1/jobs/{job_id}/resume": Access.SUBMIT,
    "GET /api/v1/tokens": Access.ADMIN,
    "POST /api/v1/tokens": Access.ADMIN,
    "POST /api/v1/tokens/{token_id}/revoke": Access.ADMIN,
    "POST /api/v1/session": Access.PUBLIC,
    "DELETE /api/v1/session": Access.PUBLIC,
    "GET /api/v1/openapi.json": Access.PUBLIC,
    "GET /healthz": Access.PUBLIC,
    "GET /readyz": Access.PUBLIC,
    "GET /metrics": Access.VIEW,
    "GET /": Access.VIEW,
    "GET /jobs/{job_id}": Access.VIEW,
    "GET /jobs/{job_id}/report": Access.VIEW,
    "GET /static/{name}": Access.PUBLIC,
}
WHO = sorted(ADMITTED[Access.PUBLIC])


class NoJobs:
    """A daemon without jobs: whoever gets in hears 404."""

    def __getattr__(self, name: str) -> Any:
        async def nothing(*_: Any, **__: Any) -> Any:
            if name == "jobs":
                return []
            raise JobNotFound("no such job")

        return (lambda: None) if name == "ready" else nothing


class Shelf:
    async def all(self) -> list[TokenRow]:
        return []

    async def add(self, _token: TokenRow) -> None: ...

    async def revoke(self, _token_id: str, *, now: float) -> None: ...


@pytest.fixture(scope="module")
def app_and_tokens(tmp_path_factory: pytest.TempPathFactory) -> tuple[Front, dict[str, str | None]]:
    return anyio.run(prepared, tmp_path_factory.mktemp("incoming"))


async def prepared(folder: Path) -> tuple[Front, dict[str, str | None]]:
    now = [1000.0]
    book = await TokenBook.load(Shelf(), now=lambda: now[0])
    given: dict[str, str | None] = {"anonymous": None, "garbled": "evs_000000000000_x"}
    for role in Role:
        given[role.value] = (await book.create(role.value, role))[1]
    given["expired"] = (await book.create("expired", Role.ADMIN, days=1))[1]
    revoked, given["revoked"] = await book.create("revoked", Role.ADMIN)
    await book.revoke(revoked.id)
    now[0] += 86_401
    service: Any = NoJobs()
    limits = ApiLimits(failures_a_minute=10_000)
    return make_app(
        service, tokens=book, folder=folder, limits=limits, metrics=AsyncMock(return_value=("text/plain", b""))
    ), given


def routes_of(front: Any) -> dict[str, GuardedRoute]:
    found: dict[str, GuardedRoute] = {}
    for route in front.app.routes:
        assert isinstance(route, GuardedRoute), f"{route} is not guarded"
        for method in route.methods or ():
            found[f"{method} {route.path}"] = route
    return found


async def test_every_route_names_what_it_needs(app_and_tokens: Any) -> None:
    assert {name: route.access for name, route in routes_of(app_and_tokens[0]).items()} == NEEDED


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("route", NEEDED)
async def test_who_gets_in(app_and_tokens: Any, route: str, who: str) -> None:
    app, given = app_and_tokens
    method, path = route.split(" ")
    headers = {} if given[who] is None else {"Authorization": f"Bearer {given[who]}"}
    transport = httpx2.ASGITransport(app, client=("127.0.0.1", 1))
    url = path.format(job_id="j", second_id="k", token_id="0" * 12, name="app.js")
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.request(method, url, headers=headers)
    if who in ADMITTED[NEEDED[route]]:
        assert answer.status_code not in (403, 429, 500)
        assert answer.status_code != 401 or NEEDED[route] is Access.PUBLIC
    else:
        known = who in {role.value for role in Role}
        assert answer.status_code == (403 if known else 401), answer.text
        assert set(answer.json()) == {"error"}


def test_every_access_is_decided_on() -> None:
    assert set(ADMITTED) == set(Access)


def test_the_documentation_lists_every_route_and_its_access() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs/http-api.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `([A-Z]+ /\S*)` \| (\w+) \|", text, re.MULTILINE)
    assert dict(told) == {route: access.value for route, access in NEEDED.items()}
