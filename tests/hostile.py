"""A model server that misbehaves by seed, and the oracle of what a client must make of it.

Every request is known by its case (the number that ends its last user message: "case 17") and its model. A seeded deck
says how the server behaves to it; the journal says what was asked, when, and what was answered. The server runs on a
loop of its own in a thread of its own: it takes nothing from the loop under test but the time of the machine.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import socket
import struct
import threading
import zlib
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from functools import cache
from random import Random
from time import monotonic
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")


class Do(Enum):
    """What a script can do besides sending bytes and waiting (a float: seconds)."""

    HANG = "say nothing until the client goes"
    HALF_CLOSE = "send no more, but listen on"
    CLOSE = "close"
    RESET = "close with RST"


@dataclass(frozen=True, slots=True)
class Endless:
    """The same bytes over and over, until the client goes."""

    chunk: bytes
    every_s: float


Step = bytes | float | Do | Endless
Script = tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a good answer needs to know of its request."""

    text: str
    model: str
    stream: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """One way to answer.

    ``ends``: what an attempt answered so may end in. ``retry``: whether the client may ask again. ``wait_s``: how long
    it must wait first. ``times``: only the first so many attempts of a case are answered so, 0: all. ``score``: of the
    answer where it is usable; None: the request decides.
    """

    name: str
    script: Script | Callable[[Ask], Script]
    ends: tuple[str, ...] = ("ok",)
    retry: bool = False
    wait_s: float = 0.0
    times: int = 0
    score: float | None = None


TRANSIENT = ("rate_limited", "server", "network", "protocol")
CONTEXT = b'{"error": {"code": "context_length_exceeded", "message": "maximum context length is 8"}}'
FILTERED = b'{"error": {"code": "content_filter", "message": "responsible ai"}}'
QUOTA = b'{"error": {"code": "insufficient_quota", "message": "You exceeded your current quota"}}'
DEEP = b"[" * 300 + b"]" * 300
BIG = "\u202e\x1b[2J\x1b]0;pwned\x07" + "m" * 2**20
DIRTY = "\u202e\x1b[31mred\x07\x00\x85\u2066"


