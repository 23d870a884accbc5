from __future__ import annotations

from array import array
from typing import Any

import pytest

from evalsvc.app.census import Census
from evalsvc.core.records import Case


def case(text: Any, category: str = "a", **more: Any) -> Case:
    return Case(suite="s", id="1", category=category, input=text, **more)


def test_a_census_counts_categories_and_characters_of_the_cases_that_take_part() -> None:
    census = Census()
    for text, category in (("12345", "b"), ("1", "a"), ("123", "b"), ("1" * 100, "c")):
        census.add(case(text, category))
    assert census.taking_part(array("q", [3, 0, 1, -1])) == ({"b": 2, "a": 1}, 9)
    assert census.taking_part(array("q", [-1, -1, -1, -1])) == ({}, 0)
    assert census.taking_part(None) == ({"b": 2, "a": 1, "c": 1}, 109)


def test_a_census_counts_clusters_of_the_cases_that_take_part() -> None:
    census = Census()
    assert census.cluster_sizes(None) is None
    for doc in ("x", 1, "x", ["x"], "1", "x"):
        census.add(case("?", metadata={"doc": doc}), "doc")
    assert sorted(census.cluster_sizes(None) or ()) == [1, 1, 1, 3]
    assert sorted(census.cluster_sizes(array("q", [0, -1, 1, -1, 2, -1])) or ()) == [1, 2]


@pytest.mark.parametrize(
    ("text", "chars"),
    [
        ("é€𐍈", 3),
        ([{"role": "user", "content": "1234"}, {"role": "assistant", "content": None, "tool_calls": []}], 4),
        ([{"role": "user", "content": [{"type": "text", "text": "12"}, {"type": "image_url", "image_url": {}}]}], 2),
    ],
)
def test_every_sort_of_prompt_has_a_length(text: Any, chars: int) -> None:
    census = Census()
    census.add(case(text))
    assert census.taking_part(array("q", [0]))[1] == chars


def test_tools_are_part_of_a_prompt() -> None:
    census = Census()
    census.add(case("12", tools=[{"a": 1}]))
    assert census.taking_part(array("q", [0]))[1] == 2 + len('[{"a":1}]')
