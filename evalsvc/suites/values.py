"""Checks of single values of a row; what is wrong is a `Fault` at its path."""

from __future__ import annotations

from typing import Any

from evalsvc.core import invalid
from evalsvc.core.toml_source import KeyPath
from evalsvc.suites.strict_json import Fault

#: No count of tokens is larger; sums over millions of answers still fit 63 bits.
MOST = 2**31 - 1


def describe(value: object) -> str:
    """A value by its kind, a dict as JSON calls it."""
    return invalid.describe(value, table="an object")


def wrong(path: KeyPath, wanted: str, value: object) -> Fault:
    """The fault of a value that is not ``wanted``."""
    return Fault(f"must be {wanted}, got {describe(value)}", path)


def missing_or_wrong(parent: dict[str, Any], key: str, wanted: str, path: KeyPath = ()) -> Fault:
    """The fault of a key that must be there and be ``wanted``."""
    if key not in parent:
        return Fault(f"missing; {wanted}", (*path, key))
    return wrong((*path, key), wanted, parent[key])


def all_are(kind: type, values: list[Any]) -> bool:
    """Whether every value is of exactly that type."""
    return all(type(value) is kind for value in values)


def a_row(value: Any) -> dict[str, Any]:
    """The row itself, which must be an object."""
    if type(value) is not dict:
        raise Fault(f"a row must be an object, got {describe(value)}")
    return value


def label(value: Any, path: KeyPath, wanted: str = "a string") -> str:
    """A text that tables and metrics can show; empty when there is none."""
    if value is None:
        return ""
    if type(value) is not str:
        raise wrong(path, wanted, value)
    if not value.strip() or not value.isprintable():
        raise Fault("must be printable text on one line, without control characters", path)
    return value


def identity(value: Any, path: KeyPath) -> str:
    """An id as text: a label or an integer; empty when there is none."""
    return str(value) if type(value) is int else label(value, path, "a string or an integer")


def objects(value: Any, path: KeyPath) -> list[dict[str, Any]] | None:
    """An array of objects; None when there is none or it is empty."""
    if value is None or (type(value) is list and all_are(dict, value)):
        return value or None
    raise wrong(path, "an array of objects", value)


def obj(value: Any, path: KeyPath) -> dict[str, Any] | None:
    """An object, or None when there is none."""
    if value is None or type(value) is dict:
        return value
    raise wrong(path, "an object", value)


def text(value: Any, path: KeyPath) -> str | None:
    """A string, or None when there is none."""
    if value is None or type(value) is str:
        return value
    raise wrong(path, "a string", value)


def natural(value: Any, path: KeyPath) -> int | None:
    """An integer from 0 to `MOST`, or None when there is none."""
    if value is None or (type(value) is int and 0 <= value <= MOST):
        return value
    raise wrong(path, f"an integer from 0 to {MOST}", value)
