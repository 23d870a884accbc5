"""What an answer says, tool calls included."""

from typing import Any

import pytest

from evalsvc.core.view import said


def call(name: Any, arguments: Any) -> dict[str, Any]:
    return {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    ("text", "calls", "shown"),
    [
        ("yes", None, "yes"),
        (None, None, ""),
        ("", [call("weather", '{"city": "Rome"}')], 'weather({"city": "Rome"})'),
        ("One moment.", [call("f", "{"), call("g", {"é": 1})], 'One moment.\nf({)\ng({"é": 1})'),
        (None, ["odd", {"function": 1}, call(None, None)], '"odd"\n{"function": 1}\nNone(null)'),
    ],
)
def test_an_answer_says_its_text_and_its_calls(text: str | None, calls: Any, shown: str) -> None:
    assert said(text, calls) == shown
