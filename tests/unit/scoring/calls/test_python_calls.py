"""Calls in Python's syntax: what is read is what Python would read, and nothing is run."""

import ast
import string
from contextlib import suppress
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.scoring.calls import Call
from evalsvc.scoring.calls.python_calls import LONGEST, Bare, NotPython, read

NAMES = st.text(string.ascii_letters + "_", min_size=1, max_size=8).filter(lambda name: name not in dir(__builtins__))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def one(text: str) -> Call:
    (call,) = read(text)
    return call


def value(text: str) -> Any:
    return one(f"f(x={text})").arguments["x"]


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("f()", [("f", {})]),
        ("[f()]", [("f", {})]),
        ("a.b_c.d2(x=1)", [("a.b_c.d2", {"x": 1})]),
        ("[f(x=1), g(y=2),]", [("f", {"x": 1}), ("g", {"y": 2})]),
        ("f(x=1), g(y=2)", [("f", {"x": 1}), ("g", {"y": 2})]),
        ("f(x=1)\ng(y=2)\n", [("f", {"x": 1}), ("g", {"y": 2})]),
        ("f(x=1); g(y=2);", [("f", {"x": 1}), ("g", {"y": 2})]),
        (" f ( x = 1 , y = 'a' , ) ", [("f", {"x": 1, "y": "a"})]),
        ("größe(straße='ß')", [("größe", {"straße": "ß"})]),
    ],
)
def test_calls_in_a_list_or_one_after_the_other(text: str, calls: list[tuple[str, dict[str, Any]]]) -> None:
    assert [(call.name, call.arguments) for call in read(text)] == calls
    assert not any(call.nameless for call in read(text))


@pytest.mark.parametrize(
    "text",
    [
        "1", "-1", "+1", "1_000", "0x1F", "1.5", "-.5", "5.", "1e3", "1E-3", "True", "False", "None",
        "'a'", '"a"', "'it\\'s'", '"""a "b"\nc"""', "'''a 'b'\nc'''", "''", '""', "'a' 'b'", "r'\\d'", "u'a'",
        r"'\n\t\\\"\x41\u00e4\U0001F600\101'", "'a\\\nb'", "[]", "[1, 'a', [2.5]]", "[1,]", "{}",
        "{'a': 1, 'b': {'c': [None]}}", "{'a': 1,}", "(1)", "((1))",
    ],
)  # fmt: skip
def test_values_are_those_of_python(text: str) -> None:
    wanted = ast.literal_eval(text)
    assert value(text) == wanted
    assert type(value(text)) is type(wanted)


@pytest.mark.parametrize(("text", "wanted"), [("(1, 2)", [1, 2]), ("(1,)", [1]), ("()", []), ("[(1, 2)]", [[1, 2]])])
def test_tuples_become_lists(text: str, wanted: list[Any]) -> None:
    assert value(text) == wanted


def test_an_escape_that_python_does_not_know_stays_as_it_is() -> None:
    assert value(r"'\d\.'") == "\\d\\."


def test_a_bare_name_is_kept_apart_from_a_text() -> None:
    found = value("Paris")
    assert found == "Paris"
    assert type(found) is Bare


def test_arguments_without_a_name_are_counted() -> None:
    call = one("f('a', b, [1], c=2)")
    assert (call.nameless, call.arguments) == (3, {"c": 2})


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "f", "f(", "f)", "f(x=", "f(x=1", "f(x=1))", "[f(x=1)", "f(x=1)]", "[f(x=1)] and more", "f(x=1) or",
        "f(x=1)(y=2)", "f(x=1).g()", "[]", "[1]", "f(x=1+1)", "f(x=g())", "f(x=[i for i in y])", "f(**{'a': 1})",
        "f(x=f'{a}')", "f(x=b'a')", "f(x={1})", "f(x={1: 2})", "f(x={'a': 1, 'a': 2})", "f(x=1, x=2)", "f(x=lambda: 1)",
        "f(x='a)", 'f(x="a\n")', "f(x=1j)", "f(x=007)", "f(x=1e999)", "f(x=1_)", "f(x=1.2.3)", "f(x=0x)", "f(x=--1)",
        "f(x=...)", "f(x='\\x4')", "f(x='\\N{DASH}')", "f(x='\\U00110000')", "import os; os.system('ls')", "f(x=1)\0",
        f"f(x={'9' * 5000})", f"f(x={'[' * 40}{']' * 40})", "1f(x=1)", "f(x=1 y=2)", "f(,)", "f(x=1,,)",
    ],
)  # fmt: skip
def test_what_is_no_call_of_literals_is_refused(text: str) -> None:
    with pytest.raises(NotPython):
        read(text)


@given(st.lists(st.tuples(NAMES, st.dictionaries(NAMES, VALUES, max_size=4)), min_size=1, max_size=3))
def test_whatever_python_writes_is_read_back(calls: list[tuple[str, dict[str, Any]]]) -> None:
    text = ", ".join(f"{name}({', '.join(f'{key}={given!r}' for key, given in made.items())})" for name, made in calls)
    found = [(call.name, call.arguments) for call in read(f"[{text}]")]
    assert repr(found) == repr(calls)


@given(st.text(st.characters(exclude_categories=())) | st.text("fx=(),[]{}'\"\\:1.e-_ \n"))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(NotPython):
        assert read(text)


@pytest.mark.parametrize(
    "unit",
    [
        "(",
        "[",
        "f(x=",
        "f(x=[",
        "'",
        '"',
        "'''",
        "\\",
        "f(x=1)",
        "f(x=1),",
        "a.",
        "a",
        "1",
        " ",
        "-",
        "\n",
        "'a'",
        "f('a',",
    ],
)
def test_the_longest_text_takes_a_moment_only(unit: str) -> None:
    text = (unit * LONGEST)[:LONGEST]
    for whole in (text, f"f(x={text})", f"f(x='{text}"):
        begun = process_time()
        with suppress(NotPython):
            read(whole[:LONGEST])
        assert process_time() - begun < 1
