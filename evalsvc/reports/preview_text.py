"""Requests for a terminal, as they would be sent: every message in full up to a limit, nothing hidden in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evalsvc.reports.inert import fit, visible

_BOLD, _QUIET = "1", "2"
#: Characters of one message that are shown.
_MOST = 4000
_MESSAGES = ("messages", "input")


def render(requests: Sequence[Mapping[str, Any]], *, color: bool, width: int) -> str:
    """The requests one below the other."""

    def paint(words: str, code: str) -> str:
        return f"\x1b[{code}m{words}\x1b[0m" if color else words

    lines: list[str] = [] if requests else ["Nothing is sent: all answers are recorded.", ""]
    for request in requests:
        place = f"{request['suite']} / {request['category']} / {request['case']}"
        lines.append(paint(fit(f"{request['arm']}: {place}, to {request['endpoint']}", width), _BOLD))
        if request["rejected"] is not None:
            lines.append(f"  REJECTED: {_line(request['rejected'])}")
        else:
            lines += [f"  {line}" for line in _body(request["body"])]
        lines.append("")
    return "\n".join(lines)


def _body(body: Mapping[str, Any]) -> Iterator[str]:
    texts = [key for key in (*_MESSAGES, "prompt") if key in body]
    yield ", ".join(f"{_line(key)} = {_value(value)}" for key, value in body.items() if key not in texts)
    for key in texts:
        for message in body[key] if isinstance(body[key], list) else [{"role": key, "content": body[key]}]:
            yield from _message(message)


def _message(message: Mapping[str, Any]) -> Iterator[str]:
    content = message.get("content")
    rest = {key: value for key, value in message.items() if key not in ("role", "content")}
    text = content if isinstance(content, str) else _json(content)
    first, *more = _cut(text).split("\n")
    yield f"{_line(str(message.get('role', '')))}: {first}"
    yield from (f"    {line}" for line in more)
    if rest:
        yield f"    {_value(rest)}"


def _value(value: Any) -> str:
    return _line(_json(value))


def _line(text: str) -> str:
    return _cut(text).replace("\n", " ")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _cut(text: str) -> str:
    more = len(text) - _MOST
    return visible(text[:_MOST]) + (f"… {more:,} more characters" if more > 0 else "")
