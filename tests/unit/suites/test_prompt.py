"""What `[suites.prompt]` makes of cases, and what it must never give away."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.core.records import Case, PromptSpec, Role, ScorerSpec, SuiteSpec
from evalsvc.errors import JobError
from evalsvc.suites import read_suite
from evalsvc.suites.base import DataSet
from evalsvc.suites.prompt import Prompter, template_fault

ROWS = [{"id": f"c{i}", "input": f"Capital of country {i}?", "expected": f"City {i}"} for i in range(9)]
PICTURE = "data:image/png;base64,iVBORw0KGgo="
SHOTS = PromptSpec(shots=2, seed=3)
Asked = Callable[..., list[Case]]


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    """The cases of rows as a prompt puts them."""

    def read(
        prompt: PromptSpec | None, rows: Sequence[Any] = ROWS, shots: Sequence[Any] | None = None, **spec: Any
    ) -> list[Case]:
        scorers = (ScorerSpec(name="exact_match", label="exact_match"),)
        named = "shots.jsonl" if shots is not None else None
        suite = SuiteSpec(
            name="s",
            role=Role.TARGET,
            dataset="rows.jsonl",
            format="auto",
            scorers=scorers,
            prompt=prompt and replace(prompt, examples=named),
            **spec,
        )
        for name, lines in (("rows.jsonl", rows), ("shots.jsonl", shots or ())):
            (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
        examples = (tmp_path / "shots.jsonl", "shots.jsonl") if shots is not None else None
        return list(read_suite(tmp_path / "rows.jsonl", suite, name_for_errors="rows.jsonl", examples=examples))

    return read


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def test_without_a_prompt_and_with_an_empty_one_cases_are_as_they_stand(asked: Asked) -> None:
    assert asked(PromptSpec()) == asked(None)
    assert [case.input for case in asked(None)] == [row["input"] for row in ROWS]


def test_a_template_takes_what_a_case_holds(asked: Asked) -> None:
    row = {"id": "a", "input": "Oslo?", "category": "north", "metadata": {"hint": "{{input}}", "deep": {"x": [1, 2]}}}
    prompt = PromptSpec(template="{{category}} {{id}}: {{ input }} ({{hint}}, {{metadata.deep.x[1]}}) {0} %s $x")
    (case,) = asked(prompt, [row])
    assert case.input == "north a: Oslo? ({{input}}, 2) {0} %s $x"  # what is put in is not looked through again
    assert case.metadata == row["metadata"]


def test_what_a_row_has_not_is_an_error_with_file_and_line(asked: Asked) -> None:
    with pytest.raises(JobError, match=r'^rows\.jsonl:1.*no "hint" here.*there are: .*input') as caught:
        asked(PromptSpec(template="{{hint}} {{input}}"))
    assert (caught.value.line, caught.value.key) == (1, "hint")


@pytest.mark.parametrize("rows", [ROWS[:1], [{**ROWS[0], "metadata": {"expected": "x"}}]])
@pytest.mark.parametrize("name", ["__class__", "input.__class__", "input.format", "metadata.__init__", "", "0", "."])
def test_a_name_never_reaches_into_python(asked: Asked, rows: list[Any], name: str) -> None:
    with pytest.raises(JobError, match="here, where the job looks for prompt"):
        asked(PromptSpec(template=f"{{{{{name}}}}}"), rows)


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("{{input}}", None),
        ("{ {input} {{ category }} }", None),
        ("Answer this.", "every case would ask the same"),
        ("{{expected}}", "give its answer away"),
        ("{{input}} {{ expected[0] }}", "give its answer away"),
        ("{{metadata.expected}}", "give its answer away"),
        ("{{input|upper}}{% if x %}", "no filter"),
        ("{{input}", "no filter"),
        ("{{input}} {{ {x} }}", "no filter"),
    ],
)
def test_templates_that_cannot_be_meant(template: str, fault: str | None) -> None:
    found = template_fault(template)
    assert (found is None) == (fault is None)
    assert fault is None or fault in (found or "")


def test_what_is_expected_is_not_there_to_be_put_in(asked: Asked) -> None:
    with pytest.raises(JobError, match='no "expected" here'):
        asked(PromptSpec(template="{{input}} {{expected}}"))


@given(st.text(max_size=60), st.text(max_size=60))
def test_whatever_a_text_holds_it_is_put_in_as_it_is(before: str, text: str) -> None:
    before = before.replace("{", "").replace("}", "")
    case = Case(suite="s", id="a", category="c", input=text, expected="secret")
    data_set = DataSet(suite="s", name="rows.jsonl")
    prompter = Prompter(PromptSpec(template=before + "{{input}}"), [], data_set, own=True)
    (put,) = prompter.put([case], data_set)
    assert put.input == before + text


def test_system_prompt_and_turns(asked: Asked) -> None:
    prompt = PromptSpec(template="Q: {{input}}", system="Be brief.", shots=1)
    row = {"input": [{"role": "system", "content": "own"}, user("a"), {"role": "assistant", "content": "b"}, user("c")]}
    shots = [{"input": "2+2?", "expected": ["4", "four"]}]
    (case,) = asked(prompt, [row], shots)
    assert case.input == [
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": "own"},
        user("Q: 2+2?"),
        {"role": "assistant", "content": "4"},
        user("a"),
        {"role": "assistant", "content": "b"},
        user("Q: c"),
    ]


def test_examples_in_one_text(asked: Asked) -> None:
    prompt = PromptSpec(template="Q: {{input}}\nA:", shots=2, style="text")
    shots = [{"id": "x", "input": "2+2?", "expected": "4"}, {"id": "y", "input": "As JSON?", "expected": {"a": 1}}]
    cases = asked(prompt, ROWS[:1], shots)
    blocks = str(cases[0].input).split("\n\n")
    assert {*blocks[:2]} == {"Q: 2+2?\nA: 4", 'Q: As JSON?\nA: {"a":1}'}
    assert blocks[2:] == ["Q: Capital of country 0?\nA:"]


def test_chat_messages_do_not_go_into_one_text(asked: Asked) -> None:
    with pytest.raises(JobError, match=r"^rows\.jsonl:1: input: must be a text"):
        asked(PromptSpec(shots=1, style="text"), [{"input": [user("?")]}], ROWS[:1])


def test_the_suites_own_examples_are_not_asked(asked: Asked) -> None:
    rows = [*ROWS, {"id": "again", "input": "capital of  country 0?", "expected": "City 0"}]
    for seed in range(12):
        cases = asked(replace(SHOTS, seed=seed), rows)
        shown = {message["content"] for message in cases[0].input[:-1]}  # type: ignore[index]
        left = {case.id for case in cases}
        assert len(shown) == 4
        for number in range(9):
            assert (f"c{number}" in left) != (f"City {number}" in shown)
        assert ("again" in left) == ("c0" in left)  # it asks what c0 asks
        assert all(case.input[:-1] == cases[0].input[:-1] for case in cases)


def test_the_seed_chooses_and_the_order_of_rows_does_not(asked: Asked) -> None:
    def shown(seed: int, rows: list[Any]) -> Any:
        return asked(replace(SHOTS, seed=seed), rows)[0].input[:-1]

    assert shown(3, ROWS) == shown(3, ROWS[::-1])
    assert len({str(shown(seed, ROWS)) for seed in range(8)}) > 4


def test_only_what_is_solved_and_plain_can_be_an_example(asked: Asked) -> None:
    tool = {"type": "function", "function": {"name": "f"}}
    bad: list[Any] = [{"input": "open?"}, {"input": [user("chat")], "expected": "x"}]
    bad.append({"input": "call?", "expected": "x", "tools": [tool]})
    for seed in range(8):
        cases = asked(replace(SHOTS, seed=seed), [*ROWS[:3], *bad])
        assert len(cases) == 4
    with pytest.raises(JobError, match=r"holds 1 cases that can be examples .* shots = 2"):
        asked(SHOTS, [*ROWS[:1], *bad])


def test_a_suite_of_nothing_but_examples(asked: Asked) -> None:
    with pytest.raises(JobError, match=r"^rows\.jsonl: holds no cases beside its 2 examples"):
        asked(SHOTS, ROWS[:2])


def test_an_example_of_another_file_that_gives_an_answer_away(asked: Asked) -> None:
    shots = [{"input": "2+2?", "expected": "4"}, {"input": "CAPITAL of country 4?", "expected": "x"}]
    with pytest.raises(JobError, match=r"^rows\.jsonl:5: input: asks what the example in line 2 of shots\.jsonl shows"):
        asked(SHOTS, ROWS, shots)


def test_what_a_template_tells_apart_is_another_question(asked: Asked) -> None:
    rows = [{"input": "Capital?", "expected": f"City {i}", "metadata": {"country": f"Land {i}"}} for i in range(5)]
    assert len(asked(PromptSpec(template="{{country}}: {{input}}", shots=2), rows)) == 3
    with pytest.raises(JobError, match="no cases beside its 2 examples"):
        asked(PromptSpec(template="{{id}}: {{input}}", shots=2), rows)  # an id says nothing to a model


def test_an_example_that_lacks_what_the_template_names(asked: Asked) -> None:
    rows = [{"input": "?", "metadata": {"hint": "h"}}]
    with pytest.raises(JobError, match=r'^shots\.jsonl:1.*no "hint" here'):
        asked(PromptSpec(template="{{hint}} {{input}}", shots=1), rows, ROWS[:1])


def test_fields_and_template_together(asked: Asked) -> None:
    rows = [{"q": "Capital?", "country": "Norway", "a": "Oslo"}, {"q": "Capital?", "country": "Chile", "a": "Santiago"}]
    cases = asked(PromptSpec(template="{{country}}: {{input}}"), rows, fields={"input": "q", "expected": "a"})
    assert [(case.input, case.expected) for case in cases] == [
        ("Norway: Capital?", "Oslo"),
        ("Chile: Capital?", "Santiago"),
    ]


def test_a_picture_goes_along(asked: Asked) -> None:
    rows = [
        {"input": "What is this?", "metadata": {"picture": url}} for url in (PICTURE, "https://a.example/b.png?x=1")
    ]
    rows.append({"input": "And without?", "metadata": {"picture": None}})
    cases = asked(PromptSpec(template="Q: {{input}}", image="picture"), rows)
    assert [case.input for case in cases[:2]] == [
        [user([{"type": "text", "text": "Q: What is this?"}, {"type": "image_url", "image_url": {"url": url}}])]
        for url in (PICTURE, "https://a.example/b.png?x=1")
    ]
    assert cases[2].input == "Q: And without?"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "b.png", "javascript:x", "data:text/html;base64,AAAA", "", 3])
def test_what_is_no_picture(asked: Asked, url: Any) -> None:
    with pytest.raises(JobError, match=r"rows\.jsonl:1: metadata\.picture: must be a picture"):
        asked(PromptSpec(image="picture"), [{"input": "?", "metadata": {"picture": url}}])


def test_a_misspelt_picture_is_not_left_out_in_silence(asked: Asked) -> None:
    with pytest.raises(JobError, match=r"rows\.jsonl:1: metadata\.picture: missing"):
        asked(PromptSpec(image="picture"), [{"input": "?", "metadata": {"image": PICTURE}}])


def test_parts_of_a_message_keep_their_pictures(asked: Asked) -> None:
    picture = {"type": "image_url", "image_url": {"url": PICTURE}}
    row = {"input": [user([{"type": "text", "text": "a"}, picture, {"type": "text", "text": "b"}])]}
    assert asked(PromptSpec(), [row])[0].input == row["input"]
    (case,) = asked(PromptSpec(template="<{{input}}>"), [row])
    assert case.input == [user([picture, {"type": "text", "text": "<ab>"}])]
    with pytest.raises(JobError, match="no text that the template could take"):
        asked(PromptSpec(template="<{{input}}>"), [{"input": [user([picture])]}])
