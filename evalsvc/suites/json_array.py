"""A JSON array element by element: only one of them is in memory at a time, and each stands for a row."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from typing import BinaryIO

from evalsvc.errors import JobError
from evalsvc.suites.base import DataSet
from evalsvc.suites.strict_json import DEEP, MAX_LEVELS

# A text is stepped over whole, so that what is in it opens and closes nothing; a lone quote has no end yet
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{},"]', re.DOTALL)
_SPACE = re.compile(rb"\s*+")
_CHUNK = 2**16


def elements(file: BinaryIO, data_set: DataSet) -> Iterator[tuple[int, bytes]]:
    """The elements of the one array in a file, each with the 1-based line it starts in.

    Raises JobError for one of more than ``data_set.max_row_bytes`` bytes, and for what is no array. The elements
    themselves are not checked.
    """
    window = _Window(file, data_set)
    window.step_over_opening()
    if window.next_byte() == b"]":
        window.step()
    else:
        closed = False
        while not closed:
            line, raw, closed = window.element()
            yield line, raw or b" "  # nothing between two commas: to be refused as no JSON
    if window.next_byte():
        raise window.error("not JSON: something follows the array")


class _Window:
    """The part of a file that is looked at; what lies before it is forgotten."""

    def __init__(self, file: BinaryIO, data_set: DataSet) -> None:
        self._file = file
        self._data_set = data_set
        self._bytes = b""
        self._at = 0
        self._line = 1

    def error(self, message: str) -> JobError:
        """An error at the place reached."""
        return self._data_set.error(message, line=self._line)

    def step_over_opening(self) -> None:
        """Go behind the bracket that opens the array."""
        self._more()
        self._bytes = self._bytes.removeprefix(BOM_UTF8)
        self.next_byte()
        self.step()

    def step(self) -> None:
        """Go one byte on."""
        self._go(self._at + 1)

    def next_byte(self) -> bytes:
        """The next byte that is no space; empty at the end of the file."""
        while True:
            found = _SPACE.match(self._bytes, self._at)
            self._go(found.end() if found else self._at)
            if self._at < len(self._bytes) or not self._more():
                return self._bytes[self._at : self._at + 1]

    def element(self) -> tuple[int, bytes, bool]:
        """The next element with its line, and whether the array ends behind it."""
        self.next_byte()
        most, line = self._data_set.max_row_bytes, self._line
        while (end := self._end_of_element()) is None and len(self._bytes) - self._at <= most:
            if not self._more():
                raise self.error("not JSON: the array that starts above is not closed")
        if end is None or end - self._at > most:
            raise self.error(f"a row of more than {most} bytes ([engine] max_row_mb in config.toml)")
        raw, closed = self._bytes[self._at : end].rstrip(), self._bytes[end : end + 1] == b"]"
        self._go(end + 1)
        return line, raw, closed

    def _end_of_element(self) -> int | None:
        """Where the comma or bracket stands that ends the element; None where it is not in sight."""
        depth = 0
        for token in _TOKEN.finditer(self._bytes, self._at):
            what = token[0]
            if what in b"[{":
                depth += 1
                if depth > MAX_LEVELS:
                    raise self.error(DEEP)
            elif what == b'"':
                return None
            elif what in b",]}" and not depth:
                return token.start()
            elif what in b"]}":
                depth -= 1
        return None

    def _go(self, to: int) -> None:
        self._line += self._bytes.count(b"\n", self._at, to)
        self._at = to

    def _more(self) -> bool:
        """Look further; False at the end of the file."""
        rest = self._bytes[self._at :]
        more = self._file.read(max(_CHUNK, len(rest)))
        self._bytes, self._at = rest + more, 0
        return bool(more)
