from __future__ import annotations

import copy
from math import nextafter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.core.difference import NOTHING, first_difference, shown

RECORD: dict[str, Any] = {
    "decision": "SHIP",
    "gates": [{"n": 3, "interval": [0.1, 0.148]}, {"required": True, "waived": None}],
    "kinds": {"odd key\x1b": 1},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=12,
)


def test_it_reads_like_a_sentence() -> None:
    said = copy.deepcopy(RECORD)
    said["gates"][0]["interval"][1] = 0.154
    said["gates"][1]["required"] = False
    found = first_difference(said, RECORD)
    assert found is not None
    assert found.words("outcomes give") == "gates[0].interval[1]: record says 0.154, outcomes give 0.148"


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (("decision",), "HOLD", "decision"),
        (("gates", 0, "n"), 4, "gates[0].n"),
        (("gates", 0, "n"), "3", "gates[0].n"),
        (("gates", 1, "required"), 1, "gates[1].required"),
        (("gates", 1, "waived"), False, "gates[1].waived"),
        (("gates", 0, "interval"), [0.1], "gates[0].interval[1]"),
        (("gates", 0, "interval"), [0.1, 0.148, 0.2], "gates[0].interval[2]"),
        (("gates", 0, "interval"), {"0": 0.1}, "gates[0].interval"),
        (("gates", 0, "more"), 1, "gates[0].more"),
        (("kinds", "odd key\x1b"), 2, 'kinds["odd key\\u001b"]'),
    ],
)
def test_places(path: tuple[Any, ...], value: Any, place: str) -> None:
    said = copy.deepcopy(RECORD)
    inner = said
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    found = first_difference(said, RECORD, tolerance=1e-9)
    assert found is not None
    assert found.place == place
    assert found.words("outcomes give").isascii()
    assert found.words("outcomes give").isprintable()


def test_what_is_missing_on_a_side_is_nothing() -> None:
    found = first_difference({}, {"a": 1})
    assert found is not None
    assert found.words("outcomes give") == "a: record says nothing, outcomes give 1"
    other = first_difference({"a": None}, {})
    assert other is not None
    assert (other.said, other.found) == (None, NOTHING)


def test_the_order_of_keys_and_the_sort_of_a_number_are_no_difference() -> None:
    assert first_difference({"a": 1, "b": 2}, {"b": 2.0, "a": 1}) is None


def test_a_tolerance_is_for_numbers_and_small() -> None:
    near = nextafter(0.148, 1)
    assert first_difference([near], [0.148], tolerance=1e-9) is None
    assert first_difference([near], [0.148]) is not None
    assert first_difference([0.14801], [0.148], tolerance=1e-9) is not None
    assert first_difference([1e-15], [0.0], tolerance=1e-9) is None
    assert first_difference([True], [1], tolerance=1e-9) is not None


@given(JSON, JSON)
def test_two_values_differ_or_are_the_same(one: Any, other: Any) -> None:
    assert first_difference(one, one) is None
    found = first_difference(one, other)
    back = first_difference(other, one)
    assert (found is None) == (back is None)
    if found is None:
        assert one == other


def test_what_is_shown_is_short_and_harmless() -> None:
    assert shown("\x1b]52;c;x\x07\u202e") == '"\\u001b]52;c;x\\u0007\\u202e"'
    assert len(shown("x" * 1000)) < 100
