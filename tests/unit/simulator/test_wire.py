import json

import orjson
import pytest

from evalsvc.simulator import wire
from evalsvc.simulator.brain import Reply

QUESTION = wire.Question(model="m", prompt="p", characters=9)


def test_a_request_is_read_down_to_model_prompt_and_size() -> None:
    messages = [{"role": "system", "content": "1234"}, {"role": "user", "content": [{"type": "text", "text": "56789"}]}]
    body = orjson.dumps({"model": "m", "messages": messages, "temperature": 0, "stream": False})
    assert wire.read_question(body) == wire.Question(model="m", prompt="56789", characters=9)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"messages": [{"role": "user", "content": "x"}]}',
        b'{"model": 3, "messages": [{"role": "user", "content": "x"}]}',
        b'{"model": "m", "messages": "x"}',
        b'{"model": "m", "messages": []}',
        b'{"model": "m", "messages": [{"role": "system", "content": "x"}]}',
        b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": true}',
    ],
)
def test_what_is_no_chat_request_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        wire.read_question(body)


def test_a_completion_has_the_shape_of_openai() -> None:
    body = wire.completion(QUESTION, Reply(id="x", text="12345"), created=11, fingerprint="f")
    assert body == {
        "id": "x",
        "object": "chat.completion",
        "created": 11,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "12345", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        "system_fingerprint": "f",
    }


def test_a_refusal_has_no_content() -> None:
    body = wire.completion(QUESTION, Reply(id="x", refusal="no"), created=11, fingerprint="f")
    assert body["choices"][0]["message"] == {"role": "assistant", "content": None, "refusal": "no"}


def test_malformed_bodies_take_turns() -> None:
    body = wire.completion(QUESTION, Reply(id="x", text="t"), created=11, fingerprint="f")
    (html_type, html), (_, broken), (_, no_choices), (_, no_message) = (wire.malformed(body, v) for v in range(4))
    assert html_type == "text/html"
    assert html.startswith(b"<!doctype html>")
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken)
    assert json.loads(no_choices)["choices"] == []
    assert "message" not in json.loads(no_message)["choices"][0]
    assert wire.malformed(body, 4) == (html_type, html)


def test_lone_surrogates_go_out_escaped() -> None:
    assert wire.encode({"text": "a\ud800"}) == b'{"text": "a\\ud800"}'
