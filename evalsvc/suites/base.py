"""What a data set format is, the formats by name, and the one way to read a suite."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Protocol

from evalsvc.core.records import Case, SuiteSpec
from evalsvc.core.registry import Registry
from evalsvc.core.toml_source import KeyPath, dotted
from evalsvc.errors import JobError

DEFAULT_MAX_ROW_BYTES = 16 * 2**20
_HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """A data set being read: the suite it belongs to, the name errors call its file by, the size a row may have."""

    suite: str
    name: str
    max_row_bytes: int = DEFAULT_MAX_ROW_BYTES

    def error(self, message: str, *, line: int | None = None, path: KeyPath = ()) -> JobError:
        """An error in this data set, ready to be raised."""
        return JobError(message, file=self.name, line=line, key=dotted(path) or None)


class Format(Protocol):
    """How data sets of one format are told from others and read."""

    def sniff(self, head: bytes, name: str) -> bool:
        """Whether a file of that name which begins with ``head`` looks like this format."""

    def read(self, file: BinaryIO, data_set: DataSet) -> Iterator[Case]:
        """The cases in the order of the file, ids unique, one at a time. Raises JobError with file, line and key."""


FORMATS: Registry[Format] = Registry("format")


def read_suite(
    path: Path, spec: SuiteSpec, *, name_for_errors: str, max_row_bytes: int = DEFAULT_MAX_ROW_BYTES
) -> Iterator[Case]:
    """The cases of a suite, streamed from its data set in the order of the file, each with position 0.

    Args:
        path: the data set.
        spec: the suite; its ``format`` is a name of `FORMATS` or ``auto``.
        name_for_errors: what errors call the file.
        max_row_bytes: the largest row that is read.

    Raises:
        JobError: while iterating, at the first thing that is wrong, with file, line and key.
    """
    data_set = DataSet(suite=spec.name, name=name_for_errors, max_row_bytes=max_row_bytes)
    try:
        file = path.open("rb")
    except OSError as error:
        raise data_set.error(f"cannot be read: {error.strerror}") from None
    with file:
        head = file.read(_HEAD_BYTES)
        file.seek(0)
        empty = True
        for case in _format(spec.format, head, data_set).read(file, data_set):
            empty = False
            yield case
    if empty:
        raise data_set.error("holds no cases")


def _format(name: str, head: bytes, data_set: DataSet) -> Format:
    if name != "auto":
        try:
            return FORMATS[name]
        except LookupError as error:
            raise data_set.error(str(error)) from None
    for known in FORMATS:
        if FORMATS[known].sniff(head, data_set.name):
            return FORMATS[known]
    raise data_set.error(f"no known format looks like this; name one in the suite: {', '.join(FORMATS)}")


def rows(file: BinaryIO, data_set: DataSet) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that are not blank, each with its 1-based number; a byte order mark is dropped.

    Never holds more than one row. Raises JobError for a row of more than ``data_set.max_row_bytes`` bytes.
    """
    limit = data_set.max_row_bytes
    number = 0
    while line := file.readline(limit + 1):
        number += 1
        if len(line) > limit and not line.endswith(b"\n"):
            raise data_set.error(f"a row of more than {limit} bytes ([engine] max_row_mb in config.toml)", line=number)
        if number == 1:
            line = line.removeprefix(BOM_UTF8)
        if not line.isspace() and line:
            yield number, line


class Ids:
    """The ids met so far in a data set, as digests of 8 bytes: some 80 bytes of memory each, however long they are."""

    def __init__(self) -> None:
        self._met: set[bytes] = set()

    def is_new(self, case_id: str) -> bool:
        """Whether this id is met for the first time."""
        digest = blake2b(case_id.encode(), digest_size=8).digest()
        if digest in self._met:
            return False
        self._met.add(digest)
        return True
