import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.core.records import Case, Score
from evalsvc.errors import JobError, ScoringError
from evalsvc.scoring.base import Scorer

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["", "a", 0.0, 1.0]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab0/~"), inner, max_size=3),
    max_leaves=8,
)
ORDER = {"id": 7, "items": [{"name": "Bolt", "price": 1.5}, {"name": "Nut", "price": 2}], "paid": True, "note": None}


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every leaf with its path; the kind of each container is part of the path."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from leaves(each, (*path, type(value), key))
    if not (isinstance(value, dict | list) and value):
        yield path, value


def same(one: Any, other: Any) -> bool:
    number = [isinstance(each, int | float) and not isinstance(each, bool) for each in (one, other)]
    return bool(one == other) and (all(number) or type(one) is type(other))


@given(JSON, JSON)
def test_is_the_share_of_equal_leaves(score: Callable[..., Score], expected: Any, answer: Any) -> None:
    wanted, got = dict(leaves(expected)), dict(leaves(answer))
    right = sum(path in got and same(value, got[path]) for path, value in wanted.items())
    more = len(got.keys() - wanted.keys())
    accepted, text = json.dumps(expected), json.dumps(answer)
    assert score("json_match", text, accepted).value == pytest.approx(right / (len(wanted) + more))
    assert score("json_match", text, accepted, extra="ignore").value == pytest.approx(right / len(wanted))


@given(JSON)
def test_a_value_matches_itself_however_it_is_written(score: Callable[..., Score], value: Any) -> None:
    for text in (json.dumps(value, indent=2), json.dumps(value, sort_keys=True)):
        assert score("json_match", text, json.dumps(value)).value == 1.0


@pytest.mark.parametrize(
    ("changed", "options", "value", "why"),
    [
        ({}, {}, 1.0, "7 of 7 values are right"),
        ({"id": 7.0}, {}, 1.0, "7 of 7"),
        ({"paid": 1}, {}, 6 / 7, "6 of 7 values are right; the first difference is at '/paid'"),
        ({"paid": "true"}, {}, 6 / 7, "'/paid'"),
        ({"note": ""}, {}, 6 / 7, "'/note'"),
        ({"id": 7.4}, {}, 6 / 7, "'/id'"),
        ({"id": 7.4}, {"tolerance": 0.5}, 1.0, "7 of 7"),
        ({"paid": 1}, {"tolerance": 0.5}, 6 / 7, "'/paid'"),
        ({"items": [{"name": "bolt", "price": 1.5}, {"name": "Nut", "price": 2}]}, {}, 6 / 7, "'/items/0/name'"),
        ({"items": [{"name": "BOLT", "price": 1.5}, {"name": "Nut", "price": 2}]}, {"ignore_case": True}, 1.0, "7"),
        ({"items": []}, {}, 3 / 8, "3 of 7 values are right, 1 more than expected; the first difference is at '/items"),
        ({"extra": {"a": 1, "b": []}}, {}, 7 / 9, "7 of 7 values are right, 2 more than expected"),
        ({"extra": 1}, {"extra": "ignore"}, 1.0, "7 of 7 values are right"),
        ({"a/b~c": 1}, {}, 7 / 8, "1 more than expected"),
        ({"id": 8, "extra": 1}, {"paths": ["/items", "/note"]}, 1.0, "5 of 5"),
        ({"items": [{"name": "Bolt", "price": 1.5, "x": 1}]}, {"paths": ["/items/0", "/paid"]}, 3 / 4, "3 of 3"),
        (
            {"items": 3},
            {"paths": ["/items/0/name"]},
            0.0,
            "0 of 1 values are right; the first difference is at '/items",
        ),
    ],
)
def test_an_answer_that_is_nearly_right(
    score: Callable[..., Score], changed: Any, options: dict[str, Any], value: float, why: str
) -> None:
    result = score("json_match", json.dumps({**ORDER, **changed}), ORDER, **options)
    assert result.value == pytest.approx(value)
    assert why in result.explanation


