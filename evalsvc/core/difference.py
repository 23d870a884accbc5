"""Where two JSON values first differ."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from math import isclose
from typing import Any

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SHOWN_CHARACTERS = 80


#: Stands where one value has a key or an entry and the other has not.
NOTHING = object()

_Get = Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Where two values differ, and what each has there."""

    path: tuple[str | int, ...]
    said: Any
    found: Any

    @property
    def place(self) -> str:
        """The path as people write it: ``gates[0].interval[1]``, empty for the whole value."""
        return "".join(map(_step, self.path)).removeprefix(".")

    def words(self, found_by: str) -> str:
        """``gates[0].interval[1]: record says 0.154, outcomes give 0.148``, with ``found_by`` "outcomes give".

        ASCII, so that no terminal obeys what a value holds.
        """
        return f"{self.place or 'the whole'}: record says {shown(self.said)}, {found_by} {shown(self.found)}"


def _step(key: str | int) -> str:
    return f".{key}" if isinstance(key, str) and _PLAIN_KEY.fullmatch(key) else f"[{json.dumps(key)}]"


def shown(value: Any) -> str:
    """A value as JSON in ASCII, cut to a readable length."""
    text = "nothing" if value is NOTHING else json.dumps(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def first_difference(said: Any, found: Any, *, tolerance: float = 0.0) -> Difference | None:
    """The first place where ``said`` is not ``found``, in the order of ``found``; None where they are the same.

    Numbers differ when they are not equal to within ``tolerance`` (relative, and absolute for what is near 0); true is
    no number. The order of an object's keys is no difference.
    """
    if isinstance(said, dict) and isinstance(found, dict):
        keys: Iterable[str | int] = (*found, *(key for key in said if key not in found))
        return _first_inside(keys, said.get, found.get, tolerance)
    if isinstance(said, list) and isinstance(found, list):
        longest = range(max(len(said), len(found)))
        return _first_inside(longest, partial(_entry, said), partial(_entry, found), tolerance)
    return None if _same(said, found, tolerance) else Difference(path=(), said=said, found=found)


def _first_inside(keys: Iterable[str | int], said: _Get, found: _Get, tolerance: float) -> Difference | None:
    for key in keys:
        inner = first_difference(said(key, NOTHING), found(key, NOTHING), tolerance=tolerance)
        if inner is not None:
            return replace(inner, path=(key, *inner.path))
    return None


def _entry(values: list[Any], index: int, otherwise: Any) -> Any:
    return values[index] if index < len(values) else otherwise


def _same(said: Any, found: Any, tolerance: float) -> bool:
    if isinstance(said, int | float) and isinstance(found, int | float):
        both_or_neither = isinstance(said, bool) == isinstance(found, bool)
        near = tolerance > 0 and isclose(said, found, rel_tol=tolerance, abs_tol=tolerance)
        return both_or_neither and (said == found or near)
    return bool(said == found)
