"""Events of a job as they arrive at a reader: replayed, live, kept alive, ended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import orjson
import pytest

from evalsvc.api.events import frame, last_event_id
from evalsvc.api.problems import ApiError
from evalsvc.api.service import Event
from evalsvc.core.states import JobState
from evalsvc.errors import StoreError

pytestmark = pytest.mark.anyio

PATH = "/api/v1/jobs/j/events"


class Reader:
    """Reads a stream frame by frame; ``slow`` takes nothing."""

    def __init__(self, *, slow: bool = False) -> None:
        self.feed, self.queue = anyio.create_memory_object_stream[dict[str, Any]](1000)
        self.left, self.slow, self.done = anyio.Event(), slow, anyio.Event()
        self.asked = False

    async def receive(self) -> dict[str, Any]:
        if not self.asked:
            self.asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        if self.slow and message["type"] == "http.response.body":
            await anyio.sleep_forever()
        await self.feed.send(message)

    async def next(self) -> dict[str, Any]:
        with anyio.fail_after(5):
            return await self.queue.receive()

    async def text(self) -> str:
        return (await self.next())["body"].decode()  # type: ignore[no-any-return]

    def close(self) -> None:
        self.feed.close()
        self.queue.close()


@asynccontextmanager
async def reading(house: Any, after: str | None = None, *, slow: bool = False) -> AsyncIterator[Reader]:
    reader = Reader(slow=slow)
    headers = [(b"host", b"localhost"), *([(b"last-event-id", after.encode())] if after else [])]
    scope = {
        "type": "http",
        "method": "GET",
        "path": PATH,
        "raw_path": PATH.encode(),
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8321),
        "scheme": "http",
        "http_version": "1.1",
    }

    async def run() -> None:
        await house.app(scope, reader.receive, reader.send)
        reader.done.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        try:
            yield reader
        finally:
            tasks.cancel_scope.cancel()
            reader.close()


async def test_what_happened_is_replayed_and_what_happens_follows(house: Any) -> None:
    house.service.add("j", state=JobState.RUNNING)
    house.service.happen("state", {"state": "running"})
    house.service.happen("progress", {"recorded": 1, "total": 2})
    async with reading(house, "1") as reader:
        start = await reader.next()
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        assert headers["content-type"].startswith("text/event-stream")
        assert headers["cache-control"] == "no-store"
        assert "content-length" not in headers
        assert await reader.text() == "retry: 2000\n\n"
        assert await reader.text() == 'id: 2\nevent: progress\ndata: {"recorded":1,"total":2}\n\n'
        house.service.happen("gate", {"name": "g", "verdict": "PASS"})
        assert (await reader.text()).startswith("id: 3\nevent: gate\n")


async def test_a_stream_ends_with_its_job(house: Any) -> None:
    house.service.add("j", state=JobState.RUNNING)
    async with reading(house) as reader:
        assert (await reader.next())["status"] == 200
        await reader.next()
        await house.service.cancel("j")
        house.service.happen("state", {"state": "cancelled"})
        assert "cancelled" in await reader.text()
        assert await reader.next() == {"type": "http.response.body", "body": b"", "more_body": False}
        with anyio.fail_after(5):
            await reader.done.wait()
    assert house.service.following == 0


async def test_who_comes_back_to_an_ended_job_is_told_so(house: Any) -> None:
    house.service.add("j", state=JobState.FAILED)
    house.service.happen("state", {"state": "failed"})
    async with house.client() as client:
        answer = await client.get(PATH)
        assert answer.text == 'retry: 2000\n\nid: 1\nevent: state\ndata: {"state":"failed"}\n\n'
        assert (await client.get(PATH, headers={"Last-Event-ID": "1"})).status_code == 204


async def test_silence_is_broken(build: Any) -> None:
    house = await build(heartbeat_s=0.01)
    house.service.add("j", state=JobState.RUNNING)
    async with reading(house) as reader:
        await reader.next()
        await reader.next()
        assert (await reader.text()).startswith(":")
        assert (await reader.text()).startswith(":")
        house.service.happen("state", {"state": "deciding"})
        while "deciding" not in await reader.text():  # a heartbeat swallows no event
            pass


async def test_a_reader_that_takes_nothing_is_dropped(build: Any) -> None:
    house = await build(stream_write_s=0.05, stream_queue=2)
    house.service.add("j", state=JobState.RUNNING)
    for k in range(100):
        house.service.happen("progress", {"recorded": k})
    async with reading(house, slow=True) as reader:
        with anyio.fail_after(5):
            await reader.done.wait()
    assert house.service.following == 0
    assert house.app.app.state.door is not None


async def test_a_reader_that_goes_is_forgotten(build: Any, problem: Any) -> None:
    house = await build(streams=1)
    house.service.add("j", state=JobState.RUNNING)
    async with reading(house) as reader:
        await reader.next()
        async with house.client() as client:
            assert problem(await client.get(PATH), 503)["code"] == "busy"
        reader.left.set()
        with anyio.fail_after(5):
            await reader.done.wait()
    async with reading(house) as again:
        assert (await again.next())["status"] == 200


async def test_streams_end_when_the_daemon_stops(house: Any, problem: Any) -> None:
    house.service.add("j", state=JobState.RUNNING)
    async with reading(house) as reader:
        await reader.next()
        house.app.close()
        with anyio.fail_after(5):
            await reader.done.wait()
    async with house.client() as client:
        problem(await client.get(PATH), 503)


async def test_an_unknown_job_and_a_wrong_id(house: Any, problem: Any) -> None:
    async with house.client() as client:
        problem(await client.get(PATH), 404)
        house.service.add("j", state=JobState.DONE)
        for wrong in ("-1", "x", "1.5", str(2**63), "9" * 400):
            error = problem(await client.get(PATH, headers={"Last-Event-ID": wrong}), 422)
            assert error["where"]["key"] == "Last-Event-ID"


async def test_a_stream_that_breaks_off_ends_quietly(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    house.service.add("j", state=JobState.RUNNING)

    async def events(_job: str, *, after: int) -> AsyncIterator[Event]:
        yield Event(id=after + 1, name="state", data={})
        raise StoreError("gone")

    monkeypatch.setattr(type(house.service), "events", lambda _self, job, *, after: events(job, after=after))
    async with house.client() as client:
        assert (await client.get(PATH)).text.endswith("id: 1\nevent: state\ndata: {}\n\n")


def test_data_is_one_line_whatever_it_holds() -> None:
    hostile = {"reason": "x\n\nevent: decision\ndata: {}\r\r\u2028"}
    text = frame(Event(id=7, name="state", data=hostile)).decode()
    assert text.count("\n") == 4
    assert "\r" not in text
    assert orjson.loads(text.split("\n")[2].removeprefix("data: ")) == hostile


def test_ids() -> None:
    assert last_event_id(None) == 0
    assert last_event_id(" 12 ") == 12
    with pytest.raises(ApiError):
        last_event_id("¹")
