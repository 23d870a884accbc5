"""A streamed answer says what the plain one would have said, and never more than came."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.core.records import Completion
from evalsvc.errors import (
    ContextOverflow,
    DeadlineExceeded,
    Garbled,
    Overloaded,
    ProviderError,
    RateLimited,
    RequestRejected,
    Unreachable,
)
from evalsvc.providers.streams import StreamedAnswer
from evalsvc.providers.transport import Reply

SSE = {"content-type": "text/event-stream"}


def reply(broken: ProviderError | None = None) -> Reply:
    return Reply(200, SSE, b"", 0.1, 9.0, broken)


def event(value: Any) -> bytes:
    return b"data: " + (value if isinstance(value, bytes) else orjson.dumps(value)) + b"\n\n"


def delta(finish_reason: str | None = None, **parts: Any) -> bytes:
    choice = {"index": 0, "delta": parts, "finish_reason": finish_reason}
    return event({"id": "1", "model": "m-1", "choices": [choice]})


DONE = event(b"[DONE]")


def read(*pieces: bytes, broken: ProviderError | None = None) -> Completion:
    answer = StreamedAnswer()
    for at, piece in enumerate(pieces):
        if answer.take(piece, float(at)):
            break
    return answer.completion(reply(broken))


def test_a_whole_stream() -> None:
    usage = event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}, "system_fingerprint": "fp"})
    got = read(
        delta(role="assistant", content=""), delta(content="Par"), delta(content="is"), delta("stop"), usage, DONE
    )
    assert (got.text, got.finish_reason, got.model, got.fingerprint) == ("Paris", "stop", "m-1", "fp")
    assert (got.input_tokens, got.output_tokens, got.first_token_s, got.latency_s) == (3, 2, 1.0, 9.0)
    assert (got.first_byte_s, got.repaired, got.tool_calls, got.reasoning, got.logprobs) == (
        0.1,
        None,
        None,
        None,
        None,
    )


def test_nothing_is_read_behind_the_end() -> None:
    answer = StreamedAnswer()
    assert not answer.take(delta("stop", content="a"), 0)
    assert answer.take(DONE, 1)


@pytest.mark.parametrize(
    "pieces",
    [
        (delta(content="x"), DONE),
        (delta("stop", content="x"),),
        (delta("stop", content="x").rstrip(),),
        (delta(content="x") + b"data: [DONE]",),
    ],
)
def test_done_or_a_finish_reason_makes_it_whole(pieces: tuple[bytes, ...]) -> None:
    got = read(*pieces)
    assert (got.text, got.input_tokens) == ("x", None)


@pytest.mark.parametrize("pieces", [(), (delta(content="x"),), (delta(content="x"), b'data: {"choices":[{"del')])
def test_a_stream_without_either_broke_off(pieces: tuple[bytes, ...]) -> None:
    with pytest.raises(Unreachable, match="broke off"):
        read(*pieces)


def test_what_broke_it_is_said_unless_the_answer_was_whole() -> None:
    with pytest.raises(DeadlineExceeded):
        read(delta(content="x"), broken=DeadlineExceeded("late"))
    assert read(delta("stop", content="x"), broken=Unreachable("reset")).text == "x"


@pytest.mark.parametrize(
    ("piece", "error"),
    [
        (event({"error": {"message": "rate limit reached"}}), RateLimited),
        (event({"error": {"code": 503, "message": "?"}}), Overloaded),
        (event({"error": {"code": 400, "message": "maximum context length is 512"}}), ContextOverflow),
        (event({"error": {"code": 400, "message": "bad grammar"}}), RequestRejected),
        (b'event: error\ndata: {"type":"overloaded_error"}\n\n', Overloaded),
        (b'error: {"code":500,"message":"x"}\n\n', Overloaded),
        (event({"error": "who knows"}), Garbled),
        (event(b'{"error":"\\ud800"}'), Garbled),
        (event(b"{broken"), Garbled),
        (event(b"[1]"), Garbled),
        (event({"choices": "no"}), Garbled),
        (event(b"[" * 100_000), Garbled),
        (event(b'"\\ud800"' + b"[" * 100_000), Garbled),
        (event({"choices": []}) + DONE, Garbled),
        (b"<!DOCTYPE html>\n<p>login</p>\n", Garbled),
    ],
)
def test_every_other_stream_is_one_error(piece: bytes, error: type[ProviderError]) -> None:
    with pytest.raises(ProviderError) as caught:
        read(piece)
    assert type(caught.value) is error
    assert caught.value.status == 200


def test_an_error_after_text_is_an_error() -> None:
    with pytest.raises(Overloaded):
        read(delta(content="half"), event({"error": {"code": 500}}), DONE)


def test_reasoning_comes_first_and_counts_as_the_first_token() -> None:
    got = read(delta(role="assistant"), delta(reasoning_content="hm"), delta("length"), DONE)
    assert (got.text, got.reasoning, got.first_token_s, got.fault) == ("", "hm", 1.0, "truncated")
    assert read(delta(reasoning="a"), delta("stop", reasoning="b", content="c"), DONE).reasoning == "ab"


def call(index: int | None, arguments: str, **more: Any) -> bytes:
    function = {"arguments": arguments, **({"name": more.pop("name")} if "name" in more else {})}
    return delta(tool_calls=[{"index": index, "function": function, **more}])


def test_tool_calls_are_merged_by_index() -> None:
    first = [call(0, "", id="a", name="f"), call(1, '{"y"', id="b", name="g"), call(0, '{"x":'), call(1, ":2}")]
    got = read(*first, call(0, "1}"), delta("tool_calls"), DONE)
    assert got.tool_calls == [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": '{"y":2}'}},
    ]
    assert (got.first_token_s, got.fault) == (0.0, None)


@pytest.mark.parametrize("index", [0, None])
def test_calls_with_ids_of_their_own_are_calls_of_their_own(index: int | None) -> None:
    got = read(call(index, "{}", id="a", name="f"), call(index, "{}", id="b", name="g"), delta("tool_calls"))
    assert [(c["id"], c["function"]["name"]) for c in got.tool_calls or ()] == [("a", "f"), ("b", "g")]


def test_logprobs_are_kept_as_the_plain_answer_has_them() -> None:
    parts = [{"content": [{"token": "a", "logprob": -0.1}], "refusal": None}, {"content": [{"token": "b"}]}, None]
    pieces = [event({"choices": [{"delta": {"content": "x"}, "logprobs": part}]}) for part in parts]
    assert read(*pieces, DONE).logprobs == {
        "content": [{"token": "a", "logprob": -0.1}, {"token": "b"}],
        "refusal": None,
    }


def test_a_text_stream() -> None:
    logprobs = {"tokens": ["a"], "token_logprobs": [-0.5]}
    pieces = [event({"choices": [{"text": text, "logprobs": logprobs, "finish_reason": None}]}) for text in ("a", "b")]
    got = read(*pieces, event({"choices": [{"text": "", "finish_reason": "length"}]}))
    assert (got.text, got.finish_reason, got.first_token_s) == ("ab", "length", 0.0)
    assert got.logprobs == {"tokens": ["a", "a"], "token_logprobs": [-0.5, -0.5]}


def test_only_the_first_of_several_answers_counts() -> None:
    other = event({"choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "stop"}]})
    assert read(other, delta(content="yes"), other, delta("stop"), DONE).text == "yes"


def test_a_pair_of_surrogates_split_over_two_pieces_is_one_character() -> None:
    pieces = [
        event(b'{"choices":[{"delta":{"content":"%s"}}]}' % half) for half in (b"\\ud83d", b"\\ude00", b"\\ud800")
    ]
    got = read(*pieces, DONE)
    assert (got.text, got.repaired) == ("😀�", "lone surrogates replaced")


def test_a_plain_answer_to_a_request_for_a_stream_is_taken() -> None:
    body = orjson.dumps({"choices": [{"message": {"content": "x"}}]})
    got = StreamedAnswer().completion(Reply(200, {"content-type": "application/json"}, body, 0.1, 0.2))
    assert (got.text, got.first_token_s) == ("x", None)


@given(st.lists(st.binary(max_size=60) | st.recursive(st.none() | st.text() | st.integers(-5, 5), st.lists).map(event)))
def test_any_stream_ends_in_a_completion_or_one_error(pieces: list[bytes]) -> None:
    try:
        read(*pieces)
    except ProviderError as error:
        str(error).encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3)
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "index": JSON,
                "delta": JSON
                | st.dictionaries(st.sampled_from(["content", "tool_calls", "reasoning", "refusal"]), JSON)
                | st.fixed_dictionaries(
                    {"tool_calls": st.lists(st.dictionaries(st.sampled_from(["index", "id", "function"]), JSON))}
                ),
                "text": JSON,
                "logprobs": JSON | st.dictionaries(st.text(max_size=1), JSON),
                "finish_reason": JSON,
            },
        )
    )
)
def test_choices_of_any_shape_end_in_a_completion_or_one_error(choices: list[Any]) -> None:
    try:
        got = read(event({"choices": choices, "usage": choices, "model": 5}), DONE)
    except ProviderError:
        return
    assert isinstance(got.text, str)
