"""The long proof of docs/reliability.md: at least 1,000 kills and 1,000 power cuts; `make soak`.

Figures are kept in a JSON file after every round; started again with the same file it does what is still to be done.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from faults import rounds
from faults.disks import disk_fails, disk_full, upgrade_killed
from faults.nursery import Nursery
from faults.rounds import Figures, Point, Record
from faults.scene import Scene
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

#: Sizes of the jobs: cases, seconds an answer takes, characters of an answer.
_SMALL, _LONG, _WIDE = (40, 0.008, 0), (150, 0.004, 0), (200, 0.002, 6000)
_CUTS = 250
_CONTINUED = 1

Size = tuple[int, float, int]


_mine = threading.local()


def _nursery() -> Nursery:
    """Each worker has its own; all end with this process, whose end they read."""
    if not hasattr(_mine, "nursery"):
        _mine.nursery = Nursery().__enter__()
    nursery: Nursery = _mine.nursery
    return nursery


@contextmanager
def _scene(size: Size, nursery: Nursery | None = None) -> Iterator[Scene]:
    cases, answer_s, long = size
    with (
        tempfile.TemporaryDirectory(prefix="soak-") as folder,
        Scene(Path(folder), cases=cases, answer_s=answer_s, long=long, nursery=nursery) as scene,
    ):
        yield scene


@cache
def _golden(size: Size) -> Record:
    with _scene(size) as scene:
        return rounds.golden(scene)


@cache
def _points() -> tuple[Point, ...]:
    """The system calls of a job, in an order that covers all of it early."""
    with _scene(_SMALL) as scene:
        found = rounds.points(scene)
    Random(0).shuffle(found)
    return tuple(found)


def _calls(number: int) -> Figures:
    """One system call after another, and three times more on the way back."""
    found, chance = _points(), Random(number)
    later = [("pwrite64", chance.randint(1, 40)) for _ in range(3)]
    with _scene(_SMALL, _nursery()) as scene:
        return rounds.killed_at_calls(scene, _golden(_SMALL), [found[number % len(found)], *later])


def _random(number: int) -> Figures:
    with _scene(_LONG, _nursery()) as scene:
        return rounds.killed_at_random(scene, _golden(_LONG), Random(number), 10, longest_s=0.7)


def _daemon(number: int) -> Figures:
    with _scene(_LONG) as scene:
        return rounds.daemon_harmed(scene, _golden(_LONG), Random(number), 8)


def _stops(number: int) -> Figures:
    with _scene(_LONG) as scene:
        return rounds.daemon_harmed(scene, _golden(_LONG), Random(number), 5, number=signal.SIGTERM)


def _cuts(number: int, alter: str = "") -> Figures:
    chance = Random(number)
    with _scene(_WIDE) as scene:
        counts, found = rounds.power_cuts(scene, chance, _CUTS, alter=alter)
        assert alter or not counts["lost"], str(counts)
        for cut in () if alter else chance.sample(found, _CONTINUED):
            counts += rounds.goes_on(cut, scene, _golden(_WIDE))
    return counts


def _control(number: int) -> Figures:
    counts = _cuts(number, alter="unsynced")
    assert counts["lost"], "commits that are not synced survived: this proves nothing"
    return Figures(control_cuts=counts["cuts"], control_lost=counts["lost"])


def _control_kills(number: int) -> Figures:
    with _scene(_LONG) as scene:
        try:
            rounds.daemon_harmed(scene, _golden(_LONG), Random(number), 8, alter="told_early")
        except AssertionError:
            return Figures(control_seen=1)
    raise AssertionError("what was told before it was recorded was not missed: this proves nothing")


def _full(number: int) -> Figures:
    chance = Random(number)
    with _scene(_SMALL) as scene:
        return disk_full(scene, _golden(_SMALL), chance.randint(3, 150), chance.randint(1, 3))


def _fails(number: int) -> Figures:
    chance = Random(number)
    call, last = chance.choice((("fdatasync", 12), ("pwrite64", 100)))
    with _scene(_SMALL) as scene:
        return disk_fails(scene, _golden(_SMALL), call, chance.randint(1 if call == "fdatasync" else 3, last))


def _upgrade(number: int) -> Figures:
    chance = Random(number)
    with _scene(_SMALL) as scene:
        at = ("pwrite64", 1 + number % 90) if chance.random() < 0.8 else ("fdatasync", 1 + number % 12)
        record = rounds.golden(scene)
        finished = scene.folder / "finished"
        shutil.copy(scene.database, finished)
        return upgrade_killed(scene, record, at, finished)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A sort of harm: what a round of it does, and how many of what it is to count."""

    name: str
    what: str
    round: Callable[[int], Figures]
    unit: str
    wanted: int


