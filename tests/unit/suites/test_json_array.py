from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.errors import JobError
from evalsvc.suites import json_array
from evalsvc.suites.base import DataSet
from evalsvc.suites.json_array import elements

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def read(raw: bytes, most: int = 1000) -> list[tuple[int, bytes]]:
    return list(elements(BytesIO(raw), DataSet(suite="s", name="d", max_row_bytes=most)))


@given(st.lists(json_values), st.sampled_from([None, 0, 2]), st.booleans())
def test_elements_are_those_of_json(values: list[Any], indent: int | None, ascii_: bool) -> None:
    raw = json.dumps(values, indent=indent, ensure_ascii=ascii_).encode("utf-8", "replace")
    assert [json.loads(element) for _, element in read(raw, most=10**6)] == json.loads(raw)


@pytest.mark.parametrize("chunk", [4, 5, 7])
def test_it_does_not_matter_where_a_chunk_ends(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(json_array, "_CHUNK", chunk)
    raw = b'\xef\xbb\xbf \n[ {"a": "]\\"},[\\\\"},\n[1, {"b": []}] , "x"\n]\n \n'
    assert read(raw) == [(2, b'{"a": "]\\"},[\\\\"}'), (3, b'[1, {"b": []}]'), (3, b'"x"')]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"[", "d:1: not JSON: the array that starts above is not closed"),
        (b'[1,\n{"a"', "d:2: not JSON: the array that starts above is not closed"),
        (b'["', "d:1: not JSON: the array that starts above is not closed"),
        (b"[1]\n2", "d:2: not JSON: something follows the array"),
        (b"[]x", "d:1: not JSON: something follows the array"),
        (b"[" * 1000, "d:1: nested deeper than 246 levels"),
        (b'[1, "' + b"x" * 2000 + b'"]', "d:1: a row of more than 1000 bytes"),
        (b'[1,\n"' + b"x" * 2000, "d:2: a row of more than 1000 bytes"),
    ],
)
def test_what_is_no_array(raw: bytes, message: str) -> None:
    with pytest.raises(JobError) as error:
        read(raw)
    assert str(error.value).startswith(message)


def test_an_array_in_a_file_is_read_like_rows(given_file: Callable[..., Any]) -> None:
    rows = [{"input": f"{i}?", "ideal": str(i)} for i in range(3)]
    for indent, lines in ((None, [1, 1, 1]), (2, [2, 6, 10])):
        file = given_file("d.json", json.dumps(rows, indent=indent))
        assert file.detected == "openai-evals"
        assert [case.input for case in file.cases] == ["0?", "1?", "2?"]
        assert [case.line for case in file.cases] == lines
    assert given_file("d.json", '[{"input": "a"}, 7]').error == "d.json:1: a row must be an object, got an integer 7"
    assert given_file("d.json", '[{"input": "a"},]').error.startswith("d.json:1: not JSON: ")
    assert given_file("d.json", "[]").error == "d.json: holds no cases"


def test_never_more_than_a_row_is_in_memory() -> None:
    class Counting(BytesIO):
        most = 0

        def read(self, size: int | None = -1, /) -> bytes:
            assert size is not None
            assert size >= 0
            self.most = max(self.most, size)
            return super().read(size)

    file = Counting(b"[" + b",".join([b'"%s"' % (b"x" * 500)] * 2000) + b"]")
    assert len(list(elements(file, DataSet(suite="s", name="d", max_row_bytes=1000)))) == 2000
    assert file.most <= 2**17
