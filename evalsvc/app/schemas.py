"""The JSON Schemas of what people write, and of what they get."""

from __future__ import annotations

from typing import Any

from evalsvc import config, jobfile


def schema(what: str) -> dict[str, Any]:
    """The JSON Schema of ``job``, ``config`` or ``decision``."""
    if what == "decision":
        from evalsvc.decide.schema import schema as of_record  # noqa: PLC0415 - brings the statistics with it

        return of_record()
    return jobfile.schema() if what == "job" else config.schema()
