import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import evalsvc.scoring  # noqa: F401 - importing the package registers its scorers
from evalsvc.core.records import Case, Completion, Score, ScorerSpec
from evalsvc.scoring.base import Scorer, build

DATA = Path(__file__).resolve().parents[3] / "../shared/data"


def make_case(expected: Any = None, **fields: Any) -> Case:
    return Case(suite="s", id="1", category="c", input="?", expected=expected, **fields)


@pytest.fixture(scope="session")
def case() -> Callable[..., Case]:
    return make_case


@pytest.fixture(scope="session")
def make() -> Callable[..., Scorer]:
    """make(name, **options)."""
    return lambda name, **options: build(ScorerSpec(name=name, label=name, options=options))


@pytest.fixture(scope="session")
def score(make: Callable[..., Scorer]) -> Callable[..., Score]:
    """score(name, text, expected, **options)."""

    def run(name: str, text: str, expected: Any = None, **options: Any) -> Score:
        return make(name, **options).score(make_case(expected), Completion(text=text))

    return run


@pytest.fixture(scope="session")
def recorded() -> Callable[[str], list[dict[str, Any]]]:
    """The rows of a file of recorded data; skips where it is absent."""

    def read(name: str) -> list[dict[str, Any]]:
        path = DATA / name
        if not path.exists():
            pytest.skip(f"recorded data {name} is not on this machine")
        text = path.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()] if name.endswith("l") else [json.loads(text)]

    return read
