"""The calls an answer makes: as OpenAI's `tool_calls`, or written as text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

from evalsvc.scoring.calls import Call, python_calls
from evalsvc.scoring.calls.shown import name as shown_name

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_FENCE = re.compile(r"```[\w-]{0,20}[ \t]*\r?\n(?P<body>.*)\r?\n[ \t]*```", re.DOTALL)
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


class Unreadable(Exception):
    """An answer that means to call a tool and does not manage to; the message says why."""


def from_objects(objects: list[dict[str, Any]]) -> list[Call]:
    """The calls in an answer's `tool_calls`.

    Raises:
        Unreadable: one of them is no call of a function, or its arguments are no JSON object: NaN, a key twice, ...
    """
    return [_call(item) for item in objects]


def from_text(text: str) -> list[Call]:
    """The calls written in a text; none in a text that is about something else.

    Three ways of writing are known. `<tool_call>` tags may stand anywhere, each around JSON. JSON (an object with a
    name and arguments, or a list of such) and Python's call syntax must be the whole text, one Markdown fence aside:
    a call that is quoted in prose, or that nobody can read, is none.

    Raises:
        Unreadable: what is unmistakably a call cannot be read.
    """
    if _OPEN in text:
        return [call for body in _tagged(text) for call in _calls(_loads(body))]
    body = text.strip()
    if body.startswith("```") and (fence := _FENCE.fullmatch(body)):
        body = fence["body"].strip()
    if body.startswith(("{", "[")):
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError:
            pass
        else:
            return _whole(value, body)
    return _python(body) if python_calls.BEGINS.match(body) else []


def _tagged(text: str) -> Iterator[str]:
    """What stands between the tags; the last one need not be closed."""
    start = text.find(_OPEN)
    while start >= 0:
        start += len(_OPEN)
        end = text.find(_CLOSE, start)
        yield text[start : end if end >= 0 else None]
        start = text.find(_OPEN, end) if end >= 0 else -1


def _whole(value: Any, body: str) -> list[Call]:
    """The calls of a JSON value that is a whole text; a value without any call is an answer in JSON, and no call."""
    items = value if isinstance(value, list) else [value]
    if not any(_looks_like_a_call(item) for item in items):
        return []
    _reject_repeats(value, body)
    return _calls(value)


def _looks_like_a_call(item: Any) -> bool:
    if not isinstance(item, dict):
        return False
    body = item["function"] if isinstance(item.get("function"), dict) else item
    return "name" in body and ("arguments" in body or "parameters" in body)


def _calls(value: Any) -> list[Call]:
    return [_call(item) for item in (value if isinstance(value, list) else [value])]


def _call(item: Any) -> Call:
    if not isinstance(item, dict):
        raise Unreadable("a call that is no object")
    body = item["function"] if isinstance(item.get("function"), dict) else item
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise Unreadable("a call without the name of a function")
    arguments = body.get("arguments", body.get("parameters", ""))
    if isinstance(arguments, str):
        # servers write "" for a function that takes nothing
        arguments = _loads(arguments, f"the arguments of {shown_name(name)} are") if arguments.strip() else {}
    if not isinstance(arguments, dict):
        raise Unreadable(f"the arguments of {shown_name(name)} are no JSON object")
    return Call(name=name, arguments=arguments)


def _loads(text: str, what: str = "a call is") -> Any:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"{what} not JSON: {error.msg} at character {error.pos}") from None
    _reject_repeats(value, text)
    return value


def _reject_repeats(value: Any, text: str) -> None:
    """Readers differ on what an object means that names a key twice; orjson drops one, and with it a colon."""
    if not _surely_without(value, text) and _STRING.sub("", text).count(":") != _count_keys(value):
        raise Unreadable("an object names a key twice")


def _surely_without(value: Any, text: str) -> bool:
    """Whether no colon got lost; False means: look closely. One that is written by number comes back as a colon."""
    try:
        return "\\u003" not in text and text.count(":") == orjson.dumps(value).count(b":")
    except TypeError:  # nested deeper than what is written
        return False


def _count_keys(value: Any) -> int:
    keys, level = 0, [value]
    while level:
        node = level.pop()
        if isinstance(node, dict):
            keys += len(node)
            level.extend(node.values())
        elif isinstance(node, list):
            level.extend(node)
    return keys


def _python(text: str) -> list[Call]:
    if len(text) > python_calls.LONGEST:
        raise Unreadable(f"calls in Python's syntax are read up to {python_calls.LONGEST} characters")
    try:
        return python_calls.read(text)
    except python_calls.NotPython:
        return []
