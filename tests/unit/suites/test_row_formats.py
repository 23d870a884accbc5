"""Formats of rows: openai-evals, hosted-evals, chat-finetune, inspect, lm-eval, openai-batch, dpo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Rows = Callable[..., Any]

USER = {"role": "user", "content": "2+2?"}
SYSTEM = {"role": "system", "content": "Be brief."}
SAID = {"role": "assistant", "content": "4"}
TOOL = {"type": "function", "function": {"name": "add", "parameters": {}}}
CALL = {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2}'}}


def parts(case: Any) -> tuple[Any, Any]:
    return case.input, case.expected


@pytest.mark.parametrize(
    ("row", "parts_"),
    [
        ({"input": "2+2?", "ideal": "4"}, ("2+2?", "4")),
        ({"input": [SYSTEM, USER], "ideal": ["4", "four"]}, ([SYSTEM, USER], ["4", "four"])),
        ({"input": "2+2?", "ideal": 4}, ("2+2?", "4")),
        ({"input": "2+2?", "ideal": [4, 4.5, "x", True]}, ("2+2?", ["4", "4.5", "x", "true"])),
        ({"ideal": None, "input": "2+2?"}, ("2+2?", None)),
    ],
)
def test_openai_evals(given_rows: Rows, row: Any, parts_: Any) -> None:
    given = given_rows(row)
    assert given.detected == "openai-evals"
    assert parts(given.case) == parts_


def test_what_openai_evals_says_besides_is_metadata(given_rows: Rows) -> None:
    case = given_rows({"input": "?", "ideal": "4", "difficulty": 3, "id_string": "x"}).case
    assert case.metadata == {"difficulty": 3, "id_string": "x"}
    assert len(case.id) == 16


def test_a_row_that_comes_again_without_an_id_gets_a_number(given_rows: Rows) -> None:
    row, other = {"input": "?", "ideal": "4"}, {"input": "??", "ideal": "4"}
    first, second, third, fourth = (case.id for case in given_rows(row, row, other, row).cases)
    assert (second, fourth) == (f"{first}-2", f"{first}-3")
    assert third not in {first, second, fourth}
    assert given_rows(row).case.id == first


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"input": "?", "ideal": {"a": [1]}, "x": 1}, None),
        (
            {"input": "?", "ideal": [["a"]]},
            "d.jsonl:2: ideal: must be a string, an object, an array of either, or null",
        ),
        ({"ideal": "4"}, "d.jsonl:2: input: missing; say where it is found"),
        ({"input": [], "ideal": "4"}, "d.jsonl:2: input: must be a string or an array of at least one message"),
        ({"input": [{"content": "x"}], "ideal": "4"}, "d.jsonl:2: input[0].role: missing; a string such as user"),
    ],
)
def test_bad_rows_of_openai_evals(given_rows: Rows, row: Any, message: str | None) -> None:
    given = given_rows({"input": "first", "ideal": "4"}, row)
    if message is None:
        assert len(given.cases) == 2
    else:
        assert given.error.startswith(message)


def test_hosted_evals(given_rows: Rows) -> None:
    row = {"item": {"input": "2+2?", "expected": "4", "category": "sums", "level": 1}, "sample": {"output_text": "5"}}
    given = given_rows(row)
    assert given.detected == "hosted-evals"
    assert parts(given.case) == ("2+2?", "4")
    assert (given.case.category, given.case.metadata) == ("sums", {"level": 1})


def test_an_item_with_keys_of_its_own_is_mapped(given_rows: Rows) -> None:
    row = {"item": {"question": "2+2?", "correct_label": "4", "kind": "sums"}}
    fields = {"input": "Q: {{item.question}}\nA:", "expected": "correct_label", "category": "item.kind"}
    assert parts(given_rows(row, fields=fields).case) == ("Q: 2+2?\nA:", "4")
    assert given_rows(row, fields=fields).case.category == "sums"
    assert given_rows(row).error == (
        'd.jsonl:1: input: missing; say where it is found, [suites.fields] input = "KEY"; there are: question, '
        "correct_label, kind, item"
    )


def test_an_item_without_input_takes_the_messages_that_were_sampled_from(given_rows: Rows) -> None:
    assert given_rows({"item": {"expected": "4"}, "sample": {"input": [USER]}}).case.input == [USER]


@pytest.mark.parametrize(
    ("row", "parts_"),
    [
        ({"messages": [USER, SAID]}, ("2+2?", "4")),
        ({"messages": [SYSTEM, USER, SAID]}, ([SYSTEM, USER], "4")),
        ({"messages": [USER, {**SAID, "weight": 0}, USER, {**SAID, "weight": 1}]}, ([USER, SAID, USER], "4")),
        (
            {"messages": [USER, {"role": "assistant", "content": None, "tool_calls": [CALL]}]},
            ("2+2?", [{"name": "add", "arguments": {"a": 2}}]),
        ),
        (
            {"messages": [USER, {"role": "assistant", "function_call": {"name": "add", "arguments": ""}}]},
            ("2+2?", [{"name": "add", "arguments": {}}]),
        ),
        (
            {"messages": [USER, {"role": "assistant", "content": [{"type": "text", "text": t} for t in "45"]}]},
            ("2+2?", "45"),
        ),
        ({"prompt": "2+2?", "completion": "4"}, ("2+2?", "4")),
        ({"prompt": [SYSTEM, USER], "completion": [SAID]}, ([SYSTEM, USER], "4")),
    ],
)
def test_chat_finetune(given_rows: Rows, row: Any, parts_: Any) -> None:
    given = given_rows(row)
    assert given.detected == "chat-finetune"
    assert parts(given.case) == parts_


def test_tools_of_a_finetune_file(given_rows: Rows) -> None:
    assert given_rows({"messages": [USER, SAID], "tools": [TOOL], "parallel_tool_calls": False}).case.tools == [TOOL]
    case = given_rows({"messages": [USER, SAID], "functions": [TOOL["function"]], "source": "x"}).case
    assert (case.tools, case.metadata) == ([TOOL], {"source": "x"})


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"messages": [SAID, USER]},
            'messages[1]: must be one turn of the assistant: what the model should say; its role is a string "user"',
        ),
        ({"messages": [SAID]}, "messages: there is no turn before the answer: nothing to ask"),
        ({"messages": []}, "messages: must be an array of at least two messages, got an array"),
        ({"messages": [USER, "x"]}, "messages[1]: must be one turn of the assistant"),
        ({"messages": [{"role": "user"}, SAID]}, "messages[0].content: missing; a string or an array of parts"),
        ({"messages": [USER, {"role": "assistant"}]}, "messages[1].content: must be a text, got null"),
        (
            {"messages": [USER, {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}]},
            "messages[1].tool_calls[0].arguments: must be JSON: not JSON: broken off or malformed at column 2",
        ),
        (
            {"messages": [USER, {"role": "assistant", "tool_calls": [{}]}]},
            "messages[1].tool_calls[0]: must be a call with the name of its function, got an object",
        ),
        (
            {"messages": [USER, {"role": "assistant", "tool_calls": {"a": 1}}]},
            "messages[1].tool_calls: must be an array of calls, got an object",
        ),
        (
            {"messages": [USER], "reference_answer": "4"},
            (
                "messages[0]: must be one turn of the assistant: what the model should say; its role is a string "
                '"user"; without answers it is read with format = "native" and [suites.fields] input = "messages"'
            ),
        ),
        ({"messages": [USER, SAID], "images": ["a.png"]}, "images: pictures beside the messages cannot be read"),
        ({"prompt": "?", "completion": None}, "completion[0]: must be one turn of the assistant"),
        ({"prompt": "?", "completion": [SAID, SAID]}, "completion[0]: must be one turn of the assistant"),
    ],
)
def test_bad_rows_of_a_finetune_file(given_rows: Rows, row: Any, message: str) -> None:
    assert given_rows({"messages": [USER, SAID]}, row).error.startswith(f"d.jsonl:2: {message}")


def test_inspect(given_rows: Rows) -> None:
    row = {"input": "2+2?", "target": "4", "id": 7, "metadata": {"level": 1}, "files": None, "more": 2}
    given = given_rows(row)
    assert given.detected == "inspect"
    assert parts(given.case) == ("2+2?", "4")
    assert (given.case.id, given.case.metadata) == ("7", {"level": 1, "more": 2})


@pytest.mark.parametrize("target", ["B", "4", "1", 1])
def test_choices_of_inspect_stand_under_the_question(given_rows: Rows, target: Any) -> None:
    case = given_rows({"input": "2+2?", "choices": ["3", "4", "five"], "target": target}).case
    wanted = {"B": "B", "4": "B", "1": "B", 1: "B"}[target]
    assert parts(case) == ("2+2?\n\nA) 3\nB) 4\nC) five", wanted)


def test_choices_are_put_into_the_last_message(given_rows: Rows) -> None:
    case = given_rows({"input": [SYSTEM, USER], "choices": ["3", "4"], "target": ["4"]}).case
    assert case.input == [SYSTEM, {"role": "user", "content": "2+2?\n\nA) 3\nB) 4"}]
    assert case.expected == ["B"]
    picture = {"role": "user", "content": [{"type": "image_url"}]}
    case = given_rows({"input": [picture], "choices": ["3", "4"], "target": "A"}).case
    assert case.input[0]["content"] == [{"type": "image_url"}, {"type": "text", "text": "\n\nA) 3\nB) 4"}]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"input": "?", "target": "Z", "choices": ["a", "b"]},
            'target: must be one of A, B, an option\'s text or its number from 0, got a string "Z"',
        ),
        ({"input": "?", "target": "2", "choices": ["a", "b"]}, "target: must be one of A, B"),
        ({"input": "?", "target": "A", "choices": ["a"]}, "choices: must be an array of 2 to 26 options, got an array"),
        ({"input": "?", "target": "A", "choices": "ab"}, "choices: must be JSON"),
        (
            {"input": "?", "target": "A", "sandbox": "docker"},
            "sandbox: a sample that runs in a sandbox cannot be read: models are asked, nothing is executed",
        ),
        ({"input": "?", "target": "A", "expected": "B"}, 'target: both "expected" and "target" say what is right'),
        ({"input": "?", "target": ["A", "B"], "choices": ["a", "b"]}, "target: several right choices cannot be read"),
    ],
)
def test_bad_samples_of_inspect(given_rows: Rows, row: Any, message: str) -> None:
    assert given_rows({"input": "?", "target": "4"}, row).error.startswith(f"d.jsonl:2: {message}")


def test_samples_as_inspect_itself_writes_them(given_rows: Rows) -> None:
    nothing = dict.fromkeys(("choices", "sandbox", "files", "setup", "description", "checkpoint"))
    call = {"id": "c1", "function": "f", "arguments": {"a": 1}, "type": "function", "parse_error": None}
    more = {"id": "x", "source": None, "metadata": None, "tool_call_id": None}
    asked = {"role": "assistant", "content": "", "tool_calls": [call, {"id": "c2", "function": {"name": "g"}}], **more}
    alone = {**nothing, "input": [{**more, **USER}], "target": "4", "id": 1, "metadata": None}
    rows = given_rows(alone, {**alone, "id": 2, "input": [{**USER, **more}, asked, "?"], "target": ["4", "four"]})
    assert rows.error.startswith("d.jsonl:2: input[2]: must be a message")
    case, other = given_rows(alone, {**alone, "id": 2, "input": [{**USER, **more}, asked]}).cases
    assert (case.input, case.expected, case.metadata) == (USER["content"], "4", {})
    assert other.input == [
        USER,
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
                {"id": "c2", "function": {"name": "g"}},
            ],
        },
    ]


def lm_eval(doc: int, **changes: Any) -> dict[str, Any]:
    request = {"arg_0": f"Q{doc}", "arg_1": {"until": ["\n"]}}
    row = {"doc_id": doc, "doc": {"question": "?", "subject": "law"}, "target": "4", "filter": "strict"}
    return {**row, "arguments": {"gen_args_0": request}, "resps": [["5"]], "filtered_resps": ["5"], **changes}


def test_lm_eval(given_rows: Rows) -> None:
    given = given_rows(lm_eval(3), lm_eval(3, filter="flexible"), lm_eval(4), lm_eval(4, filter="flexible"))
    assert given.detected == "lm-eval"
    assert [(case.id, *parts(case)) for case in given.cases] == [("3", "Q3", "4"), ("4", "Q4", "4")]
    assert given.cases[0].metadata == {"doc": {"question": "?", "subject": "law"}}
    given.fields = {"category": "doc.subject"}
    assert given.cases[0].category == "law"


def test_arguments_of_lm_eval_as_a_list_and_as_a_chat(given_rows: Rows) -> None:
    assert given_rows(lm_eval(1, arguments=[["Q", {"until": []}]])).case.input == "Q"
    chat = ['[{"role": "user", "content": "Q"}]']
    case = given_rows(lm_eval(1, arguments={"gen_args_0": {"arg_0": chat, "arg_1": {}}})).case
    assert case.input == [{"role": "user", "content": "Q"}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gen_args_0": {"arg_0": "Q", "arg_1": " yes"}, "gen_args_1": {"arg_0": "Q", "arg_1": " no"}}, "a task that"),
        ([["Q", " yes"]], "a task that compares log-likelihoods cannot be read: it has no answer to ask for"),
        ([], "must be the arguments of one request, got an array"),
    ],
)
def test_samples_of_lm_eval_that_ask_for_no_text(given_rows: Rows, arguments: Any, message: str) -> None:
    assert given_rows(lm_eval(1), lm_eval(2, arguments=arguments)).error.startswith(f"d.jsonl:2: arguments: {message}")


def batch(**body: Any) -> dict[str, Any]:
    return {"custom_id": "r-1", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m", **body}}


def test_openai_batch(given_rows: Rows) -> None:
    schema = {"type": "object"}
    given = given_rows(
        batch(
            messages=[SYSTEM, USER],
            tools=[TOOL],
            temperature=0,
            response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
        )
    )
    case = given.case
    assert given.detected == "openai-batch"
    assert (case.id, case.input, case.tools, case.schema) == ("r-1", [SYSTEM, USER], [TOOL], schema)
    assert case.metadata["request"]["model"] == "m"
    assert "messages" not in case.metadata["request"]


def test_requests_of_the_responses_api_are_asked_whole(given_rows: Rows) -> None:
    parts_of = [{"type": "input_text", "text": "2+2?"}, {"type": "input_image", "image_url": "data:,x"}]
    asked = [{"role": "user", "content": parts_of}]
    form = {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}}
    case = given_rows(batch(input=asked, instructions="Be brief.", text=form)).case
    assert case.input == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "2+2?"}, {"type": "image_url", "image_url": {"url": "data:,x"}}],
        },
    ]
    assert case.schema == {"type": "object"}
    alone = given_rows(batch(input="2+2?", instructions="Be brief.")).case
    assert alone.input == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"}]


@pytest.mark.parametrize("body", [{"messages": [USER]}, {"input": "2+2?"}, {"prompt": "2+2?"}, {"input": [USER]}])
def test_bodies_of_every_api(given_rows: Rows, body: Any) -> None:
    assert given_rows(batch(**body)).case.input == "2+2?"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (batch(), "body.messages: missing; messages, input or prompt: what is asked"),
        ({"custom_id": "x", "body": "x"}, "body: must be an object: the request, got a string"),
        ({**batch(messages=[USER]), "custom_id": {}}, "custom_id: must be a string or an integer, got an object"),
        ({**batch(input="x"), "url": "/v1/embeddings"}, "url: requests of /v1/embeddings cannot be read"),
        ({**batch(input="x"), "url": "/v1/moderations"}, "url: requests of /v1/moderations cannot be read"),
        (
            batch(input=[USER, {"role": "user", "content": [{"type": "input_file"}]}]),
            'body.input[1].content[0].type: must be a text or a picture by its URL, got a string "input_file"',
        ),
    ],
)
def test_bad_requests_of_a_batch(given_rows: Rows, row: Any, message: str) -> None:
    assert given_rows(batch(messages=[USER]), row).error.startswith(f"d.jsonl:2: {message}")


@pytest.mark.parametrize(
    "row",
    [
        {"input": {"messages": [USER]}, "preferred_output": [SAID], "non_preferred_output": [{**SAID, "content": "5"}]},
        {"prompt": "2+2?", "chosen": "4", "rejected": "5"},
        {"prompt": [USER], "chosen": [SAID], "rejected": [{**SAID, "content": "5"}]},
        {"chosen": [USER, SAID], "rejected": [USER, {**SAID, "content": "5"}]},
    ],
)
def test_preference_pairs(given_rows: Rows, row: Any) -> None:
    given = given_rows({**row, "margin": 1})
    assert given.detected == "dpo"
    assert parts(given.case) == ("2+2?", "4")
    assert given.case.metadata == {"rejected": "5", "margin": 1}


def test_labelled_completions(given_rows: Rows) -> None:
    good, bad = given_rows(*({"prompt": "2+2?", "completion": "4", "label": label} for label in (True, False))).cases
    assert (parts(good), good.metadata) == (("2+2?", "4"), {})
    assert (parts(bad), bad.metadata) == (("2+2?", None), {"rejected": "4"})


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"chosen": "Q: a", "rejected": "Q: b"}, "prompt: missing; texts that hold prompt and answer in one"),
        (
            {"prompt": "?", "chosen": 1, "rejected": "b"},
            "chosen: must be an answer: a text or messages, got an integer",
        ),
        ({"prompt": "?", "chosen": "a"}, "rejected: missing; an answer: a text or messages"),
        ({"prompt": "?", "completion": "a", "label": 1}, "label: must be true or false, got an integer 1"),
        ({"input": "?", "preferred_output": [SAID]}, "input: must be an object with messages, got a string"),
        (
            {"input": {"messages": [USER]}, "preferred_output": [USER]},
            "preferred_output[0]: must be one turn of the assistant",
        ),
    ],
)
def test_bad_pairs(given_rows: Rows, row: Any, message: str) -> None:
    given = given_rows({"prompt": "?", "chosen": "a", "rejected": "b"}, row)
    assert given.error.startswith(f"d.jsonl:2: {message}")


@pytest.mark.parametrize(
    ("format_", "row"),
    [
        ("openai-evals", {"input": "?"}),
        ("inspect", {"input": "?"}),
        ("hosted-evals", {"item": {"input": "?"}}),
        ("chat-finetune", {"messages": [USER, SAID]}),
        ("lm-eval", lm_eval(1)),
        ("openai-batch", batch(messages=[USER])),
        ("dpo", {"prompt": "?", "chosen": "a", "rejected": "b"}),
    ],
)
def test_every_format_can_be_named_and_its_fields_overridden(given_rows: Rows, format_: str, row: Any) -> None:
    given = given_rows({**row, "mine": "x y"}, format=format_, fields={"category": "mine", "expected": "is {{mine}}"})
    assert (given.case.category, given.case.expected) == ("x y", "is x y")
    given.fields = {"category": "yours"}
    assert given.error.startswith('d.jsonl:1: yours: no "yours" here, where the job looks for category; there are: ')