PARTS = (
    Part(name="calls", what="run, killed at each system call", round=_calls, unit="kills", wanted=600),
    Part(name="random", what="run, killed at any time", round=_random, unit="kills", wanted=400),
    Part(name="daemon", what="serve, killed at any time", round=_daemon, unit="kills", wanted=100),
    Part(name="stops", what="serve, SIGTERM at any time", round=_stops, unit="stops", wanted=40),
    Part(name="cuts", what="serve, power cut", round=_cuts, unit="cuts", wanted=1500),
    Part(name="upgrade", what="schema change, killed", round=_upgrade, unit="kills", wanted=30),
    Part(name="full", what="serve, disk full for a while", round=_full, unit="jobs", wanted=15),
    Part(name="fails", what="serve, disk error (EIO)", round=_fails, unit="jobs", wanted=15),
    Part(
        name="control", what="control: power cut, commits not synced", round=_control, unit="control_cuts", wanted=200
    ),
    Part(
        name="control_kills",
        what="control: told before it is recorded",
        round=_control_kills,
        unit="control_seen",
        wanted=3,
    ),
)


class Tally:
    """What was counted so far, kept in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.parts: dict[str, dict[str, Any]] = {}
        if file.exists():
            self.parts = json.loads(file.read_text())["parts"]

    def of(self, part: Part) -> dict[str, Any]:
        return self.parts.setdefault(part.name, {"rounds": 0, "counts": {}, "failures": [], "seconds": 0.0})

    def done(self, part: Part) -> int:
        return int(self.of(part)["counts"].get(part.unit, 0))

    def add(self, part: Part, number: int, counts: Figures, failure: str | None, seconds: float) -> None:
        mine = self.of(part)
        mine["rounds"] = max(mine["rounds"], number + 1)
        mine["seconds"] = round(mine["seconds"] + seconds, 1)
        mine["counts"] = {name: int(count) for name, count in (Figures(mine["counts"]) + counts).items()}
        if failure is not None:
            mine["failures"].append({"round": number, "what": failure[-2000:]})
        said = {
            "machine": f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}",
            "sqlite": sqlite3.sqlite_version,
            "ended": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "parts": self.parts,
        }
        half = self._file.with_suffix(".part")
        half.write_text(json.dumps(said, indent=1) + "\n")
        half.replace(self._file)

    @property
    def failures(self) -> int:
        return sum(len(part["failures"]) for part in self.parts.values())


def _a_round(part: Part, tally: Tally) -> float:
    """What a round counts, by those there were: all parts are to be done at about the same time."""
    return max(tally.done(part), 1) / max(int(tally.of(part)["rounds"]), 1)


def _one(part: Part, number: int) -> tuple[Part, int, Figures, str | None, float]:
    began = time.monotonic()
    try:
        counts, failure = part.round(number), None
    except Exception as error:  # noqa: BLE001 - whatever went wrong is the finding
        counts, failure = Figures(), f"{type(error).__name__}: {error}"
    return part, number, counts, failure, time.monotonic() - began


def soak(tally: Tally, parts: tuple[Part, ...], minutes: float, workers: int) -> None:
    """Rounds of all parts in turn until each has what it wants, or the time is over."""
    until = time.monotonic() + minutes * 60
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar, ThreadPoolExecutor(workers) as pool:
        shown = {part.name: bar.add_task(part.what, total=part.wanted, completed=tally.done(part)) for part in parts}
        running: set[Future[tuple[Part, int, Figures, str | None, float]]] = set()
        numbers = {part.name: int(tally.of(part)["rounds"]) for part in parts}
        while True:
            open_parts = [part for part in parts if tally.done(part) < part.wanted]
            while open_parts and len(running) < workers and time.monotonic() < until:
                part = min(open_parts, key=lambda part: numbers[part.name] / part.wanted * _a_round(part, tally))
                running.add(pool.submit(_one, part, numbers[part.name]))
                numbers[part.name] += 1
            if not running:
                return
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                part, number, counts, failure, seconds = future.result()
                tally.add(part, number, counts, failure, seconds)
                bar.update(shown[part.name], completed=tally.done(part))
                if failure is not None:
                    bar.console.print(f"{part.what}, round {number}: {failure[-500:]}", markup=False)


def table(tally: Tally) -> Table:
    """The figures, one line a part."""
    found = Table("what", "rounds", "counted", "failures")
    for part in PARTS:
        mine = tally.of(part)
        counts = ", ".join(f"{name} {count:,}" for name, count in sorted(mine["counts"].items()))
        found.add_row(part.what, f"{mine['rounds']:,}", counts, f"{len(mine['failures'])}")
    return found


def main() -> int:
    """Exit code 0: nothing was lost and everything that was wanted was done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figures", type=Path, default=Path("evalsvc-out/soak.json"))
    parser.add_argument("--minutes", type=float, default=120, help="no new round is begun after so long")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", choices=[part.name for part in PARTS], action="append")
    asked = parser.parse_args()
    asked.figures.parent.mkdir(parents=True, exist_ok=True)
    tally = Tally(asked.figures)
    parts = tuple(part for part in PARTS if asked.only is None or part.name in asked.only)
    soak(tally, parts, asked.minutes, asked.workers)
    Console().print(table(tally))
    missing = [part.what for part in parts if tally.done(part) < part.wanted]
    if missing:
        Console(stderr=True).print(f"not done yet: {'; '.join(missing)}")
    return 1 if tally.failures or missing else 0


if __name__ == "__main__":
    raise SystemExit(main())
