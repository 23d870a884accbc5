"""Values and names of data sets and models in explanations: printable, on one line, cut short."""

from __future__ import annotations

from typing import Any

import orjson

_VALUE, _NAME = 48, 40


def shown(value: Any) -> str:
    """A value as JSON writes it; a text in double quotes."""
    head = value[: 2 * _VALUE] if isinstance(value, str | list) else value
    try:
        written = orjson.dumps(head).decode()
    except TypeError:  # a lone surrogate, nested beyond what is written, an integer beyond 64 bits
        written = f'"{head}"' if isinstance(head, str) else f"an {'integer' if isinstance(value, int) else 'object'}"
    return _line(written, _VALUE)


def name(text: str) -> str:
    """A name of a function or of an argument."""
    return _line(f"`{text[:_NAME]}`", _NAME)


def _line(text: str, size: int) -> str:
    cut = "".join(mark if mark.isprintable() else f"\\u{ord(mark):04x}" for mark in text[: size + 1])
    return cut if len(cut) <= size else f"{cut[: size - 1]}…"
