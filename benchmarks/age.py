"""A daemon that grows old: small jobs in a row, finished ones removed, and what its process holds on to.

``python benchmarks/age.py [--jobs N] [--every N] [--cases N] [--keep-s S]``; needs nginx. A table: what stands
after every so many jobs; then what each figure grew by over the second half, a thousand jobs.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from time import perf_counter

import aiohttp
import numpy as np
from bench import Unmeasured, machine, nginx, write_job
from daemon import Daemon, daemon, threads

_DAY_S = 86_400.0
_IN_FLIGHT = 8
_SCRAPES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What stands after so many jobs: memory, files and threads of the process, tasks of its loop, sizes, a scrape."""

    jobs: float
    rss_mb: float
    fds: float
    threads: float
    tasks: float
    wal_mb: float
    db_mb: float
    filed: float
    series: float
    scrape_ms: float


def main() -> None:
    """Run the jobs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--every", type=int, default=100, help="jobs between two lines of the table")
    parser.add_argument("--cases", type=int, default=10, help="of each job")
    parser.add_argument("--keep-s", type=float, default=20.0, help="seconds a finished job is kept")
    chosen = parser.parse_args()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as name:
        try:
            asyncio.run(run(chosen, Path(name)))
        except Unmeasured as reason:
            sys.exit(f"not measured: {reason}")


async def run(chosen: argparse.Namespace, folder: Path) -> None:
    """The daemon's life."""
    samples: list[Sample] = []
    with nginx(folder) as port:
        write_job(folder, chosen.cases, f"http://127.0.0.1:{port}/v1", _IN_FLIGHT)
        with (folder / "config.toml").open("a") as config:
            config.write(f"[store]\nkeep_days = {chosen.keep_s / _DAY_S!r}\n")
        job, rows = (folder / "job.toml").read_text(), (folder / "cases.jsonl").read_bytes()
        names = [field.name for field in fields(Sample)]
        print(" ".join(f"{name:>9}" for name in names))
        with daemon(folder) as here:
            async with aiohttp.ClientSession(here.url) as session:
                began = perf_counter()
                for number in range(1, chosen.jobs + 1):
                    # every job asks models of its own, as fine-tunes do: what is counted by model must not pile up
                    named = job.replace('"benchmark"', f'"job {number}"').replace('"constant"', f'"tuned-{number}"')
                    await _through(here, session, named, rows)
                    if number % chosen.every == 0:
                        samples.append(await _sample(here, session, folder, number))
                        print(" ".join(f"{value:9.1f}" for value in astuple(samples[-1])), flush=True)
                print(f"{chosen.jobs} jobs in {perf_counter() - began:.0f} s")
    report(samples)


async def _through(here: Daemon, session: aiohttp.ClientSession, job: str, rows: bytes) -> None:
    """A job from its submission to its decision, followed by its events as `submit --watch` does."""
    job_id = await here.submit(session, job, rows)
    async with session.get(f"/api/v1/jobs/{job_id}/events") as answer:
        async for _ in answer.content:
            pass
    state = (await here.job(session, job_id))["state"]
    if state != "done":
        raise Unmeasured(f"job {job_id} is {state}")


async def _sample(here: Daemon, session: aiohttp.ClientSession, folder: Path, number: int) -> Sample:
    took, text = [], ""
    for _ in range(_SCRAPES):
        began = perf_counter()
        async with session.get("/metrics") as answer:
            text = await answer.text()
        took.append(perf_counter() - began)
    values = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    found = {name: float(value) for name, value in values}
    return Sample(
        jobs=number,
        rss_mb=found["process_resident_memory_bytes"] / 2**20,
        fds=found["process_open_fds"],
        threads=threads(here.pid),
        tasks=found["evalsvc_event_loop_tasks"],
        wal_mb=(folder / "evalsvc.db-wal").stat().st_size / 2**20,
        db_mb=(folder / "evalsvc.db").stat().st_size / 2**20,
        filed=sum(value for name, value in found.items() if name.startswith("evalsvc_jobs{")),
        series=len(values),
        scrape_ms=max(took) * 1000,
    )


def report(samples: Sequence[Sample]) -> None:
    """Print what each figure grew by over the second half, by a straight line through it."""
    half = samples[len(samples) // 2 :]
    if len(half) < 3:
        return
    jobs = np.array([sample.jobs for sample in half])
    for field in fields(Sample)[1:]:
        values = np.array([getattr(sample, field.name) for sample in half])
        slope = float(np.polyfit(jobs, values, 1)[0]) * 1000
        print(f"{field.name:10} {values.min():9.1f} to {values.max():9.1f}, {slope:+8.2f} a thousand jobs")


if __name__ == "__main__":
    main()
