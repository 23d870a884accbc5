"""The scorer `tool_call`: strict by default, BFCL's checker with compat."""

import json
from collections.abc import Callable, Sequence
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.core.records import Case, Completion, Score
from evalsvc.scoring.base import Scorer

PARAMETERS = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer"},
        "limit": {"type": "number"},
        "detail": {"type": "boolean"},
        "where": {"type": "object", "properties": {"lat": {"type": "number"}, "names": {"type": "array"}}},
    },
}
TOOLS = [
    {"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}},
    {"type": "function", "function": {"name": "geo_find", "parameters": {"type": "object"}}},
    {"type": "function", "function": {"name": "ping"}},
]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def a_case(expected: Any, tools: list[dict[str, Any]] | None = TOOLS) -> Case:
    return Case(suite="s", id="1", category="c", input="?", expected=expected, tools=tools)


def calls(*made: tuple[str, Any]) -> Completion:
    """An answer of OpenAI tool calls; arguments that are no text are written as JSON."""
    return Completion(
        text="",
        tool_calls=[
            {
                "id": f"call_{place}",
                "type": "function",
                "function": {"name": name, "arguments": given if isinstance(given, str) else json.dumps(given)},
            }
            for place, (name, given) in enumerate(made)
        ],
    )


def weather(**arguments: Any) -> dict[str, Any]:
    return {"name": "weather", "arguments": arguments}


@pytest.fixture(scope="session")
def strict(make: Callable[..., Scorer]) -> Scorer:
    return make("tool_call")


@pytest.fixture(scope="session")
def bfcl(make: Callable[..., Scorer]) -> Scorer:
    return make("tool_call", compat="bfcl")


def judged(scorer: Scorer, expected: Any, answer: Completion, tools: list[dict[str, Any]] | None = TOOLS) -> Score:
    case = a_case(expected, tools)
    assert scorer.check(case) is None
    return scorer.score(case, answer)


@pytest.mark.parametrize(
    ("expected", "made", "why"),
    [
        (weather(city="Paris"), ("weather", {"city": "Paris"}), None),
        (weather(city="Paris"), ("weather", {"city": "paris"}), 'argument `city`: wanted "Paris", got "paris"'),
        (weather(city="-5"), ("weather", {"city": "5"}), 'argument `city`: wanted "-5", got "5"'),
        (weather(days=5), ("weather", {"days": "5"}), 'argument `days`: wanted 5, got "5"'),
        (weather(days=5), ("weather", {"days": 5.0}), "argument `days`: wanted 5, got 5.0"),
        (weather(days=1), ("weather", {"days": True}), "argument `days`: wanted 1, got true"),
        (weather(detail=True), ("weather", {"detail": 1}), "argument `detail`: wanted true, got 1"),
        (weather(detail=None), ("weather", {"detail": None}), None),
        (weather(detail=None), ("weather", {"detail": False}), "argument `detail`: wanted null, got false"),
        (weather(limit=5.0), ("weather", {"limit": 5}), None),
        (weather(limit=5), ("weather", {"limit": 5.0}), None),  # the schema says number
        (weather(limit=5.5), ("weather", {"limit": 5}), "argument `limit`: wanted 5.5, got 5"),
        (weather(limit=0.1), ("weather", {"limit": 0.1}), None),
        (weather(city="Paris"), ("weather", {}), "argument `city` is missing"),
        (weather(city=""), ("weather", {}), "argument `city` is missing"),
        (weather(city=""), ("weather", {"city": ""}), None),
        (weather(city="Paris"), ("weather", {"city": "Paris", "days": 1}), "argument `days` is not wanted"),
        (weather(), ("weather", {}), None),
        ({"name": "ping"}, ("ping", ""), None),
        (weather(city="Paris"), ("geo_find", {"city": "Paris"}), "wanted a call of `weather`, got one of `geo_find`"),
        (weather(where={"lat": 1.5}), ("weather", {"where": {"lat": 1.5}}), None),
        (weather(where={"lat": 1}), ("weather", {"where": {"lat": 1.0}}), None),
        (
            weather(where={"lat": 1.5}),
            ("weather", {"where": {"lat": "1.5"}}),
            'argument `where`: wanted {"lat":1.5}, got',
        ),
        (weather(where={"lat": 1.5}), ("weather", {"where": {"lat": 1.5, "x": 1}}), "argument `where`: wanted"),
        (weather(where={"lat": 1.5}), ("weather", {"where": {}}), "argument `where`: wanted"),
        (weather(where={"names": ["a", "b"]}), ("weather", {"where": {"names": ["a", "b"]}}), None),
        (
            weather(where={"names": ["a", "b"]}),
            ("weather", {"where": {"names": ["b", "a"]}}),
            "argument `where`: wanted",
        ),
        (weather(where={"names": []}), ("weather", {"where": {"names": {}}}), "argument `where`: wanted"),
        ({"name": "geo.find", "arguments": {}}, ("geo_find", {}), None),  # the tool that is meant
        ({"name": "geo.find", "arguments": {}}, ("geo.find", {}), None),
    ],
)
def test_a_call_is_compared_by_name_value_and_type(strict: Scorer, expected: Any, made: Any, why: str | None) -> None:
    found = judged(strict, expected, calls(made))
    assert found.value == (why is None)
    assert found.explanation.startswith(why or "called as wanted")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"city": "Paris", "days": 2}, None),
        ({"city": "Paris, France", "days": 2}, None),
        ({"city": "Paris", "days": 2, "detail": True}, None),
        ({"city": "Paris", "days": 2, "detail": False}, "argument `detail`: wanted true, got false"),
        ({"city": "Paris", "days": 2, "detail": ""}, 'argument `detail`: wanted true, got ""'),
        ({"city": "paris", "days": 2}, 'argument `city`: wanted "Paris" (or 1 more), got "paris"'),
        ({"city": "Paris"}, "argument `days` is missing"),
        ({"city": "Paris", "days": ""}, 'argument `days`: wanted 2, got ""'),
        ({"city": "Paris", "days": 2, "where": {"lat": 1.5}}, None),
        ({"city": "Paris", "days": 2, "where": {"lat": 2, "names": ["x"]}}, None),
        ({"city": "Paris", "days": 2, "where": {"names": ["x"]}}, "argument `where`: wanted"),
        ({"city": "Paris", "days": 2, "where": {"lat": 3}}, "argument `where`: wanted"),
        ({"city": "Paris", "days": 2, "where": {"lat": 2, "far": 1}}, "argument `where`: wanted"),
    ],
)
def test_alternatives_and_what_may_be_left_out(strict: Scorer, arguments: Any, why: str | None) -> None:
    where = {"lat": [1.5, 2], "names": [["x"], ""]}
    accepted = {"city": ["Paris", "Paris, France"], "days": [2], "detail": [True, ""], "where": [where, ""]}
    found = judged(strict, {"weather": accepted}, calls(("weather", arguments)))
    assert found.value == (why is None)
    assert found.explanation.startswith(why or "called as wanted")


