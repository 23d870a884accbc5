from __future__ import annotations

import unicodedata
from typing import Any

import pytest

from evalsvc.reports import preview_text


def request(body: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    about = {"arm": "candidate", "endpoint": "vllm", "api": "chat", "suite": "s", "case": "c1", "category": "a"}
    return {**about, "body": body, "rejected": None, **more}


def render(body: dict[str, Any] | None, **more: Any) -> str:
    return preview_text.render([request(body, **more)], color=False, width=80)


def test_messages_are_shown_as_they_would_be_sent() -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "one\n  two"}]
    printed = render({"model": "m", "messages": messages, "temperature": 0, "stop": ["\n"]})
    assert printed.splitlines() == [
        "candidate: s / a / c1, to vllm",
        '  model = "m", temperature = 0, stop = ["\\n"]',
        "  system: Be brief.",
        "  user: one",
        "        two",
    ]


def test_parts_tool_calls_prompts_and_tools_are_shown() -> None:
    parts = [{"type": "image_url", "image_url": {"url": "x"}}]
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    printed = render({"messages": [{"role": "user", "content": parts}, call], "tools": [{"name": "t"}]})
    assert "image_url" in printed
    assert '{"tool_calls": [{"id": "1"}]}' in printed
    assert 'tools = [{"name": "t"}]' in printed
    assert "  prompt: once" in render({"prompt": "once"})
    assert "  user: hi" in render({"input": [{"role": "user", "content": "hi"}]})


def test_a_request_that_would_be_rejected_says_why() -> None:
    assert "REJECTED: takes one text" in render(None, rejected="takes one text")


def test_no_request_at_all_is_said() -> None:
    assert preview_text.render([], color=False, width=80) == "Nothing is sent: all answers are recorded.\n"


def test_a_long_message_is_cut_and_says_so() -> None:
    printed = render({"messages": [{"role": "user", "content": "x" * 1_000_000}]})
    assert "… 996,000 more characters" in printed
    assert len(printed) < 5000


@pytest.mark.parametrize(
    "payload", ["\x1b[31mred", "\x1b]52;c;Zm9v\x07", "\rSHIP\x08", "\u202egnp", "a\u2028b", "\ud800"]
)
def test_nothing_hidden_reaches_the_terminal(payload: str) -> None:
    body = {"model": payload, payload: payload, "messages": [{"role": payload, "content": payload, payload: 1}]}
    printed = preview_text.render(
        [request(body, suite=payload, case=payload), request(None, rejected=payload)], color=False, width=80
    )
    assert [c for c in printed if c != "\n" and unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}] == []
