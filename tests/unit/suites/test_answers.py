"""Recorded answers, from file to completion."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalsvc.core.records import Completion
from evalsvc.errors import JobError, JobStopped
from evalsvc.suites.answers import RecordedAnswers

Read = Callable[..., RecordedAnswers]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    path = tmp_path / "a.jsonl"

    def read_rows(*rows: Any, model: str = "m", end: str = "\n", **options: Any) -> RecordedAnswers:
        raw = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        path.write_bytes(end.encode().join(raw) + end.encode())
        return RecordedAnswers(path, model=model, name="a.jsonl", **options)

    return read_rows


def error_of(read: Read, *rows: Any, **options: Any) -> str:
    with pytest.raises(JobError) as error:
        read(*rows, **options)
    return str(error.value)


def found(answers: RecordedAnswers, *request: Any) -> Completion | None:
    completion = answers.find(*request)
    answers.close()
    return completion


def test_a_row_of_two_keys(read: Read) -> None:
    answers = read({"id": "a", "output": "x"}, {"id": 7, "output": ""})
    assert found(answers, "s", "a", 0) == Completion(text="x")
    assert found(answers, "any", "7", 0) == Completion(text="")
    assert found(answers, "s", "b", 0) is None
    assert found(answers, "s", "a", 1) is None
    assert len(answers) == 2


def test_a_full_row(read: Read) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    row = {
        "id": "a",
        "output": "x",
        "suite": "s",
        "trial": 2,
        "tool_calls": [call],
        "finish_reason": "length",
        "latency_s": 1.5,
        "model": "served",
        "input_tokens": 3,
        "output_tokens": 0,
    }
    answers = read(row)
    assert found(answers, "s", "a", 2) == Completion(
        text="x", finish_reason="length", tool_calls=[call], model="served", input_tokens=3, output_tokens=0
    )
    assert found(answers, "t", "a", 2) is None
    assert found(answers, "s", "a", 0) is None


def test_a_latency_measured_elsewhere_is_not_taken_over(read: Read) -> None:
    completion = found(read({"id": "a", "output": "x", "latency_s": 9}), "s", "a", 0)
    assert completion is not None
    assert completion.latency_s == 0


def test_null_is_as_if_not_given(read: Read) -> None:
    nothing = dict.fromkeys(
        ("suite", "trial", "tool_calls", "finish_reason", "latency_s", "model", "input_tokens", "output_tokens")
    )
    assert found(read({"id": "a", "output": "x", **nothing}), "s", "a", 0) == Completion(text="x")


@pytest.mark.parametrize(
    ("arguments", "text"), [({"a": 1}, '{"a":1}'), ('{"a": 1}', '{"a": 1}'), (None, "null"), ([], "[]")]
)
def test_tool_calls_of_name_and_arguments(read: Read, arguments: Any, text: str) -> None:
    answers = read({"id": "a", "output": None, "tool_calls": [{"name": "f", "arguments": arguments}]})
    completion = found(answers, "s", "a", 0)
    assert completion is not None
    assert completion.tool_calls == [{"type": "function", "function": {"name": "f", "arguments": text}}]
    assert (completion.text, completion.fault) == ("", None)


def test_a_row_for_a_suite_goes_before_one_for_any(read: Read) -> None:
    answers = read({"id": "a", "output": "any"}, {"id": "a", "suite": "s", "output": "its own"})
    assert [found(answers, suite, "a", 0) for suite in ("s", "t")] == [
        Completion(text="its own"),
        Completion(text="any"),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n \t\n"])
def test_rows_are_found_again_by_where_they_stand(read: Read, end: str) -> None:
    rows = [{"id": f"é{i}", "output": "ü" * i} for i in range(50)]
    answers = read(b'\xef\xbb\xbf{"id": "bom", "output": "first"}', *rows, end=end)
    for i in reversed(range(50)):
        completion = answers.find("s", f"é{i}", 0)
        assert completion == Completion(text="ü" * i)
    assert found(answers, "s", "bom", 0) == Completion(text="first")


def test_a_last_row_without_a_line_end(read: Read) -> None:
    assert found(read({"id": "a", "output": "x"}, {"id": "b", "output": "y"}, end="\n"), "s", "b", 0) is not None
    answers = read(b'{"id": "a", "output": "x"}\n{"id": "b", "output": "y"}', end="")
    assert found(answers, "s", "b", 0) == Completion(text="y")


TEXT = "the text of the answer (leave the row out where there is none)"
ID = "the id of the case it answers, a string or an integer"
KNOWN = "known: id, output, suite, trial, tool_calls, finish_reason, latency_s, model, input_tokens, output_tokens"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"[", ": not JSON: broken off or malformed at column 2"),
        ([], ": a row must be an object, got an array"),
        (b'{"id": "a", "id": "b", "output": ""}', ": id: stands twice in the same object"),
        (b'{"id": "a", "output": "\xff"}', ": not UTF-8: byte 0xff at offset 23 of the row"),
        (b'{"id": "a", "output": "\\ud800"}', ": output: holds a lone surrogate (half of a character)"),
        (b'{"id": "a", "output": "x", "latency_s": NaN}', ": latency_s: must be a finite number, got a number nan"),
        ({"output": "x"}, f": id: missing; {ID}"),
        ({"id": None, "output": "x"}, f": id: must be {ID}, got null"),
        ({"id": True, "output": "x"}, ": id: must be a string or an integer, got true"),
        ({"id": "a\n", "output": "x"}, ": id: must be printable text on one line, without control characters"),
        ({"id": "a"}, f": output: missing; {TEXT}"),
        ({"id": "a", "output": None}, f": output: must be a string, got null; {TEXT}"),
        ({"id": "a", "output": ["x"]}, f": output: must be a string, got an array; {TEXT}"),
        ({"id": "a", "output": "x", "txt": 1}, f': txt: unknown key "txt"; {KNOWN}'),
        ({"id": "a", "output": "x", "suite": 1}, ": suite: must be a string, got an integer 1"),
        (
            {"id": "a", "output": "x", "trial": -1},
            ": trial: must be an integer from 0 to 2147483647, got an integer -1",
        ),
        (
            {"id": "a", "output": "x", "trial": 1.0},
            ": trial: must be an integer from 0 to 2147483647, got a number 1.0",
        ),
        ({"id": "a", "output": "x", "tool_calls": {}}, ": tool_calls: must be an array of objects, got an object"),
        ({"id": "a", "tool_calls": [{}]}, ": tool_calls[0].name: missing; the name of the function that is called"),
        ({"id": "a", "output": "x", "finish_reason": 1}, ": finish_reason: must be a string, got an integer 1"),
        ({"id": "a", "output": "x", "model": "a\x1b"}, ": model: must be printable text on one line, without control"),
        (
            {"id": "a", "output": "x", "input_tokens": True},
            ": input_tokens: must be an integer from 0 to 2147483647, got",
        ),
        (
            {"id": "a", "output": "x", "latency_s": -1},
            ": latency_s: must be a number of seconds of at least 0, got an integer -1",
        ),
        (b"[" * 100_000, ": nested deeper than 246 levels"),
        (b'{"id": "a", "output": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", ": nested deeper than 246 levels"),
        (b"\0", ": not JSON: broken off or malformed at column 1"),
    ],
)
def test_a_bad_row_is_one_error(read: Read, row: Any, message: str) -> None:
    assert error_of(read, {"id": "first", "output": "x"}, b"", row).startswith(f"a.jsonl:3{message}")


@pytest.mark.parametrize(
    "twice",
    [
        ({"id": "a", "output": "x"}, {"id": "a", "output": "x"}),
        ({"id": 1, "output": "x"}, {"id": "1", "trial": 0, "output": "y"}),
        ({"id": "a", "suite": "s", "output": "x"}, {"id": "a", "suite": "s", "output": "y", "model": "other"}),
    ],
)
def test_a_second_answer_is_an_error(read: Read, twice: tuple[Any, Any]) -> None:
    rows = ({"id": "b", "output": "x"}, twice[0], {"id": "c", "output": "x"}, twice[1])
    assert error_of(read, *rows) == "a.jsonl:4: id: a second answer to the same case and trial; the first is in line 2"


def test_of_many_second_answers_the_first_in_the_file_is_named(read: Read) -> None:
    rows = [{"id": name, "output": "x"} for name in "abcdeedcba"]
    assert error_of(read, *rows).startswith("a.jsonl:6: id: a second answer")
    assert error_of(read, *rows).endswith("line 5")


def test_files_without_answers(read: Read, tmp_path: Path) -> None:
    assert error_of(read) == 'a.jsonl: holds no recorded answers of "m"'
    assert error_of(read, b" ", b"") == 'a.jsonl: holds no recorded answers of "m"'
    with pytest.raises(JobError, match="none: cannot be read: No such file"):
        RecordedAnswers(tmp_path / "none", model="m")


def test_a_row_beyond_the_limit(read: Read) -> None:
    row = {"id": "a", "output": "x" * 100}
    assert len(read(row, max_row_bytes=200)) == 1
    assert error_of(read, row, max_row_bytes=100).startswith("a.jsonl:1: a row of more than 100 bytes")


def test_answers_of_several_models_beside_a_case(read: Read) -> None:
    rows = [
        {"id": "a", "prompt": "?", "outputs": {"m": {"output": "x", "is_correct": False}, "n": {"output": "y"}}},
        {"id": "b", "prompt": "?", "outputs": {"m": "text"}},
        {"id": "c", "prompt": "?", "outputs": {"n": "y", "m": None}},
        {"id": "d", "prompt": "?", "outputs": {}},
    ]
    answers = read(*rows)
    assert [found(answers, "s", name, 0) for name in "abcd"] == [
        Completion(text="x"),
        Completion(text="text"),
        None,
        None,
    ]
    assert found(read(*rows, model="n"), "s", "c", 0) == Completion(text="y")
    assert error_of(read, *rows, model="o") == 'a.jsonl: holds no recorded answers of "o"'


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "b"}, "outputs: missing; an object of answers by model"),
        ({"id": "b", "outputs": []}, "outputs: must be an object of answers by model, got an array"),
        ({"id": "b", "outputs": {"m": 1}}, 'outputs.m: must be a string, or an object with "output", got an integer 1'),
        ({"id": "b", "outputs": {"m": {}}}, f"outputs.m.output: missing; {TEXT}"),
        ({"outputs": {"m": "x"}}, f"id: missing; {ID}"),
    ],
)
def test_bad_rows_of_several_models(read: Read, row: Any, message: str) -> None:
    assert error_of(read, {"id": "a", "outputs": {"m": "x"}}, row) == f"a.jsonl:2: {message}"


def lm_eval(doc: int, *responses: Any, filter_: str = "strict") -> dict[str, Any]:
    return {
        "doc_id": doc,
        "doc": {"question": "?"},
        "target": "4",
        "arguments": {"gen_args_0": {"arg_0": "?", "arg_1": {"until": []}}},
        "resps": [list(responses)],
        "filtered_resps": ["[invalid]"],
        "filter": filter_,
        "exact_match": 0.0,
    }


def test_samples_of_lm_eval(read: Read) -> None:
    rows = [lm_eval(doc, f"raw {doc}", "again", filter_=name) for doc in (0, 5) for name in ("strict", "flexible")]
    answers = read(*rows)
    assert len(answers) == 4
    assert found(answers, "s", "5", 0) == Completion(text="raw 5")
    assert found(answers, "s", "0", 1) == Completion(text="again")
    assert found(answers, "s", "0", 2) is None


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            lm_eval(1, ["-1.5", "False"]),
            "resps[0][0]: must be a text, got an array: this task compared log-likelihoods, no answer was recorded",
        ),
        (lm_eval(1), "resps: must be an array of arrays of responses, got an array"),
        ({**lm_eval(1), "resps": [["a"], ["b"]]}, "resps: must hold one request a document, got 2"),
        ({"resps": [["x"]], "filter": "strict"}, f"doc_id: missing; {ID}"),
    ],
)
def test_samples_of_lm_eval_that_hold_no_answer(read: Read, row: Any, message: str) -> None:
    assert error_of(read, lm_eval(0, "x"), row) == f"a.jsonl:2: {message}"


def batch(name: str, body: Any, status: int = 200) -> dict[str, Any]:
    return {"id": f"batch_{name}", "custom_id": name, "response": {"status_code": status, "body": body}, "error": None}


def chat_body(**message: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    return {"model": "served", "choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}


def test_output_of_an_openai_batch(read: Read) -> None:
    failed = {"custom_id": "c", "response": None, "error": {"code": "batch_expired"}}
    rows = [batch("a", chat_body(content="x")), batch("b", {"error": {}}, status=500), failed]
    answers = read(*rows, batch("d", chat_body(content=None, refusal="no")))
    assert found(answers, "s", "a", 0) == Completion(
        text="x", finish_reason="stop", model="served", input_tokens=3, output_tokens=4
    )
    assert found(answers, "s", "b", 0) is None
    assert found(answers, "s", "c", 0) is None
    refused = found(answers, "s", "d", 0)
    assert refused is not None
    assert refused.fault == "refused"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "response.body.choices: missing; the choices of a chat completion"),
        ({"choices": [{}]}, "response.body.choices[0].message: missing; an object"),
        (chat_body(content=1), "response.body.choices[0].message.content: must be a string, got an integer 1"),
    ],
)
def test_bad_rows_of_a_batch(read: Read, body: Any, message: str) -> None:
    assert error_of(read, batch("b", body)) == f"a.jsonl:1: {message}"


def test_what_belongs_to_no_case_is_counted(read: Read) -> None:
    answers = read(*({"id": name, "output": "x"} for name in "abcd"), {"id": "b", "trial": 1, "output": "x"})
    assert answers.unclaimed() == (5, 1)
    for name in "bxd":
        answers.claim("s", name, 1)
    assert answers.unclaimed() == (3, 1)
    answers.claim("s", "a", 2)
    answers.claim("s", "b", 2)
    assert answers.unclaimed() == (1, 3)
    answers.claim("t", "c", 1)
    assert answers.unclaimed() == (0, 0)


def test_two_suites_with_one_case_id_need_to_be_told_apart(read: Read) -> None:
    answers = read({"id": "a", "output": "x"}, {"id": "b", "output": "x"}, {"id": "b", "suite": "t", "output": "y"})
    for suite, name in (("s", "b"), ("s", "a"), ("t", "b")):
        answers.claim(suite, name, 1)
    with pytest.raises(JobError) as error:
        answers.claim("t", "a", 1)
    assert str(error.value) == 'a.jsonl:1: suite: the suites "s" and "t" both have a case "a"; say which one is meant'


def test_a_file_that_changes_under_the_job_stops_it(read: Read, tmp_path: Path) -> None:
    answers = read({"id": "a", "output": "x"}, {"id": "b", "output": "y"})
    (tmp_path / "a.jsonl").write_text('{"id": "a", "output": "x"}\n{"id": "b", "output": "z"}\n')
    assert answers.find("s", "a", 0) == Completion(text="x")
    with pytest.raises(JobStopped, match=r"a\.jsonl:2: changed since the job was started"):
        answers.find("s", "b", 0)
    answers.close()
    (tmp_path / "a.jsonl").unlink()
    with pytest.raises(JobStopped, match=r"a\.jsonl cannot be read any more: No such file"):
        answers.find("s", "a", 0)


IDS = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=5)


@given(rows=st.dictionaries(st.tuples(IDS, IDS | st.none(), st.integers(0, 3)), st.text()))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_every_row_is_found_by_its_key_and_nothing_else_is(
    read: Read, rows: dict[tuple[str, str | None, int], str]
) -> None:
    written = [
        {"id": name, "suite": suite, "trial": trial, "output": text} for (name, suite, trial), text in rows.items()
    ]
    answers = read(*written, {"id": "longer", "output": ""})
    for (name, suite, trial), text in rows.items():
        assert answers.find(suite or "nobody", name, trial) == Completion(text=text)
        assert (answers.find("nobody", name, trial) is None) == ((name, None, trial) not in rows)
    answers.close()


@given(raw=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: json.dumps({"id": text}).encode()))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes_are_answers_or_one_error(read: Read, raw: bytes) -> None:
    with suppress(JobError):
        read(raw)
