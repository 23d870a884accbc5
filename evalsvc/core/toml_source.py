"""A TOML document that knows where each of its keys stands, so that an error can name file, line and key."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from codecs import BOM_UTF8
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from evalsvc.errors import InputError

KeyPath = tuple[str | int, ...]
E_co = TypeVar("E_co", bound=InputError, covariant=True)

_SPACE = re.compile(r"(?:[ \t\n]|#[^\n]*)*+")
_KEY_PART = re.compile(r"""[ \t]*("(?:[^"\\]|\\.)*+"|'[^']*'|[A-Za-z0-9_-]+)[ \t]*(\.?)""")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|""?(?!"))*+"{3,5}'
    r"|'''(?:[^']|''?(?!'))*+'{3,5}"
    r'|"(?:[^"\\]|\\.)*+"'
    r"|'[^']*'",
    re.DOTALL,
)
_BARE_VALUE = re.compile(r"[^,\]}#\n]+")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_ERROR_LINE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


def dotted(path: KeyPath) -> str:
    """The path as people write it: ``("suites", 0, "scorer")`` is ``suites[0].scorer``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _BARE_KEY.fullmatch(part) else f'"{part}"')
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class TomlSource(Generic[E_co]):
    """A parsed TOML document.

    ``data`` is what tomllib read; ``lines`` holds the 1-based line of every key, table and array entry by its path;
    ``file`` is the name used in errors, ``blame`` the class they are of.
    """

    file: str
    data: dict[str, Any]
    lines: dict[KeyPath, int]
    blame: type[E_co]

    @classmethod
    def parse(cls, raw: bytes, *, file: str, blame: type[E_co]) -> TomlSource[E_co]:
        """Read a document. Raises ``blame`` with the line when it is not UTF-8 or not TOML."""
        text = _decode(raw, file, blame)
        try:
            return cls(file=file, data=tomllib.loads(text), lines=_Scanner(text).document(), blame=blame)
        except tomllib.TOMLDecodeError as error:
            raise _syntax_error(error, text, file, blame) from None
        except ValueError:  # CPython's own limit on the digits of an integer
            raise blame("not valid TOML: an integer of more than 4300 digits", file=file) from None
        except RecursionError:
            raise blame("not valid TOML: arrays or inline tables nested too deeply", file=file) from None

    def line_of(self, path: KeyPath) -> int | None:
        """The 1-based line of the key at ``path``, else of the nearest known key above it, else None."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return None

    def error(self, path: KeyPath, message: str) -> E_co:
        """An error about the key at ``path``, ready to be raised."""
        return self.blame(message, file=self.file, line=self.line_of(path), key=dotted(path) or None)


def _decode(raw: bytes, file: str, blame: type[InputError]) -> str:
    """Text with the line ends tomllib itself counts by."""
    try:
        return raw.removeprefix(BOM_UTF8).decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        # the offsets of an error count from behind the mark
        start = error.start + len(raw) - len(raw.removeprefix(BOM_UTF8))
        line = raw.count(b"\n", 0, start) + 1
        raise blame(f"not UTF-8: byte 0x{raw[start]:02x} at offset {start}", file=file, line=line) from None


def _syntax_error(error: tomllib.TOMLDecodeError, text: str, file: str, blame: type[E_co]) -> E_co:
    place = _ERROR_LINE.search(str(error))
    line = int(place[1]) if place and place[1] else len(text.splitlines())
    return blame(f"not valid TOML: {_ERROR_LINE.sub('', str(error))}", file=file, line=line)


class _Scanner:
    """Walks a text that tomllib has accepted and notes where each key stands; values it only steps over."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line_ends = [match.start() for match in re.finditer("\n", text)]
        self.lines: dict[KeyPath, int] = {}
        self.entries: dict[KeyPath, int] = {}  # arrays of tables: how many so far

    def document(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        while char := self._peek():
            if char == "[":
                table = self._header()
            else:
                self._assignment(table)
        return self.lines

    def _peek(self) -> str:
        """The next character that is neither space nor comment; empty at the end."""
        self.at = _match(_SPACE, self.text, self.at).end()
        return self.text[self.at : self.at + 1]

    def _note(self, path: KeyPath, start: int, known: int = 0) -> None:
        """Files ``path`` and those above it, down from ``known`` parts, unless they were met before."""
        line = bisect_left(self.line_ends, start) + 1
        for end in range(known + 1, len(path) + 1):
            self.lines.setdefault(path[:end], line)

    def _header(self) -> KeyPath:
        start = self.at
        brackets = 2 if self.text.startswith("[[", start) else 1
        self.at += brackets
        keys = self._key()
        self.at += brackets
        path: KeyPath = ()
        for key in keys[:-1]:
            path = self._latest((*path, key))
        path = (*path, keys[-1])
        if brackets == 2:
            self.entries[path] = self.entries.get(path, 0) + 1
            path = self._latest(path)
        self._note(path, start)
        return path

    def _latest(self, path: KeyPath) -> KeyPath:
        """The newest entry of an array of tables, or the path itself."""
        return (*path, self.entries[path] - 1) if path in self.entries else path

    def _key(self) -> list[str]:
        parts = []
        more = True
        while more:
            match = _match(_KEY_PART, self.text, self.at)
            part = match[1]
            parts.append(tomllib.loads(f"k = {part}")["k"] if part[0] in "\"'" else part)
            self.at, more = match.end(), bool(match[2])
        return parts

    def _assignment(self, table: KeyPath) -> None:
        start = self.at
        path = (*table, *self._key())
        self._note(path, start, known=len(table))
        self.at += 1  # the equals sign
        self._peek()
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        opening = self.text[self.at]
        if opening == "[":
            self._array(path)
        elif opening == "{":
            self._inline_table(path)
        else:
            pattern = _STRING if opening in "\"'" else _BARE_VALUE
            self.at = _match(pattern, self.text, self.at).end()

    def _array(self, path: KeyPath) -> None:
        self.at += 1
        index = 0
        while self._peek() != "]":
            entry = (*path, index)
            self._note(entry, self.at, known=len(path))
            self._value(entry)
            self._skip_comma()
            index += 1
        self.at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self.at += 1
        while self._peek() != "}":
            self._assignment(path)
            self._skip_comma()
        self.at += 1

    def _skip_comma(self) -> None:
        if self._peek() == ",":
            self.at += 1


def _match(pattern: re.Pattern[str], text: str, at: int) -> re.Match[str]:
    match = pattern.match(text, at)
    assert match is not None, f"tomllib accepted what the scanner does not know, at character {at}"
    return match
