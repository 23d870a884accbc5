from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalsvc.core.records import Case, Role, SuiteSpec
from evalsvc.errors import JobError
from evalsvc.suites import FORMATS, detect, read_suite

SPEC = SuiteSpec(name="one", role=Role.TARGET, dataset="d.jsonl", format="native", scorers=())
SHARED = Path(__file__).resolve().parents[3] / "../shared/data"
Read = Callable[..., list[Case]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    path = tmp_path / "d.jsonl"

    def read_rows(*rows: Any, end: str = "\n", **options: Any) -> list[Case]:
        raw = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        path.write_bytes(end.encode().join(raw) + end.encode())
        return list(read_suite(path, SPEC, name_for_errors="d.jsonl", **options))

    return read_rows


def error_of(read: Read, *rows: Any, **options: Any) -> str:
    with pytest.raises(JobError) as error:
        read(*rows, **options)
    return str(error.value)


def test_a_full_row(read: Read) -> None:
    tool = {"type": "function", "function": {"name": "f"}}
    row = {
        "id": "c1",
        "input": [{"role": "user", "content": "hi", "name": "x"}],
        "expected": [{"name": "f", "arguments": {}}],
        "category": "käse",
        "tools": [tool],
        "schema": {"type": "object"},
        "metadata": {"source": 1},
    }
    assert read(row) == [
        Case(
            suite="one",
            id="c1",
            category="käse",
            input=row["input"],  # type: ignore[arg-type]  # the row is a dict of everything
            expected=row["expected"],
            tools=[tool],
            schema={"type": "object"},
            metadata={"source": 1},
            position=0,
        )
    ]


def test_a_row_with_an_input_only(read: Read) -> None:
    (case,) = read({"input": "a"})
    assert (case.category, case.expected, case.tools, case.schema, case.metadata) == ("uncategorized", *[None] * 3, {})
    assert len(case.id) == 16
    assert int(case.id, 16)


def test_an_optional_key_that_is_null_is_as_if_not_given(read: Read) -> None:
    nothing = dict.fromkeys(("id", "expected", "category", "tools", "schema", "metadata"))
    assert read({"input": "a", **nothing}) == read({"input": "a"})


def test_the_id_of_a_row_without_one_stands_for_its_content(read: Read) -> None:
    first, second = read({"input": "a", "expected": "x"}, {"input": "a", "expected": "y"})
    assert first.id != second.id
    assert read(b'{ "expected": "x", "input": "\\u0061" }')[0].id == first.id


def test_an_integer_id_is_a_text_and_equal_to_the_text(read: Read) -> None:
    assert [case.id for case in read({"id": 7, "input": "a"}, {"id": "x", "input": "a"})] == ["7", "x"]
    assert error_of(read, {"id": 7, "input": "a"}, {"id": "7", "input": "b"}) == (
        'd.jsonl:2: id: duplicate id "7": an earlier row has it'
    )


@pytest.mark.parametrize(
    "expected", [None, "x", ["x", "y"], [], {"name": "f"}, [{"f": {"a": [1, ""]}}, {"g": {}}]], ids=repr
)
def test_what_may_be_expected(read: Read, expected: Any) -> None:
    assert read({"input": "a", "expected": expected})[0].expected == expected


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": ""}, {"role": "user", "content": [{"type": "text", "text": "x"}]}],
        [{"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}],
        [{"role": "assistant", "tool_calls": [{"id": "1"}]}, {"role": "tool", "content": "1", "tool_call_id": "1"}],
    ],
)
def test_messages_pass_as_they_are(read: Read, messages: Any) -> None:
    assert read({"input": messages})[0].input == messages


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n  \t\n"])
def test_line_ends_blank_lines_and_a_byte_order_mark(read: Read, end: str) -> None:
    cases = read(b'\xef\xbb\xbf{"input": "a"}', {"input": "b"}, end=end)
    assert [case.input for case in cases] == ["a", "b"]


def test_lines_are_counted_with_the_blank_ones(read: Read) -> None:
    assert error_of(read, {"input": "a"}, b"", b"  ", {"input": 1}).startswith("d.jsonl:4: input: ")


def test_a_last_row_without_a_line_end(read: Read) -> None:
    assert len(read({"input": "a"}, {"input": "b"}, end="\n")) == 2
    assert len(read(b'{"input": "a"}\n{"input": "b"}', end="")) == 2


PRINTABLE = "must be printable text on one line, without control characters"
KNOWN = "known: id, input, expected, category, tools, schema, metadata"
TEXTS = "a string, an object, an array of either, or null"
CONTENT = "a string or an array of parts"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b'{"input": "a', ": not JSON: broken off or malformed at column 11"),
        (b'{"input": "a"', ": not JSON: broken off or malformed at column 14"),
        (b'{"input": "a"} {"input": "b"}', ": not JSON: broken off or malformed at column 16"),
        (b'{"input": "\xe9"}', ": not UTF-8: byte 0xe9 at offset 11 of the row"),
        (b"\xff\xfe{\x00", ": not UTF-8: byte 0xff at offset 0 of the row"),
        (b'{"input": "a", "input": "b"}', ": input: stands twice in the same object"),
        (b'{"input": "a", "metadata": {"k": 1, "k": 1}}', ": metadata.k: stands twice in the same object"),
        (b'{"input": "a", "metadata": {"k": NaN}}', ": metadata.k: must be a finite number, got a number nan"),
        (b'{"input": "a", "metadata": {"k": Infinity}}', ": metadata.k: must be a finite number, got a number inf"),
        (
            b'{"input": "a", "metadata": {"k": [18446744073709551616]}}',
            ": metadata.k[0]: must be an integer of at most 64 bits; write it as a string",
        ),
        (b'{"input": "\\ud800"}', ": input: holds a lone surrogate (half of a character)"),
        ([1], ": a row must be an object, got an array"),
        ("x", ': a row must be an object, got a string "x"'),
        ({"inputs": "a"}, f': inputs: unknown key "inputs"; did you mean "input"? {KNOWN}'),
        ({"input": "a", "ideal": "b"}, f': ideal: unknown key "ideal"; {KNOWN}'),
        ({"id": "a"}, ": input: missing; the text or the chat messages the model is asked"),
        ({"input": None}, ": input: must be a string or an array of at least one message, got null"),
        ({"input": 5}, ": input: must be a string or an array of at least one message, got an integer 5"),
        ({"input": []}, ": input: must be a string or an array of at least one message, got an array"),
        (
            {"input": ["a"]},
            ': input[0]: must be a message: an object with "role" and "content", got a string "a"',
        ),
        (
            {"input": [{"role": "user", "content": "a"}, {"content": "a"}]},
            ": input[1].role: missing; a string such as user",
        ),
        ({"input": [{"role": 1, "content": "a"}]}, ": input[0].role: must be a string such as user, got an integer 1"),
        ({"input": [{"role": "user"}]}, f": input[0].content: missing; {CONTENT}"),
        ({"input": [{"role": "user", "content": None}]}, f": input[0].content: must be {CONTENT}, got null"),
        ({"input": [{"role": "user", "content": ["a"]}]}, f": input[0].content: must be {CONTENT}, got an array"),
        ({"input": "a", "expected": 42}, f": expected: must be {TEXTS}, got an integer 42"),
        ({"input": "a", "expected": ["a", 1]}, f": expected: must be {TEXTS}, got an array"),
        ({"input": "a", "expected": ["a", {}]}, f": expected: must be {TEXTS}, got an array"),
        ({"input": "a", "category": 1}, ": category: must be a string, got an integer 1"),
        ({"input": "a", "category": "a\nb"}, f": category: {PRINTABLE}"),
        ({"input": "a", "category": ""}, f": category: {PRINTABLE}"),
        ({"input": "a", "id": ""}, f": id: {PRINTABLE}"),
        ({"input": "a", "id": "\u0000"}, f": id: {PRINTABLE}"),
        ({"input": "a", "id": True}, ": id: must be a string or an integer, got true"),
        ({"input": "a", "id": 1.0}, ": id: must be a string or an integer, got a number 1.0"),
        ({"input": "a", "tools": {}}, ": tools: must be an array of objects, got an object"),
        ({"input": "a", "tools": ["f"]}, ": tools: must be an array of objects, got an array"),
        ({"input": "a", "schema": "x"}, ': schema: must be a JSON Schema: an object, true or false, got a string "x"'),
        ({"input": "a", "metadata": []}, ": metadata: must be an object, got an array"),
    ],
    ids=range(39),
)
def test_a_bad_row_is_an_error_with_file_line_and_key(read: Read, row: Any, message: str) -> None:
    assert error_of(read, {"input": "before"}, row) == "d.jsonl:2" + message


