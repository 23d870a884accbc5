"""Which calls an answer makes, in each way of writing them."""

import json
from contextlib import nullcontext, suppress
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.scoring.calls.reading import Unreadable, from_objects, from_text

F = {"name": "f", "arguments": {"x": 1}}
G = {"name": "g", "arguments": {}}


def made(text: str) -> list[tuple[str, dict[str, Any]]]:
    return [(call.name, call.arguments) for call in from_text(text)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (json.dumps(F), "f"),
        (json.dumps([F, G]), "fg"),
        (json.dumps({"name": "f", "arguments": '{"x": 1}'}), "f"),
        (json.dumps({"name": "f", "parameters": {"x": 1}}), "f"),
        (json.dumps({"id": "1", "type": "function", "function": F}), "f"),
        (f"  {json.dumps(F, indent=1)}\n", "f"),
        (f"```json\n{json.dumps(F)}\n```", "f"),
        (f"```\n{json.dumps([F])}\n```\n", "f"),
        (f"<tool_call>{json.dumps(F)}</tool_call>", "f"),
        (f"<tool_call>\n{json.dumps(F)}\n</tool_call>\n<tool_call>\n{json.dumps(G)}\n</tool_call>", "fg"),
        (f"I think so. <tool_call>{json.dumps([F, G])}</tool_call> There.", "fg"),
        (f"<tool_call>{json.dumps(F)}", "f"),
        ('<tool_call>{"name": "f"}</tool_call>', "f"),
        ("f(x=1)", "f"),
        ("[f(x=1), g()]", "fg"),
        ("```tool_code\nf(x=1)\n```", "f"),
        ("[f(x=1)\n]", "f"),
    ],
)
def test_ways_of_writing_calls(text: str, names: str) -> None:
    assert made(text) == [("f", {"x": 1} if "1" in text else {}), ("g", {})][: len(names)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "None of my tools can do that.",
        "Paris (France) is the capital.",
        "f(x) = 2x + 1 is a line.",
        "I would call f(x=1) here.",
        f"I would call {json.dumps(F)} here.",
        f"Like this:\n```json\n{json.dumps(F)}\n```",
        '{"answer": 5}',
        '{"name": "Ann"}',
        '[{"name": "Ann"}, 3]',
        "[]",
        "{}",
        "3",
        '{"name": "f", "arguments": {"x": 1}',
        "f(x=g(1))",
    ],
)
def test_other_texts_make_no_call(text: str) -> None:
    assert made(text) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<tool_call>", "a call is not JSON"),
        ("<tool_call>f(x=1)</tool_call>", "a call is not JSON"),
        ('<tool_call>{"name": "f", "arguments": {"x": 1, "x": 1}}</tool_call>', "names a key twice"),
        ('{"name": "f", "arguments": {"x": 1, "x": 1}}', "names a key twice"),
        ('{"name": "f", "arguments": "{"}', "the arguments of `f` are not JSON"),
        ('{"name": "f", "arguments": [1]}', "the arguments of `f` are no JSON object"),
        ('{"name": 3, "arguments": {}}', "a call without the name of a function"),
        (json.dumps([F, 3]), "a call that is no object"),
        ("f(x='" + "a" * 70_000 + "')", "up to 65536 characters"),
    ],
)
def test_what_means_to_be_a_call_and_is_none_says_why(text: str, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        from_text(text)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ('{"a": ":", "b": 1}', True),
        ('{"a": "\\u003a", "b": 1}', True),
        ('{"a": "\\u003A", "a": 1}', False),
        ('{"a:": "\\":", "a:": 1}', False),
        ('{"a": {"b": 1, "b": ":"}}', False),
        ('{"a": ' + "[" * 300 + '{"b": ":"}' + "]" * 300 + "}", True),
        ('{"a": ' + "[" * 300 + '{"b": ":", "b": 1}' + "]" * 300 + "}", False),
    ],
)
def test_a_key_named_twice_is_seen_wherever_colons_are(text: str, fits: bool) -> None:
    with nullcontext() if fits else pytest.raises(Unreadable, match="names a key twice"):
        (call,) = from_objects([{"function": {"name": "f", "arguments": text}}])
        assert call.arguments == json.loads(text)


@given(st.dictionaries(st.text(), st.text() | st.integers(-(2**53), 2**53) | st.none(), max_size=4))
def test_a_colon_or_a_quote_in_a_text_is_no_key(arguments: dict[str, Any]) -> None:
    objects = [{"function": {"name": "f", "arguments": json.dumps(arguments)}}]
    assert [call.arguments for call in from_objects(objects)] == [arguments]
    assert made(json.dumps({"name": "f", "arguments": arguments})) == [("f", arguments)]


@pytest.mark.parametrize(
    "unit",
    [
        "<tool_call>",
        "<tool_call></tool_call>",
        "<tool_call>{}</tool_call>",
        "```\n",
        "{",
        "[",
        '"',
        "\\",
        "[{",
        '{"a":1},',
    ],
)
def test_a_megabyte_of_anything_takes_a_moment_only(unit: str) -> None:
    begun = process_time()
    for text in (unit * (1_000_000 // len(unit)), "```json\n" + unit * (1_000_000 // len(unit)) + "\n```"):
        with suppress(Unreadable):
            from_text(text)
    assert process_time() - begun < 2
