"""What a data set format is, the formats by name, and what reading any of them needs."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np

from evalsvc.core.records import Case
from evalsvc.core.registry import Registry
from evalsvc.core.toml_source import KeyPath, dotted
from evalsvc.errors import JobError

DEFAULT_MAX_ROW_BYTES = 16 * 2**20
_NEWEST = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """A data set being read: the suite it belongs to, the name errors call its file by, the size a row may have.

    ``fields`` say where a case's keys are found in a row, as the job's ``[suites.fields]`` has it. ``answers`` is the
    file of what is expected, and what errors call it, where there is one.
    """

    suite: str
    name: str
    max_row_bytes: int = DEFAULT_MAX_ROW_BYTES
    fields: Mapping[str, str] = field(default_factory=dict)
    answers: tuple[Path, str] | None = None

    def error(self, message: str, *, line: int | None = None, path: KeyPath = ()) -> JobError:
        """An error in this data set, ready to be raised."""
        return JobError(message, file=self.name, line=line, key=dotted(path) or None)


class Format(Protocol):
    """How data sets of one format are told from others and read."""

    def sniff(self, head: bytes, name: str) -> bool:
        """Whether a file of that name which begins with ``head`` (its first line at least) looks like this format."""

    def read(self, file: BinaryIO, data_set: DataSet) -> Iterator[Case]:
        """The cases in the order of the file, ids unique, one at a time. Raises JobError with file, line and key."""


FORMATS: Registry[Format] = Registry("format")


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
    """The ids met so far in a data set, as digests of 8 bytes each, however long they are.

    The newest lie in a set, which takes ten times the memory; all others in one sorted array.
    """

    def __init__(self) -> None:
        self._sorted = np.empty(0, dtype=np.uint64)
        self._newest: set[int] = set()
        self._repeats: dict[str, int] = {}

    def is_new(self, case_id: str) -> bool:
        """Whether this id is met for the first time."""
        digest = int.from_bytes(blake2b(case_id.encode(), digest_size=8).digest())
        if digest in self._newest or self._is_sorted_in(digest):
            return False
        self._newest.add(digest)
        if len(self._newest) >= _NEWEST:
            newest = np.fromiter(self._newest, dtype=np.uint64, count=len(self._newest))
            self._sorted = np.sort(np.concatenate([self._sorted, newest]), kind="stable")
            self._newest.clear()
        return True

    def numbered(self, case_id: str) -> str:
        """The id itself when it is new, else with the number of its repeat (``x-2``)."""
        found = case_id
        while not self.is_new(found):
            self._repeats[case_id] = self._repeats.get(case_id, 1) + 1
            found = f"{case_id}-{self._repeats[case_id]}"
        return found

    def _is_sorted_in(self, digest: int) -> bool:
        place = self._sorted.searchsorted(np.uint64(digest))
        return bool(place < len(self._sorted) and self._sorted[place] == digest)
