from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.scoring.schema_cost import BACKTRACKING_UNITS, Cost, cost_of

TWICE = [{"$ref": "#/$defs/0"}, {"$ref": "#/$defs/0"}]


def chain(steps: int, link: Any) -> dict[str, Any]:
    """A schema of ``steps`` definitions, each made of the one before by ``link(reference)``."""
    links = {str(i): link({"$ref": f"#/$defs/{i - 1}"}) for i in range(1, steps)}
    return {"$defs": {"0": {"type": "string"}, **links}, "$ref": f"#/$defs/{steps - 1}"}


@pytest.mark.parametrize(
    ("schema", "units"),
    [
        (True, 1),
        ({}, 1),
        ({"type": "object", "properties": {"a": {}, "b": {}, "c": {}}}, 2),  # a value is under one name only
        ({"properties": {"a": {}}, "patternProperties": {"a": {}, "b": {}}, "additionalProperties": {}}, 5),
        ({"allOf": [{}, {}, {}]}, 4),
        ({"anyOf": [{}], "oneOf": [{}], "not": {}, "if": {}, "then": {}, "else": {}}, 7),
        ({"dependentSchemas": {"a": {}, "b": {}}}, 3),
        ({"dependencies": {"a": {}, "b": ["a"]}}, 2),
        ({"items": {}, "contains": {}}, 3),
        ({"items": [{}, {}], "additionalItems": {}}, 3),
        ({"prefixItems": [{}, {"allOf": [{}]}], "items": False}, 3),
        ({"allOf": [{}, {}], "unevaluatedProperties": False}, 5),
        ({"$defs": {"a": {"allOf": [{}, {}]}}}, 1),  # nothing refers to it
        ({"$defs": {"a": {}}, "$ref": "#/$defs/a"}, 2),
        ({"$defs": {"a": {"$anchor": "x"}}, "$ref": "#x"}, 2),
        ({"$id": "http://x/y", "$defs": {"a": {"$id": "z"}}, "$ref": "z"}, 2),
        ({"$id": "urn:a:b", "$defs": {"a": {}}, "$ref": "#/$defs/a"}, 2),
        ({"definitions": {"a": {"$id": "#x"}}, "$ref": "#x"}, 2),
        ({"$defs": {"~/%": {}}, "$ref": "#/$defs/~0~1%25"}, 2),
        ({"$defs": {"a": {"$dynamicAnchor": "x"}}, "$dynamicRef": "#x"}, 2),
        ({"$ref": "http://json-schema.org/draft-07/schema#"}, 201),
        ({"enum": [{"$ref": "nowhere"}] * 80}, 11),
        ({"const": {"allOf": [{}, {}]}}, 1),
    ],
)
def test_the_units_of_a_schema(schema: Any, units: int) -> None:
    assert cost_of(schema) == Cost(units=units, again=0)


@pytest.mark.parametrize(
    ("schema", "again"),
    [
        ({"items": {"$ref": "#"}}, 1),
        ({"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}}, 1),
        ({"anyOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}]}, 2),
        ({"$dynamicAnchor": "x", "items": {"$dynamicRef": "#x"}}, 1),
        ({"$recursiveAnchor": True, "items": {"$recursiveRef": "#"}}, 1),
    ],
)
def test_what_leads_back_costs_once(schema: Any, again: int) -> None:
    assert cost_of(schema).again == again
    assert cost_of(schema).units < 10


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
def test_references_that_multiply_are_refused(keyword: str) -> None:
    assert cost_of(chain(6, lambda ref: {keyword: [ref, ref]})).units == 126
    for steps in (14, 90, 5_000):
        with pytest.raises(ValueError, match="its references multiply"):
            cost_of(chain(steps, lambda ref: {keyword: [ref, ref]}))


def test_references_that_multiply_on_the_way_down_are_refused() -> None:
    with pytest.raises(ValueError, match="its references multiply"):
        cost_of(chain(30, lambda ref: {"anyOf": [{"items": ref}, {"items": ref, "minItems": 1}]}))
    assert cost_of(chain(3_000, lambda ref: {"properties": {"a": ref, "b": ref}})).units > 3_000


def test_unevaluated_multiplies_too() -> None:
    assert cost_of(chain(5, lambda ref: {"allOf": [ref], "unevaluatedProperties": False})).units < 1_000
    with pytest.raises(ValueError, match="its references multiply"):
        cost_of(chain(15, lambda ref: {"allOf": [ref], "unevaluatedProperties": False}))


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}]},
        {"$defs": {"a": {"not": {"$ref": "#/$defs/b"}}, "b": {"if": {"$ref": "#/$defs/a"}}}, "$ref": "#/$defs/a"},
        chain(60, lambda ref: {"allOf": [ref]}),
        chain(5_000, lambda ref: {"oneOf": [ref, False]}),
    ],
)
def test_references_in_a_circle_or_without_end_are_refused(schema: Any) -> None:
    with pytest.raises(ValueError, match="more than 100 references from one to the next, or in a circle"):
        cost_of(schema)


def test_a_circle_that_nothing_leads_to_is_none() -> None:
    assert cost_of({"$defs": {"a": {"$ref": "#/$defs/a"}}}) == Cost(units=1, again=0)


@pytest.mark.parametrize("reference", ["#/nowhere", "#nowhere", "http://x/y", "file:///etc/passwd", "#/$defs/a/0"])
def test_a_reference_to_nowhere_is_refused(reference: str) -> None:
    with pytest.raises(ValueError, match=r"where its \$ref .* leads cannot be told"):
        cost_of({"$ref": reference, "$defs": {"a": []}})


def test_an_id_that_may_be_none_hides_nothing() -> None:
    heavy = {"$id": "x", "allOf": [{} for _ in range(50)]}
    for schemas in ([{"enum": [{"$id": "x"}]}, heavy], [heavy, {"enum": [{"$id": "x"}]}]):
        assert cost_of({"$defs": dict(enumerate(schemas)), "$ref": "x"}).units == 53


def test_patterns_that_backtrack_cost_more() -> None:
    schema = {"pattern": "a", "patternProperties": {"b": {"pattern": "c"}}}
    assert cost_of(schema, frozenset({"a", "b", "d"})).units == 2 + 2 * BACKTRACKING_UNITS


KEYWORDS = st.sampled_from(
    ["$ref", "$id", "id", "$anchor", "allOf", "items", "properties", "not", "enum", "$dynamicRef"]
)
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=3)
    | st.sampled_from(["#", "#/allOf/0", "http://[", "#a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYWORDS | st.text(max_size=2), inner, max_size=4),
)


@given(ANYTHING)
def test_any_json_has_a_cost_or_is_refused(schema: Any) -> None:
    try:
        assert cost_of(schema).units >= 1
    except ValueError as error:
        assert str(error)  # noqa: PT017 - either outcome will do, nothing else may be raised
