"""A file of recorded answers: read and checked whole once, then row by row as requests want them.

Of each answer only four numbers are kept (what it answers, where it stands, what its row was, its line), 32 bytes: a
file of any size lies in memory by its index only. A row that is no longer what it was is noticed.
"""

from __future__ import annotations

from array import array
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson

from evalsvc.core.records import Completion
from evalsvc.errors import JobError, JobStopped
from evalsvc.suites.answer_rows import AnswerKey, Shape, shape_of
from evalsvc.suites.base import DEFAULT_MAX_ROW_BYTES, DataSet, rows
from evalsvc.suites.strict_json import Fault, loads
from evalsvc.suites.values import a_row


class RecordedAnswers:
    """The answers of one arm.

    Args:
        path: the file.
        model: the arm's model: whose answers to take where a row has those of several.
        name: what errors call the file.
        max_row_bytes: the largest row that is read.

    Raises:
        JobError: the first thing that is wrong, with file, line and key.
    """

    def __init__(
        self, path: Path, *, model: str, name: str | None = None, max_row_bytes: int = DEFAULT_MAX_ROW_BYTES
    ) -> None:
        self._path = path
        self._data_set = DataSet(suite="", name=name or str(path), max_row_bytes=max_row_bytes)
        self._file: BinaryIO | None = None
        index = _Index(self._data_set, model)
        try:
            with path.open("rb") as file:
                index.read(file)
        except OSError as error:
            raise self._data_set.error(f"cannot be read: {error.strerror}") from None
        if not index.keys:
            raise self._data_set.error(f'holds no recorded answers of "{model}"')
        self._shape = index.shape
        order = np.argsort(np.frombuffer(index.keys, dtype=np.int64), kind="stable")
        self._keys, self._offsets, self._rows, self._lines = (
            np.frombuffer(column, dtype=np.int64)[order] for column in index.columns
        )
        self._check_unique()
        self._owner = np.zeros(len(self._keys), dtype=np.int32)
        self._suites = [""]

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, suite: str, case_id: str, trial: int) -> Completion | None:
        """The recorded answer to a request, or None. Raises `JobStopped` when the file has changed since."""
        place = self._place(suite, case_id, trial)
        return None if place is None else self._shape.completion(self._row(place), trial)

    def claim(self, suite: str, case_id: str, trials: int) -> None:
        """Note that the job has this case; the cases of a suite come one after the other.

        Raises:
            JobError: a row that names no suite answers cases of two: which one is meant would be a guess.
        """
        if suite != self._suites[-1]:
            self._suites.append(suite)
        for trial in range(trials):
            place = self._place(suite, case_id, trial)
            if place is None:
                continue
            other = self._suites[self._owner[place]]
            if other not in ("", suite):
                raise self._data_set.error(
                    f'the suites "{other}" and "{suite}" both have a case "{case_id}"; say which one is meant',
                    line=int(self._lines[place]),
                    path=("suite",),
                )
            self._owner[place] = len(self._suites) - 1

    def unclaimed(self) -> tuple[int, int]:
        """How many answers belong to no case that was claimed, and the line of the first of them (0 without any)."""
        lines = self._lines[self._owner == 0]
        return len(lines), int(lines.min()) if len(lines) else 0

    def error(self, message: str, *, line: int | None = None) -> JobError:
        """An error in this file, ready to be raised."""
        return self._data_set.error(message, line=line)

    def close(self) -> None:
        """Close the file; `find` opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _check_unique(self) -> None:
        repeats = np.flatnonzero(self._keys[1:] == self._keys[:-1]) + 1
        if len(repeats):
            place = repeats[np.argmin(self._lines[repeats])]
            earlier = int(self._lines[np.searchsorted(self._keys, self._keys[place])])
            raise self._data_set.error(
                f"a second answer to the same case and trial; the first is in line {earlier}",
                line=int(self._lines[place]),
                path=("id",),
            )

    def _place(self, suite: str, case_id: str, trial: int) -> int | None:
        for named in (suite, ""):
            key = _hash_of(AnswerKey(named, case_id, trial))
            place = int(np.searchsorted(self._keys, np.int64(key)))
            if place < len(self._keys) and self._keys[place] == key:
                return place
        return None

    def _row(self, place: int) -> Any:
        try:
            if self._file is None:
                self._file = self._path.open("rb")
            self._file.seek(int(self._offsets[place]))
            raw = self._file.readline(self._data_set.max_row_bytes + 1)
        except OSError as error:
            raise JobStopped(f"{self._data_set.name} cannot be read any more: {error.strerror}") from None
        if _digest(raw) != self._rows[place]:
            raise JobStopped(f"{self._data_set.name}:{self._lines[place]}: changed since the job was started")
        return orjson.loads(raw)


class _Index:
    """Reads a file once; four columns with an entry an answer."""

    shape: Shape

    def __init__(self, data_set: DataSet, model: str) -> None:
        self._data_set = data_set
        self._model = model
        self.keys, self._offsets, self._rows, self._lines = (array("q") for _ in range(4))
        self.columns = (self.keys, self._offsets, self._rows, self._lines)

    def read(self, file: BinaryIO) -> None:
        first = True
        for line, raw in rows(file, self._data_set):
            try:
                row = a_row(loads(raw))
                if first:
                    self.shape = shape_of(row, self._model)
                    first = False
                answers = self.shape.keys(row)
            except Fault as fault:
                raise self._data_set.error(fault.message, line=line, path=fault.path) from None
            for answer in answers:
                self.keys.append(_hash_of(answer))
                self._offsets.append(file.tell() - len(raw))
                self._rows.append(_digest(raw))
                self._lines.append(line)


def _hash_of(answer: AnswerKey) -> int:
    # labels hold no control character: the parts cannot run into each other
    return _digest(f"{answer.trial}\n{answer.suite}\n{answer.case_id}".encode())


def _digest(raw: bytes) -> int:
    return int.from_bytes(blake2b(raw, digest_size=8).digest(), "little", signed=True)
