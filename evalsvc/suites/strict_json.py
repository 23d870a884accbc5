"""Strict JSON, fast: what every reader takes for the same value is let through, anything else is a fault at a path."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson

from evalsvc.core.invalid import describe
from evalsvc.core.toml_source import KeyPath

#: The deepest nesting that is read: orjson writes 254 levels, and a row is stored and sent inside other objects.
MAX_LEVELS = 246
_LONG_NUMBER = b"0" * 19
_ALL_DIGITS_ZERO = bytes.maketrans(b"123456789", b"000000000")
#: What is said of anything deeper.
DEEP = f"nested deeper than {MAX_LEVELS} levels"


class Fault(Exception):
    """What is wrong with a JSON text, and at which path."""

    def __init__(self, message: str, path: KeyPath = ()) -> None:
        super().__init__(message)
        self.message, self.path = message, path


def loads(raw: bytes) -> Any:
    """The value of a JSON text whose every part survives `orjson.dumps`.

    Raises:
        Fault: not UTF-8, not JSON, a key twice in one object, a number that is none or is beyond 64 bits, a lone
            surrogate, nested too deeply.
    """
    try:
        value = orjson.loads(raw)
        written = orjson.dumps([[[[[[[[value]]]]]]]])
    except (orjson.JSONDecodeError, orjson.JSONEncodeError) as error:
        raise _diagnose(raw) or Fault(f"not JSON: {error}") from None
    if not _surely_strict(raw, written):
        fault = _diagnose(raw)
        if fault:
            raise fault
    return value


def _surely_strict(raw: bytes, written: bytes) -> bool:
    """Whether orjson can have dropped no key and rounded no integer; False means: look closely.

    orjson keeps the last of equal keys, and each key takes one colon with it. Colons inside texts are written as they
    were read, unless they were escaped by number. So equal counts leave no room for a dropped key.
    """
    return (
        raw.count(b":") == written.count(b":")
        and b"\\u003" not in raw
        and _LONG_NUMBER not in raw.translate(_ALL_DIGITS_ZERO)
    )


def _diagnose(raw: bytes) -> Fault | None:
    try:
        tree = json.loads(raw.decode().rstrip(), object_pairs_hook=_Pairs, parse_int=_integer)
    except UnicodeDecodeError as error:
        return Fault(f"not UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start} of the row")
    except json.JSONDecodeError as error:
        return Fault(f"not JSON: broken off or malformed at column {error.pos + 1}")
    except RecursionError:
        return Fault(DEEP)
    return _walk((), tree)


class _Pairs(list[tuple[str, Any]]):
    """An object as its pairs, so that no key gets lost."""


def _integer(digits: str) -> int:
    return int(digits) if len(digits) <= 20 else 2**64  # any number that is too large will do


def _walk(path: KeyPath, value: object) -> Fault | None:
    """The first fault in a parsed text."""
    if len(path) > MAX_LEVELS:
        return Fault(DEEP, path[:1])
    if isinstance(value, _Pairs):
        return _walk_pairs(path, value)
    if isinstance(value, list):
        return next(filter(None, (_walk((*path, index), inner) for index, inner in enumerate(value))), None)
    message = _leaf_fault(value)
    return Fault(message, path) if message else None


def _walk_pairs(path: KeyPath, pairs: _Pairs) -> Fault | None:
    seen: set[str] = set()
    for key, inner in pairs:
        if _lone_surrogate(key):
            return Fault("a key holds a lone surrogate (half of a character)", path)
        if key in seen:
            return Fault("stands twice in the same object", (*path, key))
        seen.add(key)
        fault = _walk((*path, key), inner)
        if fault:
            return fault
    return None


def _leaf_fault(value: object) -> str | None:
    if isinstance(value, str):
        return "holds a lone surrogate (half of a character)" if _lone_surrogate(value) else None
    if isinstance(value, float) and not math.isfinite(value):
        return f"must be a finite number, got {describe(value)}"
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return "must be an integer of at most 64 bits; write it as a string"
    return None


def _lone_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
