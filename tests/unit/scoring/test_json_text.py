import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.scoring.json_text import NotJson, read

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_a_document_is_its_value_with_its_size(value: Any) -> None:
    document = read(json.dumps(value))
    assert document.value == value
    assert document.nodes == nodes(value)
    assert document.levels == levels(value)


def parts(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


def nodes(value: Any) -> int:
    return 1 + sum(map(nodes, parts(value)))


def levels(value: Any) -> int:
    return 1 + max(map(levels, parts(value)), default=0)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": 1} done', "not JSON: unexpected content after document at character 9"),
        ('{"a": 1}{"a": 1}', "not JSON: unexpected content after document"),
        ('{"a": 1, "a": 1}', "an object names a key twice"),
        ('{"\\u0061": 1, "a": 1}', "an object names a key twice"),
        ("", "not JSON"),
        ("\ufeff{}", "not JSON"),
        ("[1,]", "not JSON"),
        ("\ud800", "not JSON"),
    ],
)
def test_anything_but_one_value_is_named(text: str, why: str) -> None:
    with pytest.raises(NotJson) as caught:
        read(text)
    assert why in str(caught.value)


def test_the_last_of_two_keys_may_count() -> None:
    assert read('{"a": 1, "a": 2}', unique_keys=False).value == {"a": 2}
