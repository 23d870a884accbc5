"""Reports over HTTP: what a process prints, refuses or leaves half-done."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from evalsvc.api.reports import Reports
from evalsvc.core.states import JobState

pytestmark = pytest.mark.anyio

FORMATS = {"text": "txt", "html": "html", "csv": "csv", "strange": "odd"}


def drawn_by(program: str, **more: Any) -> Reports:
    """Reports whose command is that program."""
    return Reports(Path("/x/e.db"), FORMATS, {"csv"}, command=(sys.executable, "-c", program), **more)


@pytest.fixture
def house_of(build: Any, make_record: Any) -> Any:
    async def make(program: str, **more: Any) -> Any:
        reports = drawn_by(program, **more)
        house = await build(reports=reports)
        house.service.add("q")
        for name in ("d", "e"):
            house.service.add(name, state=JobState.DONE, record=make_record())
        return house, reports

    return make


async def test_a_report_is_a_file_that_may_do_nothing(house_of: Any) -> None:
    house, _ = await house_of("import os, sys; print(sys.argv[1:], os.environ['COLUMNS'])")
    async with house.client() as client:
        answer = await client.get("/api/v1/jobs/d/report?format=text&width=77&color=true")
    asked = ["report", "--format", "text", "--arm", "candidate", "--color", "--db", "/x/e.db", "--", "d"]
    assert answer.text == f"{asked} 77\n"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="evalsvc-d.txt"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "style-src" not in answer.headers["content-security-policy"]
    assert "content-length" not in answer.headers


async def test_two_jobs_are_compared(house_of: Any, problem: Any) -> None:
    house, _ = await house_of("import sys; print(sys.argv[1:])")
    async with house.client() as client:
        asked = "/api/v1/jobs/d/compare/e?format=text&arm=baseline&only_shared=true&flips=3&color=true"
        told = (await client.get(asked)).text
        plain = await client.get("/api/v1/jobs/d/compare/e")
        assert problem(await client.get("/api/v1/jobs/d/compare/q"), 409)["code"] == "not_decided"
        problem(await client.get("/api/v1/jobs/d/compare/none"), 404)
    options = "'--arm', 'baseline', '--flips', '3', '--only-shared', '--color'"
    assert told == f"['compare', {options}, '--db', '/x/e.db', '--', 'd', 'e']\n"
    assert "'--json'" in plain.text
    assert plain.headers["content-type"] == "application/json"


async def test_no_variable_with_a_key_reaches_the_process(house_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UP_KEY", "secret")
    house, _ = await house_of("import os; print(sorted(os.environ))")
    async with house.client() as client:
        told = (await client.get("/api/v1/jobs/d/report?format=text")).text
    assert "COLUMNS" in told
    assert "UP_KEY" not in told


async def test_no_module_of_the_daemon_s_folder_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "click.py").write_text("import pathlib; pathlib.Path('was_here').touch()")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    async with Reports(tmp_path / "e.db", FORMATS).process(("--version",), width=80) as process:
        assert process.stdout is not None
        assert b"evalsvc" in await process.stdout.receive()
    assert not (tmp_path / "was_here").exists()


async def test_a_report_that_takes_too_long_frees_its_place(
    house_of: Any, problem: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evalsvc.api.reports._LONGEST_S", 0.05)
    house, _ = await house_of("import time; time.sleep(600)", at_once=1)
    async with house.client() as client:
        for _ in range(2):
            assert "too long" in problem(await client.get("/api/v1/jobs/d/report?format=text"), 503)["message"]


async def test_what_cannot_be_had_is_said(house_of: Any, problem: Any) -> None:
    house, _ = await house_of("print(1)")
    async with house.client() as client:
        error = problem(await client.get("/api/v1/jobs/d/report?format=pdf"), 422)
        assert error["where"]["key"] == "format"
        assert "csv" in error["message"]
        assert "known: text" in problem(await client.get("/api/v1/jobs/d/report?format=TEXT"), 422)["message"]
        assert problem(await client.get("/api/v1/jobs/d/report"), 422)["where"]["key"] == "format"
        assert problem(await client.get("/api/v1/jobs/q/report?format=text"), 409)["code"] == "not_decided"
        assert (await client.get("/api/v1/jobs/q/report?format=csv")).text == "1\n"
        assert problem(await client.get("/api/v1/jobs/none/report?format=csv"), 404)["code"] == "job_not_found"
        strange = await client.get("/api/v1/jobs/d/report?format=strange")
    assert strange.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize(
    ("program", "status", "said"),
    [
        ("import sys; print('evalsvc: they differ', file=sys.stderr); sys.exit(2)", 422, "they differ"),
        ("import sys; print('evalsvc: no disk', file=sys.stderr); sys.exit(1)", 503, "no disk"),
        ("raise SystemError('inner secret')", 500, "its log says why"),
        ("import os; os.kill(os.getpid(), 9)", 500, "its log says why"),
    ],
)
async def test_what_the_process_refuses_is_an_error(
    house_of: Any, problem: Any, program: str, status: int, said: str
) -> None:
    house, _ = await house_of(program)
    async with house.client() as client:
        for path in ("/api/v1/jobs/d/report?format=text", "/jobs/d/report"):
            error = problem(await client.get(path), status)
            assert said in error["message"]
            assert "secret" not in error["message"]


async def test_nothing_recorded_is_an_empty_file(house_of: Any) -> None:
    house, _ = await house_of("")
    async with house.client() as client:
        answer = await client.get("/api/v1/jobs/q/report?format=csv")
    assert (answer.status_code, answer.content) == (200, b"")


async def test_a_log_of_either_arm_may_be_asked_for(house_of: Any, problem: Any) -> None:
    house, _ = await house_of("import sys; print(sys.argv[1:])")
    async with house.client() as client:
        told = (await client.get("/api/v1/jobs/d/report?format=text&arm=baseline")).text
        wrong = problem(await client.get("/api/v1/jobs/d/report?format=text&arm=judge"), 422)
    assert "'--arm', 'baseline'" in told
    assert wrong["where"]["key"] == "arm"


async def test_half_a_report_has_no_end() -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def forever() -> dict[str, Any]:
        await anyio.sleep_forever()
        return {}

    program = "import sys; print('half', flush=True); sys.exit(1)"
    await drawn_by(program).report("d", "text")({"type": "http"}, forever, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert all(message.get("more_body", True) for message in sent)


async def test_a_reader_that_goes_ends_the_process_and_too_many_are_told_to_wait(house_of: Any, problem: Any) -> None:
    house, reports = await house_of("import time; print(1, flush=True); time.sleep(600)", at_once=1)
    begun, gone = anyio.Event(), anyio.Event()

    async def send(_: Any) -> None:
        begun.set()

    async def receive() -> dict[str, str]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async with house.client() as client, anyio.create_task_group() as tasks:
        tasks.start_soon(reports.report("d", "text"), {"type": "http"}, receive, send)
        await begun.wait()
        busy = await client.get("/api/v1/jobs/d/report?format=text")
        assert problem(busy, 503)["code"] == "busy"
        assert busy.headers["retry-after"]
        gone.set()
    async with reports.process((), width=100) as process:  # its place is free again
        assert process.returncode is None


async def test_without_reports_there_are_none(house: Any, problem: Any, make_record: Any) -> None:
    house.service.add("d", state=JobState.DONE, record=make_record())
    async with house.client() as client:
        problem(await client.get("/api/v1/jobs/d/report?format=text"), 404)
        problem(await client.get("/api/v1/jobs/d/compare/d"), 404)
