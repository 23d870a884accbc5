"""A small job, a model server that keeps a journal, and what must come of the two whatever happens on the way."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any, Self

import anyio
from daemons import Daemon
from hostile import Ask, Behaviour, Hostile, Script, http, says

from evalsvc.store.database import open_database
from faults.nursery import Nursery
from faults.strace import tracee

IN_FLIGHT = 4
#: What a crash may cost: requests in flight, and one batch that was answered and not yet committed.
ASKED_AGAIN = IN_FLIGHT + 256
_RUN = ("run", "job.toml", "--out", "out", "--json")
_MULTIPART = "multipart/form-data; boundary=faults"
_ENDED = {"done", "cancelled"}
_ARMS = {"cand": "candidate", "base": "baseline"}

#: An answer of a job: case, arm.
Key = tuple[str, str]


@dataclass(slots=True)
class Contents:
    """What a database holds: the state and the record of each job by id, and the ends of its requests."""

    states: dict[str, str] = field(default_factory=dict)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    outcomes: dict[str, Counter[Key]] = field(default_factory=dict)

    def keys(self) -> set[Key]:
        """All answers of all jobs."""
        return {key for outcomes in self.outcomes.values() for key in outcomes}


def contents(database: Path) -> Contents:
    """What is in a database that nobody has open; it is opened, so copy it before if it must stay as it is.

    Raises:
        AssertionError: it is damaged.
    """
    found = Contents()
    connection = sqlite3.connect(database)
    try:
        whole = connection.execute("PRAGMA integrity_check").fetchall()
        assert whole == [("ok",)], f"integrity_check: {whole}"
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        if not connection.execute("PRAGMA user_version").fetchone()[0]:
            return found
        sql = "SELECT id, state, record, document, source FROM jobs"
        for job_id, state, record, document, source in connection.execute(sql):
            found.states[job_id] = state
            found.outcomes[job_id] = Counter()
            if record is not None:
                found.records[job_id] = json.loads(record)
            if source is not None and state not in _ENDED:
                _check_uploads(database, json.loads(document)["files"])
        for job_id, case, arm in connection.execute("SELECT job_id, case_id, arm FROM outcomes"):
            found.outcomes[job_id][case, arm] += 1
    finally:
        connection.close()
    return found


def _check_uploads(database: Path, files: Mapping[str, str]) -> None:
    for name, digest in files.items():
        path = database.with_name(f"{database.name}.uploads") / digest
        assert path.exists(), f"{name}, which came with a job, is lost"
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest, f"{name}, which came with a job, is damaged"


def essence(record: Mapping[str, Any]) -> dict[str, Any]:
    """What of a record does not depend on when, where and how often it was made."""
    job, arms = record["job"], record["arms"]
    return {
        "decision": record["decision"],
        "job": {key: job[key] for key in ("name", "spec_sha256", "seed", "trials")},
        "gates": [gate for gate in record["gates"] if gate["name"] != "latency_p99"],
        "suites": record["suites"],
        "arms": {arm: {key: arms[arm][key] for key in ("ok", "model_error", "infra_error")} for arm in arms},
        "outcomes": record["evidence"]["outcomes"],
    }


async def _made(database: Path) -> None:
    async with open_database(database):
        pass


class Scene:
    """A folder with a job of both arms, and its model server; a context manager.

    Args:
        folder: an empty one; ``db`` in it is the database.
        cases: how many.
        answer_s: how long the server takes.
        long: characters of an answer, so that the write-ahead log fills.
        in_flight: the most requests at a time.
        nursery: where `run` is forked, instead of started anew each time.
    """

    def __init__(
        self,
        folder: Path,
        *,
        cases: int = 25,
        answer_s: float = 0.0,
        long: int = 0,
        in_flight: int = IN_FLIGHT,
        nursery: Nursery | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.database = self.folder / "evalsvc.db"
        self.cases = cases
        self._in_flight, self._nursery = in_flight, nursery

        def answer(ask: Ask) -> Script:
            return answer_s, http(says(ask.text + "." * long, model=ask.model))

        self.server = Hostile(81, size=1, behaviours=[Behaviour(name="steady", script=answer)])

    def __enter__(self) -> Self:
        self.server.__enter__()
        rows = [{"id": f"c{i}", "input": f"q{i}", "expected": "42"} for i in range(self.cases)]
        self._write("cases.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        self._write(
            "config.toml", f'[endpoints.up]\nbase_url = "{self.server.url}"\nmax_in_flight = {self._in_flight}\n'
        )
        self._write(
            "job.toml",
            'name = "faults"\nseed = 7\n'
            '[candidate]\nendpoint = "up"\nmodel = "cand"\n[baseline]\nendpoint = "up"\nmodel = "base"\n'
            '[[suites]]\nname = "s"\nrole = "target"\ndataset = "cases.jsonl"\nscorer = "contains"\n',
        )
        return self

    def __exit__(self, *error: object) -> None:
        for daemon in [each for each in _STARTED if each.folder == self.folder]:
            daemon.stop(signal.SIGKILL)  # after a failure it may still be there
            _STARTED.remove(daemon)
        self.server.__exit__(None, None, None)

    def _write(self, name: str, content: str) -> None:
        (self.folder / name).write_text(content, encoding="utf-8")

    @property
    def job(self) -> Path:
        return self.folder / "job.toml"

    def forget(self) -> None:
        """Start anew: no database, an empty journal."""
        for path in self.folder.glob("evalsvc.db*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.server.journal.entries.clear()

    def make_database(self) -> None:
        """Start anew, with an empty database."""
        self.forget()
        anyio.run(_made, self.database)

    def start(self, *prefix: str) -> subprocess.Popen[str]:
        """``evalsvc run`` of the job, behind a prefix."""
        command = [*prefix, sys.executable, "-m", "evalsvc", *_RUN]
        return subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
        )

    def run(self, *prefix: str, kill_after_s: float | None = None) -> tuple[int, str, str]:
        """The same to its end: exit code, stdout, stderr. ``prefix`` is strace's, or ends in a Python launcher."""
        if self._nursery is not None and sys.executable not in prefix:
            return self._nursery.run(self.folder, _RUN, prefix, kill_after_s)
        process = self.start(*prefix)
        try:
            out, err = process.communicate(timeout=120 if kill_after_s is None else kill_after_s)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
        return process.returncode, out, err

    def left(self) -> Contents:
        """What a process that has ended left behind, without touching it."""
        with tempfile.TemporaryDirectory(dir=self.folder) as copy:
            for suffix in ("", "-wal", "-journal"):
                path = self.database.with_name(self.database.name + suffix)
                if path.exists():
                    shutil.copy(path, copy)
            uploads = f"{self.database.name}.uploads"
            if (self.folder / uploads).exists():
                shutil.copytree(self.folder / uploads, Path(copy) / uploads)
            return contents(Path(copy) / self.database.name)

    def sent(self) -> list[Key]:
        """What the model server was asked, in order: its own account."""
        return [(f"c{entry.case[1:]}", _ARMS[entry.model]) for entry in self.server.journal.entries]

    def check_resumed(self, known: set[Key], asked: int) -> set[Key]:
        """After a process has ended: what was recorded before it is there, and was not asked again by it.

        Args:
            known: what was recorded before it.
            asked: how many requests there had been before it.

        Returns:
            what is recorded now.

        Raises:
            AssertionError: it is not so.
        """
        now = self.left().keys()
        assert known <= now, f"recorded, and lost: {known - now}"
        again = known & set(self.sent()[asked:])
        assert not again, f"recorded, and asked again: {again}"
        return now

    def check_end(self, record: Mapping[str, Any], golden: Mapping[str, Any], *, crashes: int) -> None:
        """The job is done: nothing lost, nothing twice, the decision of an uninterrupted run.

        Raises:
            AssertionError: it is not so.
        """
        left, everything = self.left(), {(f"c{i}", arm) for i in range(self.cases) for arm in _ARMS.values()}
        (outcomes,) = left.outcomes.values()
        assert set(outcomes) == everything, f"lost: {everything - set(outcomes)}"
        assert set(outcomes.values()) == {1}, f"twice: {outcomes.most_common(3)}"
        assert set(left.states.values()) == {"done"}
        assert essence(record) == essence(golden), "another decision than of an uninterrupted run"
        sent = self.sent()
        assert set(sent) == everything
        assert len(sent) - len(everything) <= crashes * ASKED_AGAIN, f"{len(sent)} requests, {crashes} crashes"


