import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.core.records import Case, Completion, Score
from evalsvc.errors import ScoringError
from evalsvc.scoring.base import Scorer

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
PERSON = {"type": "object", "properties": {"age": {"type": "integer", "minimum": 0}}, "required": ["age"]}


def doubling(**beside: Any) -> dict[str, Any]:
    """50 definitions, each of which is the one before, twice."""
    twice = {str(i): {"anyOf": [{"$ref": f"#/$defs/{i - 1}"}] * 2, **beside} for i in range(1, 50)}
    return {"$defs": {"0": {"type": "object"}, **twice}, "$ref": "#/$defs/49"}


DOUBLING, UNEVALUATED = doubling(), doubling(unevaluatedProperties=False)
TREE = {"anyOf": [{"type": "array", "items": {"$ref": "#"}}, {"type": "array", "items": {"$ref": "#"}, "minItems": 1}]}
RUNAWAY = "^(?:(a|aa)(?!b))+$"


def of(scorer: Scorer, text: str, schema: Any) -> Score:
    return scorer.score(Case(suite="s", id="1", category="c", input="?", schema=schema), Completion(text=text))


def test_the_recorded_suite_agrees_without_exception(
    make: Callable[..., Scorer], case: Callable[..., Case], recorded: Callable[[str], list[dict[str, Any]]]
) -> None:
    scorer = make("json_schema")
    rows = recorded("11_json_schema/suite_draft2020_12.jsonl")
    assert len(rows) == 308
    for row in rows:
        assert scorer.check(case(schema=row["schema"])) is None, row["case"]
        result = of(scorer, json.dumps(row["instance"]), row["schema"])
        assert result.value == row["valid"], (row["case"], row["test"])


@pytest.mark.parametrize(
    ("text", "value", "why"),
    [
        ('{"age": 3}', 1.0, "satisfies the schema"),
        (' \n{"age": 3}\n', 1.0, "satisfies the schema"),
        ('{"age": -1}', 0.0, "does not satisfy the schema at age: the value is less than the minimum of 0"),
        ("{}", 0.0, 'does not satisfy the schema: "age" is a required property'),
        ("[]", 0.0, "does not satisfy the schema"),
        ('{"age": 3} Done.', 0.0, "not JSON"),
        ('Here: {"age": 3}', 0.0, "not JSON"),
        ('{"age": 3} {"age": 3}', 0.0, "not JSON"),
        ('```json\n{"age": 3}\n```', 0.0, "not JSON"),
        ('{"age": 3,}', 0.0, "not JSON"),
        ("{'age': 3}", 0.0, "not JSON"),
        ('{"age": NaN}', 0.0, "not JSON"),
        ('{"age": Infinity}', 0.0, "not JSON"),
        ('{"age": 1e999}', 0.0, "not JSON"),
        ('{"age": 3, "s": "\\ud800"}', 0.0, "not JSON"),
        ("[" * 100_000, 0.0, "not JSON: depth limit"),
        ("[" * 1025 + "]" * 1025, 0.0, "not JSON: depth limit"),
        ("[" * 1000 + "]" * 1000, 0.0, "does not satisfy the schema; nested too deep to say where"),
        ('{"age": 3, "age": 4}', 0.0, "an object names a key twice"),
        ('{"age": 3, "a": [{"b": 1, "b": 1}]}', 0.0, "an object names a key twice"),
        ('{"age": 3, "a:b": "\\": {:", "b": {"age": 1}}', 1.0, "satisfies the schema"),
        ("", 0.0, "not JSON"),
    ],
)
def test_strict_json_that_satisfies_the_schema(make: Callable[..., Scorer], text: str, value: float, why: str) -> None:
    result = of(make("json_schema"), text, PERSON)
    assert result.value == value
    assert why in result.explanation


def test_a_deep_value_may_satisfy_a_schema(make: Callable[..., Scorer]) -> None:
    nested = {"type": "array", "items": {"$ref": "#"}}
    assert of(make("json_schema"), "[" * 1000 + "]" * 1000, nested).value == 1.0
    assert of(make("json_schema"), "[" * 1000 + "1" + "]" * 1000, nested).value == 0.0


