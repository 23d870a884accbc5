"""Deals a job's answers in a process of its own: it takes no time from the loop that measures latencies.

A process also ends at once when nobody waits for it, which a thread does not.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import anyio
import orjson

from evalsvc.api.reports import environment
from evalsvc.app.plugins import load_modules
from evalsvc.app.reading import one_job, run
from evalsvc.core.records import Arm
from evalsvc.decide.calibration import calibrate
from evalsvc.errors import EvalsvcError
from evalsvc.store.views import Views

#: How far it stands back behind the daemon.
_NICE = 10
#: What it may say on stderr before it is cut.
_SAID = 4000


async def deal_apart(
    database: Path, job_id: str, arms: Collection[Arm], each: int, resamples: int, plugins: Sequence[str] = ()
) -> dict[str, Any]:
    """What `evalsvc.decide.calibration.calibrate` finds; the process is killed when this is cancelled.

    Args:
        database: where the job is; it may be in use.
        job_id: a decided job.
        arms: those whose answers are dealt.
        each: so many of a case, those of all arms together.
        resamples: how many deals.
        plugins: modules that bring gates.

    Raises:
        EvalsvcError: the process failed, with what it said.
    """
    given = (str(database), job_id, ",".join(arms), str(each), str(resamples), *plugins)
    command = [sys.executable, "-P", "-m", "evalsvc.app.dealing", *given]
    done = await anyio.run_process(command, env=environment(), check=False)
    if done.returncode == 0:
        found: dict[str, Any] = orjson.loads(done.stdout)
        return found
    said = done.stderr.decode("utf-8", "replace")[-_SAID:]
    raise EvalsvcError(f"a process that deals answers ended with {done.returncode}: {said}")


def main(arguments: Sequence[str]) -> None:
    """The process: prints what it finds as JSON."""
    database, wanted, arms, each, resamples, *plugins = arguments
    os.nice(_NICE)
    load_modules(plugins)

    async def read() -> dict[str, Any]:
        async with one_job(Path(database), wanted) as (reader, listing, job_id):
            job = await listing.job(job_id)
            repeats = await Views(reader).repeats(job, job_id, [Arm(arm) for arm in arms.split(",")], int(each))
        return calibrate(job, repeats, resamples=int(resamples), seed=job.seed)

    sys.stdout.buffer.write(orjson.dumps(run(read)))


if __name__ == "__main__":
    main(sys.argv[1:])
