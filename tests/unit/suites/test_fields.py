"""``[suites.fields]``: where a case's keys are found in a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from evalsvc.suites.fields import mapped, rendered
from evalsvc.suites.strict_json import Fault

Rows = Callable[..., Any]
ROW = {"q": "2+2?", "a.b": "dotted", "a": {"b": "inner", "list": [{"c": 1}, "x"]}, "n": 4, "no": None, "{x}": "braces"}


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("q", "2+2?"),
        ("a.b", "dotted"),
        ("a.list[0].c", 1),
        ("a.list.1", "x"),
        ("no", None),
        ("n", 4),
        ("Q: {{q}} {{ a.list[0] }}{{no}}", 'Q: 2+2? {"c":1}'),
        ("{{q}}{{q}}", "2+2?2+2?"),
        ("{{n}} { {q} }", "4 { {q} }"),
    ],
)
def test_what_fields_find(where: str, found: Any) -> None:
    assert mapped({"input": where}, ROW) == {"input": found}


@pytest.mark.parametrize(
    "where", ["p", "q.x", "a.list[2]", "a.list.x", "no.x", "a.list[00000000001]", "n.0", ".", "[0]", "a."]
)
def test_what_is_not_there(where: str) -> None:
    with pytest.raises(Fault, match=r"where the job looks for input") as fault:
        mapped({"input": where}, ROW)
    assert fault.value.path


@pytest.mark.parametrize("template", ["{{q|upper}}", "{% if q %}{{q}}{% endif %}", "{{q}} {{ {q} }}", "{{ {{q}} }}"])
def test_a_template_fills_in_and_does_nothing_else(template: str) -> None:
    with pytest.raises(Fault):
        rendered(template, ROW, "input")


def test_what_is_filled_in_is_not_filled_in_again() -> None:
    assert rendered("{{a}}", {"a": "{{b}}", "b": "secret"}, "input") == "{{b}}"


def test_rows_of_any_keys_become_cases(given_rows: Rows) -> None:
    row = {"question": "Capital?", "options": ["Rome", "Oslo"], "answer_index": 1, "cat": 3, "src": "x"}
    fields = {"input": "question", "choices": "options", "expected": "answer_index", "category": "cat"}
    given = given_rows(row, fields=fields)
    assert given.detected == "native"
    case = given.case
    assert (case.input, case.expected, case.category) == ("Capital?\n\nA) Rome\nB) Oslo", "B", "3")
    assert case.metadata == {"src": "x"}


def test_with_fields_the_keys_of_a_native_row_keep_their_meaning(given_rows: Rows) -> None:
    row = {"id": "a", "question": "?", "expected": "4", "tools": [{"name": "f"}], "metadata": {"m": 1}}
    case = given_rows(row, fields={"input": "question"}).case
    assert (case.id, case.expected, case.tools, case.metadata) == ("a", "4", [{"name": "f"}], {"m": 1})


def test_values_written_as_json_texts_are_read(given_rows: Rows) -> None:
    row = {"q": "?", "t": '[{"name": "f"}]', "s": '{"type": "object"}', "i": 7.0}
    case = given_rows(row, fields={"input": "q", "tools": "t", "schema": "s", "id": "i"}).case
    assert (case.tools, case.schema, case.id) == ([{"name": "f"}], {"type": "object"}, "7")
    assert given_rows({"q": "?", "t": "[f"}, fields={"input": "q", "tools": "t"}).error.startswith(
        "d.jsonl:1: tools: must be JSON: not JSON"
    )


def test_bfcl_has_keys_of_its_own(given_rows: Rows) -> None:
    question = {"id": "a_0", "question": [[{"role": "user", "content": "?"}]], "function": [], "ground_truth": []}
    given = given_rows(question, fields={"input": "question"})
    assert given.error == "d.jsonl: fields do not apply to bfcl: its keys are its own; take them out of the job"