@given(JSON)
def test_no_key_is_seen_twice_where_none_is(make: Callable[..., Scorer], value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
        assert of(make("json_schema"), text, schema=True).explanation == "satisfies the schema"


@given(JSON, st.text())
def test_a_key_named_twice_is_seen_anywhere(make: Callable[..., Scorer], value: Any, key: str) -> None:
    name = json.dumps(key)
    text = f'[{json.dumps(value)}, {{"x{key.encode().hex()}": 0, {name}: 1, {name}: 2}}]'
    assert of(make("json_schema"), text, schema=True).value == 0.0
    assert of(make("json_schema", duplicate_keys="last"), text, schema=True).value == 1.0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('```json\n{"age": 3}\n```', 1.0),
        ('```\n{"age": 3}\n```\n', 1.0),
        ('{"age": 3}', 1.0),
        ('Here:\n```json\n{"age": 3}\n```', 0.0),
        ('```json\n{"age": 3}\n```\n```json\n{"age": 3}\n```', 0.0),
        ('```python\n{"age": 3}\n```', 0.0),
    ],
)
def test_one_fence_may_be_allowed(make: Callable[..., Scorer], text: str, value: float) -> None:
    assert of(make("json_schema", fenced=True), text, PERSON).value == value


def test_the_schema_of_the_case_comes_before_the_option(make: Callable[..., Scorer]) -> None:
    scorer = make("json_schema", schema={"type": "string"})
    assert of(scorer, '"x"', None).value == 1.0
    assert of(scorer, '"x"', {"type": "integer"}).value == 0.0


def test_the_draft_is_the_schemas_own(make: Callable[..., Scorer]) -> None:
    tuple_of_strings = {"items": [{"type": "string"}]}  # what draft 7 calls a tuple, 2020-12 does not know
    draft7 = {"$schema": "http://json-schema.org/draft-07/schema#", **tuple_of_strings}
    assert of(make("json_schema"), "[1]", draft7).value == 0.0
    assert of(make("json_schema", draft="2020-12"), "[1]", draft7).value == 0.0


@pytest.mark.parametrize(
    ("draft", "schema", "text"),
    [
        ("4", {"maximum": 3, "exclusiveMaximum": True}, "3"),
        ("6", {"const": 1}, "2"),
        ("7", {"if": {"const": 1}, "then": False}, "1"),
        ("2019-09", {"dependentRequired": {"a": ["b"]}}, '{"a": 1}'),
        ("2019-09", {"items": [{"type": "string"}]}, "[1]"),
        ("2020-12", {"prefixItems": [{"type": "string"}]}, "[1]"),
    ],
)
def test_the_draft_of_a_schema_that_names_none_is_the_option(
    make: Callable[..., Scorer], case: Callable[..., Case], draft: str, schema: Any, text: str
) -> None:
    scorer = make("json_schema", draft=draft, schema=schema)
    assert scorer.check(case()) is None
    assert of(scorer, text, None).value == 0.0
    assert of(make("json_schema", draft=draft), text, schema).value == 0.0


def test_a_schema_of_another_draft_is_said_before_anything_is_asked(
    make: Callable[..., Scorer], case: Callable[..., Case]
) -> None:
    draft4 = {"maximum": 3, "exclusiveMaximum": True}
    assert "is not a usable JSON Schema" in (make("json_schema").check(case(schema=draft4)) or "")
    assert make("json_schema", draft="4").check(case(schema=draft4)) is None


