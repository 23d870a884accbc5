"""A few cases, run to learn what a plan can only assume."""

from __future__ import annotations

from pathlib import Path

from evalsvc.app.plan import Pilot, asked_of
from evalsvc.app.prepare import PreparedJob
from evalsvc.app.run import Display, run_job
from evalsvc.engine.finalizer import judged_labels
from evalsvc.store.database import open_database
from evalsvc.store.views import Views


async def run_pilot(prepared: PreparedJob, *, display: Display, patience_s: float) -> Pilot:
    """Run a job (one prepared with a ``limit``) as `run` does, and keep what it saw. Raises as `run_job`."""
    finished = await run_job(prepared, display=display, patience_s=patience_s)
    async with open_database(Path(prepared.config.store.path)) as database:
        judged = judged_labels(prepared.job)
        evidence = await Views(database).evidence(prepared.job, finished.job_id, judged=judged)
    return Pilot(job_id=finished.job_id, asked=asked_of(prepared), evidence=evidence)
