"""Jobs over HTTP: what is taken, what is answered, in which shape."""

from __future__ import annotations

from typing import Any
from unittest.mock import AsyncMock

import anyio
import pytest

from evalsvc.core.states import JobState
from evalsvc.errors import ConfigError, JobError, KeyReused, StoreError, StoreFull

pytestmark = pytest.mark.anyio

JOB = b'name = "x"\n'


def parts(**files: bytes) -> dict[str, tuple[str, bytes]]:
    return {"job": ("job.toml", JOB), **{name: (name, content) for name, content in files.items()}}


async def test_a_job_and_its_files_reach_the_daemon_as_they_were_sent(house: Any) -> None:
    data = bytes(range(256)) * 9000  # more than one write, with every byte a boundary could be confused with
    async with house.client() as client:
        answer = await client.post(
            "/api/v1/jobs?priority=3&limit=5",
            files={**parts(), "data/a b.jsonl": ("x", data), "../up.jsonl": ("/etc/passwd", b"")},
            headers={"Idempotency-Key": "k1"},
        )
    assert answer.status_code == 201
    assert answer.json()["id"] == "j0"
    assert answer.headers["location"] == "/api/v1/jobs/j0"
    ((upload, contents),) = house.service.uploads
    assert upload.job == JOB
    assert contents == {"data/a b.jsonl": data, "../up.jsonl": b""}
    assert (upload.idempotency_key, upload.priority, upload.limit) == ("k1", 3, 5)
    assert all(path.name.startswith("part-") for path in upload.files.values())
    assert all(house.folder in path.parents for path in upload.files.values())


async def test_nothing_of_an_upload_stays_behind(house: Any, problem: Any) -> None:
    async with house.client() as client:
        await client.post("/api/v1/jobs", files=parts(a=b"1"))
        house.service.refusal = JobError("no such scorer", file="job.toml", line=3, key="suites[0].scorer")
        error = problem(await client.post("/api/v1/jobs", files=parts(a=b"1")), 422)
    assert error == {
        "code": "invalid_job",
        "message": "no such scorer",
        "where": {"file": "job.toml", "line": 3, "key": "suites[0].scorer"},
    }
    assert list(house.folder.iterdir()) == []


async def test_what_a_killed_daemon_left_of_uploads_is_removed(build: Any, tmp_path: Any) -> None:
    left = tmp_path / "incoming" / "incoming-x"
    left.mkdir(parents=True)
    (left / "part-1").write_bytes(b"1")
    await build()
    assert not left.exists()


