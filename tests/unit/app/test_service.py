"""The daemon behind its routes, without HTTP: filed, followed, shown as it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from counted import an_outcome

from evalsvc import config
from evalsvc.api.service import Event, Upload
from evalsvc.app import service as module
from evalsvc.app.bell import Bell
from evalsvc.app.endpoints import EndpointPool
from evalsvc.app.service import DaemonService
from evalsvc.app.work import work_of
from evalsvc.core.records import Arm
from evalsvc.core.states import JobState
from evalsvc.engine.dispatcher import Dispatcher, Running
from evalsvc.errors import ConfigError, JobError, JobNotFound, KeyReused, StoreError, StoreFull
from evalsvc.store import tallies
from evalsvc.store.database import Database, open_database
from evalsvc.store.jobs import JobStore
from evalsvc.store.outcomes import OutcomeStore
from evalsvc.store.uploads import Uploads

pytestmark = pytest.mark.anyio

TEXT = """name = "j"
seed = 1
[candidate]
endpoint = "{endpoint}"
model = "m"
[baseline]
endpoint = "recorded"
outputs = "answers.jsonl"
model = "n"
[[suites]]
name = "s"
role = "target"
dataset = "cases.jsonl"
scorer = "{scorer}"
"""
CASES = '{"id": "a", "input": "q", "expected": "x"}\n{"id": "b", "input": "r", "expected": "y"}\n'
ANSWERS = '{"id": "a", "output": "x"}\n{"id": "b", "output": "z"}\n'


@dataclass(slots=True)
class Daemon:
    """A service on a real database; its dispatcher takes nothing up unless it is run."""

    service: DaemonService
    database: Database
    jobs: JobStore
    uploads: Uploads
    dispatcher: Dispatcher
    bell: Bell
    config: config.Config

    def upload(self, *, cases: str = CASES, endpoint: str = "up", scorer: str = "exact_match", **other: Any) -> Upload:
        files = {"cases.jsonl": cases, "answers.jsonl": ANSWERS}
        for name, text in files.items():
            (self.uploads.incoming / name).write_text(text)
        job = TEXT.format(endpoint=endpoint, scorer=scorer).encode()
        return Upload(job=job, files={name: self.uploads.incoming / name for name in files}, **other)

    async def submit(self, **other: Any) -> str:
        row, *_ = await self.service.submit(self.upload(**other))
        return row.id


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Daemon]:
    (folder / "c.toml").write_text('[endpoints.up]\nbase_url = "http://127.0.0.1:9/v1"\napi_key_env = "THE_KEY"\n')
    settings = config.load(folder / "c.toml", {})
    async with open_database(folder / "e.db") as database:
        bell = Bell()
        jobs, uploads = JobStore(database, bell.ring), Uploads(folder / "e.db.uploads")

        async def work(_: str, running: Running) -> None:
            running.progress.paused = "no room"
            await anyio.sleep_forever()

        dispatcher = Dispatcher(jobs, work, at_once=1)
        service = DaemonService(
            config=settings, database=database, jobs=jobs, uploads=uploads, dispatcher=dispatcher, bell=bell
        )
        yield Daemon(service, database, jobs, uploads, dispatcher, bell, settings)


@pytest.fixture
async def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Daemon]:
    monkeypatch.setenv("THE_KEY", "sk-1")
    async with opened(tmp_path) as made:
        yield made


async def test_a_job_is_filed_whole_and_can_be_run_from_its_row(daemon: Daemon) -> None:
    row, fresh, _ = await daemon.service.submit(daemon.upload(limit=1, priority=3))
    assert fresh
    assert (row.state, row.priority, await daemon.jobs.count(row.id)) == (JobState.QUEUED, 3, 1)
    work = work_of(row, daemon.config, daemon.uploads)
    assert (work.job.spec_sha256, work.job.limit) == (row.spec_sha256, 1)
    assert (list(work.endpoints), work.keys) == (["up"], {"up": "sk-1"})
    assert [label for label, _ in work.scorers["s"]] == ["exact_match"]
    answer = work.answers[Arm.BASELINE].find("s", "b", 0)
    assert answer is not None
    assert answer.text == "z"
    for answers in work.answers.values():
        answers.close()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"cases": CASES + '{"id": "a", "input": "q"}\n'}, "cases.jsonl:3: id:"),
        ({"cases": '{"id": "a", "input": "q"}\n'}, "cases.jsonl:1: expected:"),
        ({"endpoint": "prod"}, "job.toml:4: candidate.endpoint: no endpoint 'prod' in the configuration"),
        ({"scorer": "exact"}, "job.toml:14: suites[0].scorer:"),
        ({"cases": CASES.replace('"a"', '"c"').replace('"b"', '"d"')}, "answers.jsonl:1: none of its 2 answers"),
    ],
)
async def test_what_is_wrong_is_told_by_the_sender_s_names_and_nothing_is_filed(
    daemon: Daemon, wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises(JobError) as caught:
        await daemon.submit(**wrong)
    assert str(caught.value).startswith(said)
    assert await daemon.service.jobs(limit=9, after=None) == []
    await daemon.service.sweep()
    assert [path.name for path in (daemon.uploads.incoming.parent).iterdir()] == ["incoming"]


async def test_a_key_stands_for_one_job(daemon: Daemon) -> None:
    first, *_ = await daemon.service.submit(daemon.upload(idempotency_key="k"))
    again, fresh, _ = await daemon.service.submit(daemon.upload(idempotency_key="k", priority=9))
    assert (again.id, fresh) == (first.id, False)
    with pytest.raises(KeyReused, match=first.id):
        await daemon.submit(idempotency_key="k", limit=1)


async def test_two_with_one_key_at_the_same_time_file_one_job(daemon: Daemon) -> None:
    found: list[tuple[str, bool]] = []
    uploads = []
    for number in range(4):
        upload = daemon.upload(idempotency_key="k")
        files = {name: path.rename(path.with_name(f"{number}-{name}")) for name, path in upload.files.items()}
        uploads.append(Upload(job=upload.job, files=files, idempotency_key="k"))

    async def submit(upload: Upload) -> None:
        row, fresh, _ = await daemon.service.submit(upload)
        found.append((row.id, fresh))

    async with anyio.create_task_group() as group:
        for upload in uploads:
            group.start_soon(submit, upload)
    assert len({job_id for job_id, _ in found}) == 1
    assert sorted(fresh for _, fresh in found) == [False, False, False, True]


async def test_files_stay_until_no_unfinished_job_needs_them(daemon: Daemon) -> None:
    job_id = await daemon.submit()
    await daemon.service.sweep()
    work_of(await daemon.jobs.get(job_id), daemon.config, daemon.uploads).answers[Arm.BASELINE].close()
    await daemon.service.cancel(job_id)
    await daemon.service.sweep()
    with pytest.raises(StoreError, match=r"answers\.jsonl that came with the job is no longer there"):
        work_of(await daemon.jobs.get(job_id), daemon.config, daemon.uploads)


async def test_an_endpoint_or_key_that_is_gone_is_said(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    row = await daemon.jobs.get(await daemon.submit())
    with pytest.raises(ConfigError, match="no endpoint 'up' in the configuration any more"):
        work_of(row, config.load(Path("/dev/null"), {}), daemon.uploads)
    monkeypatch.delenv("THE_KEY")
    with pytest.raises(ConfigError, match="THE_KEY"):
        work_of(row, daemon.config, daemon.uploads)


async def test_endpoints_are_shared_and_a_new_key_is_taken_up(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    row = await daemon.jobs.get(await daemon.submit())
    async with EndpointPool() as pool:
        first, second = (work_of(row, daemon.config, daemon.uploads) for _ in range(2))
        async with pool.connected(first) as one, pool.connected(second) as other:
            assert one["up"] is other["up"]
            assert one["recorded"] is not other["recorded"]
        monkeypatch.setenv("THE_KEY", "sk-2")
        async with pool.connected(work_of(row, daemon.config, daemon.uploads)) as third:
            assert third["up"].provider is not one["up"].provider
            assert third["up"].limits is one["up"].limits
            assert pool.shared == {"up": third["up"]}


async def test_a_pause_that_cannot_be_filed_is_shown(daemon: Daemon) -> None:
    job_id = await daemon.submit()
    waiting = await daemon.submit(limit=1)
    assert daemon.service.progress(job_id) is None
    async with anyio.create_task_group() as group:
        group.start_soon(daemon.dispatcher.run)
        await anyio.wait_all_tasks_blocked()
        while job_id not in daemon.dispatcher.in_hand:
            await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()
        shown = await daemon.service.job(job_id)
        assert (shown.state, shown.reason) == (JobState.PAUSED, "no room")
        progress = daemon.service.progress(job_id) or {}
        assert (progress["paused"], "recorded" in progress, "total" in progress) == ("no room", False, False)
        assert [row.state for row in await daemon.service.jobs(limit=9, after=None)] == ["queued", "paused"]
        assert (await daemon.service.cancel(job_id)).state is JobState.CANCELLED
        assert (await daemon.service.job(waiting)).reason in {None, "no room"}
        group.cancel_scope.cancel()


async def test_how_far_a_job_is_is_known_though_nobody_has_it_in_hand(daemon: Daemon) -> None:
    job_id = await daemon.submit()
    first, second = [case async for chunk in daemon.jobs.cases(job_id) for case in chunk]
    outcomes = OutcomeStore(daemon.database)

    async def counts() -> tuple[int | None, int]:
        row = await daemon.service.job(job_id)
        assert [each.recorded for each in await daemon.service.jobs(limit=9, after=None)] == [row.recorded]
        return row.recorded, row.requests

    assert await counts() == (0, 4)
    await daemon.jobs.start(job_id, now=1)
    await outcomes.add(job_id, [an_outcome(case=first), an_outcome(case=second)])
    assert await counts() == (2, 4)  # as it stands after a kill
    await daemon.jobs.move(job_id, JobState.FAILED, now=2)
    assert await counts() == (2, 4)
    await daemon.jobs.move(job_id, JobState.QUEUED)
    await daemon.jobs.start(job_id, now=3)
    await outcomes.add(job_id, [an_outcome(case=first, arm=Arm.BASELINE)])
    await daemon.jobs.move(job_id, JobState.FAILED, now=4)
    assert await counts() == (3, 4)


async def test_answers_of_a_job_that_has_ended_are_counted_once(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await daemon.submit()
    await daemon.jobs.start(job_id, now=1)
    await daemon.jobs.move(job_id, JobState.FAILED, now=2)
    asked: list[str] = []
    count = tallies.recorded

    async def recorded(reader: Any, job_id: str) -> int:
        asked.append(job_id)
        return await count(reader, job_id)

    monkeypatch.setattr(tallies, "recorded", recorded)
    for _ in range(3):
        assert (await daemon.service.job(job_id)).recorded == 0
    assert asked == [job_id]


async def test_an_interrupted_job_of_run_is_said_to_be(daemon: Daemon) -> None:
    job_id = await daemon.submit()
    await daemon.jobs.start(job_id, now=1)
    assert (await daemon.service.job(job_id)).state is JobState.RUNNING
    await daemon.database.write(("UPDATE jobs SET source = NULL", [()]))
    shown = await daemon.service.job(job_id)
    assert shown.state is JobState.PAUSED
    assert "evalsvc run" in (shown.reason or "")


async def test_events_come_as_they_happen_and_end_with_the_job(daemon: Daemon) -> None:
    job_id = await daemon.submit()
    got: list[Event] = []

    async def follow() -> None:
        got.extend([event async for event in daemon.service.events(job_id, after=0)])

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(follow)
            await anyio.wait_all_tasks_blocked()
            await daemon.jobs.start(job_id, now=1)
            await daemon.jobs.move(job_id, JobState.FAILED, reason="401", now=2)
    assert [(event.id, event.data["state"]) for event in got] == [(1, "queued"), (2, "running"), (3, "failed")]
    assert [event.id async for event in daemon.service.events(job_id, after=2)] == [3]
    with pytest.raises(JobNotFound):
        await daemon.service.job("none")


async def test_a_pause_that_cannot_be_filed_is_told_and_so_is_its_end(daemon: Daemon) -> None:
    job_id = await daemon.submit()
    await daemon.jobs.start(job_id, now=1)
    running = daemon.dispatcher._in_hand[job_id] = Running()
    events = daemon.service.events(job_id, after=0)
    with anyio.fail_after(10):
        got = [await anext(events) for _ in range(2)]
        for reason in ("no room", None):
            running.progress.paused = reason
            daemon.jobs.tell(job_id)
            got.append(await anext(events))
        await daemon.jobs.move(job_id, JobState.FAILED, reason="401", now=2)
        got += [event async for event in events]
    assert [(event.id, event.data["state"], event.data["reason"]) for event in got] == [
        (1, "queued", None),
        (2, "running", None),
        (2, "paused", "no room"),
        (2, "running", None),
        (3, "failed", "401"),
    ]


async def test_a_daemon_that_stops_lets_nobody_wait(daemon: Daemon) -> None:
    job_id = await daemon.submit()
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:

            async def follow() -> None:
                assert [event.id async for event in daemon.service.events(job_id, after=0)] == [1]

            group.start_soon(follow)
            await anyio.wait_all_tasks_blocked()
            daemon.bell.close()


async def test_with_too_little_room_or_about_to_stop_nothing_is_taken(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert daemon.service.ready() is None
    monkeypatch.setattr(module, "room", lambda _: 1)
    assert "no room left" in (daemon.service.ready() or "")
    with pytest.raises(StoreFull):
        await daemon.submit()
    monkeypatch.undo()
    daemon.service.stopping = "the daemon is about to stop"
    assert daemon.service.ready() == "the daemon is about to stop"
    with pytest.raises(StoreError, match="about to stop"):
        await daemon.submit()


async def test_a_queued_job_says_why_it_waits(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = await daemon.submit()
    assert (await daemon.service.job(job_id)).reason is None
    monkeypatch.setattr(Dispatcher, "why_wait", property(lambda _: "no place"))
    assert (await daemon.service.job(job_id)).reason == "no place"