@pytest.mark.parametrize(
    ("text", "expected", "options", "value"),
    [
        ("[1, 2]", "[1, 2]", {}, 1.0),
        ("[2, 1]", "[1, 2]", {}, 0.0),
        ('{"b": 1, "a": 2}', {"a": 2, "b": 1}, {}, 1.0),
        ("[[1], 1]", ["[1, [1]]", "[[1], 1]"], {}, 1.0),
        ('{"a": 1}', [{"a": 0}, '{"a": 1}'], {}, 1.0),
        ("3", "3.0", {}, 1.0),
        ("{}", "[]", {}, 0.0),
        ('{"0": 1}', "[1]", {}, 0.0),
        ('{"a": "e\u0301"}', {"a": "é"}, {}, 0.0),
        ('{"a": "e\\u0301"}', {"a": "é"}, {"unicode": "NFC"}, 1.0),
        ('{"a": 1} and that is all', {"a": 1}, {}, 0.0),
        ('{"a": 1, "a": 1}', {"a": 1}, {}, 0.0),
        ('{"a": 0, "a": 1}', {"a": 1}, {"duplicate_keys": "last"}, 1.0),
        ('```json\n{"a": 1}\n```', {"a": 1}, {}, 0.0),
        ('```json\n{"a": 1}\n```', {"a": 1}, {"fenced": True}, 1.0),
        ('{"a": 1}', {"a": 1}, {"fenced": True}, 1.0),
        ('{"a": 9007199254740993}', {"a": 9007199254740992}, {}, 0.0),
    ],
)
def test_json_match(score: Callable[..., Score], text: str, expected: Any, options: Any, value: float) -> None:
    assert score("json_match", text, expected, **options).value == value


@pytest.mark.parametrize(
    ("expected", "options", "lack"),
    [
        (None, {}, "has no expected"),
        (3, {}, "an object, or a text that holds JSON"),
        ([], {}, "an object, or a text that holds JSON"),
        ([[1]], {}, "an object, or a text that holds JSON"),
        ("{", {}, "expected: not JSON"),
        ('{"a": 1, "a": 2}', {}, "expected: an object names a key twice"),
        ({"a": {"b": [1]}}, {"paths": ["/a/b/0", ""]}, None),
        ({"a": {"b": [1]}}, {"paths": ["/a/b/1"]}, "expected: has nothing at '/a/b/1'"),
        ({"a": {"b": [1]}}, {"paths": ["/a/b/00"]}, "has nothing"),
        ({"a/b": 1, "~": 2}, {"paths": ["/a~1b", "/~0"]}, None),
        ([{"a": 1}, {"b": 1}], {"paths": ["/a"]}, "has nothing at '/a'"),
    ],
)
def test_what_a_case_lacks_is_said_before_anything_is_asked(
    make: Callable[..., Scorer], case: Callable[..., Case], expected: Any, options: Any, lack: str | None
) -> None:
    said = make("json_match", **options).check(case(expected))
    assert said is None if lack is None else said is not None and lack in said


@pytest.mark.parametrize("path", ["a", "/a~2", "$.a", "#/a"])
def test_a_path_is_a_json_pointer(make: Callable[..., Scorer], path: str) -> None:
    with pytest.raises(JobError, match="should match pattern"):
        make("json_match", paths=[path])


def test_its_work_is_bounded(score: Callable[..., Score]) -> None:
    many = json.dumps([0] * 50_000)
    assert score("json_match", many, "[0]").value == 1 / 50_000
    with pytest.raises(ScoringError, match="50001 values: too many to compare with 2 accepted ones"):
        score("json_match", many, ["[0]", "[1]"])
    deep = "[" * 1000 + "]" * 1000
    assert score("json_match", deep, deep).value == 1.0
    assert score("json_match", deep, "[]").value == 0.0