@pytest.mark.parametrize(
    ("schema", "lack"),
    [
        (None, "has no schema"),
        ({"type": "text"}, "is not a usable JSON Schema"),
        ([1], "is not a usable JSON Schema"),
        ({"pattern": "("}, "is not a usable JSON Schema"),
        ({"const": 2**70}, "is not a usable JSON Schema"),
        ({"$ref": "#/$defs/none"}, "is not a usable JSON Schema"),
        ({"$ref": "#"}, "is not a usable JSON Schema: more than 100 references"),
        (DOUBLING, "is not a usable JSON Schema: its references multiply"),
        (UNEVALUATED, "is not a usable JSON Schema: its references multiply"),
        ({"$schema": "https://example.invalid/x"}, "is not a usable JSON Schema"),
        (PERSON, None),
        (False, None),
    ],
)
def test_an_unusable_schema_is_said_before_anything_is_asked(
    make: Callable[..., Scorer], case: Callable[..., Case], schema: Any, lack: str | None
) -> None:
    said = make("json_schema").check(case(schema=schema))
    assert said is None if lack is None else said is not None and lack in said


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """The address of a server that would hand out a schema, and what it was asked."""
    paths: list[str] = []

    class Schemas(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Schemas) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/schema.json", paths
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef", "$schema"])
def test_nothing_is_ever_fetched(
    make: Callable[..., Scorer], case: Callable[..., Case], asked: tuple[str, list[str]], keyword: str
) -> None:
    url, paths = asked
    assert "not a usable JSON Schema" in (make("json_schema").check(case(schema={keyword: url})) or "")
    assert paths == []


def test_a_pattern_that_runs_away_is_a_scoring_error(make: Callable[..., Scorer]) -> None:
    text = json.dumps("a" * 100 + "!")
    for schema in ({"pattern": RUNAWAY}, {"not": {"pattern": RUNAWAY}}, {"anyOf": [{"pattern": RUNAWAY}, False]}):
        with pytest.raises(ScoringError, match="pattern of the schema"):
            of(make("json_schema"), text, schema)


def test_many_strings_and_a_pattern_that_backtracks_are_a_scoring_error(make: Callable[..., Scorer]) -> None:
    schema = {"items": {"pattern": "^(?!x)"}}
    assert of(make("json_schema"), json.dumps(["a"] * 2_000), schema).value == 1.0
    assert of(make("json_schema"), json.dumps(["a"] * 20_000), {"items": {"pattern": "^[^x]"}}).value == 1.0
    with pytest.raises(ScoringError, match="20001 values are too many for so large a schema"):
        of(make("json_schema"), json.dumps(["a"] * 20_000), schema)


def test_a_failure_that_may_be_a_pattern_running_away_is_not_a_zero(make: Callable[..., Scorer]) -> None:
    word = {"type": "string", "pattern": "^(?!x)"}
    schema = {"$defs": {"word": word}, "anyOf": [*TREE["anyOf"], {"$ref": "#/$defs/word"}]}
    assert of(make("json_schema"), '["x"]', schema).value == 0.0
    with pytest.raises(ScoringError, match="or a pattern takes too long"):
        of(make("json_schema"), "[" * 30 + '"x"' + "]" * 30, schema)


def test_a_value_that_leads_back_again_and_again_is_judged_at_once(make: Callable[..., Scorer]) -> None:
    for depth, why in ((3, "the value is not valid under any"), (500, "saying where would take too long")):
        result = of(make("json_schema"), "[" * depth + "1" + "]" * depth, TREE)
        assert result.value == 0.0
        assert why in result.explanation
    assert of(make("json_schema"), "[" * 500 + "]" * 500, TREE).value == 1.0


def test_a_deep_value_does_not_overflow_the_stack(make: Callable[..., Scorer]) -> None:
    steps = {str(i): {"oneOf": [{"$ref": f"#/$defs/{i + 1}"}, False]} for i in range(48)}
    schema = {"$defs": {**steps, "48": {"type": "array", "items": {"$ref": "#/$defs/0"}}}, "$ref": "#/$defs/0"}
    results: list[float | None] = []
    worker = threading.Thread(
        target=lambda: results.append(of(make("json_schema"), "[" * 1024 + "]" * 1024, schema).value)
    )
    worker.start()
    worker.join()
    assert results == [1.0]


def test_too_long_a_text_is_a_scoring_error(make: Callable[..., Scorer]) -> None:
    assert of(make("json_schema"), " " * 2**20 + "1", True).value == 1.0
    with pytest.raises(ScoringError, match="1048577 characters: JSON is read up to 1048576"):
        of(make("json_schema", strip=False), " " * 2**20 + "1", True)
