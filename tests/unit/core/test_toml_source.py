from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.core.toml_source import KeyPath, TomlSource, dotted
from evalsvc.errors import ConfigError, JobError

DOCUMENT = '''\
# a comment with [brackets] and key = "value"
name = "x"
text = """
[not.a.table]
fake = 1 \\""" still inside
""""" # five quotes: two belong to the text
literal = \'\'\'
also = 'not' a key
\'\'\'
a.b . "c d" = 1

[table]
numbers = [
  1,   # [2]
  { x = 1, y = "]}" },
  [
    3,
  ],
]
inline = { deep = { er = 1 }, "quoted.key" = 2 }

[[suites]]
name = "one"

[suites.scorer]
name = "s"

[[suites]]
name = "two"
also = ["a",
  "b"]
[[suites.parts]]
x = 1
[[suites.parts]]
x = 2
[ spaced . "out" ]
z = 1979-05-27 07:32:00
'''

LINES: list[tuple[KeyPath, int]] = [
    (("name",), 2),
    (("text",), 3),
    (("literal",), 7),
    (("a", "b", "c d"), 10),
    (("table",), 12),
    (("table", "numbers"), 13),
    (("table", "numbers", 0), 14),
    (("table", "numbers", 1, "y"), 15),
    (("table", "numbers", 2, 0), 17),
    (("table", "inline", "deep", "er"), 20),
    (("table", "inline", "quoted.key"), 20),
    (("suites",), 22),
    (("suites", 0), 22),
    (("suites", 0, "name"), 23),
    (("suites", 0, "scorer"), 25),
    (("suites", 0, "scorer", "name"), 26),
    (("suites", 1), 28),
    (("suites", 1, "also", 1), 31),
    (("suites", 1, "parts", 0, "x"), 33),
    (("suites", 1, "parts", 1), 34),
    (("suites", 1, "parts", 1, "x"), 35),
    (("spaced", "out"), 36),
    (("spaced", "out", "z"), 37),
]


def parse(text: str | bytes) -> TomlSource[JobError]:
    raw = text.encode() if isinstance(text, str) else text
    return TomlSource.parse(raw, file="job.toml", blame=JobError)


def every_path(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in children:
        yield (*path, key)
        yield from every_path(inner, (*path, key))


@pytest.mark.parametrize(("path", "line"), LINES, ids=lambda value: dotted(value) if isinstance(value, tuple) else "")
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_line_of_every_kind_of_key(path: KeyPath, line: int, line_end: str) -> None:
    assert parse(DOCUMENT.replace("\n", line_end)).line_of(path) == line


def test_the_data_is_what_tomllib_reads_and_every_key_of_it_has_a_line() -> None:
    source = parse(DOCUMENT)
    assert source.data == tomllib.loads(DOCUMENT)
    assert set(every_path(source.data)) == set(source.lines)


def test_an_unknown_path_has_the_line_of_the_nearest_known_key() -> None:
    source = parse(DOCUMENT)
    assert source.line_of(("suites", 1, "scorer", "name")) == 28
    assert source.line_of(("nowhere", 0)) is None
    assert source.line_of(()) is None


def as_toml(text: str, style: str) -> str:
    """The text as a TOML string, with its line feeds as they are where the style can."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    if style == "basic":
        return '"' + escaped.replace("\n", "\\n") + '"'
    if style == "multi-line":
        return '"""' + escaped + '"""'
    return "'''" + text.replace("'''", "''") + "'''"


texts = st.text(st.sampled_from("ab \n\"'#[]{}=,.\\"), max_size=30)


@given(st.lists(st.tuples(texts, st.sampled_from(["basic", "multi-line", "literal"])), min_size=1, max_size=5))
def test_no_text_hides_the_keys_behind_it(values: list[tuple[str, str]]) -> None:
    document, lines = "", {}
    for index, (text, style) in enumerate(values):
        for key, value in ((f"k{index}", as_toml(text, style)), (f"in{index}", f"{{ x = [{as_toml(text, style)}] }}")):
            lines[key] = document.count("\n") + 1
            document += f"{key} = {value}\n"
    try:
        tomllib.loads(document)
    except tomllib.TOMLDecodeError:
        return  # a literal text that ends in too many quotes
    source = parse(document)
    assert {key: source.line_of((key,)) for key in source.data} == lines
    assert set(every_path(source.data)) == set(source.lines)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"a = 1\nb = \n", "job.toml:2: not valid TOML: Invalid value"),
        (b"a = 1\na = 2\n", "job.toml:2: not valid TOML: Cannot overwrite a value"),
        (b"a = 1\n\n[t", "job.toml:3: not valid TOML: Expected ']' at the end of a table declaration"),
        (b'a = 1\nb = "\xff"', "job.toml:2: not UTF-8: byte 0xff at offset 11"),
        (b'\xef\xbb\xbfa = "\n\xff"', "job.toml:2: not UTF-8: byte 0xff at offset 9"),
        (b"\xff\xfea\x00", "job.toml:1: not UTF-8: byte 0xff at offset 0"),
        (b"a = " + b"9" * 5000, "job.toml: not valid TOML: an integer of more than 4300 digits"),
        (b"a = " + b"[" * 5000, "job.toml: not valid TOML: arrays or inline tables nested too deeply"),
    ],
)
def test_what_is_no_toml_is_an_error_with_its_line(raw: bytes, message: str) -> None:
    with pytest.raises(JobError) as error:
        parse(raw)
    assert str(error.value) == message


@given(st.binary(max_size=60) | st.text(st.sampled_from("ab=[]{}\"'\\\n.#, 1"), max_size=40).map(str.encode))
def test_any_bytes_are_either_read_or_refused(raw: bytes) -> None:
    try:
        source = parse(raw)
    except JobError:
        return
    assert set(every_path(source.data)) == set(source.lines)


def test_a_byte_order_mark_is_dropped() -> None:
    assert parse(b"\xef\xbb\xbfa = 1").data == {"a": 1}


def test_an_error_names_file_line_and_key_and_is_of_the_class_asked_for() -> None:
    source = TomlSource.parse(DOCUMENT.encode(), file="config.toml", blame=ConfigError)
    error = source.error(("suites", 1, "also", 1), "is wrong")
    assert type(error) is ConfigError
    assert str(error) == "config.toml:31: suites[1].also[1]: is wrong"
    assert str(source.error((), "is wrong")) == "config.toml: is wrong"


def test_dotted_quotes_what_is_no_bare_key() -> None:
    assert dotted(("a", "b c", 3, "d-e")) == 'a."b c"[3].d-e'
