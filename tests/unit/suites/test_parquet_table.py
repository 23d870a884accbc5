from __future__ import annotations

import builtins
import datetime as dt
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from evalsvc.errors import JobError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

File = Callable[..., Any]


@pytest.fixture
def given_table(tmp_path: Path, given_file: File) -> File:
    """A Parquet file of columns."""

    def write(columns: dict[str, Any], *, name: str = "d.parquet", **options: Any) -> Any:
        pq.write_table(pa.table(columns), tmp_path / name)
        return given_file(name, (tmp_path / name).read_bytes(), **options)

    return write


@pytest.mark.parametrize("name", ["d.parquet", "d", "d.jsonl"])
def test_columns_called_like_native_keys(given_table: File, name: str) -> None:
    file = given_table({"input": ["a", "b"], "expected": ["x", None], "level": [1, 2]}, name=name)
    assert file.detected == "parquet"
    first, second = file.cases
    assert (first.input, first.expected, first.metadata) == ("a", "x", {"level": 1})
    assert (second.input, second.expected, second.line) == ("b", None, 2)


def test_columns_are_mapped(given_table: File) -> None:
    table = {"question": ["?"], "choices": [["3", "4"]], "answer": [1], "subject": ["sums"], "id": [7.0]}
    fields = {"input": "question", "choices": "choices", "expected": "answer", "category": "subject"}
    case = given_table(table, fields=fields).case
    assert (case.input, case.expected, case.category, case.id) == ("?\n\nA) 3\nB) 4", "B", "sums", "7")


def test_rows_of_another_format_are_known_by_their_columns(given_table: File) -> None:
    chat = [[{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}]]
    file = given_table({"messages": chat})
    assert file.detected == "chat-finetune"
    assert (file.case.input, file.case.expected) == ("2+2?", "4")
    file = given_table({"input": ["2+2?"], "ideal": [["4", "four"]]})
    assert (file.detected, file.case.expected) == ("openai-evals", ["4", "four"])


def test_values_that_json_has_not(given_table: File) -> None:
    when = dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    case = given_table(
        {
            "input": ["?"],
            "when": [when],
            "day": [when.date()],
            "price": [Decimal("1.50")],
            "none": [float("nan")],
            "took": [dt.timedelta(seconds=2)],
            "picture": [b"\xff"],
            "deep": [{"picture": b"\xff", "x": 1}],
        }
    ).case
    assert case.metadata == {
        "when": "2024-01-02T03:04:05+00:00",
        "day": "2024-01-02",
        "price": "1.50",
        "none": None,
        "took": 2.0,
    }


def test_more_rows_than_are_read_at_once(given_table: File) -> None:
    cases = given_table({"input": [f"{i}?" for i in range(1000)]}).cases
    assert [case.input for case in cases] == [f"{i}?" for i in range(1000)]
    assert cases[-1].line == 1000


def test_a_row_beyond_the_limit(given_table: File) -> None:
    file = given_table({"input": ["a", "x" * 5000]}, max_row_bytes=2000)
    assert file.error == "d.parquet:2: a row of more than 2000 bytes ([engine] max_row_mb in config.toml)"


@pytest.mark.parametrize("content", [b"PAR1", b"PAR1" + b"\0" * 100 + b"PAR1", b"PAR1" + b"\xff" * 100 + b"\x7fPAR1"])
def test_what_is_no_parquet(given_file: File, content: bytes) -> None:
    assert given_file("d.parquet", content).error.startswith("d.parquet:1: not Parquet that can be read: ")


def test_a_damaged_file_is_one_error(given_table: File, given_file: File) -> None:
    raw = given_table({"input": ["a" * 100, "b" * 100] * 50}).path.read_bytes()
    for place in range(4, len(raw) - 4, 97):
        damaged = given_file("d.parquet", raw[:place] + b"\xff\xff\xff\xff" + raw[place + 4 :])
        with suppress(JobError):
            assert len(damaged.cases) <= 100


def test_without_pyarrow_the_error_says_what_to_install(given_table: File, monkeypatch: pytest.MonkeyPatch) -> None:
    file = given_table({"input": ["a"]})
    real = builtins.__import__

    def importing(name: str, *args: Any, **options: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", importing)
    assert file.error == "d.parquet: Parquet needs pyarrow: pip install 'evalsvc[parquet]'"
