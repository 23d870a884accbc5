"""The HTTP app with a small daemon behind it that lives in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from evalsvc.api.app import make_app
from evalsvc.api.front import Front
from evalsvc.api.limits import ApiLimits
from evalsvc.api.service import Event, Filed, Upload
from evalsvc.api.tokens import Role, TokenBook
from evalsvc.core.states import ENDED, JobState, check_transition
from evalsvc.errors import InputError, JobNotFound
from evalsvc.store.jobs import JobRow
from evalsvc.store.tokens import TokenRow

LOOPBACK, ELSEWHERE = ("127.0.0.1", 50000), ("192.0.2.7", 50000)


def record(decision: str = "SHIP", **more: Any) -> dict[str, Any]:
    """As much of a decision record as pages and routes read."""
    gate = {"name": "target_improvement", "verdict": "PASS", "reason": "0.2 better", "required": True, "waived": None}
    return {
        "decision": decision,
        "reasons": ["every required gate passes"],
        "warnings": [],
        "job": {"simulated": False},
        "gates": [gate],
        "evidence": {"outcomes": 8},
        **more,
    }


def job_row(job_id: str, **more: Any) -> JobRow:
    """A job, queued."""
    row = JobRow(
        id=job_id,
        name=f"job {job_id}",
        spec_sha256="ab" * 32,
        document="{}",
        state=JobState.QUEUED,
        reason=None,
        endpoints={},
        resumes=0,
        created_at=1_700_000_000.25,
        started_at=None,
        finished_at=None,
        record=None,
        envelope=None,
        recorded=0,
    )
    return replace(row, **more)


@dataclass(slots=True)
class FakeService:
    """See `evalsvc.api.service.Service`. ``refusal`` is raised by the next submit."""

    rows: dict[str, JobRow] = field(default_factory=dict)
    uploads: list[tuple[Upload, dict[str, bytes]]] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    filed: list[dict[str, Any]] = field(default_factory=list)
    happened: list[Event] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    refusal: BaseException | None = None
    why: str | None = None
    following: int = 0
    dealing: list[str] | None = None

    def add(self, job_id: str, **more: Any) -> JobRow:
        self.rows[job_id] = job_row(job_id, **more)
        return self.rows[job_id]

    def happen(self, name: Any, data: Mapping[str, Any]) -> None:
        self.happened.append(Event(id=len(self.happened) + 1, name=name, data=data))
        news, self.news = self.news, asyncio.Event()
        news.set()

    async def submit(self, upload: Upload) -> Filed:
        if self.refusal is not None:
            raise self.refusal
        self.uploads.append((upload, {name: path.read_bytes() for name, path in upload.files.items()}))
        known = self.keys.get(upload.idempotency_key or "")
        if known is not None:
            return Filed(self.rows[known], fresh=False, warnings=("no gate can pass",))
        row = self.add(f"j{len(self.rows)}", priority=upload.priority)
        if upload.idempotency_key:
            self.keys[upload.idempotency_key] = row.id
        return Filed(row, fresh=True, warnings=("no gate can pass",))

    async def jobs(self, *, limit: int, after: str | None) -> Sequence[JobRow]:
        newest = list(reversed(self.rows.values()))
        if after is None:
            return newest[:limit]
        ids = [row.id for row in newest]
        return newest[ids.index(after) + 1 :][:limit] if after in ids else []

    async def job(self, job_id: str) -> JobRow:
        if job_id not in self.rows:
            raise JobNotFound(f"no job {job_id} in this database")
        return self.rows[job_id]

    def progress(self, job_id: str) -> Mapping[str, Any] | None:
        running = self.rows[job_id].state is JobState.RUNNING
        return {"recorded": 3, "total": 8, "eta_s": 2.5} if running else None

    async def outcomes(self, job_id: str, *, limit: int, after: int) -> tuple[Sequence[Mapping[str, Any]], int | None]:
        await self.job(job_id)
        left = [row for row in self.filed if row["seq"] > after]
        return left[:limit], left[limit - 1]["seq"] if len(left) > limit else None

    async def cancel(self, job_id: str) -> JobRow:
        return await self._move(job_id, JobState.CANCELLED)

    async def resume(self, job_id: str) -> JobRow:
        return await self._move(job_id, JobState.RUNNING)

    async def _move(self, job_id: str, to: JobState) -> JobRow:
        check_transition((await self.job(job_id)).state, to)
        self.rows[job_id] = replace(self.rows[job_id], state=to)
        return self.rows[job_id]

    async def events(self, job_id: str, *, after: int) -> AsyncIterator[Event]:
        self.following += 1
        try:
            while True:
                news = self.news
                for event in self.happened[after:]:
                    yield event
                    after = event.id
                if self.rows[job_id].state in ENDED:
                    return
                await news.wait()
        finally:
            self.following -= 1

    async def calibrate(self, job_id: str, resamples: int, key: str | None = None) -> Mapping[str, Any]:
        if self.dealing is not None:
            self.dealing.append(job_id)
            try:
                await anyio.sleep_forever()
            finally:
                self.dealing.remove(job_id)
        if key is not None:
            raise InputError("has another baseline")
        return {"job": (await self.job(job_id)).id, "resamples": resamples}

    async def calibration(self, job_id: str) -> Mapping[str, Any] | None:
        return {"job": job_id} if (await self.job(job_id)).record else None

    def ready(self) -> str | None:
        return self.why


class FakeShelf:
    """Tokens in memory."""

    def __init__(self) -> None:
        self.rows: list[TokenRow] = []

    async def all(self) -> list[TokenRow]:
        return self.rows

    async def add(self, token: TokenRow) -> None:
        self.rows.append(token)

    async def revoke(self, token_id: str, *, now: float) -> None:
        pass


@dataclass(slots=True)
class House:
    """An app and all that is behind it."""

    service: FakeService
    tokens: TokenBook
    folder: Path
    app: Front
    now: list[float]

    async def token(self, role: str, *, days: float | None = None) -> str:
        """A token of that role; the first admin comes with it."""
        if not len(self.tokens):
            await self.tokens.create("first", Role.ADMIN)
        _, token = await self.tokens.create("t", Role(role), days=days)
        return token

    def client(self, token: str | None = None, *, address: tuple[str, int] = LOOPBACK) -> httpx2.AsyncClient:
        """A client on that address, with that token."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        transport = httpx2.ASGITransport(self.app, raise_app_exceptions=False, client=address)
        return httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8321", headers=headers)


Build = Callable[..., Awaitable[House]]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Makes houses; keyword arguments are `make_app`'s and `ApiLimits`'s."""

    async def make(*, host: str = "127.0.0.1", reports: Any = None, metrics: Any = None, **limits: Any) -> House:
        now = [1_800_000_000.0]
        service, tokens = FakeService(), await TokenBook.load(FakeShelf(), now=lambda: now[0])
        folder = tmp_path / "incoming"
        app = make_app(
            service,
            tokens=tokens,
            folder=folder,
            host=host,
            limits=ApiLimits(**limits),
            reports=reports,
            metrics=metrics,
        )
        return House(service, tokens, folder, app, now)

    return make


@pytest.fixture
async def house(build: Build) -> House:
    """One with everything as it comes."""
    return await build()


def error_of(response: httpx2.Response, status: int) -> dict[str, Any]:
    """The error in an answer, which has the one shape."""
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "where"}
    error: dict[str, Any] = body["error"]
    return error


@pytest.fixture
def problem() -> Callable[[httpx2.Response, int], dict[str, Any]]:
    """Checks an error's shape and gives it."""
    return error_of


@pytest.fixture
def make_record() -> Callable[..., dict[str, Any]]:
    """Makes decision records."""
    return record
