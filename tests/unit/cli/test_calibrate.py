"""`evalsvc calibrate --url`: what is asked of the daemon, and under which key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evalsvc.app.calibrate import MOST_RESAMPLES
from evalsvc.cli import calibrate as module
from evalsvc.errors import InputError

JOB = """
name = "n"
[candidate]
endpoint = "up"
model = "m"
[baseline]
endpoint = "up"
model = "b"
[[suites]]
name = "s"
role = "target"
dataset = "cases.jsonl"
scorer = "exact_match"
"""


class FakeDaemon:
    """Files a job a key; the first two were cancelled."""

    def __init__(self) -> None:
        self.keys: dict[str, str] = {}
        self.dealt: list[tuple[str, int, str]] = []

    def submit(self, _: Path, files: Any, *, key: str, **query: Any) -> dict[str, Any]:
        assert files
        assert query["itself"] is True
        job_id = self.keys.setdefault(key, f"j{len(self.keys)}")
        return {"id": job_id, "state": "cancelled" if job_id in {"j0", "j1"} else "done"}

    def find(self, wanted: str) -> str:
        return wanted

    def calibrate(self, job_id: str, resamples: int, key: str) -> dict[str, Any]:
        self.dealt.append((job_id, resamples, key))
        return {}


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "follow", lambda *_: 0)
    (tmp_path / "cases.jsonl").write_text('{"id": "a", "input": "q", "expected": "x"}\n')
    (tmp_path / "job.toml").write_text(JOB)
    return tmp_path / "job.toml"


def test_the_job_after_cancelled_ones_is_found_again(job: Path) -> None:
    daemon: Any = FakeDaemon()
    for _ in range(2):
        module._by_daemon(daemon, job, None, None, 5)
    assert list(daemon.keys.values()) == ["j0", "j1", "j2"]
    assert [each[:2] for each in daemon.dealt] == [("j2", 5)] * 2
    assert len(daemon.dealt[0][2]) == 64


def test_more_deals_than_a_daemon_makes_are_refused_before_anything_is_sent(job: Path) -> None:
    daemon: Any = FakeDaemon()
    with pytest.raises(InputError, match="at most 10,000 times, got 10,001"):
        module._by_daemon(daemon, job, None, None, MOST_RESAMPLES + 1)
    assert not daemon.keys
