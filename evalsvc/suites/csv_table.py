"""CSV (RFC 4180) row by row: a header, then as many cells in every row; quoted cells may run over lines."""

from __future__ import annotations

import csv
import sys
from codecs import BOM_UTF8
from collections.abc import Iterator
from typing import Any, BinaryIO

from evalsvc.suites.base import DataSet

_MOST_COLUMNS = 10_000
_DELIMITERS = ",;\t|"

# The module's own limit on a cell is one for the whole process, and 128 KiB: ours is the size of the row
csv.field_size_limit(min(sys.maxsize, 2**31 - 1))


def read_csv(file: BinaryIO, data_set: DataSet) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows as objects of texts, each with the line it starts in; a cell that is empty is null.

    The delimiter is the one of ``, ; TAB |`` that the header has most of.

    Raises:
        JobError: not UTF-8, a row beyond the limit, a header that repeats a name or has more than 10,000 columns, a
            row that has fewer or more cells than the header.
    """
    lines = _Lines(file, data_set)
    reader = csv.reader(lines, delimiter=_delimiter(file), strict=True)
    header: list[str] | None = None
    while True:
        lines.new_row()
        try:
            cells = next(reader, None)
        except csv.Error as error:
            said = "a line ends in a lone carriage return" if "new-line character" in str(error) else str(error)
            raise data_set.error(f"not CSV: {said}", line=lines.row) from None
        if cells is None:
            return
        if not cells:
            continue
        if header is None:
            header = _header(cells, data_set, lines.row)
        elif len(cells) != len(header):
            raise data_set.error(f"has {len(cells)} cells, the header has {len(header)}", line=lines.row)
        else:
            yield lines.row, {name: cell or None for name, cell in zip(header, cells, strict=True)}


def _delimiter(file: BinaryIO) -> str:
    first = file.readline(2**16)
    file.seek(0)
    return max(_DELIMITERS, key=lambda delimiter: first.count(delimiter.encode()))


def _header(cells: list[str], data_set: DataSet, line: int) -> list[str]:
    if len(cells) > _MOST_COLUMNS:
        raise data_set.error(f"has {len(cells)} columns; the most is {_MOST_COLUMNS}", line=line)
    names = [cell.strip() for cell in cells]
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise data_set.error(f'the column "{name}" stands twice in the header', line=line)
        seen.add(name)
    return names


class _Lines:
    """The lines of a file as text; counts what one row takes, however many lines it runs over."""

    def __init__(self, file: BinaryIO, data_set: DataSet) -> None:
        self._file = file
        self._data_set = data_set
        self._line = 0
        self._bytes = 0
        self.row = 1

    def new_row(self) -> None:
        """The next line starts a row."""
        self.row, self._bytes = self._line + 1, 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        most = self._data_set.max_row_bytes
        raw = self._file.readline(most + 1)
        if not raw:
            raise StopIteration
        self._line += 1
        self._bytes += len(raw)
        if self._bytes > most:
            message = f"a row of more than {most} bytes ([engine] max_row_mb in config.toml); is a quote not closed?"
            raise self._data_set.error(message, line=self.row)
        if self._line == 1:
            raw = raw.removeprefix(BOM_UTF8)
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            message = f"not UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start} of the line"
            raise self._data_set.error(message, line=self._line) from None
