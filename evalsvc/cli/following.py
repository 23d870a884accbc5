"""A job of the daemon, followed to its end: lines on stderr, and the exit code that its decision means."""

from __future__ import annotations

from typing import Any

import click

from evalsvc.app.reading import inert as plain
from evalsvc.cli.client import Client
from evalsvc.cli.decided import say
from evalsvc.cli.main import FAILED


def follow(client: Client, job_id: str, *, quiet: bool = False) -> int:
    """Wait until a job has ended; gives the exit code. What happens is told on stderr, unless ``quiet``."""
    state: dict[str, Any] = {}
    reasons: list[str] = []
    for name, data in client.follow(job_id):
        if name == "decision":
            reasons = data["reasons"]
            continue
        if name == "state":
            state = data
        line = None if quiet else _line(name, data)
        if line is not None:
            click.echo(line, err=True)
    job = client.job(job_id)
    if job["decision"] is not None:
        return say(job["decision"], reasons, simulated=bool(job.get("simulated")))
    reason = job["reason"] or state.get("reason")
    click.echo(f"evalsvc: job {job_id} is {job['state']}" + (f": {plain(reason)}" if reason else ""), err=True)
    return FAILED


def _line(name: str, data: dict[str, Any]) -> str | None:
    if name == "state":
        reason = f": {plain(data['reason'])}" if data.get("reason") else ""
        return f"{data['state']}{reason}"
    if name == "progress":
        return _progress(data)
    return f"{data['verdict']:<13} {data['name']}: {plain(data['reason'] or '')}" if name == "gate" else None


def _progress(data: dict[str, Any]) -> str:
    parts = [f"{data['recorded']}/{data['total']} {data['rate']:,.0f}/s"]
    if data.get("eta_s") is not None:
        minutes, seconds = divmod(round(data["eta_s"]), 60)
        parts.append(f"{minutes}:{seconds:02} left")
    parts += [f"{arm} {score:.1%}" for arm, score in sorted(data.get("scores", {}).items())]
    return " · ".join(parts)
