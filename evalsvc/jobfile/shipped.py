"""The suites that come with evalsvc, which a job names instead of a file: ``dataset = "shipped:general_knowledge"``."""

from __future__ import annotations

from pathlib import Path

import evalsvc
from evalsvc.core.nearest import did_you_mean

#: What a data set's name begins with that comes with evalsvc.
PREFIX = "shipped:"

_FOLDER = Path(evalsvc.__file__).parent / "suites" / "shipped"


def names() -> list[str]:
    """The suites that come with evalsvc, by name."""
    return sorted(path.parent.name for path in _FOLDER.glob("*/cases.jsonl"))


def path_of(dataset: str) -> Path:
    """Where the data set lies that a job calls ``shipped:NAME``. Raises ValueError that lists the known ones."""
    name = dataset.removeprefix(PREFIX)
    if name not in names():
        known = f"{did_you_mean(name, names())}known: {', '.join(names())}"
        raise ValueError(f'no suite "{name}" comes with evalsvc; {known}')
    return _FOLDER / name / "cases.jsonl"
