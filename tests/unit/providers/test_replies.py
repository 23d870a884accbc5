"""Every foreign answer is mapped, and mapped to one thing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.errors import (
    AuthenticationFailed,
    ContentRefused,
    ContextOverflow,
    Garbled,
    ModelNotFound,
    Overloaded,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
)
from evalsvc.providers.replies import completion_of, excerpt_of, retry_after
from evalsvc.providers.transport import Reply


def reply(body: bytes | dict[str, Any], status: int = 200, **headers: str) -> Reply:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, content, 0.1, 0.25)


def answer(content: Any = "42", **more: Any) -> dict[str, Any]:
    return {"model": "m-1", "choices": [{"message": {"content": content}, "finish_reason": "stop"}], **more}


def test_a_plain_answer() -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    got = completion_of(reply(answer("Paris", usage=usage, system_fingerprint="fp"), x_evalsvc_simulated="1"))
    assert (got.text, got.finish_reason, got.model, got.fingerprint) == ("Paris", "stop", "m-1", "fp")
    assert (got.input_tokens, got.output_tokens, got.simulated, got.repaired) == (7, 3, True, None)
    assert (got.latency_s, got.first_byte_s, got.fault) == (0.25, 0.1, None)


@pytest.mark.parametrize(
    ("choice", "fault"),
    [
        ({"message": {"content": "half an ans"}, "finish_reason": "length"}, "truncated"),
        ({"message": {"content": ""}, "finish_reason": "length"}, "truncated"),
        ({"message": {"content": None, "refusal": "I cannot"}, "finish_reason": "stop"}, "refused"),
        ({"message": {"content": "x"}, "finish_reason": "content_filter"}, "refused"),
        ({"message": {"content": " \n"}, "finish_reason": "stop"}, "empty"),
        ({"message": {"content": None}, "finish_reason": "stop"}, "empty"),
        ({"message": {"content": None, "tool_calls": [{"id": "1"}]}, "finish_reason": "tool_calls"}, None),
        ({"message": {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}}, None),
    ],
)
def test_what_counts_as_a_model_error(choice: dict[str, Any], fault: str | None) -> None:
    assert completion_of(reply({"choices": [choice]})).fault == fault


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (429, b'{"error":{"message":"slow down"}}', RateLimited),
        (429, b'{"error":{"code":"insufficient_quota"}}', QuotaExhausted),
        (500, b"", Overloaded),
        (503, b"<html>", Overloaded),
        (529, b"{}", Overloaded),
        (401, b'{"error":{"message":"bad key"}}', AuthenticationFailed),
        (403, b"", AuthenticationFailed),
        (404, b'{"error":{"code":"model_not_found"}}', ModelNotFound),
        (400, b'{"error":{"code":"context_length_exceeded"}}', ContextOverflow),
        (400, b'{"error":{"message":"This model\'s maximum context length is 4096 tokens"}}', ContextOverflow),
        (400, b'{"error":{"type":"exceed_context_size_error"}}', ContextOverflow),
        (400, b'{"error":{"code":"content_filter"}}', ContentRefused),
        (400, b'{"error":{"message":"temperature must be <= 2"}}', RequestRejected),
        (422, b"{}", RequestRejected),
        (302, b"", Garbled),
        (200, b"", Garbled),
        (200, b"<!DOCTYPE html><html>login</html>", Garbled),
        (200, b'{"choices": [{"mess', Garbled),
        (200, b"[1]", Garbled),
        (200, b"null", Garbled),
        (200, b'{"choices": []}', Garbled),
        (200, b'{"choices": [{}]}', Garbled),
        (200, b'{"choices": "no"}', Garbled),
        (200, b'{"choices": [{"message": {"content": 5}}]}', Garbled),
        (200, b'{"choices": [{"message": {"content": [{"type": "text", "text": null}]}}]}', Garbled),
        (200, b'{"choices": [{"message": {"content": NaN}}]}', Garbled),
        (200, b"[" * 100_000, Garbled),
        (200, b'{"a": "\\ud800", "choices": ' + b"[" * 100_000, Garbled),
        (200, b'{"error": {"message": "rate limit", "code": 429}}', RateLimited),
        (200, b'{"error": {"message": "exceeded your current quota"}}', QuotaExhausted),
        (200, b'{"error": {"message": "context length", "code": "x"}}', ContextOverflow),
        (200, b'{"error": {"message": "no", "code": 401}}', AuthenticationFailed),
        (200, b'{"error": {"type": "overloaded_error", "message": "Overloaded"}}', Overloaded),
        (200, b'{"error": "who knows"}', Garbled),
    ],
)
def test_every_other_answer_is_one_error(status: int, body: bytes, error: type[ProviderError]) -> None:
    with pytest.raises(ProviderError) as caught:
        completion_of(reply(body, status))
    assert type(caught.value) is error
    assert caught.value.status == status


@given(st.binary(max_size=300) | st.recursive(st.none() | st.text() | st.floats(), st.lists).map(orjson.dumps))
def test_any_bytes_end_in_a_completion_or_one_error(body: bytes) -> None:
    try:
        completion_of(reply(body))
    except ProviderError as error:
        str(error).encode()


def test_names_have_an_end_and_a_byte_order_mark_is_no_fault() -> None:
    got = completion_of(reply(b"\xef\xbb\xbf" + orjson.dumps(answer("x") | {"model": "m" * 5000})))
    assert got.model == "m" * 200


def test_lone_surrogates_are_mended_and_said_so() -> None:
    got = completion_of(reply(b'{"choices":[{"message":{"content":"a\\ud800b \\ud83d\\ude00 \\u0000"}}]}'))
    assert got.text == "a�b 😀 \x00"
    assert got.repaired == "lone surrogates replaced"


@pytest.mark.parametrize("count", [-1, 1.5, True, "7", None, 2**70])
def test_a_token_count_that_is_none_is_unknown(count: Any) -> None:
    body = b'{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":%s}}'
    raw = str(count).encode() if isinstance(count, int) and count > 2**64 else orjson.dumps(count)
    assert completion_of(reply(body % raw)).input_tokens is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "20"}, 20.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Mon, 23 Nov 2026 10:00:30 GMT", "date": "Mon, 23 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"retry-after": "Mon, 23 Nov 2026 09:00:00 GMT", "date": "Mon, 23 Nov 2026 10:00:00 GMT"}, 0.0),
        ({"retry-after": "Mon, 23 Nov 2026 10:00:10 GMT"}, 10.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_retry_after_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, datetime(2026, 11, 23, 10, tzinfo=UTC)) == seconds


def test_an_excerpt_holds_no_key_and_no_control_character() -> None:
    text = excerpt_of(b"Incorrect key sk-proj-abcdef123456 \x1b]52;c;eA==\x07 \xe2\x80\xae" + b"x" * 1000)
    assert "abcdef" not in text
    assert text.isprintable()
    assert len(text) <= 201
