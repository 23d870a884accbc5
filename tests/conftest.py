"""What all tests share: real parts are asked for here, and their absence is said, not hidden."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, the loop the house runs on."""
    return "asyncio"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded data beside the checkout."""
    folder = ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("no recorded data beside this checkout")
    return folder


def need(program: str) -> str:
    """The path of a Debian program; its absence skips the test, or fails it where no skip is allowed."""
    path = shutil.which(program)
    if path is None and os.environ.get("EVALSVC_TESTS_MAY_SKIP") == "no":
        pytest.fail(f"{program} is not installed, and this run allows no skip")
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


@pytest.fixture(scope="session")
def chromium() -> str:
    """Debian's Chromium."""
    return need("chromium")
