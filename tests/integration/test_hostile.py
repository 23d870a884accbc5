"""The real command against a server that does everything wrong, with the server's journal as the oracle."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from hostile import STATUS, TRANSIENT, Behaviour, Entry, Hostile, Journal, catalogue, unread

CASES = 240
ARMS = {"candidate": "cand", "baseline": "base"}
ATTEMPTS, TIMEOUT_S, IN_FLIGHT = 3, 1, 32
#: A last attempt may be kept for the next minute, but for no longer than this.
RETRY_DEADLINE_S = 8
#: What may stand between two attempts, by the policy: full jitter of 0.5 s, 1 s, or the 2 s of an endpoint in doubt.
BACKOFF_S = 2.0
#: What is the request's or the model's own fault, never the endpoint's.
CERTAIN = {"rejected", "context_overflow", "refused"}
TRAILED = {"noise after it", "a second answer at once"}
UNFIT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")


@dataclass(slots=True)
class Ended:
    """A finished run: its exit code, what it printed, its peak of memory in MiB, how long it took."""

    code: int
    out: str
    err: str
    peak_mib: float
    seconds: float


@dataclass(slots=True)
class Row:
    """A row of the table outcomes."""

    status: str
    kind: str | None
    score: float | None
    attempts: list[Any]

    @property
    def end(self) -> str:
        """ "ok" or the kind."""
        return self.kind or "ok"

    @property
    def ends(self) -> list[str]:
        """Of every attempt; an answered one is named for the outcome it made."""
        return [attempt[4] or self.end for attempt in self.attempts]


def write(folder: Path, url: str, cases: int = CASES, arms: str = "") -> Path:
    rows = [{"id": f"c{n}", "input": f"case {n}", "expected": "42", "category": "ab"[n % 2]} for n in range(cases)]
    (folder / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "config.toml").write_text(
        f"[engine]\nmax_attempts = {ATTEMPTS}\nretry_deadline_s = {RETRY_DEADLINE_S}\n"
        f'[endpoints.up]\nbase_url = "{url}"\nmax_in_flight = {IN_FLIGHT}\ntimeout_s = {TIMEOUT_S}\n'
    )
    tables = "".join(f'[{arm}]\nendpoint = "up"\nmodel = "{model}"\n{arms}\n' for arm, model in ARMS.items())
    suite = '[[suites]]\nname = "s"\nrole = "target"\ndataset = "cases.jsonl"\nscorer = "exact_match"\n'
    (folder / "job.toml").write_text(f'name = "chaos"\nseed = 7\n{tables}{suite}')
    return folder / "job.toml"


def start(folder: Path, job: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "evalsvc", "run", str(job), "--out", str(folder / "out")]
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        return subprocess.Popen(command, cwd=folder, stdout=out, stderr=err)


def run(folder: Path, job: Path, at_most_s: float = 120.0) -> Ended:
    started = time.monotonic()
    process = start(folder, job)
    alarm = Timer(at_most_s, process.kill)  # no condition of these tests: a run that hangs must not hang them
    alarm.start()
    _, status, usage = os.wait4(process.pid, 0)
    alarm.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - started
    out, err = ((folder / name).read_text(errors="replace") for name in ("stdout", "stderr"))
    return Ended(process.returncode, out, err, usage.ru_maxrss / 1024, seconds)


def rows(folder: Path) -> dict[tuple[str, str], Row]:
    connection = sqlite3.connect(f"file:{folder / 'evalsvc.db'}?mode=ro", uri=True)
    try:
        found = connection.execute("SELECT case_id, arm, status, kind, score, attempts FROM outcomes").fetchall()
    finally:
        connection.close()
    table = {
        (case, arm): Row(status, kind, score, json.loads(tries)) for case, arm, status, kind, score, tries in found
    }
    assert len(table) == len(found), "a case and arm has more than one row"
    return table


def asked(journal: Journal) -> dict[tuple[str, str], list[Entry]]:
    arms = {model: arm for arm, model in ARMS.items()}
    told: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in journal.entries:
        told[entry.case.replace("case ", "c"), arms[entry.model]].append(entry)
    return told


def lost(row: Row, entries: Sequence[Entry], goods: Sequence[float], early: list[float]) -> int:
    """How many attempts the server never read; all else must be as the journal says.

    An attempt is unread when its connection died before the last byte of its request arrived: then the row has one
    attempt more, which ended in "network", and the server must have closed that connection without a word. ``early``
    is told when a request was given up before its last attempt: only the budget of retries may be the reason.
    """
    missing = unread(row.ends, entries)
    assert missing is not None, f"{row.ends} does not fit {[(e.behaviour, e.ends) for e in entries]}"
    assert row.status == STATUS[row.end]
    assert row.score == (entries[-1].score if row.end == "ok" else 0.0 if row.status == "model_error" else None)
    assert all(seconds <= TIMEOUT_S + 1 for _, _, _, seconds, *_ in row.attempts)
    may_retry = (row.end == "network" and missing > 0) or entries[-1].retry
    if row.end in TRANSIENT and may_retry and len(row.attempts) < ATTEMPTS:
        assert row.end != "rate_limited", f"gave up {[e.behaviour for e in entries]} after {row.ends}"
        early.append(entries[-1].at if entries else 0.0)
    forgiven = 0  # the tries start anew once the endpoint is out of doubt, which can come twice
    for place, (before, after) in enumerate(pairwise(entries), start=1):
        assert not CERTAIN & set(before.ends), f"asked again after {before.behaviour}"
        if doubtful(entries[:place], goods):
            forgiven = place
            continue
        assert before.retry, f"asked again after {before.behaviour}"
        assert place - forgiven < (2 if forgiven else 1) * ATTEMPTS, f"asked too often: {before.behaviour}"
        assert after.at - before.at >= before.wait_s, f"asked again too early after {before.behaviour}"
    return missing


def doubtful(entries: Sequence[Entry], goods: Sequence[float]) -> bool:
    """Whether, after these failures, it was open if the endpoint is down: no good answer since the first of them.

    product.md: nothing is recorded of a case while the endpoint itself is in doubt, so it is asked again.
    """
    return not any(entries[0].at < good < entries[-1].at - 0.05 for good in goods)


def within_budget(
    table: dict[tuple[str, str], Row],
    told: dict[tuple[str, str], list[Entry]],
    goods: Sequence[float],
    early: Sequence[float],
) -> None:
    """At most one retry for five requests and ten more, and nothing given up early while any were left.

    Retries after a 429 are free, up to the most attempts; so are those made while the endpoint itself was in doubt.
    """
    firsts = [entries[0].at for entries in told.values() if entries]
    paid = sum(end != "rate_limited" for row in table.values() for end in row.ends[:-1])
    doubted = sum(doubtful(entries[:n], goods) for entries in told.values() for n in range(1, len(entries)))
    assert paid - doubted <= 10 + len(firsts) / 5
    for gave_up in early:
        assert paid > 9 + sum(first < gave_up for first in firsts) / 5 - 1, "gave up with retries left"


def longest_s(entries: Sequence[Entry]) -> float:
    """The most one request may take, with a slot of its own."""
    return sum(TIMEOUT_S + BACKOFF_S + entry.wait_s for entry in entries)


def sound(*, limits: bool, stream: bool = False) -> list[Behaviour]:
    """The catalogue without what is known to break; its 429s, or all the rest."""
    known = list(catalogue(stream=stream))
    return [behaviour for behaviour in known if ("429" in behaviour.name) == limits]


def check(folder: Path, server: Hostile, ran: Ended, cases: int = CASES) -> None:
    """Everything that must hold after a run, whatever the server did."""
    assert "Traceback" not in ran.err, ran.err
    assert ran.code in (3, 4), ran.err
    table, told = rows(folder), asked(server.journal)
    assert table.keys() == {(f"c{n}", arm) for n in range(cases) for arm in ARMS}
    assert told.keys() <= table.keys()
    goods = [entry.at for entry in server.journal.entries if entry.behaviour == "good"]
    early: list[float] = []
    unseen = sum(lost(row, told[key], goods, early) for key, row in table.items())
    assert unseen <= server.journal.closed_idle
    within_budget(table, told, goods, early)
    # Every slot was busy for at most a timeout an attempt, and the last request took at most its longest.
    sends = len(server.journal.entries) + server.journal.closed_idle
    bound_s = sends * TIMEOUT_S / IN_FLIGHT + 2 * max(map(longest_s, told.values())) + RETRY_DEADLINE_S + 20
    assert ran.seconds < bound_s
    record = json.loads((folder / "out" / "decision.json").read_text(encoding="utf-8"))
    assert record["evidence"]["outcomes"] == len(table)
    for arm, counts in record["arms"].items():
        of_arm = [row for (_, name), row in table.items() if name == arm]
        assert {s: counts[s] for s in set(STATUS.values())} == {
            s: sum(row.status == s for row in of_arm) for s in set(STATUS.values())
        }
        assert counts["attempts"] == sum(len(row.attempts) for row in of_arm)
    for name, text in shown(folder, ran).items():
        assert not UNFIT.search(text), f"{name}: {UNFIT.search(text)}"
        assert len(text) < 2**20, f"{name} has {len(text)} characters"


def shown(folder: Path, ran: Ended) -> dict[str, str]:
    report = (folder / "out" / "report.html").read_text(encoding="utf-8")
    return {"report": report, "stdout": ran.out, "stderr": ran.err}


@pytest.fixture(scope="module")
def calm_mib(tmp_path_factory: pytest.TempPathFactory) -> float:
    """The peak of memory of the same job on a server that only gives good answers."""
    folder = tmp_path_factory.mktemp("calm")
    with Hostile(1, behaviours=()) as server:
        ran = run(folder, write(folder, server.url))
        check(folder, server, ran)
    assert len(server.journal.entries) == 2 * CASES
    return ran.peak_mib


SEEDS = [1, 2, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(3, 13))]


@pytest.mark.parametrize("seed", SEEDS)
def test_each_request_ends_in_the_one_outcome_its_answers_give(tmp_path: Path, seed: int, calm_mib: float) -> None:
    with Hostile(seed, size=CASES, behaviours=sound(limits=False), close_idle=0.05) as server:
        ran = run(tmp_path, write(tmp_path, server.url))
        check(tmp_path, server, ran)
    assert ran.peak_mib < calm_mib + 200


@pytest.mark.parametrize("seed", SEEDS[1:])
def test_so_does_each_that_is_told_to_wait(tmp_path: Path, seed: int) -> None:
    with Hostile(seed, size=CASES, behaviours=sound(limits=True)) as server:
        check(tmp_path, server, run(tmp_path, write(tmp_path, server.url), at_most_s=80))


@pytest.mark.parametrize("seed", SEEDS)
def test_so_does_each_streamed_request(tmp_path: Path, seed: int, calm_mib: float) -> None:
    # What follows a stream in a packet of its own can hit the next request: no client of HTTP/1.1 can tell.
    whole = [one for one in sound(limits=False, stream=True) if one.name not in TRAILED]
    with Hostile(seed, size=CASES, behaviours=whole, close_idle=0.05) as server:
        ran = run(tmp_path, write(tmp_path, server.url, arms="stream = true"))
        check(tmp_path, server, ran)
    assert ran.peak_mib < calm_mib + 200


def test_no_request_is_asked_again_before_the_time_it_was_told(tmp_path: Path) -> None:
    told, slow = ([one for one in catalogue() if one.name == name] for name in ("429 36000", "slow"))
    with Hostile(1, size=30, behaviours=[*told * 4, *slow * 26]) as server:
        ran = run(tmp_path, write(tmp_path, server.url, cases=30), at_most_s=30)
    assert ran.code in (3, 4), ran.err
    assert len(server.journal.entries) == 60


def endings(folder: Path) -> dict[tuple[str, str], tuple[str, str | None, float | None]]:
    return {key: (row.status, row.kind, row.score) for key, row in rows(folder).items()}


@pytest.mark.parametrize("seed", SEEDS[1:])
def test_killed_in_the_middle_it_ends_as_if_it_had_not_been(tmp_path: Path, evalsvc: Any, seed: int) -> None:
    whole, parts = tmp_path / "whole", tmp_path
    whole.mkdir()
    # What fails a few times only may end either way: that is the budget's to say, and it starts anew with a process.
    # So may whatever is asked next on a connection that was closed without a word.
    steady = [one for one in sound(limits=False) if one.times == 0 and len(one.ends) == 1]
    behaviours = [one for one in steady if one.name != "half-closed after it"]
    with Hostile(seed, size=CASES, behaviours=behaviours) as server:
        run(whole, write(whole, server.url))
    with Hostile(seed, size=CASES, behaviours=behaviours) as server:
        job = write(parts, server.url)
        process = start(parts, job)
        while len(server.journal.entries) < CASES:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        done = endings(parts)
        before = len(server.journal.entries)
        resumed = evalsvc("run", job)
        assert resumed.code in (3, 4), resumed.err
        again = {(e.case.replace("case ", "c"), e.model) for e in server.journal.entries[before:]}
    assert 0 < len(done) < 2 * CASES
    assert not again & {(case, ARMS[arm]) for case, arm in done}
    assert endings(parts) == endings(whole)
    assert len(endings(parts)) == 2 * CASES
