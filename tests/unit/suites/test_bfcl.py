"""The format `bfcl`: questions and their ground truth, in one row or in two."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import evalsvc.scoring  # noqa: F401 - importing the package registers its scorers
from evalsvc.core.records import Case, Completion, Role, ScorerSpec, SuiteSpec
from evalsvc.errors import JobError
from evalsvc.scoring.base import build
from evalsvc.suites import FORMATS, read_suite

FUNCTION = {
    "name": "math.gcd",
    "description": "Greatest common divisor.",
    "parameters": {
        "type": "dict",
        "properties": {
            "a": {"type": "integer"},
            "b": {"type": "float", "description": "The other."},
            "all": {"type": "array", "items": {"type": "tuple", "items": {"type": "any"}}},
            "more": {"type": "dict", "properties": {"deep": {"type": "float"}, "type": {"type": "string"}}},
        },
        "required": ["a"],
    },
}
TRUTH = [{"math.gcd": {"a": [1], "b": [2.5, ""]}}]
ASKED = [[{"role": "user", "content": "GCD?"}]]
SYSTEM = {"role": "system", "content": "Be brief."}
QUESTION = {"id": "simple_python_0", "question": ASKED, "function": [FUNCTION]}
ANSWER = {"id": "simple_python_0", "ground_truth": TRUTH}

Read = Callable[..., list[Case]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """read(rows..., format="auto", name="d.json")."""

    def run(*rows: Any, format: str = "auto", name: str = "d.json") -> list[Case]:  # noqa: A002 - the job's word
        path = tmp_path / name
        path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
        spec = SuiteSpec(name="s", role=Role.TARGET, dataset=name, format=format, scorers=())
        return list(read_suite(path, spec, name_for_errors=name))

    return run


def with_(**changed: Any) -> dict[str, Any]:
    return {key: value for key, value in {**QUESTION, **ANSWER, **changed}.items() if value is not ...}


def test_a_question_and_its_ground_truth_in_one_row(read: Read) -> None:
    (case,) = read(with_())
    assert (case.id, case.category, case.input, case.line) == ("simple_python_0", "simple_python", "GCD?", 1)
    assert case.expected == TRUTH


@pytest.mark.parametrize("name", ["d.json", "d.jsonl", "BFCL_v4_simple_python"])
@pytest.mark.parametrize("rows", [(QUESTION, ANSWER), (ANSWER, QUESTION)])
def test_the_ground_truth_in_a_row_of_its_own(read: Read, rows: Any, name: str) -> None:
    other = QUESTION | {"id": "simple_python_1"}
    (case, second) = read(*rows, other, {"id": "simple_python_1", "ground_truth": [{"f": {"x": [1]}}]}, name=name)
    assert (case.expected, case.line) == (TRUTH, 1 + rows.index(QUESTION))
    assert second.expected == [{"f": {"x": [1]}}]


@pytest.fixture
def join(tmp_path: Path) -> Callable[..., list[Case]]:
    """join(questions, answers): those of two files."""

    def run(questions: list[Any], answers: list[Any] | None) -> list[Case]:
        for name, rows in (("q.json", questions), ("a.json", answers or [])):
            (tmp_path / name).write_text("\n".join(map(json.dumps, rows)))
        given = tmp_path / ("a.json" if answers is not None else "nowhere.json")
        spec = SuiteSpec(name="s", role=Role.TARGET, dataset="q", format="auto", scorers=(), answers="a")
        return list(read_suite(tmp_path / "q.json", spec, name_for_errors="q.json", answers=(given, "truth/a.json")))

    return run


def test_the_ground_truth_in_a_file_of_its_own(join: Callable[..., list[Case]]) -> None:
    other, empty = QUESTION | {"id": "simple_python_1"}, QUESTION | {"id": "irrelevance_0"}
    answers = [{"id": "simple_python_1", "ground_truth": [{"f": {"x": [1]}}]}, ANSWER]
    assert [(case.id, case.expected, case.line) for case in join([QUESTION, other, empty], answers)] == [
        ("simple_python_0", TRUTH, 1),
        ("simple_python_1", [{"f": {"x": [1]}}], 2),
        ("irrelevance_0", [], 3),
    ]


@pytest.mark.parametrize(
    ("questions", "answers", "message"),
    [
        (
            [QUESTION],
            [ANSWER | {"ground_truth": [{}]}],
            "q.json:1: ground_truth[0]: an empty object names no call; [] says that none is wanted",
        ),
        ([QUESTION], [], 'q.json:1: ground_truth: no ground truth of "simple_python_0", here or in truth/a.json; the'),
        ([QUESTION], [ANSWER, ANSWER | {"id": "b"}], 'truth/a.json:2: id: "b" is no question without a ground truth'),
        ([with_()], [ANSWER], 'truth/a.json:1: id: "simple_python_0" is no question without a ground truth'),
        ([QUESTION, ANSWER], [ANSWER], 'truth/a.json:1: id: a second ground truth of "simple_python_0"'),
        ([QUESTION], [ANSWER, ANSWER], 'truth/a.json:2: id: a second ground truth of "simple_python_0"'),
        ([QUESTION], [{"id": "simple_python_0"}], "truth/a.json:1: ground_truth: missing; the accepted calls"),
        ([QUESTION], [{"ground_truth": TRUTH}], "truth/a.json:1: id: missing; the question that is answered"),
        ([QUESTION], ["{"], "truth/a.json:1: a row must be an object, got a string"),
        ([QUESTION], None, "truth/a.json: cannot be read: No such file or directory"),
    ],
)
def test_what_is_wrong_in_two_files_is_named_with_the_file(
    join: Callable[..., list[Case]], questions: list[Any], answers: list[Any] | None, message: str
) -> None:
    with pytest.raises(JobError) as caught:
        join(questions, answers)
    assert str(caught.value).startswith(message)


def test_tools_are_as_openai_takes_them(read: Read) -> None:
    (case,) = read(with_())
    assert case.tools == [
        {
            "type": "function",
            "function": {
                "name": "math_gcd",
                "description": "Greatest common divisor.",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "a": {"type": "integer"},
                        "b": {"type": "number", "format": "float", "description": "The other."},
                        "all": {"type": "array", "items": {"type": "array", "items": {}}},
                        "more": {
                            "type": "object",
                            "properties": {"deep": {"type": "number", "format": "float"}, "type": {"type": "string"}},
                        },
                    },
                    "required": ["a"],
                },
            },
        }
    ]


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        ("GCD?", "GCD?"),
        (ASKED[0], "GCD?"),
        ([[SYSTEM, *ASKED[0]]], [SYSTEM, *ASKED[0]]),
    ],
)
def test_the_one_turn_of_a_question(read: Read, question: Any, wanted: Any) -> None:
    assert read(with_(question=question))[0].input == wanted


def test_older_versions_have_one_function_and_one_object(read: Read) -> None:
    truth = {"math.gcd_1": {"a": [1]}, "math.gcd_2": {"a": [2]}}
    (case,) = read(with_(function=FUNCTION, ground_truth=truth))
    assert case.expected == [{"math.gcd_1": {"a": [1]}}, {"math.gcd_2": {"a": [2]}}]
    assert case.tools
    assert len(case.tools) == 1


@pytest.mark.parametrize("id_", ["irrelevance_7", "live_irrelevance_12-3-0"])
def test_irrelevance_wants_no_call(read: Read, id_: str) -> None:
    (case,) = read(with_(id=id_, ground_truth=...))
    assert case.expected == []
    assert case.category == id_.partition("_1")[0].partition("_7")[0]


def test_no_call_may_be_wanted_without_tools(read: Read) -> None:
    (case,) = read(with_(function=[], ground_truth=[]))
    assert (case.expected, case.tools) == ([], None)


def test_a_category_may_be_given_and_other_keys_are_metadata(read: Read) -> None:
    (case,) = read(with_(id="x1", category="mine", source="made up"))
    assert (case.category, case.metadata) == ("mine", {"source": "made up"})
    assert read(with_(id="x1"))[0].category == "uncategorized"


@pytest.mark.parametrize(
    ("rows", "place", "what"),
    [
        ([QUESTION], "d.json:1: ground_truth", 'no ground truth of "simple_python_0", here or in every other row'),
        ([with_(id="live_relevance_0-0-0", ground_truth=...)], "d.json:1: ground_truth", "no ground truth of"),
        ([with_(id="relevance_0", ground_truth=...)], "d.json:1: ground_truth", "no ground truth of"),
        ([with_(), with_()], "d.json:2: id", 'duplicate id "simple_python_0"'),
        ([QUESTION, ANSWER, ANSWER], "d.json:3: id", "a second ground truth"),
        ([QUESTION, {"ground_truth": TRUTH}], "d.json:2: id", "missing"),
        ([QUESTION, ANSWER, ANSWER | {"id": "b"}], "d.json:3: id", '"b" is no question without a ground truth'),
        ([with_(), ANSWER], "d.json:2: id", '"simple_python_0" is no question without a ground truth'),
        ([with_(ground_truth=["f(x=1)"])], "d.json:1: ground_truth[0]", 'got a string "f(x=1)"'),
        ([with_(ground_truth="f(x=1)")], "d.json:1: ground_truth", "must be an array of objects"),
        ([with_(question=[*ASKED, *ASKED])], "d.json:1: question", "has 2 turns"),
        ([with_(question=[])], "d.json:1: question", "must be an array with one array of messages"),
        ([with_(question=[[{"role": "user"}]])], "d.json:1: question[0].content", "missing"),
        ([with_(function="f")], "d.json:1: function", "must be an array of functions"),
        ([with_(function=[{"name": "f"}])], "d.json:1: function[0].parameters", "missing"),
        ([with_(function=[{"parameters": {}}])], "d.json:1: function[0].name", "missing"),
        (
            [with_(function=[{"name": "f", "parameters": {"properties": {"x": {"type": "ArrayList"}}}}])],
            "d.json:1: function[0].parameters.properties.x.type",
            "(Java's and JavaScript's cannot be read), got a string",
        ),
        ([QUESTION | {"involved_classes": []}], "d.json:1: ", "plays with an environment"),
        ([{"id": "a", "question": ASKED, "involved_classes": []}], "d.json:1: ", "plays with an environment"),
        ([with_(), "{"], "d.json:2: ", "not JSON"),
    ],
)
def test_what_is_wrong_is_named_with_line_and_key(read: Read, rows: Any, place: str, what: str) -> None:
    with pytest.raises(JobError) as caught:
        read(*rows, format="bfcl")
    assert str(caught.value).startswith(place)
    assert what in caught.value.message


@pytest.mark.parametrize(
    ("row", "fits"),
    [
        (QUESTION, True),
        (ANSWER, True),
        ({"id": "a", "question": ASKED, "involved_classes": []}, True),
        ({"id": "a", "input": "?", "expected": {"question": 1, "function": 2}}, False),
        ({"question": "?", "answer": "!"}, False),
    ],
)
def test_the_first_row_tells_the_format(row: Any, fits: bool) -> None:
    assert FORMATS["bfcl"].sniff(json.dumps(row).encode() + b"\n", "d.json") == fits


def test_what_is_read_is_what_the_scorers_take(read: Read) -> None:
    (case,) = read(with_())
    answer = [{"function": {"name": "math_gcd", "arguments": '{"a": 1, "b": 2.5}'}}]
    for name, options in (("tool_call", {}), ("tool_call", {"compat": "bfcl"}), ("tool_schema", {})):
        scorer = build(ScorerSpec(name=name, label=name, options=options))
        assert scorer.check(case) is None
        assert scorer.score(case, Completion(text="", tool_calls=answer)).value == 1