def test_duplicate_ids(read: Read) -> None:
    one, two, again = ({"id": "x", "input": text} for text in "abc")
    assert error_of(read, one, {**two, "id": "y"}, again) == 'd.jsonl:3: id: duplicate id "x": an earlier row has it'


def test_equal_rows_without_an_id(read: Read) -> None:
    case_id = read({"input": "a"})[0].id
    assert error_of(read, {"input": "a"}, {"input": "a"}) == (
        f'd.jsonl:2: id: duplicate id "{case_id}": an earlier row without an id has the same content; '
        "give each an id of its own, or remove one"
    )


def test_a_row_over_the_limit(read: Read) -> None:
    row = b'{"input": "' + b"x" * 100 + b'"}'
    assert len(read(row, max_row_bytes=len(row))) == 1
    assert error_of(read, {"input": "a"}, row, max_row_bytes=len(row) - 1) == (
        f"d.jsonl:2: a row of more than {len(row) - 1} bytes ([engine] max_row_mb in config.toml)"
    )


def test_rows_before_a_bad_one_are_given_first(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text('{"input": "a"}\nbroken\n')
    cases = read_suite(path, SPEC, name_for_errors="d.jsonl")
    assert next(cases).input == "a"
    with pytest.raises(JobError):
        next(cases)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(), st.dictionaries(st.text(max_size=3), json_values, max_size=4))
