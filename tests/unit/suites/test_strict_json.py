from __future__ import annotations

import json
import math
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evalsvc.suites.strict_json import Fault, loads


def is_strict(value: Any) -> bool:
    """The rule, written slowly: `value` holds objects as lists of pairs behind a marker."""
    if isinstance(value, tuple):
        names = [name for name, _ in value]
        return len(set(names)) == len(names) and all(is_strict(part) for pair in value for part in pair)
    if isinstance(value, list):
        return all(map(is_strict, value))
    if isinstance(value, str):
        return not any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or -(2**63) <= value < 2**64


# texts that look like the inside of JSON, so that a count of colons or quotes can be fooled
tricky = st.text(st.sampled_from('ab":\\ u003a0022{},1'), max_size=8)
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=True, allow_infinity=True)
leaves = st.none() | st.booleans() | numbers | tricky | st.text(st.characters(), max_size=4)
keys = st.sampled_from(["a", "b", 'a":', "\u00e9"]) | tricky
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.lists(st.tuples(keys, inner), max_size=4).map(tuple)
)


def write(value: Any, draw: st.DrawFn) -> str:
    """JSON text of a value, spaced and escaped in one of the ways JSON allows; equal keys stay."""
    space = draw(st.sampled_from(["", " ", "\t"]))
    if isinstance(value, tuple):
        pairs = [f"{write(key, draw)}{space}:{space}{write(inner, draw)}" for key, inner in value]
        return "{" + f"{space},".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + f",{space}".join(write(inner, draw) for inner in value) + "]"
    if isinstance(value, str) and draw(st.booleans()):
        return '"' + "".join(f"\\u{unit:04x}" for unit in utf16(value)) + '"'
    return json.dumps(value)


def utf16(text: str) -> list[int]:
    raw = text.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(raw[at : at + 2]) for at in range(0, len(raw), 2)]


@st.composite
def texts(draw: st.DrawFn) -> tuple[Any, bytes]:
    value = draw(values)
    return value, write(value, draw).encode()


@given(texts())
@example(((("a", 1), ("a", 2), ("b", ":")), b'{"a":1,"a":2,"b":"\\u003a"}'))
@example(((("a", 1), ("a", 2), ("b", '":')), b'{"a":1,"a":2,"b":"\\u0022:"}'))
@example(((("a", ":"), ("a", 2)), b'{"a":":","a":2}'))
@example(([18446744073709551616], b"[18446744073709551616]"))
@example(([-9223372036854775809], b"[-9223372036854775809]"))
def test_a_text_is_read_exactly_or_refused(case: tuple[Any, bytes]) -> None:
    value, raw = case
    try:
        read = loads(raw)
    except Fault:
        assert not is_strict(value)
        return
    assert is_strict(value)
    assert read == json.loads(raw)
    orjson.dumps(read)


@given(st.binary(max_size=40) | st.text(st.sampled_from('{}[]":,\\ue1-+.0 \ntrue'), max_size=30).map(str.encode))
def test_any_bytes_are_read_as_json_reads_them_or_refused(raw: bytes) -> None:
    try:
        read = loads(raw)
    except Fault:
        return
    assert read == json.loads(raw)


@pytest.mark.parametrize(
    ("raw", "path", "message"),
    [
        (b'{"a":1', (), "not JSON: broken off or malformed at column 7"),
        (b'{"a":"\xff"}', (), "not UTF-8: byte 0xff at offset 6 of the row"),
        (b'{"a":{"b":1,"b":1}}', ("a", "b"), "stands twice in the same object"),
        (b'[{"b" :1,"b" :1}]', (0, "b"), "stands twice in the same object"),
        (b'{"a":NaN}', ("a",), "must be a finite number, got a number nan"),
        (b'{"a":[-Infinity]}', ("a", 0), "must be a finite number, got a number -inf"),
        (b'{"a":1e999}', ("a",), "must be a finite number, got a number inf"),
        (b'{"a":18446744073709551616}', ("a",), "must be an integer of at most 64 bits; write it as a string"),
        (b'{"a":' + b"9" * 5000 + b"}", ("a",), "must be an integer of at most 64 bits; write it as a string"),
        (b'{"a":"\\ud800"}', ("a",), "holds a lone surrogate (half of a character)"),
        (b'{"a":{"\\udc00":1}}', ("a",), "a key holds a lone surrogate (half of a character)"),
        (b'{"a":' + b"[" * 250 + b"]" * 250 + b"}", ("a",), "nested deeper than 246 levels"),
        (b'{"a":' + b"[" * 100_000, (), "nested deeper than 246 levels"),
    ],
    ids=range(13),
)
def test_a_fault_names_its_path(raw: bytes, path: tuple[str | int, ...], message: str) -> None:
    with pytest.raises(Fault) as fault:
        loads(raw)
    assert (fault.value.path, fault.value.message) == (path, message)


@pytest.mark.parametrize("number", [2**64 - 1, -(2**63), 1.5e300, -0.0, 0.1234567890123456789])
def test_numbers_at_the_edge_are_read(number: float) -> None:
    assert loads(json.dumps([number]).encode()) == [number]


def test_there_is_room_around_the_deepest_row() -> None:
    value = loads(b"[" * 246 + b"]" * 246)
    orjson.dumps({"a": {"b": [value]}})
