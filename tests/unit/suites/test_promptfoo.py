"""promptfoo's tests, in YAML, JSONL and CSV."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

File = Callable[..., Any]
Rows = Callable[..., Any]

CONFIG = """\
description: made up
providers: [openai:gpt-4o]
prompts:
  - 'Translate to {{language}}: {{text}}'
defaultTest:
  vars: {language: French}
  metadata: {category: words}
  assert:
    - {type: latency, threshold: 3000}
tests:
  - vars: {text: cat}
    assert:
      - {type: equals, value: chat}
  - description: another
    vars:
      text: dog
      language: Italian
    metadata: {category: other}
    assert:
      - {type: icontains-any, value: [cane, 'il {{text}}']}
"""


def test_a_configuration(given_file: File) -> None:
    file = given_file("promptfooconfig.yaml", CONFIG)
    assert file.detected == "promptfoo"
    first, second = file.cases
    assert (first.input, first.expected, first.category) == ("Translate to French: cat", "chat", "words")
    assert (second.input, second.expected) == ("Translate to Italian: dog", ["cane", "il dog"])
    assert (first.line, second.line) == (11, 14)
    assert second.metadata["description"] == "another"
    assert second.metadata["vars"] == {"language": "Italian", "text": "dog"}
    assert [each["type"] for each in second.metadata["assert"]] == ["latency", "icontains-any"]


def test_a_list_of_tests_takes_its_prompt_from_the_job(given_file: File) -> None:
    file = given_file("tests.yml", "- vars: {text: cat}\n- vars: {text: dog}\n", fields={"input": "Say {{text}}."})
    assert [case.input for case in file.cases] == ["Say cat.", "Say dog."]
    file.fields = {}
    assert file.error.startswith("tests.yml:1: input: missing; say where it is found")
    assert given_file("tests.yml", "- vars: {prompt: cat}\n").case.input == "cat"


def test_a_prompt_that_is_a_chat(given_file: File) -> None:
    prompt = [{"role": "system", "content": "Be {{how}}"}, {"role": "user", "content": "{{text}}"}]
    config = {"prompts": [json.dumps(prompt)], "tests": [{"vars": {"how": "brief", "text": 'a "quoted" {{how}}'}}]}
    case = given_file("c.yaml", json.dumps(config)).case
    assert case.input == [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": 'a "quoted" {{how}}'},
    ]


def test_a_configuration_in_json(given_file: File) -> None:
    config = {"prompts": "{{q}}", "tests": [{"vars": {"q": "2+2?"}, "assert": [{"type": "equals", "value": 4}]}]}
    case = given_file("c.json", json.dumps(config, indent=1), format="promptfoo").case
    assert (case.input, case.expected) == ("2+2?", "4")


def test_json_lines(given_rows: Rows) -> None:
    given = given_rows({"vars": {"input": "2+2?"}, "assert": [{"type": "regex", "value": "4|four"}], "threshold": 0.5})
    assert given.detected == "promptfoo"
    assert (given.case.input, given.case.expected) == ("2+2?", "4|four")


SCHEMA = {"type": "object"}


@pytest.mark.parametrize(
    ("asserts", "expected", "schema"),
    [
        ([{"type": "equals", "value": "x"}], "x", None),
        ([{"type": "equals", "value": 4}, {"type": "cost", "threshold": 1}], "4", None),
        ([{"type": "contains-all", "value": ["a", 1]}], ["a", "1"], None),
        ([{"type": "starts-with", "value": "1. a*"}], r"\A1\.\ a\*", None),
        ([{"type": "llm-rubric", "value": "is polite"}], "is polite", None),
        ([{"type": "is-json"}], None, True),
        ([{"type": "is-json", "value": SCHEMA}, {"type": "contains", "value": "x"}], "x", SCHEMA),
        ([{"type": "contains-json", "value": json.dumps(SCHEMA)}], None, SCHEMA),
        ([], None, None),
    ],
)
def test_what_assertions_expect(given_rows: Rows, asserts: Any, expected: Any, schema: Any) -> None:
    case = given_rows({"vars": {"input": "?"}, "assert": asserts}).case
    assert (case.expected, case.schema) == (expected, schema)


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (
            {"assert": [{"type": "javascript", "value": "output.length"}]},
            'assert[0].type: "javascript" runs code that came with the tests: never; score with a scorer of evalsvc',
        ),
        ({"assert": [{"type": "python", "value": "x"}]}, 'assert[0].type: "python" runs code'),
        (
            {"assert": [{"type": "not-contains", "value": "x"}]},
            'assert[0].type: "not-contains" asserts what must not be',
        ),
        (
            {"assert": [{"type": "contians", "value": "x"}]},
            'assert[0].type: "contians" is no assertion that can be read',
        ),
        ({"assert": [{"value": "x"}]}, "assert[0]: must be an assertion: an object with a type, got an object"),
        ({"assert": ["x"]}, "assert[0]: must be an assertion"),
        ({"assert": {"type": "equals"}}, "assert: must be an array of assertions, got an object"),
        (
            {"assert": [{"type": "equals", "value": "x"}, {"type": "regex", "value": "y"}]},
            'assert[1].type: "regex" beside "equals": a case has one expected answer; make two suites of them',
        ),
        ({"assert": [{"type": "equals"}]}, "assert[0].value: must be a text, got null"),
        ({"assert": [{"type": "contains-any", "value": "x"}]}, "assert[0].value: must be an array of texts"),
        ({"assert": [{"type": "equals", "value": "file://x.txt"}]}, "assert[0].value: stands in another file"),
        ({"assert": [{"type": "is-json", "value": "file://x.json"}]}, "assert[0].value: must be a JSON Schema"),
        ({"assert": [{"type": "equals", "value": "{{nothing}}"}]}, 'nothing: no "nothing" here'),
        ({"vars": {"input": "{% if x %}{{x}}{% endif %}"}}, "input: only names in double braces are filled in"),
        ({"vars": {"input": "file://prompt.txt"}}, "input: stands in another file; write it here"),
        ({"vars": "file://vars.yaml"}, "vars: must be an object, got a string"),
        ({"metadata": []}, "metadata: must be an object, got an array"),
    ],
)
def test_tests_that_cannot_be_read(given_rows: Rows, test: Any, message: str) -> None:
    first = {"vars": {"input": "?"}}
    assert given_rows(first, {**first, **test}).error.startswith(f"d.jsonl:2: {message}")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("prompts: [a]\n", "c.yaml: tests: missing; an array of tests"),
        (
            "tests: tests.csv",
            'c.yaml: tests: the tests stand in another file, "tests.csv": name that one as the data set',
        ),
        ("tests: [1]", "c.yaml: tests[0]: must be a test: an object, got an integer 1"),
        ("prompts: [a, b]\ntests: [{vars: {}}]", "c.yaml: prompts: holds 2 prompts: two models are compared on one"),
        ("prompts: [file://p.txt]\ntests: [{vars: {}}]", "c.yaml: prompts[0]: stands in another file"),
        ("prompts: [prompt.py]\ntests: [{vars: {}}]", "c.yaml: prompts[0]: stands in another file"),
        ("defaultTest: file://d.yaml\ntests: [{vars: {}}]", "c.yaml: defaultTest: must be an object, got a string"),
        ("prompts: ['{{a}}']\ntests:\n- vars: {b: 1}", 'c.yaml:3: a: no "a" here, where the job looks for input'),
        ("tests:\n- vars: {a: 1}\n  a: &a [*a]", "c.yaml:3: the alias *a"),
        ("tests: []", "c.yaml: holds no cases"),
    ],
)
def test_configurations_that_cannot_be_read(given_file: File, config: str, message: str) -> None:
    assert given_file("c.yaml", config).error.startswith(message)


def test_yaml_is_read_whole_and_therefore_bounded(given_file: File) -> None:
    file = given_file("c.yaml", "- vars: {input: a}\n" * 100, max_row_bytes=1000)
    assert file.error == "c.yaml: more than 1000 bytes, which is read whole; write it as JSONL"


def test_csv(given_file: File) -> None:
    file = given_file(
        "tests.csv",
        "text,__expected1,__expected2,__description,__metadata:category,__prefix\n"
        "cat,chat,,first,words,Say: \n"
        'dog,"contains-any: chien, le chien",latency(3000),,,\n'
        "cow,icontains:VACHE,is-json,,,\n"
        "pig,llm-rubric:is a pig: really,,,,\n"
        "hen,not a poule: x,,,,\n",
        fields={"input": "{{text}}"},
    )
    assert file.detected == "promptfoo"
    found = file.cases
    assert [case.expected for case in found] == [
        "chat",
        ["chien", "le chien"],
        "VACHE",
        "is a pig: really",
        "not a poule: x",
    ]
    assert (found[0].category, found[0].metadata["description"]) == ("words", "first")
    assert found[2].schema is True
    assert [case.line for case in found] == [2, 3, 4, 5, 6]


def test_what_stands_before_and_after_a_prompt(given_file: File) -> None:
    case = given_file("t.csv", "prompt,__expected,__prefix,__suffix\n{{x}}cat,chat,Say: ,!\n".replace("{{x}}", "")).case
    assert case.input == "Say: cat!"


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("javascript:output == 1", 'assert[0].type: "javascript" runs code'),
        ("fn:output == 1", 'assert[0].type: "javascript" runs code'),
        ("python:x", 'assert[0].type: "python" runs code'),
        ("not-contains:x", 'assert[0].type: "not-contains" asserts what must not be'),
    ],
)
def test_cells_that_cannot_be_read(given_file: File, cell: str, message: str) -> None:
    assert given_file("t.csv", f"prompt,__expected\na,{cell}\n").error.startswith(f"t.csv:2: {message}")


def test_an_unknown_column_of_theirs_is_an_error(given_file: File) -> None:
    error = given_file("t.csv", "prompt,__expected,__expectd\na,b,c\n").error
    assert error.startswith("t.csv:2: __expectd: unknown column; known: __expected, __expected1")
