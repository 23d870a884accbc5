"""The hostile server does what its catalogue says, and its journal says what it did."""

from __future__ import annotations

import gzip
import json
import socket
import urllib.request
from collections import Counter
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest
from hostile import GOOD, STATUS, TRANSIENT, Behaviour, Do, Entry, Hostile, bomb, catalogue, unread
from hypothesis import given
from hypothesis import strategies as st

ENDS = st.sampled_from(sorted(STATUS))


def connect(server: Hostile) -> socket.socket:
    parts = urlsplit(server.url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10)


def ask(case: str, model: str = "m", **more: Any) -> bytes:
    messages = [{"role": "system", "content": "case 99"}, {"role": "user", "content": case}]
    body = json.dumps({"model": model, "messages": messages, **more}).encode()
    return b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def answer(wire: socket.socket, request: bytes) -> tuple[int, bytes]:
    """Status and body of an answer with a length."""
    wire.sendall(request)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += wire.recv(1)
    status, _, rest = head.partition(b"\r\n")
    length = int(rest.lower().split(b"content-length:")[1].split()[0])
    body = b""
    while len(body) < length:
        body += wire.recv(length - len(body))
    return int(status.split()[1]), body


def to_the_end(wire: socket.socket, request: bytes) -> bytes:
    wire.sendall(request)
    received = b""
    while part := wire.recv(2**16):
        received += part
    return received


def only(name: str) -> list[Behaviour]:
    return [behaviour for behaviour in catalogue() if behaviour.name == name]


def entry(*ends: str) -> Entry:
    return Entry(
        case="case 1", model="m", number=1, at=0.0, behaviour="b", ends=ends, retry=True, wait_s=0.0, score=0.0
    )


def test_a_deck_follows_from_seed_and_model_and_holds_the_whole_catalogue() -> None:
    one, same, other = (Hostile(seed, size=240) for seed in (1, 1, 2))
    assert one.deck("m") == same.deck("m")
    assert one.deck("m") != other.deck("m")
    assert one.deck("m") != one.deck("n")
    held = Counter(behaviour.name for behaviour in one.deck("m"))
    assert held == {**{behaviour.name: 1 for behaviour in catalogue()}, "good": 240 - len(catalogue())}
    assert one.behaviour("case 17", "m") == one.behaviour("case 257", "m") == one.deck("m")[17]


@pytest.mark.parametrize("stream", [False, True])
def test_the_catalogue_speaks_the_words_of_the_product(stream: bool) -> None:
    behaviours = catalogue(stream=stream)
    assert len({behaviour.name for behaviour in behaviours}) == len(behaviours)
    assert sum(behaviour.name.startswith("200 ") for behaviour in behaviours) >= (0 if stream else 60)
    for behaviour in behaviours:
        assert set(behaviour.ends) <= STATUS.keys()
        assert behaviour.retry <= bool(set(behaviour.ends) & set(TRANSIENT)), behaviour.name
        assert behaviour.times == 0 or behaviour.retry, behaviour.name


def test_the_bomb_is_one() -> None:
    assert len(bomb()) < 2**19
    assert len(gzip.decompress(bomb())) == 2**28


def test_good_answers_are_right_or_wrong_by_seed_and_journalled_so() -> None:
    with Hostile(3, behaviours=()) as server, closing(connect(server)) as wire:
        replies = [answer(wire, ask(f"case {n}")) for n in range(40)]
        with urllib.request.urlopen(server.url.replace("/v1", "/journal")) as journal:
            told = json.load(journal)
    texts = [json.loads(body)["choices"][0]["message"]["content"] for _, body in replies]
    assert set(texts) == {"42", "41"}
    assert [entry.score for entry in server.journal.entries] == [float(text == "42") for text in texts]
    assert [(e["case"], e["number"], e["ends"]) for e in told["entries"]] == [
        (f"case {n}", 1, ["ok"]) for n in range(40)
    ]
    assert told["connections"] == 2
    times = [entry.at for entry in server.journal.entries]
    assert times == sorted(times)


