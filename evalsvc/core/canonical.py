"""Canonical JSON (RFC 8785): one value, one sequence of bytes, in every language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import rfc8785

#: The largest integer that every reader of JSON reads exactly; RFC 8785 allows none beyond.
MAX_INTEGER = 2**53 - 1
#: Between these orjson prints a number that is not whole as RFC 8785 does; a test holds the two together.
_PLAIN_FROM, _PLAIN_TO = 1e-4, 1e15


def dumps(value: Any) -> bytes:
    """The canonical form of dicts, lists, str, int, float, bool and None.

    Raises:
        ValueError: a number that is infinite, NaN or an integer beyond `MAX_INTEGER`, a lone surrogate, another type.
    """
    return rfc8785.dumps(value)


def dumps_row(values: Sequence[str | float | None]) -> bytes:
    """`dumps` of a flat array, some thirty times faster. Raises ValueError as `dumps` does."""
    row = []
    for value in values:
        if type(value) is not float:
            row.append(value)
        elif value.is_integer() and abs(value) <= MAX_INTEGER:
            row.append(int(value))
        elif _PLAIN_FROM <= abs(value) <= _PLAIN_TO:
            row.append(value)
        else:
            return dumps(list(values))
    try:
        return orjson.dumps(row, option=orjson.OPT_STRICT_INTEGER)
    except TypeError:
        return dumps(row)
