"""A job file that was uploaded: the same job, the same errors, and no file but those that came with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalsvc import jobfile
from evalsvc.errors import JobError

TEXT = """name = "j"
seed = 1
[candidate]
endpoint = "e"
model = "m"
[baseline]
endpoint = "e"
model = "n"
[[suites]]
name = "s"
role = "target"
dataset = "{dataset}"
scorer = "exact_match"
"""


def uploaded(tmp_path: Path, dataset: str) -> tuple[bytes, dict[str, Path]]:
    path = tmp_path / "somewhere"
    path.write_text('{"input": "q", "expected": "a"}\n')
    return TEXT.replace("{dataset}", dataset).encode(), {dataset: path}


@pytest.mark.parametrize("dataset", ["one.jsonl", "sub/one.jsonl", "../../etc/passwd", "/etc/passwd"])
def test_an_uploaded_job_is_the_job_as_read_here(tmp_path: Path, dataset: str) -> None:
    raw, files = uploaded(tmp_path, dataset)
    read = jobfile.read_upload(raw, files, limit=3)
    assert (read.files, read.names) == (files, {dataset: dataset})
    if dataset == "one.jsonl":
        (tmp_path / "one.jsonl").write_bytes(files[dataset].read_bytes())
        (tmp_path / "job.toml").write_bytes(raw)
        here = jobfile.read(tmp_path / "job.toml", limit=3)
        assert here.job == read.job
        assert here.names == {dataset: str(tmp_path / dataset)}


@pytest.mark.parametrize("dataset", ["one.jsonl", "/etc/hostname", "/proc/self/environ", "../job.toml"])
def test_no_file_of_the_daemon_s_is_opened(tmp_path: Path, dataset: str) -> None:
    raw, _ = uploaded(tmp_path, dataset)
    with pytest.raises(JobError) as caught:
        jobfile.read_upload(raw, {})
    said = f"job.toml:12: suites[0].dataset: cannot read {dataset}: it did not come with the job"
    assert str(caught.value) == said


def test_a_file_that_the_job_does_not_name_is_a_mistake(tmp_path: Path) -> None:
    raw, files = uploaded(tmp_path, "one.jsonl")
    with pytest.raises(JobError, match=r'job.toml: the job names no file "two.jsonl"; it names: one.jsonl'):
        jobfile.read_upload(raw, {**files, "two.jsonl": tmp_path})


def test_a_file_that_changed_is_called_by_its_name(tmp_path: Path) -> None:
    raw, files = uploaded(tmp_path, "one.jsonl")
    read = jobfile.read_upload(raw, files)
    read.check_unchanged()
    files["one.jsonl"].write_text("else")
    with pytest.raises(JobError, match=r"^one.jsonl: changed while it was being read"):
        read.check_unchanged()