def http(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """A whole answer; ``length`` is what it says of itself, by default the truth."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def says(content: Any = "42", *, choice: Any = None, **top: Any) -> bytes:
    """The JSON of a chat completion, with parts of its choice or of the whole replaced."""
    message = {"role": "assistant", "content": content}
    whole = {"index": 0, "message": message, "finish_reason": "stop", **(choice or {})}
    usage = {"prompt_tokens": 10, "completion_tokens": 2}
    return json.dumps({"id": "1", "model": "served", "choices": [whole], "usage": usage, **top}).encode()


def event(data: Any) -> bytes:
    """One event of a stream."""
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def piece(delta: str | None, finish: str | None = None) -> bytes:
    """One event of a streamed chat completion."""
    choice = {"index": 0, "delta": {} if delta is None else {"content": delta}, "finish_reason": finish}
    return event({"id": "1", "model": "served", "choices": [choice]})


def chunked(*parts: bytes) -> bytes:
    """Parts of a body in chunks, without the last one."""
    return b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in parts)


CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
SSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def _plain(ask: Ask, *headers: str) -> bytes:
    return http(says(ask.text), "Content-Type: application/json", *headers)


def _good(ask: Ask) -> Script:
    if not ask.stream:
        return (_plain(ask),)
    usage = event({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 2}})
    parts = (piece(ask.text[:1]), piece(ask.text[1:]), piece(None, "stop"), usage, event(b"[DONE]"))
    return SSE_HEAD, *(chunked(part) for part in parts), b"0\r\n\r\n"


GOOD = Behaviour(name="good", script=_good)
#: A good answer, and soon after it one that nobody asked for, whole, on the same connection.


def _before(*first: Step) -> Callable[[Ask], Script]:
    return lambda ask: (*first, *_good(ask))


def _after(noise: bytes) -> Callable[[Ask], Script]:
    return lambda ask: (*_good(ask)[:-1], b"".join(part for part in _good(ask)[-1:] if isinstance(part, bytes)) + noise)


def _fails(name: str, *script: Step, end: str = "network", times: int = 0, wait_s: float = 0.0) -> Behaviour:
    return Behaviour(name=name, script=script, ends=tuple(end.split()), retry=True, times=times, wait_s=wait_s)


def _ends(name: str, *script: Step, end: str) -> Behaviour:
    return Behaviour(name=name, script=script, ends=(end,))


def _limits() -> Iterator[Behaviour]:
    """429 with every form of Retry-After, once or twice, then a good answer; the hopeless ones end at once."""

    def limited(*headers: str) -> bytes:
        return http(b'{"error": {"message": "slow down"}}', *headers, status="429 Too Many Requests")

    yield _fails("429 always", limited(), end="rate_limited")
    forms = {
        "seconds": ("Retry-After: 1", 1.0),
        "fraction": ("Retry-After: 0.25", 0.25),
        "milliseconds": ("Retry-After-Ms: 300", 0.3),
        "zero": ("Retry-After: 0", 0.0),
        "date": ("Date: Mon, 23 Nov 2026 10:00:00 GMT\r\nRetry-After: Mon, 23 Nov 2026 10:00:01 GMT", 1.0),
        "past": ("Retry-After: Mon, 23 Nov 2015 10:00:00 GMT", 0.0),
        "negative": ("Retry-After: -1", 0.0),
        "empty": ("Retry-After:", 0.0),
        "garbage": ("Retry-After: soon, I hope", 0.0),
        "duration": ("Retry-After: 6m0s", 0.0),
        "nan": ("Retry-After: nan", 0.0),
        "infinite": ("Retry-After: 1e999", 0.0),
        "milliseconds of garbage": ("Retry-After-Ms: x", 0.0),
        "two": ("Retry-After: 0\r\nRetry-After: 0", 0.0),
        "headers": ("x-ratelimit-reset-requests: 6m0s\r\nx-ratelimit-remaining-requests: -1", 0.0),
    }
    for place, (name, (header, wait)) in enumerate(forms.items()):
        yield _fails(f"429 {name}", limited(header), end="rate_limited", times=1 + place % 2, wait_s=wait)
    for name in ("36000", "Fri, 31 Dec 9999 23:59:59 GMT"):
        yield _ends(f"429 {name}", limited(f"Retry-After: {name}"), end="rate_limited")
    never = limited(f"Retry-After: Mon, 01 Jan {'9' * 20} 00:00:00 GMT")
    yield _fails("429 no year of this world", never, end="rate_limited", times=1)
    yield _ends("429 quota", http(QUOTA, status="429 Too Many Requests"), end="rate_limited")


def _statuses() -> Iterator[Behaviour]:
    """Statuses other than 200 and 429."""
    for times, status in enumerate(("500 Oops", "502 Bad Gateway", "503 Busy", "504 Late", "529 Overloaded", "599 X")):
        yield _fails(status, http(b"<html>oops</html>", status=status), end="server", times=times % 3)
    yield _fails("503 told", http(b"", "Retry-After: 1", status="503 Busy"), end="server", times=1, wait_s=1.0)
    for status in ("400 Bad", "402 Pay", "409 Conflict", "418 Teapot", "422 Unprocessable"):
        yield _ends(status, http(b'{"error": "no"}', status=status), end="rejected")
    yield _ends("400 context", http(CONTEXT, status="400 Bad"), end="context_overflow")
    yield _ends("400 filter", http(FILTERED, status="400 Bad"), end="refused")
    yield _fails("307 to itself", http(b"", "Location: /v1/chat/completions", status="307 Away"), end="protocol")
    yield _fails("201", http(says(), status="201 Created"), end="protocol")
    yield _fails("204", b"HTTP/1.1 204 None\r\n\r\n", end="protocol")


def _wire() -> Iterator[Behaviour]:
    """What can happen to a connection, and bytes that are no HTTP."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    half = says()[:50]
    yield _fails("reset before the head, once", Do.RESET, times=1)
    yield _fails("reset before the head, twice", Do.RESET, times=2)
    yield _fails("reset before the head", Do.RESET)
    yield _fails("reset in the head", head[:20], 0.02, Do.RESET)
    yield _fails("reset after the head", head, 0.02, Do.RESET, times=1)
    yield _fails("reset in the body", head + half, 0.02, Do.RESET)
    yield _fails("reset in the body, once", head + half, 0.02, Do.RESET, times=1)
    yield _fails("half-closed before the head", Do.HALF_CLOSE)
    yield _fails("half-closed in the body", head + half, Do.HALF_CLOSE)
    yield _fails("closed at once", Do.CLOSE, times=2)
    yield Behaviour(name="half-closed after it", script=lambda ask: (*_good(ask), Do.HALF_CLOSE))
    for name, script in {
        "hang before the head": (Do.HANG,),
        "hang in the head": (head[:20], Do.HANG),
        "hang after the head": (head, Do.HANG),
        "hang in the body": (head + half, Do.HANG),
        "drip of the head": (b"HTTP/1.1 200 OK\r\nX-A: ", Endless(b"x", 0.05)),
        "drip of headers": (b"HTTP/1.1 200 OK\r\n", Endless(b"X-A: b\r\n", 0.1)),
        "drip of the body": (head, Endless(b"x", 0.1)),
        "drip of chunks": (CHUNKED_HEAD, Endless(chunked(b" "), 0.1)),
        "1xx for ever": (Endless(b"HTTP/1.1 102 Processing\r\n\r\n", 0.1),),
        "length too long, open": (http(says(), length=5000), Do.HANG),
        "SSE nobody asked for": (SSE_HEAD, Endless(chunked(piece("x")), 0.05)),
    }.items():
        yield _ends(name, *script, end="timeout")
    yield _fails("length too long, closed", http(says(), length=5000), Do.CLOSE)
    yield _fails("length too short", http(says(), length=40), end="protocol network")
    yield _fails("length negative", http(says(), length=-1), end="protocol network")
    yield _fails("two lengths", http(says(), "Content-Length: 3"), end="protocol network")
    yield _fails("no HTTP", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", end="protocol")
    yield _fails("noise", bytes(range(256)) * 4, end="protocol network")
    yield _fails("head without end", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2**18, Do.HANG, end="protocol network")
    yield _fails("chunk cut off", CHUNKED_HEAD + b"ff\r\n" + half, Do.CLOSE)
    yield _fails("chunks without the last", CHUNKED_HEAD + chunked(says()), Do.CLOSE)
    yield _fails("chunk of size zz", CHUNKED_HEAD + b"zz\r\n" + half, Do.HANG, end="network protocol")
    yield _fails("chunk of size 2^80", CHUNKED_HEAD + b"f" * 20 + b"\r\n" + half, Do.HANG, end="network protocol")
    yield Behaviour(name="1xx first", script=_before(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"))
    yield Behaviour(name="100 first, twice", script=_before(b"HTTP/1.1 100 Continue\r\n\r\n" * 2))
    yield Behaviour(name="one line end too many", script=_after(b"\r\n"))
    yield Behaviour(name="noise after it", script=_after(b"noise \x00 noise"), ends=("ok", *TRANSIENT), retry=True)
    yield Behaviour(name="a second answer at once", script=_after(http(says("POISON"))))
    yield Behaviour(name="slow", script=_before(0.2))
    yield Behaviour(name="said it closes", script=lambda ask: (_plain(ask, "Connection: close"), Do.CLOSE))


def _packed() -> Iterator[Behaviour]:
    """Compressed and oversized bodies."""
    gzipped = "Content-Encoding: gzip"
    yield Behaviour(name="gzip", script=lambda ask: (http(gzip.compress(says(ask.text)), gzipped),))
    yield _fails("gzip bomb", http(bomb(), gzipped), end="protocol")
    yield _fails("gzip bomb, once", http(bomb(), gzipped), end="protocol", times=1)
    yield _fails("gzip garbage", http(b"\x1f\x8b garbage", gzipped), end="network protocol")
    yield _fails("gzip cut off", http(gzip.compress(says())[:-12], gzipped), end="network protocol")
    yield _fails("gzip said, plain sent", http(says(), gzipped), end="network protocol")
    yield _fails("9 MiB of body", http(says("x" * 9 * 2**20)), end="protocol")


@cache
def bomb() -> bytes:
    """256 MiB of zeros in 256 KiB of gzip."""
    packer = zlib.compressobj(wbits=31)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(256)) + packer.flush()


#: Bodies with status 200 that are no completion: kind → name → body.
BROKEN: dict[str, dict[str, bytes]] = {
    "protocol": {
        "empty": b"",
        "blank": b" \n ",
        "HTML": b"<!doctype html><title>502</title>\x1b[2J",
        "null": b"null",
        "number": b"42",
        "string": b'"42"',
        "list": b"[" + says() + b"]",
        "object without keys": b"{}",
        "half": says()[:-20],
        "two objects": says() + says(),
        "NaN": says(usage=float("nan")),
        "-Infinity": says(x=float("-inf")),
        "depth 100,000": b"[" * 100_000 + b"]" * 100_000,
        "depth 100,000 of objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        "depth 100,000 after a surrogate": b'{"s": "\\ud800", "a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "invalid UTF-8": says("@@").replace(b"@@", b"\xff\xfe"),
        "surrogates in UTF-8": says("@@").replace(b"@@", b"\xed\xa0\x80"),
        "UTF-16": says().decode().encode("utf-16"),
        "raw NUL": says("@@").replace(b"@@", b"\x00"),
        "single quotes": says().replace(b'"', b"'"),
        "trailing comma": says()[:-1] + b",}",
        "choices null": says(choices=None),
        "choices object": says(choices={"0": 1}),
        "choices text": says(choices="42"),
        "choices empty": says(choices=[]),
        "choice null": says(choices=[None]),
        "tool call of depth 300": says(choice={"message": {"tool_calls": [{"function": "@@"}]}}).replace(b'"@@"', DEEP),
        "choice number": says(choices=[1]),
        "choice list": says(choices=[[]]),
        "choice without keys": says(choices=[{}]),
        "message null": says(choice={"message": None}),
        "message text": says(choice={"message": "42"}),
        "message list": says(choice={"message": ["42"]}),
        "content number": says(42),
        "content true": says(content=True),
        "content object": says({"text": "42"}),
        "error text": b'{"error": "nope"}',
        "error list": b'{"error": [1, 2]}',
        "error of depth 300": b'{"error": ' + DEEP + b"}",
    },
    "protocol ok": {
        "1e999": says(x="@@").replace(b'"@@"', b"1e999"),
        "int of 5,000 digits": says(x="@@").replace(b'"@@"', b"9" * 5000),
    },
    "rate_limited": {
        "error 429": b'{"error": {"code": 429, "message": "no"}}',
        "error rate limit": b'{"error": {"type": "rate_limit_error"}}',
    },
    "server": {
        "error 503": b'{"error": {"code": 503, "message": "\\u001b[2J\\u202e"}}',
        "error in the choice": says("", choice={"finish_reason": "error", "error": {"code": 502, "message": "down"}}),
        "error overloaded": b'{"error": {"message": "overloaded"}}',
    },
}

#: Bodies with status 200 that are the model's own failure.
FAULTY: dict[str, dict[str, bytes]] = {
    "truncated": {"length": says(choice={"finish_reason": "length"})},
    "refused": {
        "filter": says(choice={"finish_reason": "content_filter"}),
        "refusal": says(choice={"message": {"content": None, "refusal": DIRTY}}),
    },
    "empty": {
        "content null": says(None),
        "content empty": says(""),
        "content blank": says(" \n\t"),
        "content of no parts": says([]),
        "content missing": says(choice={"message": {}}),
        "tool calls text": says(None, choice={"message": {"content": None, "tool_calls": "f()"}}),
        "tool calls null": says(None, choice={"message": {"content": None, "tool_calls": [None, 1]}}),
    },
    "empty protocol": {
        "content of odd parts": says([1, None, "x", []]),
        "content of a null text": says([{"type": "text", "text": None}]),
        "content of an object": says([{"type": "text", "text": {"a": 1}}]),
    },
}

#: Bodies with status 200 that are odd, but usable: name → body, score.
USABLE: dict[str, tuple[bytes, float]] = {
    "lone surrogate": (says("\ud800 42"), 0.0),
    "NUL": (says("42\x00"), 0.0),
    "ANSI and bidi": (says(DIRTY + "42"), 0.0),
    "surrogate in a key": (says(**{"\udfff": 1}), 1.0),
    "surrogate in the model": (says(model="m\ud83d"), 1.0),
    "duplicate keys": (b'{"choices": [], ' + says()[1:], 1.0),
    "usage negative": (says(usage={"prompt_tokens": -5, "completion_tokens": -1}), 1.0),
    "usage huge": (says(usage={"prompt_tokens": 2**63, "completion_tokens": 1e30}), 1.0),
    "usage text": (says(usage="10"), 1.0),
    "usage of wrong types": (says(usage={"prompt_tokens": [1], "completion_tokens": True}), 1.0),
    "10,000 choices": (says(choices=[{"message": {"content": "42"}}] * 10_000), 1.0),
    "finish reason number": (says(choice={"finish_reason": 7}), 1.0),
    "finish reason object": (says(choice={"finish_reason": {"a": "length"}}), 1.0),
    "finish reason huge": (says(choice={"finish_reason": BIG}), 1.0),
    "model huge": (says(model=BIG), 1.0),
    "model dirty": (says(model=DIRTY), 1.0),
    "model markup": (says(model="<script>alert(1)</script>"), 1.0),
    "model of a wrong type": (says(model=[1]), 1.0),
    "fingerprint huge": (says(system_fingerprint=BIG), 1.0),
    "fingerprint of a wrong type": (says(system_fingerprint={"a": 1}), 1.0),
    "refusal of a wrong type": (says(choice={"message": {"content": "42", "refusal": 5}}), 1.0),
    "id and created of wrong types": (says(id=[], created="now", object=None), 1.0),
    "error null": (says(error=None), 1.0),
    "index negative": (says(choice={"index": -1}), 1.0),
    "role unknown": (says(choice={"message": {"role": 5, "content": "42"}}), 1.0),
    "content in parts": (says([{"type": "text", "text": "4"}, {"type": "text", "text": "2"}]), 1.0),
    "content of 4 MiB": (says("4" * 2**22), 0.0),
    "content of noise": (says("\u200b\u2028\ufeff\U0010ffff"), 0.0),
    "tool calls of odd shape": (says(None, choice={"message": {"tool_calls": [{}, {"function": None}, 3]}}), 0.0),
    "BOM": (b"\xef\xbb\xbf" + says(), 1.0),
    "logprobs of a wrong type": (says(choice={"logprobs": "x"}), 1.0),
}


def _bodies() -> Iterator[Behaviour]:
    for ends, bodies in BROKEN.items():
        yield from (_fails(f"200 {name}", http(body), end=ends) for name, body in bodies.items())
    for ends, bodies in FAULTY.items():
        for name, body in bodies.items():
            kinds = tuple(ends.split())
            yield Behaviour(name=f"200 {name}", script=(http(body),), ends=kinds, retry="protocol" in kinds)
    for name, (body, score) in USABLE.items():
        yield Behaviour(name=f"200 {name}", script=(http(body),), score=score)


def _streams() -> Iterator[Behaviour]:
    """Streamed answers gone wrong."""
    some = SSE_HEAD + chunked(piece("4"))
    last = chunked(piece("2", "stop"))
    end = b"0\r\n\r\n"
    for name, chunk in {"tokens": piece("x"), "comments": b": ping\n\n", "one line": b"x"}.items():
        yield _ends(f"SSE of {name} for ever", SSE_HEAD, Endless(chunked(chunk), 0.05), end="timeout")
    yield _ends("SSE hangs", some, Do.HANG, end="timeout")
    yield _fails("SSE reset", some, 0.02, Do.RESET)
    yield _fails("SSE broken off", some, Do.CLOSE)
    yield _fails("SSE of an error", some + chunked(event({"error": {"code": 503}})) + end, end="server")
    yield _fails("SSE of a rate limit", some + chunked(event({"error": {"code": 429}})) + end, end="rate_limited")
    yield _fails("SSE of no JSON", SSE_HEAD + chunked(event(b"{nope")) + end, end="protocol")
    yield _fails("SSE of nothing", SSE_HEAD + end, end="protocol network")
    yield _ends("SSE cut", some + chunked(piece(None, "length"), event(b"[DONE]")) + end, end="truncated")
    for name, tail in {"without DONE": last, "without usage": last + chunked(event(b"[DONE]"))}.items():
        yield Behaviour(name=f"SSE {name}", script=(some + tail + end,), score=1.0)


@cache
def catalogue(*, stream: bool = False) -> tuple[Behaviour, ...]:
    """Every way to misbehave, each once. None of them stops a job (401, 403, 404)."""
    bad = [*_limits(), *_statuses(), *_wire()]
    return (*bad, *_streams()) if stream else (*bad, *_packed(), *_bodies())


STATUS = {
    "ok": "ok",
    **dict.fromkeys(("truncated", "refused", "empty", "context_overflow"), "model_error"),
    **dict.fromkeys(("rate_limited", "server", "network", "protocol", "timeout", "rejected"), "infra_error"),
}
"""The status of product.md that each end of an attempt belongs to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One request that was read to its last byte, and what it got.

    ``ends``: what the attempt may end in ("ok" or a kind of product.md). ``retry``: whether the client may ask again.
    ``wait_s``: how long it must wait first. ``score``: what the answer is worth where it is "ok". ``at``: monotonic.
    """

    case: str
    model: str
    number: int
    at: float
    behaviour: str
    ends: tuple[str, ...]
    retry: bool
    wait_s: float
    score: float


@dataclass(slots=True)
class Journal:
    """What the server was asked. ``closed_idle``: kept-alive connections it closed without a word."""

    entries: list[Entry] = field(default_factory=list)
    connections: int = 0
    closed_idle: int = 0

    def of(self, case: str, model: str) -> list[Entry]:
        """The requests of one case and model, in order."""
        return [entry for entry in self.entries if (entry.case, entry.model) == (case, model)]

    def json(self) -> bytes:
        """What ``GET /journal`` answers."""
        return json.dumps(asdict(self)).encode()


def unread(ends: Sequence[str], entries: Sequence[Entry]) -> int | None:
    """How many of a client's attempts the server never read, or None where its account contradicts the journal.

    Every entry must be one attempt, in order, that ended as the entry allows. Only an attempt that ended in "network"
    may be missing in the journal: its connection died before the request was read to its last byte.
    """
    missing = len(ends) - len(entries)
    fits = [missing >= 0, *[False] * len(entries)]  # fits[i]: the attempts so far are i entries and unread ones
    for end in ends:
        matched = [False, *(fits[i] and end in entry.ends for i, entry in enumerate(entries))]
        fits = [hit or (end == "network" and fit) for hit, fit in zip(matched, fits, strict=True)]
    return missing if fits[-1] else None


class Hostile:
    """The server, as a context manager.

    Args:
        seed: of the deck, of the right and wrong answers, of the connections that are closed.
        size: how many cases the deck has; what the catalogue leaves over gets good answers.
        behaviours: the deck's bad part; by default the whole catalogue.
        stream: the catalogue of streamed answers.
        close_idle: how likely a connection is closed, without a word, some milliseconds after an answer.
    """

    def __init__(
        self,
        seed: int,
        *,
        size: int = 200,
        behaviours: Sequence[Behaviour] | None = None,
        stream: bool = False,
        close_idle: float = 0.0,
    ) -> None:
        self.journal = Journal()
        self.url = ""
        self._seed, self._size = seed, size
        self._bad = catalogue(stream=stream) if behaviours is None else tuple(behaviours)
        self._close_idle = close_idle
        self._decks: dict[str, list[Behaviour]] = {}
        self._asked: dict[tuple[str, str], int] = {}
        self._random = Random(seed)
        self._running: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**20, backlog=512))
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    def __exit__(
        self, sort: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def deck(self, model: str) -> list[Behaviour]:
        """How the server behaves to each case of a model: case n gets entry n modulo its length."""
        if model not in self._decks:
            deck = [*self._bad, *[GOOD] * (self._size - len(self._bad))]
            Random(f"{self._seed}/{model}").shuffle(deck)
            self._decks[model] = deck
        return self._decks[model]

    def behaviour(self, case: str, model: str) -> Behaviour:
        """How the server behaves to the first attempt of this case."""
        deck = self.deck(model)
        return deck[_number(case) % len(deck)]

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _stop(self) -> None:
        self._server.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.journal.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went away, or the test is over
        finally:
            self._running.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; False when the connection has ended."""
        read = await _read(reader)
        if read is None:
            writer.write(http(self.journal.json()))
            return True
        for step in self._answer(read):
            self.journal.closed_idle += step is Do.HALF_CLOSE
            if not await _do(step, reader, writer):
                return False
        if self._random.random() < self._close_idle:
            await asyncio.sleep(self._random.uniform(0, 0.02))
            self.journal.closed_idle += 1
            return False
        return True

    def _answer(self, body: Mapping[str, Any]) -> Script:
        case, model = _key(body)
        number = self._asked[case, model] = self._asked.get((case, model), 0) + 1
        behaviour = self.behaviour(case, model)
        if behaviour.times and number > behaviour.times:
            behaviour = GOOD
        right = self._right(case, model)
        entry = Entry(
            case=case,
            model=model,
            number=number,
            at=monotonic(),
            behaviour=behaviour.name,
            ends=behaviour.ends,
            retry=behaviour.retry,
            wait_s=behaviour.wait_s,
            score=float(right) if behaviour.score is None else behaviour.score,
        )
        self.journal.entries.append(entry)
        return self._script(behaviour, body)

    def _script(self, behaviour: Behaviour, body: Mapping[str, Any]) -> Script:
        case, model = _key(body)
        ask = Ask(text="42" if self._right(case, model) else "41", model=model, stream=body.get("stream") is True)
        return behaviour.script(ask) if callable(behaviour.script) else behaviour.script

    def _right(self, case: str, model: str) -> bool:
        return Random(f"{self._seed}/{model}/{case}").random() < 0.7


async def _read(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """The JSON of a whole request; None for ``GET /journal``."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    if head.startswith("GET /journal "):
        return None
    length = re.search(r"(?mi)^content-length: *(\d+)", head)
    body: dict[str, Any] = json.loads(await reader.readexactly(int(length[1]) if length else 0))
    return body


async def _do(step: Step, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """One step of a script; False when it ends the connection."""
    match step:
        case bytes():
            writer.write(step)
            await writer.drain()
        case float():
            await asyncio.sleep(step)
        case Endless(chunk, every_s):
            while not reader.at_eof():
                writer.write(chunk)
                await writer.drain()
                await asyncio.sleep(every_s)
            return False
        case Do.HANG:
            await reader.read()
            return False
        case Do.HALF_CLOSE:
            writer.write_eof()
            await reader.read()
            return False
        case Do.RESET:
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        case Do.CLOSE:
            return False
    return True


def _key(body: Mapping[str, Any]) -> tuple[str, str]:
    asked = [message for message in body["messages"] if message.get("role") == "user"]
    return str(asked[-1]["content"]), str(body["model"])


def _number(case: str) -> int:
    digits = re.search(r"(\d+)$", case)
    return int(digits[1]) if digits else zlib.crc32(case.encode())