def test_every_case_survives_json(read: Read, text: str, metadata: dict[str, Any]) -> None:
    (case,) = read({"input": text, "metadata": metadata, "schema": metadata})
    assert (case.input, case.metadata, case.schema) == (text, metadata, metadata)
    orjson.dumps(case)


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt", "a"])
def test_rows_with_an_input_are_native_whatever_the_file_is_called(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b'{"input": "a"}\n')
    assert detect(tmp_path / name, replace(SPEC, format="auto"), name_for_errors=name) == "native"
    assert not FORMATS["native"].sniff(b'{"input": "a"}\n', name), (
        "it is the last resort, and takes no file from others"
    )


@pytest.mark.parametrize("name", ["01_gsm8k/items.jsonl", "06_bbh/items.jsonl"])
def test_real_data(tmp_path: Path, name: str) -> None:
    source = SHARED / name
    if not source.exists():
        pytest.skip("the shared data sets are not here")
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    path = tmp_path / "real.jsonl"
    with path.open("wb") as file:
        for row in rows:
            native = {
                "id": row["id"],
                "category": row["category"],
                "input": row["prompt"],
                "expected": str(row["expected"]),
                "metadata": row["outputs"],
            }
            file.write(orjson.dumps(native) + b"\n")
    cases = list(read_suite(path, SPEC, name_for_errors="real.jsonl"))
    assert [(case.id, case.input, case.metadata) for case in cases] == [
        (str(row["id"]), row["prompt"], row["outputs"]) for row in rows
    ]