class Followed(Daemon):
    """A daemon whose clients write down what they were told, and when. Strace may stand between it and us."""

    def __init__(self, folder: Path, *, prefix: tuple[str, ...] = ()) -> None:
        super().__init__(folder.resolve(), prefix=prefix)
        _STARTED.append(self)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal to evalsvc itself and wait for the end; gives the exit code."""
        if self.process.poll() is None and self.process.args[0] == "strace":  # type: ignore[index]
            os.kill(tracee(self.process.pid), number)
            number = 0
        return super().stop(number)

    def send(self, scene: Scene) -> str:
        """The id of the scene's job, once the daemon has accepted it; empty where it has no room for it."""
        parts = (("job", "job.toml"), ("cases.jsonl", "cases.jsonl"))
        body = b"".join(
            f'--faults\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n\r\n'.encode()
            + (scene.folder / file).read_bytes()
            + b"\r\n"
            for name, file in parts
        )
        status, said = self.ask("/api/v1/jobs", method="POST", body=body + b"--faults--\r\n", content_type=_MULTIPART)
        assert status in {201, 503}, said
        return str(said["id"]) if status == 201 else ""

    def follow(self, job_id: str) -> Told:
        """What one more client is told of a job, from now to the end of the daemon."""
        told = Told(self, job_id)
        told.start()
        return told