PARIS, ROME = ("weather", {"city": "Paris"}), ("weather", {"city": "Rome"})
BOTH = [weather(city="Paris"), weather(city="Rome")]


@pytest.mark.parametrize(
    ("expected", "made", "why"),
    [
        (BOTH, [PARIS, ROME], None),
        (BOTH, [ROME, PARIS], None),
        (BOTH, [PARIS, PARIS], 'wanted call 2 of 2: argument `city`: wanted "Rome", got "Paris"'),
        (BOTH, [PARIS], "wanted 2 calls, got 1: `weather`"),
        (BOTH, [PARIS, ROME, PARIS], "wanted 2 calls, got 3: `weather`, `weather`, …"),
        (BOTH, [PARIS, ("ping", {})], "wanted call 2 of 2: wanted a call of `weather`, got one of `ping`"),
        (BOTH[:1], [PARIS, ROME], "wanted a call of `weather`, got 2"),
        (BOTH[:1], [], "wanted a call of `weather`, got none"),
        ([], [PARIS], "wanted no call, got `weather`"),
        (None, [PARIS], "wanted no call, got `weather`"),
        (None, [], None),
        # the first accepts both, the second one only: taking turns would leave the second without a call
        ([{"weather": {"city": ["Paris", "Rome"]}}, weather(city="Paris")], [PARIS, ROME], None),
        ({"weather 1": {"city": ["Paris"]}, "weather_2": {"city": ["Rome"]}}, [ROME, PARIS], None),
    ],
)
def test_parallel_calls_and_none(strict: Scorer, expected: Any, made: Any, why: str | None) -> None:
    answer = calls(*made) if made else Completion(text="There is no tool for that.")
    found = judged(strict, expected, answer)
    assert found.value == (why is None)
    assert found.explanation.startswith(why or ("called as wanted" if made else "no call, as wanted"))


