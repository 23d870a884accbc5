"""Who gets in: tokens, sessions, the open door of a daemon without tokens."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from fastapi import FastAPI

from evalsvc.api.guard import GuardedRoute
from evalsvc.errors import InputError

pytestmark = pytest.mark.anyio

JOBS = "/api/v1/jobs"


async def test_without_tokens_only_this_machine_gets_in(house: Any, problem: Any) -> None:
    async with house.client() as here, house.client(address=("192.0.2.7", 1)) as there:
        assert (await here.get(JOBS)).status_code == 200
        error = problem(await there.get(JOBS), 401)
        assert error["code"] == "unauthorized"
        for name in (
            "X-Forwarded-For",
            "Forwarded",
            "X-Real-IP",
            "Via",
        ):  # what a proxy here brings came from elsewhere
            problem(await here.get(JOBS, headers={name: "127.0.0.1"}), 401)
        assert (await there.get("/healthz")).status_code == 200


async def test_the_first_token_closes_the_door_for_good(house: Any, problem: Any) -> None:
    async with house.client() as client:
        with pytest.raises(InputError, match="admin"):
            await house.tokens.create("v", "viewer")
        problem(await client.post("/api/v1/tokens", json={"name": "v", "role": "viewer"}), 422)
        made = (await client.post("/api/v1/tokens", json={"name": "a", "role": "admin"})).json()
        answer = await client.get(JOBS)
        assert problem(answer, 401)["code"] == "unauthorized"
        assert answer.headers["www-authenticate"] == "Bearer"
        good = {"Authorization": f"Bearer {made['token']}"}
        assert (await client.get(JOBS, headers=good)).status_code == 200
        assert (await client.post(f"/api/v1/tokens/{made['id']}/revoke", headers=good)).status_code == 200
        problem(await client.get(JOBS, headers=good), 401)
        problem(await client.get(JOBS), 401)  # revoking the last one does not open it again


async def test_a_token_is_shown_once_and_kept_as_a_hash(house: Any) -> None:
    async with house.client() as client:
        made = (await client.post("/api/v1/tokens", json={"name": "ci", "role": "admin", "days": 30})).json()
        client.headers["Authorization"] = f"Bearer {made['token']}"
        answer = await client.get("/api/v1/tokens")
    (row,) = house.tokens
    assert len(made["token"].split("_", 2)[2]) == 43  # 256 bits in base64
    secret = made["token"].split("_", 2)[2]
    assert secret not in answer.text
    assert secret.encode() not in row.sha256
    assert secret not in repr(row)
    assert answer.json()["items"][0]["state"] == "valid"
    assert answer.json()["items"][0]["expires_at"] == "2027-02-14T08:00:00.000Z"


async def test_tokens_expire_and_are_revoked_at_once(house: Any, problem: Any) -> None:
    token = await house.token("viewer", days=1)
    async with house.client(token) as client:
        assert (await client.get(JOBS)).status_code == 200
        house.now[0] += 86_400 - 1
        assert (await client.get(JOBS)).status_code == 200
        house.now[0] += 1
        assert "expired" in problem(await client.get(JOBS), 401)["message"]
    other = await house.token("viewer")
    async with house.client(other) as client:
        assert (await client.get(JOBS)).status_code == 200
        await house.tokens.revoke(other.split("_")[1])
        assert "revoked" in problem(await client.get(JOBS), 401)["message"]


async def test_only_the_holder_hears_why(house: Any, problem: Any) -> None:
    token = await house.token("viewer", days=1)
    house.now[0] += 1e6
    guess = token[:-1] + ("A" if token[-1] != "A" else "B")
    async with house.client(guess) as client:
        assert problem(await client.get(JOBS), 401)["message"] == "this token is not known"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "bearer evs_",
        "Bearer evs_000000000000_" + "A" * 43,
        "Bearer " + "é" * 50,
    ],
)
async def test_what_is_no_token(house: Any, problem: Any, header: str) -> None:
    await house.token("viewer")
    async with house.client() as client:
        problem(await client.get(JOBS, headers={"Authorization": header.encode()}), 401)


async def test_the_scheme_is_read_in_any_case(house: Any) -> None:
    token = await house.token("viewer")
    async with house.client() as client:
        assert (await client.get(JOBS, headers={"Authorization": f"bEARER {token}"})).status_code == 200


async def test_wrong_tokens_are_limited_by_address_and_good_ones_are_not(build: Any, problem: Any) -> None:
    house = await build(failures_a_minute=3)
    token = await house.token("viewer")
    async with house.client("evs_wrong") as client:
        for _ in range(3):
            problem(await client.get(JOBS), 401)
        answer = await client.get(JOBS)
        problem(answer, 429)
        assert 1 <= int(answer.headers["retry-after"]) <= 61
        problem(await client.post("/api/v1/session", json={"token": "x"}), 429)
    async with house.client(token) as client:
        assert (await client.get(JOBS)).status_code == 200
    async with house.client("evs_wrong", address=("192.0.2.7", 1)) as client:
        problem(await client.get(JOBS), 401)
    for last, status in ((1, 401), (2, 401), (3, 401), (4, 429)):  # one network, many addresses
        async with house.client("evs_wrong", address=(f"2001:db8::{last}%eth{last}", 1)) as client:
            problem(await client.get(JOBS), status)
    for address in ("::ffff:192.0.2.8", "::ffff:192.0.2.9", "no address"):
        async with house.client("evs_wrong", address=(address, 1)) as client:
            for _ in range(3):
                problem(await client.get(JOBS), 401)


async def test_the_limit_forgets_after_a_minute(build: Any, problem: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    house = await build(failures_a_minute=1)
    await house.token("viewer")
    clock = [100.0]
    monkeypatch.setattr(house.app.app.state.door, "_clock", lambda: clock[0])
    async with house.client("evs_wrong") as client:
        problem(await client.get(JOBS), 401)
        problem(await client.get(JOBS), 429)
        clock[0] += 59.9
        problem(await client.get(JOBS), 429)
        clock[0] += 0.2
        problem(await client.get(JOBS), 401)


async def test_a_session_stands_for_its_token(house: Any, problem: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    token = await house.token("viewer")
    async with house.client() as client:
        problem(await client.post("/api/v1/session", json={"token": "evs_x"}), 401)
        answer = await client.post("/api/v1/session", json={"token": token})
        assert answer.status_code == 204
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert token not in cookie
        assert (await client.get(JOBS)).status_code == 200
        assert problem(await client.post("/api/v1/jobs/j/cancel"), 403)["code"] == "forbidden"
        kept = dict(client.cookies)
        assert (await client.delete("/api/v1/session")).status_code == 204
        client.cookies.update(kept)  # who kept the cookie has nothing
        problem(await client.get(JOBS), 401)
        await client.post("/api/v1/session", json={"token": token})
        await house.tokens.revoke(token.split("_")[1])
        problem(await client.get(JOBS), 401)
        other = await house.token("viewer")
        await client.post("/api/v1/session", json={"token": other})
        door = house.app.app.state.door
        later = door._clock() + 12 * 3600 + 1
        monkeypatch.setattr(door, "_clock", lambda: later)
        problem(await client.get(JOBS), 401)


async def test_behind_tls_the_cookie_is_for_tls_only(build: Any) -> None:
    house = await build(https=True)
    token = await house.token("viewer")
    async with house.client() as client:
        answer = await client.post("/api/v1/session", json={"token": token})
    assert answer.headers["set-cookie"].startswith("__Host-evalsvc=")
    assert "Secure" in answer.headers["set-cookie"]


async def test_a_route_that_names_no_access_cannot_be_added() -> None:
    app = FastAPI()
    app.router.route_class = GuardedRoute

    async def open_door() -> None: ...

    with pytest.raises(TypeError, match="names no access"):
        app.add_api_route("/x", open_door)


async def test_the_door_is_before_the_body(house: Any, problem: Any) -> None:
    await house.token("viewer")
    async with house.client() as client:
        problem(await client.post("/api/v1/tokens", content=b"not json"), 401)
        problem(await client.post("/api/v1/jobs", content=b"no multipart"), 401)
        problem(await client.get("/api/v1/jobs?limit=x"), 401)


async def test_no_secret_is_logged(house: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = await house.token("viewer")
    wrong = "evs_0123456789ab_" + "sk-CANARY".ljust(43, "x")
    async with house.client() as client:
        for given in (token, wrong, "sk-CANARY"):
            await client.get(JOBS, headers={"Authorization": f"Bearer {given}"})
            await client.get(JOBS, headers={"Authorization": f"Basic {given}"})
            await client.post("/api/v1/session", json={"token": given})
        await client.get(f"/jobs/{wrong}", headers={"Accept": "text/html"})
    said = [record for record in caplog.records if record.name.startswith("evalsvc")]
    assert any("refused" in record.getMessage() for record in said)
    text = "\n".join(record.getMessage() + str(record.__dict__) for record in said)
    assert "CANARY" not in text
    assert token.split("_", 2)[2] not in text


async def test_who_changed_something_is_logged(house: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="evalsvc.api")
    house.service.add("j")
    async with house.client() as client:
        await client.post("/api/v1/jobs/j/cancel")
    token = await house.token("submitter")
    house.service.add("k")
    async with house.client(token) as client:
        await client.post("/api/v1/jobs/k/cancel")
        await client.get("/api/v1/jobs")
    said: list[Any] = [record.msg for record in caplog.records]
    assert [(each["event"], each["method"], each["path"], each["who"], each["status"]) for each in said] == [
        ("http.answered", "POST", "/api/v1/jobs/j/cancel", "this machine", 200),
        ("http.answered", "POST", "/api/v1/jobs/k/cancel", f"token {token.split('_')[1]}", 200),
    ]