@dataclass(frozen=True, slots=True)
class News:
    """What a client was told at a time (Unix seconds): answers it had not seen, how many there are, the state."""

    at: float
    keys: frozenset[Key]
    recorded: int
    state: str


_STARTED: list[Followed] = []


class Told(threading.Thread):
    """A client of a job that writes down what it is told until the job is done or the daemon is gone."""

    def __init__(self, daemon: Daemon, job_id: str) -> None:
        super().__init__(daemon=True)
        self.job_id = job_id
        self.news = [News(time.time(), frozenset(), 0, "queued")]
        self._daemon = daemon

    def run(self) -> None:
        after = 0
        try:
            while self.news[-1].state != "done":
                job = self._daemon.job(self.job_id)
                page = self._daemon.ask(f"/api/v1/jobs/{self.job_id}/outcomes?limit=200&after={after}")[1]
                after = page["items"][-1]["seq"] if page["items"] else after
                keys = frozenset((row["case_id"], row["arm"]) for row in page["items"])
                self.news.append(News(time.time(), keys, job["progress"]["recorded"] or 0, job["state"]))
        except (OSError, HTTPException, json.JSONDecodeError, AssertionError, KeyError):
            return  # the daemon is gone

    def check(self, left: Contents, at: float) -> None:
        """All that was told before ``at`` is there. Raises AssertionError."""
        known = [news for news in self.news if news.at < at]
        if not known:
            return
        assert self.job_id in left.states, "a job that was accepted is lost"
        there = left.outcomes[self.job_id]
        lost = {key for news in known for key in news.keys} - set(there)
        assert not lost, f"{len(lost)} answers that were shown as recorded are lost"
        missing = max(news.recorded for news in known) - there.total()
        assert missing <= 0, f"{missing} answers that were counted as recorded are lost"
        done = any(news.state == "done" for news in known)
        assert not done or left.states[self.job_id] == "done", "a decision that was shown is lost"
