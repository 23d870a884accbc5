"""The JSON Schemas of what people write."""

from __future__ import annotations

from typing import Any

from evalsvc import config, jobfile


def schema(what: str) -> dict[str, Any]:
    """The JSON Schema of ``job`` or ``config``."""
    return jobfile.schema() if what == "job" else config.schema()
