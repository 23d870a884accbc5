"""The log: one JSON object a line, no secret in it, nobody waits for its reader."""

from __future__ import annotations

import ast
import io
import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any, Literal

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from inert_texts import TEXTS

import evalsvc
from evalsvc.core.settings import TelemetrySettings
from evalsvc.telemetry.log import get_log, logging_to

PACKAGE = Path(evalsvc.__file__).parent
KEY = "canary-0123456789"
JSON = TelemetrySettings()
log = get_log("evalsvc.test")


def lines(tell: Callable[[], Any], settings: TelemetrySettings = JSON) -> list[str]:
    stream = io.StringIO()
    with logging_to(stream, settings, [KEY, ""]):
        tell()
    return stream.getvalue().splitlines()


def event(tell: Callable[[], Any]) -> dict[str, Any]:
    (line,) = lines(tell)
    found: dict[str, Any] = json.loads(line)
    return found


def test_an_event_has_a_name_a_time_and_values() -> None:
    found = event(lambda: log.info("job.state", job="a1", state="done", n=3, reason=None))
    assert found.pop("at").endswith("Z")
    assert found == {
        "event": "job.state",
        "job": "a1",
        "state": "done",
        "n": 3,
        "reason": None,
        "level": "info",
        "logger": "evalsvc.test",
    }


def test_what_is_bound_to_the_context_is_in_every_line() -> None:
    def tell() -> None:
        with structlog.contextvars.bound_contextvars(request="r7"):
            log.info("one")
            logging.getLogger("evalsvc.api").warning("two", extra={"job": "a1"})

    first, second = map(json.loads, lines(tell))
    assert (first["event"], first["request"]) == ("one", "r7")
    assert (second["event"], second["request"], second["job"]) == ("two", "r7", "a1")


def spoken(path: Path) -> Iterator[tuple[str, ast.expr]]:
    """(where, what comes first) of every call of a module's logger."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="_log" | "_LOG")), args=[first, *_]):
                yield f"{path.name}:{node.lineno}", first


@pytest.mark.parametrize("room", ["api", "app", "telemetry"])
def test_what_is_logged_is_the_name_of_an_event(room: str) -> None:
    found = [each for path in (PACKAGE / room).glob("*.py") for each in spoken(path)]
    prose = [
        where
        for where, first in found
        if not (isinstance(first, ast.Constant) and re.fullmatch(r"[a-z]+(\.[a-z_]+)+", str(first.value)))
    ]
    assert prose == []
    assert found or room == "telemetry"


def test_libraries_are_heard_from_warning_on() -> None:
    def tell() -> None:
        for name in ("uvicorn.error", "aiohttp", "openai"):
            logging.getLogger(name).info("chatter")
            logging.getLogger(name).warning("trouble")
        log.debug("hidden")

    told = [json.loads(line) for line in lines(tell)]
    assert [(each["event"], each["said"]) for each in told] == [("library.log", "trouble")] * 3
    assert [each["logger"] for each in told] == ["uvicorn.error", "aiohttp", "openai"]
    assert len(lines(tell, TelemetrySettings(log_level="debug"))) == 4
    assert len(lines(tell, TelemetrySettings(log_level="error"))) == 3


def test_the_log_before_is_restored() -> None:
    root, ours = logging.getLogger(), logging.getLogger("evalsvc")
    before = (root.handlers[:], root.level, ours.level)
    lines(lambda: None, TelemetrySettings(log_level="debug"))
    assert (root.handlers, root.level, ours.level) == before


def raising() -> None:
    try:
        int(f"refused {KEY} and sk-abcdefghijklmnop")
    except ValueError:
        log.exception("failed")


class Odd:
    def __str__(self) -> str:
        return f"<{KEY}>"


@pytest.mark.parametrize(
    "tell",
    [
        lambda: log.info("sent", authorization="anything-canary"),
        lambda: log.info("sent", headers={"Authorization": "anything-canary", "x": [f"a {KEY}"]}),
        lambda: log.info("sent", api_key="anything-canary", token="anything-canary"),
        lambda: log.info(KEY),
        lambda: log.info("sent", url="https://user:anything-canary@host/x"),
        lambda: log.info("sent", text="Authorization: Bearer anything-canary"),
        lambda: log.info("sent", values={f"{KEY}1": (Odd(), {KEY})}),
        lambda: logging.getLogger("httpx2").warning("header %s", f"Bearer {KEY}"),
        raising,
    ],
)
@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_secret_is_in_a_line(tell: Callable[[], Any], log_format: Any) -> None:
    (text,) = ["\n".join(lines(tell, TelemetrySettings(log_format=log_format)))]
    assert "canary" not in text
    assert "abcdefghijklmnop" not in text
    assert "[hidden]" in text


def test_a_token_count_is_no_secret() -> None:
    assert event(lambda: log.info("used", input_tokens=12, tokens=3))["input_tokens"] == 12


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(), max_size=50))
def test_whatever_is_said_is_one_line(text: str) -> None:
    (line,) = lines(lambda: log.info(text, value=text))
    assert json.loads(line)["level"] == "info"
    shown = lines(lambda: log.info(text, value=text), TelemetrySettings(log_format="text"))
    assert len(shown) == 1
    assert shown[0].isprintable()


def test_what_is_long_is_cut() -> None:
    found = event(lambda: log.info("long", text="x" * 100_000))
    assert len(found["text"]) < 5000
    assert "100000 characters" in found["text"]


class Stuck(io.StringIO):
    """A reader that does not read until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def write(self, text: str) -> int:
        self.go.wait(30)
        return super().write(text)


def test_nobody_waits_for_a_reader_that_is_stuck() -> None:
    stream = Stuck()
    with logging_to(stream, JSON):
        for _ in range(10_050):
            log.warning("much")  # returns, or this test never ends
        stream.go.set()
        stream.flush()
        deadline = monotonic() + 30
        while stream.getvalue().count("\n") < 10_000:
            assert monotonic() < deadline
        log.warning("last")
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert found[-1]["event"] == "last"
    (told,) = [each["lines"] for each in found if each["event"] == "log.lost"]
    assert told == 10_050 - sum(each["event"] == "much" for each in found) > 0


class Gone(io.StringIO):
    def write(self, text: str) -> int:  # noqa: ARG002 - as a stream has it
        raise BrokenPipeError


def test_a_reader_that_went_away_is_no_error() -> None:
    with logging_to(Gone(), JSON):
        log.warning("one")
        log.warning("two")


class Unshowable:
    def __str__(self) -> str:
        raise ValueError("no")


def test_what_cannot_be_shown_ends_nothing() -> None:
    def tell() -> Iterator[None]:
        log.warning("odd", value=Unshowable())
        log.warning("next")
        yield

    found = [json.loads(line)["event"] for line in lines(lambda: list(tell()))]
    assert found == ["log.lost", "next"]


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_text_forges_a_line_or_commands_a_terminal(form: Literal["json", "text"]) -> None:
    def tell() -> None:
        for said in TEXTS:
            log.warning("job.state", reason=said, key=[said])
            logging.getLogger("evalsvc.api").error("foreign %s", said)

    told = lines(tell, TelemetrySettings(log_format=form))
    assert len(told) == 2 * len(TEXTS)
    assert all(line.isprintable() for line in told)
    if form == "json":
        found = [json.loads(line) for line in told]
        assert [line["reason"] for line in found[::2]] == TEXTS
        assert {line["event"] for line in found[::2]} == {"job.state"}
