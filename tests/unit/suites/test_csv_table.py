from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

File = Callable[..., Any]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("d.csv", "input,expected,category\n2+2?,4,sums\n"),
        ("D.CSV", "\ufeffinput,expected,category\r\n2+2?,4,sums"),
        ("d.csv", "input;expected;category\n2+2?;4;sums\n"),
        ("d.tsv", "input\texpected\tcategory\n\n2+2?\t4\tsums\n"),
        ("d.csv", '"input" , expected,category\n"2+2?",4,sums\n'.replace('"input" ', '"input"')),
    ],
)
def test_a_table_with_the_names_of_native_keys(given_file: File, name: str, content: str) -> None:
    file = given_file(name, content)
    assert file.detected == "csv"
    assert (file.case.input, file.case.expected, file.case.category) == ("2+2?", "4", "sums")


def test_other_columns_are_mapped_or_kept(given_file: File) -> None:
    file = given_file("d.csv", "question,answer,source\n2+2?,4,x\n", fields={"input": "question", "expected": "answer"})
    assert (file.case.input, file.case.expected, file.case.metadata) == ("2+2?", "4", {"source": "x"})
    file.fields = {}
    assert file.error.startswith("d.csv:2: input: missing; say where it is found, ")
    assert file.error.endswith("; there are: question, answer, source")


def test_an_empty_cell_is_nothing(given_file: File) -> None:
    case = given_file("d.csv", "input,expected,category,id,schema\n?,,,,\n").case
    assert (case.expected, case.category, case.schema) == (None, "uncategorized", None)


def test_a_cell_over_lines_and_the_line_of_its_row(given_file: File) -> None:
    file = given_file("d.csv", 'input,expected\n"a\n""b"",\nc",1\nd,2\n')
    assert [(case.input, case.line) for case in file.cases] == [('a\n"b",\nc', 2), ("d", 5)]
    assert given_file("d.csv", 'input,id\n"a\nb",1\nc,1\n').error == (
        'd.csv:4: id: duplicate id "1": an earlier row has it'
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("input,expected\na\n", "d.csv:2: has 1 cells, the header has 2"),
        ("input,expected\na,b,c\n", "d.csv:2: has 3 cells, the header has 2"),
        ("input,input\na,b\n", 'd.csv:1: the column "input" stands twice in the header'),
        ('input\n"a\n', "d.csv:2: not CSV: unexpected end of data"),
        ('input\n"a"b\n', "d.csv:2: not CSV: "),
        ("input\ra\r", "d.csv:1: not CSV: a line ends in a lone carriage return"),
        ("input\na\n".encode("utf-16"), "d.csv:1: not UTF-8: byte 0xff at offset 0 of the line"),
        (b"input\na\nb\xe9\n", "d.csv:3: not UTF-8: byte 0xe9 at offset 1 of the line"),
        ("", "d.csv: holds no cases"),
        ("input,expected\n", "d.csv: holds no cases"),
        (",".join(f"c{i}" for i in range(10_001)), "d.csv:1: has 10001 columns; the most is 10000"),
    ],
)
def test_bad_tables(given_file: File, content: Any, message: str) -> None:
    assert given_file("d.csv", content).error.startswith(message)


def test_a_row_that_never_ends_is_bounded(given_file: File) -> None:
    for endless in ("x" * 5000, "x\n" * 2500):
        file = given_file("d.csv", f'input\nfirst\n"{endless}', max_row_bytes=2000)
        assert file.error.startswith("d.csv:3: a row of more than 2000 bytes")
    assert given_file("d.csv", "input\n" + "x\n" * 5000, max_row_bytes=2000).cases


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.tuples(st.text(st.characters(codec="utf-8"), min_size=1), st.sampled_from("123")), min_size=1),
    st.sampled_from(",;\t"),
)
def test_what_is_written_is_read(given_file: File, rows: list[tuple[str, str]], delimiter: str) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([("input", "expected"), *rows])
    cases = given_file("d.csv", text.getvalue().encode()).cases
    assert [(case.input, case.expected) for case in cases] == rows