@pytest.mark.parametrize(
    "text",
    [
        'weather(city="Paris")',
        "[weather(city='Paris')]",
        "```python\nweather(city='Paris')\n```",
        '{"name": "weather", "arguments": {"city": "Paris"}}',
        '[{"name": "weather", "parameters": {"city": "Paris"}}]',
        '```json\n{"name": "weather", "arguments": {"city": "Paris"}}\n```',
        '{"type": "function", "function": {"name": "weather", "arguments": "{\\"city\\": \\"Paris\\"}"}}',
        'I look it up. <tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>',
    ],
)
def test_calls_written_as_text_count_like_others(strict: Scorer, text: str) -> None:
    assert judged(strict, weather(city="Paris"), Completion(text=text)).value == 1
    assert judged(strict, weather(city="Rome"), Completion(text=text)).value == 0
    assert judged(strict, None, Completion(text=text)).value == 0


def test_tool_calls_come_before_the_text(strict: Scorer) -> None:
    answer = Completion(text='weather(city="Rome")', tool_calls=calls(PARIS).tool_calls)
    assert judged(strict, weather(city="Paris"), answer).value == 1


def test_a_bare_name_is_no_text_but_to_bfcl(strict: Scorer, bfcl: Scorer) -> None:
    answer = Completion(text="weather(city=Paris)")
    found = judged(strict, weather(city="Paris"), answer)
    assert (found.value, found.explanation) == (0, 'argument `city`: wanted "Paris", got the bare name `Paris`')
    assert judged(bfcl, weather(city="Paris"), answer).value == 1


def test_an_argument_without_a_name(strict: Scorer) -> None:
    found = judged(strict, weather(city="Paris"), Completion(text='weather("Paris")'))
    assert (found.value, found.explanation) == (0, "an argument stands there without its name")


def test_extract_finds_a_call_in_prose(make: Callable[..., Scorer]) -> None:
    scorer = make("tool_call", extract=r"(?s)```json\n(.*?)```")
    text = 'Sure:\n```json\n{"name": "weather", "arguments": {"city": "Paris"}}\n```\nDone.'
    assert judged(scorer, weather(city="Paris"), Completion(text=text)).value == 1
    assert judged(scorer, None, Completion(text="No tool fits.")).value == 1
    assert judged(scorer, weather(city="Paris"), Completion(text="No tool fits.")).value == 0


