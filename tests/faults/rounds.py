"""One round of each sort of harm: a job is begun, harmed, and brought to its end; what must hold is checked all along.

The tests in `acceptance` go a few rounds with fixed seeds, `soak` goes as many as it takes. Every round gives what it
counted, and raises AssertionError with what was lost.
"""

from __future__ import annotations

import json
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from faults import power
from faults.altered import altered
from faults.scene import Contents, Followed, Key, Scene, Told, contents, essence
from faults.strace import WRITES, counted, killed_at, recorded

Record = Mapping[str, Any]
Point = tuple[str, int]
Figures = Counter[str]


def golden(scene: Scene) -> dict[str, Any]:
    """The record of an uninterrupted run."""
    scene.forget()
    code, out, err = scene.run()
    assert code in {0, 3, 4}, err
    record: dict[str, Any] = json.loads(out)
    scene.check_end(record, record, crashes=0)
    return record


def points(scene: Scene) -> list[Point]:
    """Every system call by which an uninterrupted run changes its database, numbered within its sort."""
    scene.forget()
    log = scene.folder / "counted"
    code, _, err = scene.run(*counted(log))
    assert code in {0, 3, 4}, err
    calls = Counter(line.split()[1].split("(")[0] for line in log.read_text().splitlines())
    return [(call, number) for call in WRITES for number in range(1, calls[call] + 1)]


def killed_at_calls(scene: Scene, record: Record, kills: Sequence[Point]) -> Figures:
    """`run`, killed at one system call after another (each counted from the start of its own process), then ended."""
    return _killed(scene, record, [partial(_run_killed, scene, at) for at in kills])


def _run_killed(scene: Scene, at: Point) -> int:
    return scene.run(*killed_at(*at))[0]


def killed_at_random(scene: Scene, record: Record, chance: Random, kills: int, *, longest_s: float = 1.2) -> Figures:
    """`run`, killed at any time, again and again, then ended."""

    def killed() -> int:
        return scene.run(kill_after_s=chance.uniform(0, longest_s))[0]

    return _killed(scene, record, [killed] * kills)


def _killed(scene: Scene, record: Record, kills: Sequence[Callable[[], int]]) -> Figures:
    scene.forget()
    known, counts = set[Key](), Figures()
    for kill in kills:
        asked = len(scene.sent())
        code = kill()
        assert code in {-9, 0, 3, 4}, code
        counts["kills"] += code == -9
        known = scene.check_resumed(known, asked)
    asked = len(scene.sent())
    code, out, err = scene.run()
    assert code in {0, 3, 4}, err
    scene.check_resumed(known, asked)
    ended = json.loads(out)
    scene.check_end(ended, record, crashes=counts["kills"])
    return counts + _asked_twice(scene)


def _asked_twice(scene: Scene) -> Figures:
    return Figures(asked=len(scene.sent()), again=len(scene.sent()) - 2 * scene.cases, jobs=1)


def daemon_harmed(
    scene: Scene, record: Record, chance: Random, harms: int, *, number: int = signal.SIGKILL, alter: str = ""
) -> Figures:
    """`serve` with clients, sent a signal at any time, again and again; then the job is let end.

    SIGTERM: it also ends with exit code 0, and nothing at all is asked twice.
    """
    scene.forget()
    counts, known, told = Figures(), set[Key](), list[Told]()
    job_id = ""
    daemon = Followed(scene.folder, prefix=altered(alter) if alter else ())
    for _ in range(harms):
        asked = len(scene.sent())
        job_id = job_id or daemon.send(scene)
        told.append(daemon.follow(job_id))
        time.sleep(chance.uniform(0, 0.6))
        harmed = daemon.process.poll() is None
        code = daemon.stop(number)
        told[-1].join(30)
        assert code == (0 if number == signal.SIGTERM else -number), daemon.log
        counts["kills" if number == signal.SIGKILL else "stops"] += harmed
        known = scene.check_resumed(known, asked)
        for each in told:
            each.check(scene.left(), time.time())
        daemon = Followed(scene.folder, prefix=altered(alter) if alter else ())
    ended = daemon.decision(job_id)
    assert daemon.stop() == 0
    crashes = counts["kills"]
    scene.check_end(ended, record, crashes=crashes)
    assert number != signal.SIGTERM or len(scene.sent()) == 2 * scene.cases, "a stop made it ask twice"
    return counts + _asked_twice(scene)


def told_and_logged(scene: Scene, *, alter: str = "") -> tuple[list[power.Call], Told]:
    """A daemon that does a whole job: all it wrote, and what a client was told meanwhile."""
    scene.forget()
    with tempfile.TemporaryDirectory(dir=scene.folder) as logs:
        log = Path(logs) / "log"
        daemon = Followed(scene.folder, prefix=(*recorded(log), *(altered(alter) if alter else ())))
        told = daemon.follow(daemon.send(scene))
        told.join(60)
        assert told.news[-1].state == "done", daemon.log
        assert daemon.stop() == 0, daemon.log
        return power.calls_of(log, scene.database), told


def power_cuts(scene: Scene, chance: Random, cuts: int, *, alter: str = "") -> tuple[Figures, list[power.Cut]]:
    """Cuts the power of one daemon at any of its system calls; gives some of what was found, unharmed ones, too.

    Losses are counted (``lost``) and not raised: the control has to have some.
    """
    calls, told = told_and_logged(scene, alter=alter)
    counts, some = Figures(jobs=1, calls=len(calls)), list[power.Cut]()
    for _ in range(cuts):
        cut = power.cut({}, calls, chance.randrange(len(calls) + 1), chance)
        counts["cuts"] += 1
        with tempfile.TemporaryDirectory(dir=_memory()) as folder:
            try:
                told.check(_found(cut, scene, Path(folder)), cut.at)
            except Exception as error:  # noqa: BLE001 - a damaged database may raise anything
                counts["lost"] += 1
                counts[str(error)[:80]] += 1
            else:
                some.append(cut)
    return counts, some


def _memory() -> Path | None:
    """Where files need no disk."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() else None


def _found(cut: power.Cut, scene: Scene, folder: Path) -> Contents:
    write(cut, scene, folder)
    database = folder / scene.database.name
    return contents(database) if database.exists() else Contents()


def write(cut: power.Cut, scene: Scene, folder: Path) -> None:
    """The files that were found after a cut, in a folder."""
    for path, data in cut.files.items():
        there = folder / Path(path).relative_to(scene.folder)
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_bytes(data)


def goes_on(cut: power.Cut, scene: Scene, record: Record) -> Figures:
    """A real daemon goes on from what a cut left; where the job itself was not accepted yet, it is sent again."""
    with tempfile.TemporaryDirectory() as folder:
        write(cut, scene, Path(folder))
        for name in ("config.toml", "job.toml", "cases.jsonl"):
            (Path(folder) / name).write_bytes((scene.folder / name).read_bytes())
        daemon = Followed(Path(folder))
        try:
            jobs = daemon.ask("/api/v1/jobs")[1]["items"]
            ended = daemon.decision(jobs[0]["id"] if jobs else daemon.send(scene))
            assert essence(ended) == essence(record)
        finally:
            code = daemon.stop()
        assert code == 0
    return Figures(continued=1)