def test_what_hits_the_first_attempts_only_is_good_afterwards() -> None:
    twice = only("429 fraction")
    assert twice[0].times == 2
    with Hostile(1, size=1, behaviours=twice) as server, closing(connect(server)) as wire:
        statuses = [answer(wire, ask("case 0"))[0] for _ in range(4)]
        assert answer(wire, ask("case 0", model="other"))[0] == 429
    assert statuses == [429, 429, 200, 200]
    assert [e.number for e in server.journal.of("case 0", "m")] == [1, 2, 3, 4]
    assert [e.wait_s for e in server.journal.of("case 0", "m")] == [0.25, 0.25, 0.0, 0.0]


def test_a_reset_is_a_reset() -> None:
    with Hostile(1, size=1, behaviours=only("reset before the head")) as server, closing(connect(server)) as wire:
        with pytest.raises(ConnectionResetError):
            to_the_end(wire, ask("case 0"))
        assert [e.ends for e in server.journal.entries] == [("network",)]


def test_half_closed_it_says_no_more_but_listens() -> None:
    with Hostile(1, size=1, behaviours=only("half-closed in the body")) as server, closing(connect(server)) as wire:
        received = to_the_end(wire, ask("case 0"))
        assert received.startswith(b"HTTP/1.1 200")
        assert len(received.partition(b"\r\n\r\n")[2]) == 50
        wire.sendall(b"still open")


def test_a_drip_has_no_end_of_its_own() -> None:
    with Hostile(1, size=1, behaviours=only("drip of the body")) as server, closing(connect(server)) as wire:
        wire.sendall(ask("case 0"))
        received = b""
        while not received.endswith(b"xxx"):
            received += wire.recv(2**16)
    assert received.startswith(b"HTTP/1.1 200")


def test_a_hang_says_nothing_and_ends_with_the_server() -> None:
    with Hostile(1, size=1, behaviours=only("hang before the head")) as server:
        wire = connect(server)
        wire.sendall(ask("case 0"))
        while not server.journal.entries:
            pass
        wire.setblocking(False)
        with pytest.raises(BlockingIOError):
            wire.recv(1)
    wire.setblocking(True)
    assert wire.recv(1) == b""
    wire.close()


def test_an_idle_connection_is_closed_without_a_word() -> None:
    with Hostile(1, behaviours=(), close_idle=1.0) as server, closing(connect(server)) as wire:
        assert to_the_end(wire, ask("case 0")).count(b"HTTP/1.1 200") == 1
    assert server.journal.closed_idle == 1


def test_a_streamed_answer_ends_with_usage_and_done() -> None:
    with Hostile(1, behaviours=(), close_idle=1.0) as server, closing(connect(server)) as wire:
        received = to_the_end(wire, ask("case 0", stream=True))
    assert received.index(b'"finish_reason": "stop"') < received.index(b'"usage"') < received.index(b"data: [DONE]")
    assert received.endswith(b"0\r\n\r\n")


def test_scripts_that_end_a_connection_end_there() -> None:
    enders = (Do.HANG, Do.CLOSE, Do.RESET, Do.HALF_CLOSE)
    for behaviour in (GOOD, *catalogue(), *catalogue(stream=True)):
        if not callable(behaviour.script):
            assert not set(enders) & set(behaviour.script[:-1]), behaviour.name


@given(st.lists(ENDS), st.lists(st.integers(min_value=0, max_value=9)))
def test_attempts_the_server_never_read_are_found_among_the_others(ends: list[str], places: list[int]) -> None:
    attempts = list(ends)
    for place in places:
        attempts.insert(place, "network")
    assert unread(attempts, [entry(end) for end in ends]) == len(places)


@pytest.mark.parametrize(
    ("attempts", "entries"),
    [
        (["ok"], []),
        ([], [entry("ok")]),
        (["server"], [entry("ok")]),
        (["network", "ok"], [entry("ok"), entry("network")]),
        (["server", "ok"], [entry("ok")]),
        (["ok", "ok"], [entry("ok"), entry("server")]),
    ],
)
def test_an_account_that_contradicts_the_journal_is_none(attempts: list[str], entries: list[Entry]) -> None:
    assert unread(attempts, entries) is None
