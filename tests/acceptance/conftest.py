"""What the proofs of reliability share: one job, and what an uninterrupted run makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import need
from faults.rounds import golden as golden_of
from faults.scene import Scene, contents

CASES = 60


@pytest.fixture(scope="session")
def strace() -> str:
    """Debian's strace."""
    return need("strace")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that holds the scene's job, done without interruption."""
    with Scene(tmp_path_factory.mktemp("golden"), cases=CASES) as scene:
        golden_of(scene)
        return scene.database


@pytest.fixture(scope="session")
def golden(finished: Path) -> dict[str, Any]:
    """The record of that job."""
    (record,) = contents(finished).records.values()
    return record


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """The job in a folder of its own; it takes some commits."""
    with Scene(tmp_path, cases=CASES, answer_s=0.006) as scene:
        yield scene
