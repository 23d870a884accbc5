from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from evalsvc.core.records import Case, Role, SuiteSpec
from evalsvc.errors import JobError
from evalsvc.suites import detect, read_suite


@dataclass
class Given:
    """A data set as a file, and what becomes of it."""

    path: Path
    format: str = "auto"
    fields: Mapping[str, str] = field(default_factory=dict)
    max_row_bytes: int = 2**20

    @property
    def spec(self) -> SuiteSpec:
        return SuiteSpec(
            name="s", role=Role.TARGET, dataset="d", format=self.format, scorers=(), fields=dict(self.fields)
        )

    @property
    def detected(self) -> str:
        return detect(self.path, self.spec, name_for_errors=self.path.name, max_row_bytes=self.max_row_bytes)

    @property
    def cases(self) -> list[Case]:
        options: dict[str, Any] = {"name_for_errors": self.path.name, "max_row_bytes": self.max_row_bytes}
        return list(read_suite(self.path, self.spec, **options))

    @property
    def case(self) -> Case:
        (case,) = self.cases
        return case

    @property
    def error(self) -> str:
        with pytest.raises(JobError) as error:
            _ = self.cases
        return str(error.value)


@pytest.fixture
def given_rows(tmp_path: Path) -> Callable[..., Given]:
    """Rows as JSONL."""

    def write(*rows: Any, name: str = "d.jsonl", **options: Any) -> Given:
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return Given(tmp_path / name, **options)

    return write


@pytest.fixture
def given_file(tmp_path: Path) -> Callable[..., Given]:
    """A file by name and content."""

    def write(name: str, content: bytes | str, **options: Any) -> Given:
        raw = content.encode() if isinstance(content, str) else content
        (tmp_path / name).write_bytes(raw)
        return Given(tmp_path / name, **options)

    return write
