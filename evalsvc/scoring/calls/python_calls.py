"""Calls in Python's syntax, ``[book(day="Monday", seats=2), ping()]``, read without ever running or compiling them.

Values are literals, lists, tuples and dicts. Python's own parser is not used: on hostile text it can exhaust the stack,
and it warns about escapes it does not know.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from evalsvc.scoring.calls import Call

LONGEST = 65_536
_DEEPEST = 32

#: Whether a text begins as calls in this syntax do.
BEGINS = re.compile(r"[\s\[]{0,8}[^\W\d][\w.]{0,255}\(")

# Every repetition is possessive: time stays linear in the text.
_TOKEN = re.compile(
    r"""\s*+(?:
        (?P<string>[rRuU]?+(?:
            '{3}(?P<long1>(?:[^'\\]|\\.|'(?!''))*+)'{3} | "{3}(?P<long2>(?:[^"\\]|\\.|"(?!""))*+)"{3}
          | '(?P<short1>(?:[^'\\\n]|\\.)*+)' | "(?P<short2>(?:[^"\\\n]|\\.)*+)"))
      | (?P<number>[-+]?+(?:0[xX][0-9a-fA-F]++|(?:\d[\d_]*+\.?[\d_]*+|\.\d[\d_]*+)(?:[eE][-+]?+\d++)?+)(?![\w.]))
      | (?P<name>[^\W\d]\w*+(?:\.[^\W\d]\w*+)*+)
      | (?P<mark>[\[\](){},:;=])
      | (?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(
    r"\\(?:(?P<plain>[\\'\"abfnrtv\n])|(?P<octal>[0-7]{1,3})|x(?P<x>[0-9a-fA-F]{2})"
    r"|u(?P<u>[0-9a-fA-F]{4})|U(?P<U>000[0-9a-fA-F]{5}|0010[0-9a-fA-F]{4})|(?P<bad>[xuUN]))"
)
_INTEGER = re.compile(r"[-+]?(?:0[xX]\w+|[\d_]+)")
_PLAIN = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\n": ""}
_CONSTANTS = {"True": True, "False": False, "None": None}


class NotPython(ValueError):
    """A text is no list of calls in this syntax; the message says why."""


class Bare(str):
    """A name that stands where a value should: ``city=Paris``. Equal to its text, but no `str` by its exact type."""

    __slots__ = ()


def read(text: str) -> list[Call]:
    """The calls of a text that is nothing else: in a list, or one after the other.

    Raises:
        NotPython: anything else, a value that is computed, a key or an argument twice, more than 32 levels.
    """
    return _Reader(text).calls()


class _Reader:
    """One pass over the tokens; ``kind`` and ``token`` are the one to be read next."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._advance()

    def calls(self) -> list[Call]:
        listed = self._takes("[")
        found = [self._call()]
        while self._takes(",") or (not listed and (self._takes(";") or self._kind == "name")):
            if self._kind != "name":
                break
            found.append(self._call())
        if listed:
            self._expect("]")
        if self._kind != "end":
            raise self._unexpected()
        return found

    def _call(self) -> Call:
        if self._kind != "name":
            raise self._unexpected()
        name = self._token
        self._advance()
        self._expect("(")
        arguments: dict[str, Any] = {}
        nameless: list[Any] = []

        def argument() -> None:
            named, value = self._kind == "name", self._value(0)
            if not named or not self._takes("="):
                nameless.append(value)
            elif value in arguments:
                raise NotPython("an argument stands twice")
            else:
                arguments[str(value)] = self._value(0)

        self._until(")", argument)
        return Call(name=name, arguments=arguments, nameless=len(nameless))

    def _value(self, depth: int) -> Any:
        if depth > _DEEPEST:
            raise NotPython(f"nested deeper than {_DEEPEST} levels")
        kind, word = self._kind, self._token
        if kind == "string":
            return self._strings()
        if kind == "mark" and word in "[({":
            self._advance()
            return self._dict(depth) if word == "{" else self._sequence(word, depth)
        self._advance()
        if kind == "number":
            return _number(word)
        if kind == "name":
            return _CONSTANTS[word] if word in _CONSTANTS else Bare(word)
        raise self._unexpected()

    def _strings(self) -> str:
        """Strings side by side are one."""
        parts = []
        while self._kind == "string":
            parts.append(self._token)
            self._advance()
        return parts[0] if len(parts) == 1 else "".join(parts)

    def _sequence(self, opened: str, depth: int) -> Any:
        """A list; a tuple becomes one, as in JSON; one value in parentheses is itself."""
        items: list[Any] = []
        commas = self._until("]" if opened == "[" else ")", lambda: items.append(self._value(depth + 1)))
        return items[0] if opened == "(" and len(items) == 1 and not commas else items

    def _dict(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def entry() -> None:
            if self._kind != "string":
                raise NotPython("a key that is no string")
            key = self._strings()
            self._expect(":")
            if key in found:
                raise NotPython("a key stands twice in one object")
            found[key] = self._value(depth + 1)

        self._until("}", entry)
        return found

    def _until(self, closing: str, item: Callable[[], None]) -> int:
        """Reads items up to the closing mark; says how many commas there were."""
        commas = 0
        while not self._takes(closing):
            item()
            if self._takes(closing):
                break
            self._expect(",")
            commas += 1
        return commas

    def _takes(self, mark: str) -> bool:
        if self._kind != "mark" or self._token != mark:
            return False
        self._advance()
        return True

    def _expect(self, mark: str) -> None:
        if not self._takes(mark):
            raise self._unexpected()

    def _unexpected(self) -> NotPython:
        return NotPython(f"not as Python writes calls at character {self._at}")

    def _advance(self) -> None:
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            raise self._unexpected()
        self._at = found.end()
        self._kind = str(found.lastgroup)
        self._token = _string(found) if self._kind == "string" else found[self._kind]


def _string(found: re.Match[str]) -> str:
    body = next(part for part in found.group("short2", "short1", "long2", "long1") if part is not None)
    if "\\" not in body or found["string"][0] in "rR":
        return body
    return _ESCAPE.sub(_unescaped, body)


def _unescaped(escape: re.Match[str]) -> str:
    if escape["plain"]:
        return _PLAIN.get(escape["plain"], escape["plain"])
    if escape["octal"]:
        return chr(int(escape["octal"], 8))
    if escape["bad"]:
        raise NotPython("an escape that is none")
    return chr(int(escape["x"] or escape["u"] or escape["U"], 16))


def _number(token: str) -> int | float:
    try:
        value: int | float = int(token, 0) if _INTEGER.fullmatch(token) else float(token)
    except ValueError:
        raise NotPython("a number that is none") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise NotPython("a number beyond any double")
    return value
