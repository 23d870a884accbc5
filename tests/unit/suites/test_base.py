from __future__ import annotations

import io
from pathlib import Path

import pytest

from evalsvc.core.records import Role, SuiteSpec
from evalsvc.errors import JobError
from evalsvc.suites import FORMATS, DataSet, read_suite
from evalsvc.suites.base import Ids, rows


def spec(format_: str) -> SuiteSpec:
    return SuiteSpec(name="one", role=Role.TARGET, dataset="d", format=format_, scorers=())


def error_of(path: Path, format_: str, name: str) -> str:
    with pytest.raises(JobError) as error:
        list(read_suite(path, spec(format_), name_for_errors=name))
    return str(error.value)


def test_auto_finds_the_format(tmp_path: Path) -> None:
    path = tmp_path / "d.txt"
    path.write_text('{"input": "a"}\n')
    assert [case.input for case in read_suite(path, spec("auto"), name_for_errors="d.txt")] == ["a"]


def test_what_no_format_knows(tmp_path: Path) -> None:
    path = tmp_path / "d"
    path.write_text("a,b\n1,2\n")
    assert error_of(path, "auto", "d.txt") == (
        "d.txt:1: not JSON: broken off or malformed at column 1; rows are objects of JSON, or name the file .csv"
    )
    assert error_of(path, "cvs", "d.csv") == (
        f"""d.csv: unknown format 'cvs'; did you mean "csv"? known: {", ".join(FORMATS)}"""
    )
    path.write_text('{"question": "?", "answer": "!"}\n')
    assert error_of(path, "auto", "d.jsonl").startswith(
        "d.jsonl:1: no known format has rows of these keys: question, answer; say where a case's are found "
        '([suites.fields] input = "question"), or name a format: bfcl, chat-finetune, '
    )


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_a_data_set_without_cases(tmp_path: Path, content: str) -> None:
    path = tmp_path / "d"
    path.write_text(content)
    assert error_of(path, "auto", "d.jsonl") == "d.jsonl: holds no cases"
    assert error_of(path, "native", "d") == "d: holds no cases"


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    assert error_of(tmp_path / "none", "auto", "d.jsonl") == "d.jsonl: cannot be read: No such file or directory"
    assert error_of(tmp_path, "auto", "d.jsonl") == "d.jsonl: cannot be read: Is a directory"


class CountingFile(io.BytesIO):
    """A file that notes how much was asked for at once."""

    asked = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert size >= 0, "an unbounded read"
        self.asked = max(self.asked, size)
        return super().readline(size)


def test_a_giant_row_is_never_read_whole() -> None:
    file = CountingFile(b'{"input": "' + b"x" * 100_000)
    with pytest.raises(JobError):
        list(rows(file, DataSet(suite="one", name="d", max_row_bytes=1000)))
    assert file.asked <= 1001
    assert file.tell() <= 1001


def test_ids_are_new_once() -> None:
    ids = Ids()
    assert [ids.is_new(text) for text in ("a", "b", "a", "")] == [True, True, False, True]


def test_every_format_refuses_nothing_at_all_without_a_crash() -> None:
    for name in FORMATS:
        assert isinstance(FORMATS[name].sniff(b"", "x"), bool)