async def test_the_same_key_files_one_job(house: Any) -> None:
    async with house.client() as client:
        answers = [await client.post("/api/v1/jobs", files=parts(), headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json() == answers[1].json()


@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [
        (ConfigError("x"), 422, "invalid_job"),
        (KeyReused("x"), 409, "key_reused"),
        (StoreFull("x"), 503, "disk_full"),
        (StoreError("x"), 503, "unavailable"),
    ],
)
async def test_refusals_have_their_status(house: Any, problem: Any, refusal: Any, status: int, code: str) -> None:
    house.service.refusal = refusal
    async with house.client() as client:
        assert problem(await client.post("/api/v1/jobs", files=parts()), status)["code"] == code


async def test_a_crash_says_nothing_of_itself(house: Any, problem: Any) -> None:
    house.service.refusal = RuntimeError("sk-CANARY")
    async with house.client() as client:
        answer = await client.post("/api/v1/jobs", files=parts())
    assert problem(answer, 500)["code"] == "internal"
    assert "CANARY" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_bodies_that_are_no_multipart(house: Any, problem: Any) -> None:
    send = "multipart/form-data; boundary=b"
    broken = {
        b"": "ends before",
        b"--b\r\nContent-Disposition: form-data; name=job\r\n\r\nx": "ends before",
        b"hello": "",
        b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n": "no name",
        b'--b\r\nContent-Disposition: form-data; name="a\x00b"\r\n\r\nx\r\n--b--\r\n': "",
        b'--b\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nx\r\n--b--\r\n': "UTF-8",
        b"--b\r\nContent-Disposition: form-data; name=" + b"n" * 1025 + b"\r\n\r\nx\r\n--b--\r\n": "1024",
        b"--b\r\n" + b"X: y\r\n" * 100 + b"\r\nx\r\n--b--\r\n": "",
        b"--b\r\nX: " + b"y" * 10_000 + b"\r\n\r\nx\r\n--b--\r\n": "",
    }
    async with house.client() as client:
        for body, said in broken.items():
            answer = await client.post("/api/v1/jobs", content=body, headers={"Content-Type": send})
            error = problem(answer, 422)
            assert said in error["message"], (body, error)
            assert error["code"] == "bad_multipart", body
        for kind in ("application/json", "multipart/mixed; boundary=b", ""):
            answer = await client.post("/api/v1/jobs", content=b"{}", headers={"Content-Type": kind})
            assert problem(answer, 415)["where"]["key"] == "Content-Type"
        for boundary in ("", "; boundary=" + "b" * 71):
            answer = await client.post(
                "/api/v1/jobs", content=b"x", headers={"Content-Type": "multipart/form-data" + boundary}
            )
            problem(answer, 422)
    assert house.service.uploads == []
    assert list(house.folder.iterdir()) == []


async def test_a_part_twice_and_no_job(house: Any, problem: Any) -> None:
    async with house.client() as client:
        twice = [("job", ("j", JOB)), ("a", ("a", b"1")), ("a", ("a", b"2"))]
        assert problem(await client.post("/api/v1/jobs", files=twice), 422)["where"]["key"] == "a"
        error = problem(await client.post("/api/v1/jobs", files={"a": ("a", b"1")}), 422)
        assert error["where"]["key"] == "job"


async def test_sizes_are_capped(build: Any, problem: Any) -> None:
    house = await build(body_bytes=20_000, job_bytes=1000, parts=3, small_body_bytes=100)
    async with house.client() as client:
        assert "MiB" not in problem(await client.post("/api/v1/jobs", files=parts(a=b"x" * 21_000)), 413)["message"]
        error = problem(await client.post("/api/v1/jobs", files={"job": ("j", b"#" * 1001)}), 413)
        assert error["where"]["key"] == "job"
        problem(await client.post("/api/v1/jobs", files=parts(a=b"", b=b"", c=b"")), 413)
        assert (await client.post("/api/v1/jobs", files=parts(a=b"x" * 15_000, b=b""))).status_code == 201

        async def long() -> Any:  # its length is not announced
            yield b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n"
            for _ in range(30):
                yield b"x" * 1000

        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        problem(await client.post("/api/v1/jobs", content=long(), headers=headers), 413)
        problem(await client.post("/api/v1/session", content=long()), 413)
        problem(await client.post("/api/v1/tokens", json={"name": "n" * 200, "role": "admin"}), 413)
    assert list(house.folder.iterdir()) == []


async def test_uploads_at_once_are_limited(build: Any, problem: Any) -> None:
    house = await build(uploads_at_once=0)
    async with house.client() as client:
        answer = await client.post("/api/v1/jobs", files=parts())
    assert problem(answer, 503)["code"] == "busy"
    assert "retry-after" in answer.headers


async def test_pages_of_jobs_hold_each_once(house: Any) -> None:
    for k in range(5):
        house.service.add(f"j{k}")
    seen, after = [], ""
    async with house.client() as client:
        while True:
            page = (await client.get(f"/api/v1/jobs?limit=2{after}")).json()
            assert set(page) == {"items", "next"}
            seen += [item["id"] for item in page["items"]]
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
    assert seen == ["j4", "j3", "j2", "j1", "j0"]


async def test_a_page_that_is_just_full_is_the_last(house: Any) -> None:
    house.service.add("j0")
    async with house.client() as client:
        assert (await client.get("/api/v1/jobs?limit=1")).json()["next"] is None


async def test_a_job_says_how_far_it_is(house: Any, make_record: Any) -> None:
    house.service.add("r", state=JobState.RUNNING, started_at=1_700_000_001.0)
    house.service.add("d", state=JobState.DONE, record=make_record("HOLD"), recorded=8, requests=10)  # stopped early
    house.service.add("f", state=JobState.FAILED, recorded=2, requests=10)
    async with house.client() as client:
        running, done, failed = [(await client.get(f"/api/v1/jobs/{each}")).json() for each in ("r", "d", "f")]
    assert (running["state"], running["progress"]["recorded"], running["progress"]["total"]) == ("running", 3, 8)
    assert running["created_at"] == "2023-11-14T22:13:20.250Z"
    assert (running["decision"], running["simulated"]) == (None, None)
    assert (done["decision"], done["simulated"], done["progress"]) == ("HOLD", False, {"recorded": 8, "total": 8})
    assert failed["progress"] == {"recorded": 2, "total": 10}


async def test_outcomes_in_pages(house: Any, problem: Any) -> None:
    house.service.add("j")
    house.service.filed = [{"seq": 3 * k, "text": "t"} for k in range(1, 61)]
    seen, after = [], 0
    async with house.client() as client:
        while after is not None:
            page = (await client.get(f"/api/v1/jobs/j/outcomes?limit=29&after={after}")).json()
            assert len(page["items"]) <= 29
            seen += [item["seq"] for item in page["items"]]
            after = page["next"]
        assert seen == [3 * k for k in range(1, 61)]
        page = (await client.get("/api/v1/jobs/j/outcomes?limit=60")).json()
        assert page["next"] is None
        problem(await client.get("/api/v1/jobs/none/outcomes"), 404)


async def test_the_decision(house: Any, problem: Any, make_record: Any) -> None:
    house.service.add("q")
    house.service.add("d", state=JobState.DONE, record=make_record())
    async with house.client() as client:
        assert problem(await client.get("/api/v1/jobs/q/decision"), 409)["code"] == "not_decided"
        assert (await client.get("/api/v1/jobs/d/decision")).json() == make_record()
        assert problem(await client.get("/api/v1/jobs/x/decision"), 404)["code"] == "job_not_found"


async def test_cancel_and_resume(house: Any, problem: Any) -> None:
    house.service.add("f", state=JobState.FAILED)
    async with house.client() as client:
        assert (await client.post("/api/v1/jobs/f/resume")).json()["state"] == "running"
        assert (await client.post("/api/v1/jobs/f/cancel")).json()["state"] == "cancelled"
        assert problem(await client.post("/api/v1/jobs/f/resume"), 409)["code"] == "illegal_transition"


@pytest.mark.parametrize(
    ("method", "path", "status", "key"),
    [
        ("GET", "/api/v1/jobs?limit=0", 422, "limit"),
        ("GET", "/api/v1/jobs?limit=x", 422, "limit"),
        ("GET", "/api/v1/jobs?limit=201", 422, "limit"),
        ("GET", "/api/v1/jobs?after=%00", 422, "after"),
        ("GET", "/api/v1/jobs/%ff", 422, "job_id"),
        ("GET", "/api/v1/jobs/j/outcomes?after=-1", 422, "after"),
        ("GET", f"/api/v1/jobs/j/outcomes?after={2**63}", 422, "after"),
        ("POST", "/api/v1/jobs?priority=1e9", 422, "priority"),
        ("GET", "/api/v1/nothing", 404, None),
        ("GET", "/api/v1/jobs/", 404, None),
        ("GET", "/jobs/../../etc/passwd", 404, None),
        ("GET", "/static/..%2fapp.py", 404, None),
        ("GET", "/static/app.py", 404, None),
        ("PUT", "/api/v1/jobs", 405, None),
        ("GET", "/api/v1/jobs/j/cancel", 405, None),
        ("POST", "/api/v1/openapi.json", 405, None),
    ],
)
async def test_every_error_has_the_one_shape(
    house: Any, problem: Any, method: str, path: str, status: int, key: str | None
) -> None:
    async with house.client() as client:
        error = problem(await client.request(method, path), status)
    assert (error["where"] or {}).get("key") == key


async def test_a_wrong_method_says_the_right_ones(house: Any) -> None:
    async with house.client() as client:
        assert (await client.put("/api/v1/jobs/j")).headers["allow"] == "GET"


async def test_what_was_sent_is_not_repeated(house: Any) -> None:
    async with house.client() as client:
        for body in ({"token": ["sk-CANARY"]}, {"toke": "sk-CANARY"}, {"token": "sk-CANARY" * 50}):
            answer = await client.post("/api/v1/session", json=body)
            assert answer.status_code == 422
            assert "CANARY" not in answer.text
        answer = await client.post(
            "/api/v1/session", content=b'{"token": "sk-CANARY"', headers={"Content-Type": "application/json"}
        )
        assert answer.json()["error"]["message"] == "the body is no JSON"


async def test_health_and_readiness(house: Any, problem: Any) -> None:
    async with house.client() as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        assert (await client.get("/readyz")).status_code == 200
        house.service.why = "no room left"
        assert problem(await client.get("/readyz"), 503)["message"] == "no room left"
        assert (await client.get("/healthz")).status_code == 200
        house.service.why = None
        house.app.close()
        problem(await client.get("/readyz"), 503)


async def test_metrics_are_the_callables(build: Any, problem: Any) -> None:
    bare, with_them = (
        await build(),
        await build(metrics=AsyncMock(return_value=("text/plain; version=1.0.0", b"up 1\n"))),
    )
    async with bare.client() as client:
        problem(await client.get("/metrics"), 404)
    async with with_them.client() as client:
        answer = await client.get("/metrics")
    assert (answer.text, answer.headers["content-type"]) == ("up 1\n", "text/plain; version=1.0.0")


async def test_openapi_describes_every_route_and_error(house: Any) -> None:
    async with house.client() as client:
        schema = (await client.get("/api/v1/openapi.json")).json()
    submit = schema["paths"]["/api/v1/jobs"]["post"]
    assert {"400", "401", "403", "409", "413", "415", "422", "429", "503"} <= set(submit["responses"])
    assert submit["requestBody"]["content"]["multipart/form-data"]["schema"]["required"] == ["job"]
    for path, methods in schema["paths"].items():
        for method, route in methods.items():
            for status, answer in route["responses"].items():
                if int(status) >= 400:
                    reference = answer["content"]["application/json"]["schema"]["$ref"]
                    assert reference.endswith("/Problem"), (path, method, status)


async def test_a_calibration_is_made_of_a_decided_job(house: Any, problem: Any, make_record: Any) -> None:
    house.service.add("q")
    house.service.add("d", state=JobState.DONE, record=make_record())
    async with house.client() as client:
        made = await client.post("/api/v1/jobs/d/calibration?resamples=7")
        assert made.json() == {"job": "d", "resamples": 7}
        assert (await client.get("/api/v1/jobs/d/calibration")).json() == {"job": "d"}
        assert problem(await client.post("/api/v1/jobs/q/calibration"), 409)["code"] == "not_decided"
        assert problem(await client.get("/api/v1/jobs/q/calibration"), 404)["code"] == "not_calibrated"
        assert problem(await client.post("/api/v1/jobs/d/calibration?resamples=0"), 422)["where"]["key"] == "resamples"


async def test_a_calibration_of_something_else_is_refused(house: Any, problem: Any, make_record: Any) -> None:
    house.service.add("d", state=JobState.DONE, record=make_record())
    async with house.client() as client:
        refused = await client.post(f"/api/v1/jobs/d/calibration?key={'0' * 64}")
        assert "another baseline" in problem(refused, 422)["message"]
        assert problem(await client.post("/api/v1/jobs/d/calibration?key=x"), 422)["where"]["key"] == "key"


async def test_calibrations_that_nobody_waits_for_end_and_too_many_are_told_to_wait(
    house: Any, problem: Any, make_record: Any
) -> None:
    house.service.add("d", state=JobState.DONE, record=make_record())
    dealing = house.service.dealing = []
    gone = anyio.Event()
    said: list[Any] = []
    scope = {
        "type": "http", "method": "POST", "path": "/api/v1/jobs/d/calibration", "raw_path": b"", "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:8321")], "client": ("127.0.0.1", 9), "server": ("127.0.0.1", 8321),
        "scheme": "http", "http_version": "1.1", "root_path": "",
    }  # fmt: skip

    async def abandoned() -> None:
        messages = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Any:
            if messages:
                return messages.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(_: Any) -> None:
            pass

        await house.app(dict(scope), receive, send)

    async def waited_for() -> None:
        async with house.client() as client:
            said.append(await client.post("/api/v1/jobs/d/calibration"))

    async with anyio.create_task_group() as tasks:
        with anyio.fail_after(10):
            for _ in range(3):
                tasks.start_soon(abandoned)
            while len(dealing) < 3:
                await anyio.lowlevel.checkpoint()
            async with house.client() as client:
                busy = await client.post("/api/v1/jobs/d/calibration")
            assert problem(busy, 503)["code"] == "busy"
            assert busy.headers["retry-after"]
            gone.set()
            while dealing:
                await anyio.lowlevel.checkpoint()
            tasks.start_soon(waited_for)
            while not dealing:
                await anyio.lowlevel.checkpoint()
            house.app.close()  # the daemon stops: nobody is left to be cancelled by the server
    assert "stopping" in problem(said[0], 503)["message"]
    assert not dealing


async def test_a_record_is_given_with_its_envelope(house: Any, problem: Any, make_record: Any) -> None:
    house.service.add("d", state=JobState.DONE, record=make_record(), envelope={"payload": "x"})
    house.service.add("plain", state=JobState.DONE, record=make_record())
    async with house.client() as client:
        assert (await client.get("/api/v1/jobs/d/decision?format=dsse")).json() == {"payload": "x"}
        assert (await client.get("/api/v1/jobs/d/decision")).json()["decision"] == "SHIP"
        assert problem(await client.get("/api/v1/jobs/plain/decision?format=dsse"), 409)["code"] == "not_signed"
