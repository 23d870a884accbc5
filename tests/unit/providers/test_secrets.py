"""No key that is known stands in what a server says, in whatever place and however it is written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.core.records import Completion
from evalsvc.errors import Garbled, Overloaded
from evalsvc.providers.secrets import STRUCK, Secrets
from evalsvc.providers.transport import Reply

KEYS = ("own-key-0123456789", "another-endpoint's/key", 'with-"quote\\s')
MANY = (*KEYS, *(f"further-key-{n:04}" for n in range(12)))

keys = st.sampled_from(MANY)


def reply(body: bytes) -> Reply:
    return Reply(200, {}, body, 0.0, 0.0)


@pytest.mark.parametrize("known", [KEYS, MANY], ids=["few", "many"])
def test_every_known_key_is_struck_out_of_a_body(known: tuple[str, ...]) -> None:
    for key in known:
        for written in (key.encode(), json.dumps(key)[1:-1].encode()):
            assert Secrets(known).reply(reply(b"[%b|%b]" % (written, written))).body == b"[[key]|[key]]"


def test_what_holds_none_is_the_same_object() -> None:
    body, completion = reply(b'{"text": "42"}'), Completion(text="42", tool_calls=[{"a": 1}], logprobs=[1])
    for known in ((), KEYS, MANY):
        assert Secrets(known).reply(body) is body
        assert Secrets(known).completion(completion) is completion


@given(key=keys, before=st.text(max_size=20), after=st.text(max_size=20))
def test_it_is_struck_out_of_every_text_of_a_completion(key: str, before: str, after: str) -> None:
    said = f"{before}{key}{after}"
    nested: Any = [{"function": {"name": said, "arguments": {said: [said, 1.5, None]}}}]
    told = Completion(
        text=said,
        finish_reason=said,
        refusal=said,
        reasoning=said,
        model=said,
        fingerprint=said,
        tool_calls=nested,
        logprobs={"content": nested},
        latency_s=0.25,
    )
    struck = Secrets(MANY).completion(told)
    assert key not in repr(struck)
    assert json.dumps(key)[1:-1] not in repr(struck)
    assert struck.text == said.replace(key, STRUCK)
    assert struck.tool_calls is not None
    assert next(iter(struck.tool_calls[0]["function"]["arguments"].values()))[1:] == [1.5, None]
    assert struck.latency_s == 0.25


def test_the_longer_of_two_keys_goes_first() -> None:
    known = Secrets(["key-of-one", "key-of-one-and-more"])
    assert known.text("key-of-one-and-more, key-of-one") == f"{STRUCK}, {STRUCK}"


@pytest.mark.parametrize("word", ["", "a", "EMPTY", "ollama"])
def test_a_placeholder_is_no_key_and_stays_a_word(word: str) -> None:
    known = Secrets([word])
    assert known.reply(reply(b"EMPTY is a word, ollama too")).body == b"EMPTY is a word, ollama too"
    assert known.text("EMPTY ollama") == "EMPTY ollama"


def test_an_error_repeats_none() -> None:
    error = Secrets(KEYS).error(Overloaded(f"bad {KEYS[0]}, {KEYS[2]}", status=503))
    assert str(error) == f"bad {STRUCK}, {STRUCK}"


def test_what_is_nested_too_deep_to_look_into_is_garbled() -> None:
    deep: Any = []
    for _ in range(2000):
        deep = [deep]
    with pytest.raises(Garbled, match="cannot be stored"):
        Secrets(KEYS).completion(Completion(text="", tool_calls=deep))