DEEP = "[" * 900 + "]" * 900
HOSTILE = {
    "a key twice": '{"city": "Paris", "city": "Paris"}',
    "a key twice, escaped": '{"city": "Paris", "c\\u0069ty": "Paris"}',
    "a key twice, deep": '{"city": "Paris", "where": [{"a": 1, "a": 1}]}',
    "NaN": '{"city": NaN}',
    "infinite": '{"city": 1e999}',
    "no object": '["Paris"]',
    "a text": '"Paris"',
    "null": "null",
    "cut off": '{"city": "Par',
    "more after it": '{"city": "Paris"} {}',
    "deep": f'{{"city": {DEEP}}}',
    "too deep": '{"city":' * 100_000,
    "1 MB of text": json.dumps({"city": "a" * 1_000_000}),
    "1 MB of quotes": json.dumps({"city": '"' * 500_000}),
    "1 MB of colons": json.dumps({"city": ":" * 1_000_000}),
    "1 MB of keys": json.dumps({f"k{number}": {} for number in range(80_000)}),
    "1 MB of lists": '{"city":' + json.dumps([[]] * 250_000) + "}",
    "a long number": '{"city": ' + "9" * 100_000 + "}",
    "lone surrogate": '{"city": "\\ud800"}',
    "control characters": json.dumps({"\x00\x1b[31m\u202e": "\x07", "city": "Paris"}),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("compat", [None, "bfcl"])
def test_hostile_arguments_score_0_and_say_why(make: Callable[..., Scorer], name: str, compat: str | None) -> None:
    scorer = make("tool_call", compat=compat)
    for expected in (weather(city="Paris"), weather(city=[["a"]]), weather(city={"a": 1}), BOTH, None):
        begun = process_time()
        found = judged(scorer, expected, calls(*[("weather", HOSTILE[name])] * (2 if expected is BOTH else 1)))
        assert process_time() - begun < 1
        reads_as_no_call = compat == "bfcl" and expected is None and found.explanation.startswith("no call")
        assert found.value == reads_as_no_call
        assert found.explanation.isprintable()
        assert len(found.explanation) < 200


@pytest.mark.parametrize(
    "objects",
    [
        [{}],
        [{"function": None}],
        [{"function": {"name": None, "arguments": "{}"}}],
        [{"function": {"name": "", "arguments": "{}"}}],
        [{"function": {"name": ["weather"], "arguments": "{}"}}],
        [{"function": {"name": "weather", "arguments": None}}],
        [{"function": {"name": "weather", "arguments": 3}}],
        [{"type": "custom", "custom": {"name": "weather", "input": "Paris"}}],
        [{"function": {"name": "w" * 1_000_000, "arguments": "{}"}}],
        [{"function": {"name": "weather", "arguments": "{}"}}] * 20_000,
    ],
)
def test_hostile_calls_score_0_and_say_why(strict: Scorer, objects: list[dict[str, Any]]) -> None:
    for expected in (weather(city="Paris"), BOTH, None):
        found = judged(strict, expected, Completion(text="", tool_calls=objects))
        assert found.value == 0
        assert found.explanation.isprintable()
        assert 0 < len(found.explanation) < 200


@given(arguments=st.dictionaries(st.text(), JSON, max_size=4), other=st.dictionaries(st.text(), JSON, max_size=4))
def test_equal_arguments_are_the_wanted_ones_and_no_others(
    strict: Scorer, arguments: dict[str, Any], other: dict[str, Any]
) -> None:
    expected = {"name": "any", "arguments": arguments}
    assert judged(strict, expected, calls(("any", arguments)), None).value == 1
    if arguments != other:  # 1 == 1.0 == True: those have their own cases above
        assert judged(strict, expected, calls(("any", other)), None).value == 0


@given(wanted=st.lists(st.sampled_from("ab"), min_size=1, max_size=5), made=st.lists(st.sampled_from("ab"), max_size=5))
def test_parallel_calls_are_compared_as_bags(strict: Scorer, wanted: Sequence[str], made: Sequence[str]) -> None:
    expected = [weather(city=city) for city in wanted]
    answer = calls(*(("weather", {"city": city}) for city in made)) if made else Completion(text="none")
    assert judged(strict, expected, answer).value == (sorted(wanted) == sorted(made))


@pytest.mark.parametrize(
    ("expected", "tools", "lack"),
    [
        (None, None, "has no expected"),
        ("Paris", TOOLS, "expected should be"),
        ([{}], TOOLS, "expected should be"),
        ({"name": "weather", "args": {}}, TOOLS, 'keys "name" and "arguments"'),
        ({"name": "weather", "arguments": [1]}, TOOLS, "expected.arguments should be an object"),
        ({"weather": {"city": "Paris"}}, TOOLS, "`weather` should hold a list of the accepted values"),
        ({"weather": {"city": []}}, TOOLS, "`weather` should hold a list of the accepted values"),
        ({"name": "wether", "arguments": {}}, TOOLS, "expected calls `wether`, which is none of the case's tools"),
        ([weather()] * 101, TOOLS, "expected wants 101 calls"),
        (weather(city=json.loads("[" * 80 + "]" * 80)), TOOLS, "nested deeper than 64 levels"),
        ([], None, None),
        (None, TOOLS, None),
        ({"name": "wether", "arguments": {}}, None, None),
    ],
)
def test_what_a_case_lacks_is_said_before_it_is_asked(
    strict: Scorer, expected: Any, tools: Any, lack: str | None
) -> None:
    said = strict.check(a_case(expected, tools))
    assert said is None if lack is None else said is not None and lack in said


def test_a_number_behind_a_name_may_be_a_tools_own(strict: Scorer) -> None:
    tools = [{"function": {"name": name, "parameters": {"type": "object"}}} for name in ("weather", "weather_2")]
    expected: dict[str, Any] = {"weather 1": {}, "weather_2": {}}
    assert judged(strict, expected, calls(("weather", {}), ("weather_2", {})), tools).value == 1
    assert judged(strict, expected, calls(("weather", {}), ("weather", {})), tools).value == 0


def test_the_explanation_of_long_values_is_short(strict: Scorer) -> None:
    name = "argument" * 50
    found = judged(strict, {"name": "any", "arguments": {name: "x" * 5000}}, calls(("any", {name: "y" * 5000})), None)
    assert len(found.explanation) < 200


# --- BFCL -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def questions(recorded: Callable[[str], list[dict[str, Any]]]) -> dict[str, Case]:
    return {
        row["id"]: a_case(None if row["expect_no_call"] else [row["possible_answer"]], row["tools"])
        for row in recorded("04_bfcl/questions.jsonl")
    }


@pytest.fixture(scope="session")
def vectors(recorded: Callable[[str], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return recorded("04_bfcl/checker_vectors.jsonl")


@pytest.mark.parametrize("dots", [True, False])
def test_every_recorded_verdict_of_bfcl(
    bfcl: Scorer, questions: dict[str, Case], vectors: list[dict[str, Any]], dots: bool
) -> None:
    assert len(vectors) == 795
    for row in vectors:
        case = questions[row["question_id"]]
        made = [(call["name"] if dots else call["name"].replace(".", "_"), call["arguments"]) for call in row["calls"]]
        found = bfcl.score(case, calls(*made))
        assert found.value == row["valid"], (row["id"], found.explanation)


def test_the_recorded_calls_mean_the_same_written_as_text(
    bfcl: Scorer, questions: dict[str, Case], vectors: list[dict[str, Any]]
) -> None:
    for row in vectors:
        case = questions[row["question_id"]]
        written = ", ".join(
            f"{call['name']}({', '.join(f'{key}={value!r}' for key, value in call['arguments'].items())})"
            for call in row["calls"]
        )
        for text in (f"[{written}]", json.dumps(row["calls"])):
            assert bfcl.score(case, Completion(text=text)).value == row["valid"], (row["id"], text)


#: What the strict comparison refuses and BFCL lets pass: other case, other punctuation.
LAX = {"upper_case", "string_with_spaces_punct"}


def test_strict_differs_from_bfcl_where_bfcl_is_lax_and_nowhere_else(
    strict: Scorer, questions: dict[str, Case], vectors: list[dict[str, Any]]
) -> None:
    for row in vectors:
        found = strict.score(
            questions[row["question_id"]], calls(*((call["name"], call["arguments"]) for call in row["calls"]))
        )
        assert found.value == (row["valid"] and row["mutation"] not in LAX), (row["id"], found.explanation)


def test_relevance_means_that_no_call_is_wanted(bfcl: Scorer, strict: Scorer, questions: dict[str, Case]) -> None:
    unwanted = [case for case in questions.values() if case.expected is None]
    assert len(unwanted) == 40
    for case in unwanted:
        assert case.tools
        name = case.tools[0]["function"]["name"]
        for scorer in (bfcl, strict):
            assert scorer.check(case) is None
            assert scorer.score(case, Completion(text="None of my tools can do that.")).value == 1
            assert scorer.score(case, calls((name, {}))).value == 0


def bfcl_case(schema: dict[str, Any], accepted: list[Any], *, required: Sequence[str] = ("x",)) -> Case:
    parameters = {"type": "object", "properties": {"x": schema}, "required": list(required)}
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    return a_case([{"f": {"x": accepted}}], [tool])


TEXT, WHOLE, REAL, FLAG = ({"type": name} for name in ("string", "integer", "number", "boolean"))


def a_list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


@pytest.mark.parametrize(
    ("schema", "accepted", "given", "valid"),
    [
        # strings without case, spaces and some punctuation
        (TEXT, ["-5"], "5", True),
        (TEXT, ["April 1, 2024"], "april-1.2024", True),
        (TEXT, ["O'Neil"], 'o"neil', True),
        (TEXT, ["a_b*c^d/e-f"], "A b,c.def", True),
        (TEXT, ["a(b)"], "ab", False),
        (TEXT, ["a", ""], "", True),
        (TEXT, ["5"], 5, False),
        (TEXT, [5], 5, True),  # the type of the accepted values in place of the schema's
        (TEXT, [5], "5", False),
        (TEXT, ["a"], "a\n", False),
        # numbers
        (REAL, [5.0], 5, True),
        (REAL, [5], 5.0, True),
        (REAL, [5], "5", False),
        (WHOLE, [5], 5.0, False),
        (WHOLE, [5.0], 5.0, True),
        (WHOLE, [1], True, False),
        (WHOLE, ["n"], "n", True),
        (WHOLE, ["n"], "N", False),
        (FLAG, [True], 1, False),
        (FLAG, [False], False, True),
        # lists
        (a_list(TEXT), [["a", "b"]], ["A", " B."], True),
        (a_list(TEXT), [["a", "b"]], ["b", "a"], False),
        (a_list(TEXT), [["a", "b"], ["b", "a"]], ["b", "a"], True),
        (a_list(TEXT), [["a"]], "a", False),
        (a_list(TEXT), [["a"]], [], False),
        (a_list(TEXT), [["a"], ""], [], True),
        (a_list(WHOLE), [[1, 2]], [1, 2.0], False),
        (a_list(REAL), [[1.0, 2.0]], [1, 2], False),  # an integer for a float, but not inside a list
        (a_list(REAL), [[1, 2]], [1, 2], True),
        (a_list(a_list(TEXT)), [[["a"]]], [["A"]], False),  # one level deep only
        ({"type": "array"}, [["a"]], ["A"], True),
        # objects
        ({"type": "object"}, [{"k": ["v", "w"], "n": [1]}], {"k": "W.", "n": 1}, True),
        ({"type": "object"}, [{"k": ["v"], "n": [1]}], {"k": "v"}, False),
        ({"type": "object"}, [{"k": ["v"], "n": [1, ""]}], {"k": "v"}, True),
        ({"type": "object"}, [{"k": ["v"]}], {"k": "v", "z": 1}, False),
        ({"type": "object"}, [{"k": ["v"]}, {"k": ["w"]}], {"k": "w"}, True),
        ({"type": "object"}, [{"k": {"i": ["v"]}}], {"k": {"i": "V"}}, True),
        ({"type": "object"}, [{"k": {"i": ["v"]}}], {"k": {"i": "w"}}, False),
        (a_list({"type": "object"}), [[{"k": ["v"]}, {"k": ["w"]}]], [{"k": "V"}, {"k": "W"}], True),
        (a_list({"type": "object"}), [[{"k": ["v"]}, {"k": ["w"]}]], [{"k": "w"}, {"k": "v"}], False),
        (a_list({"type": "object"}), [[{"k": ["v"]}]], [{"k": "v"}, {"k": "v"}], False),
        (a_list({"type": "object"}), [[{"k": ["v"]}], ""], [], True),
        # a type BFCL does not have counts as any: a string, or the type of the accepted values
        ({}, ["a"], "A", True),
        ({}, [3], 3, True),
        ({}, [["a"]], ["a"], True),
        ({}, [["a"]], ["A"], False),
        ({"type": ["string", "null"]}, ["a"], "A", True),
    ],
)
def test_the_rules_of_bfcl(bfcl: Scorer, schema: dict[str, Any], accepted: list[Any], given: Any, valid: bool) -> None:
    case = bfcl_case(schema, accepted)
    assert bfcl.check(case) is None
    found = bfcl.score(case, calls(("f", {"x": given})))
    assert found.value == valid, found.explanation
    assert valid or found.explanation.startswith("argument `x`: wanted")


def test_bfcl_on_arguments_that_are_there_or_not(bfcl: Scorer) -> None:
    optional, required = bfcl_case(TEXT, ["a", ""], required=()), bfcl_case(TEXT, ["a", ""])
    assert bfcl.score(optional, calls(("f", {}))).value == 1
    assert bfcl.score(required, calls(("f", {}))).explanation == "argument `x` is missing, which its tool requires"
    assert bfcl.score(bfcl_case(TEXT, ["a"], required=()), calls(("f", {}))).value == 0
    assert bfcl.score(optional, calls(("f", {"y": "a"}))).explanation == "argument `y` is not wanted"


def test_bfcl_lets_no_argument_pass_that_the_schema_does_not_know(bfcl: Scorer) -> None:
    known = bfcl_case(TEXT, ["a"])
    case = a_case([{"f": {"x": ["a"], "y": ["b"]}}], known.tools)
    assert bfcl.score(case, calls(("f", {"x": "a", "y": "b"}))).explanation == "argument `y` is not wanted"


def test_bfcl_takes_ground_truth_as_it_is(bfcl: Scorer) -> None:
    nobody_can = bfcl_case(TEXT, [])
    assert bfcl.check(nobody_can) is None
    assert bfcl.score(nobody_can, calls(("f", {"x": "a"}))).value == 0
    unknown = a_case([{"weather": {"city": ["Paris"]}}, {"deck": [[], ""]}], TOOLS)
    assert bfcl.check(unknown) is None
    assert bfcl.score(unknown, calls(PARIS, ("deck", {}))).value == 0
    misnamed = a_case([{"find": {"city": ["Paris"]}}], TOOLS[:1])  # of one function only the arguments count
    assert bfcl.check(misnamed) is None
    assert bfcl.score(misnamed, calls(PARIS)).value == 1


def test_bfcl_without_tools_takes_the_types_of_the_accepted_values(bfcl: Scorer) -> None:
    case = a_case([{"f": {"x": [1.5], "s": ["a", ""]}}], None)
    assert bfcl.check(case) is None
    assert bfcl.score(case, calls(("f", {"x": 1.5, "s": "A"}))).value == 1
    assert bfcl.score(case, calls(("f", {"x": "1.5"}))).value == 0


def test_bfcl_takes_each_call_in_turn(bfcl: Scorer) -> None:
    either = {"weather": {"city": ["Paris", "Rome"]}}
    assert judged(bfcl, [either, weather(city="Paris")], calls(PARIS, ROME)).value == 0
    assert judged(bfcl, [either, weather(city="Paris")], calls(ROME, PARIS)).value == 1


def test_to_bfcl_a_call_that_cannot_be_read_is_none(bfcl: Scorer, strict: Scorer) -> None:
    broken = calls(("weather", "{"))
    assert judged(bfcl, None, broken).value == 1
    assert judged(strict, None, broken).value == 0
    assert judged(bfcl, weather(), broken).value == 0


@pytest.mark.parametrize("items", [None, {"type": "object"}, {"type": "array", "items": {"type": "object"}}])
@pytest.mark.parametrize("kind", ["array", "object"])
def test_the_plain_arguments_themselves_satisfy_bfcl(bfcl: Scorer, kind: str, items: dict[str, Any] | None) -> None:
    deep = [[{"k": ["V"]}]] if items and items["type"] == "array" else [{"k": ["V", {"of": "w"}]}, {"k": []}]
    value = deep if kind == "array" else {"list": deep, "inner": {"list": deep}}
    given = {"type": kind, **({"items": items} if items else {})}
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"x": given}}}}]
    case = a_case({"name": "f", "arguments": {"x": value}}, tools)
    assert bfcl.score(case, calls(("f", {"x": value}))).value == 1
    assert bfcl.score(case, calls(("f", {"x": json.loads(json.dumps(value).replace("V", "W"))}))).value == 0


def test_to_bfcl_a_plain_empty_text_is_a_value_and_no_leave_to_omit_it(bfcl: Scorer) -> None:
    assert judged(bfcl, weather(city=""), calls(("weather", {"city": ""}))).value == 1
    assert judged(bfcl, weather(city=""), calls(("weather", {}))).value == 0


def test_plain_expected_will_do_for_bfcl(bfcl: Scorer) -> None:
    expected = weather(city="Paris", where={"names": ["A"], "deep": {"k": "V"}})
    assert (
        judged(
            bfcl, expected, calls(("weather", {"city": "paris", "where": {"names": ["A"], "deep": {"k": "v"}}}))
        ).value
        == 1
    )
    assert (
        judged(
            bfcl, expected, calls(("weather", {"city": "paris", "where": {"names": ["B"], "deep": {"k": "v"}}}))
        ).value
        == 0
    )
