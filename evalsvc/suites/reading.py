"""The one way to read a suite: which format its data set has, and its cases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from evalsvc.core.records import Case, PromptSpec, SuiteSpec
from evalsvc.suites.base import DEFAULT_MAX_ROW_BYTES, FORMATS, DataSet, Format
from evalsvc.suites.prompt import Prompter, choose
from evalsvc.suites.row_format import RowFormat
from evalsvc.suites.tables import Row, first_row, kind_of

#: Formats that may keep what is expected in a file of its own.
WITH_ANSWERS = frozenset({"bfcl"})

_HEAD_BYTES = 4096
_OWN_KEYS = frozenset({"bfcl"})
#: What a table of a kind is read as whose rows look like no format in particular.
_PLAIN: dict[str, str] = {"json": "native", "csv": "csv", "parquet": "parquet", "yaml": "promptfoo"}


def read_suite(
    path: Path,
    spec: SuiteSpec,
    *,
    name_for_errors: str,
    max_row_bytes: int = DEFAULT_MAX_ROW_BYTES,
    examples: tuple[Path, str] | None = None,
    answers: tuple[Path, str] | None = None,
) -> Iterator[Case]:
    """The cases of a suite as they are asked, streamed in the order of its data set, each with position 0.

    Args:
        path: the data set.
        spec: the suite; its ``format`` is a name of `FORMATS` or ``auto``.
        name_for_errors: what errors call the file.
        max_row_bytes: the largest row that is read.
        examples: the file of ``spec.prompt.examples``, and what errors call it; needed where there is one.
        answers: the file of ``spec.answers``, and what errors call it; likewise.

    Raises:
        JobError: while iterating, at the first thing that is wrong, with file, line and key.
    """
    data_set = replace(_data_set(spec, name_for_errors, max_row_bytes), answers=answers)
    cases = _cases(path, spec, data_set)
    if spec.prompt is None:
        yield from cases
        return
    prompter = _prompter(path, spec, spec.prompt, data_set, examples)
    left = False
    for case in prompter.put(cases, data_set):
        left = True
        yield case
    if not left:
        raise data_set.error(f"holds no cases beside its {spec.prompt.shots} examples")


def _prompter(
    path: Path, spec: SuiteSpec, prompt: PromptSpec, data_set: DataSet, examples: tuple[Path, str] | None
) -> Prompter:
    """What puts the suite's cases, its examples chosen."""
    if prompt.examples is None:
        own = choose(_cases(path, spec, data_set), prompt, data_set)
        return Prompter(prompt, own, data_set, own=True)
    if examples is None:
        raise ValueError("the file of the examples is needed")
    source = _data_set(spec, examples[1], data_set.max_row_bytes)
    shown = choose(_cases(examples[0], spec, source), prompt, source)
    return Prompter(prompt, shown, source, own=False)


def _cases(path: Path, spec: SuiteSpec, data_set: DataSet) -> Iterator[Case]:
    """The cases of a file as they stand there."""
    with _opened(path, data_set) as file:
        name = _fitting(file, data_set)[0] if spec.format == "auto" else spec.format
        try:
            format_ = FORMATS[name]
        except LookupError as error:
            raise data_set.error(str(error)) from None
        if data_set.fields and name in _OWN_KEYS:
            raise data_set.error(f"fields do not apply to {name}: its keys are its own; take them out of the job")
        empty = True
        for case in format_.read(file, data_set):
            empty = False
            yield case
    if empty:
        raise data_set.error("holds no cases")


def detect(path: Path, spec: SuiteSpec, *, name_for_errors: str, max_row_bytes: int = DEFAULT_MAX_ROW_BYTES) -> str:
    """The name of the format that the suite's data set is read in. Raises `JobError` where none looks like it."""
    return fitting(path, spec, name_for_errors=name_for_errors, max_row_bytes=max_row_bytes)[0]


def fitting(
    path: Path, spec: SuiteSpec, *, name_for_errors: str, max_row_bytes: int = DEFAULT_MAX_ROW_BYTES
) -> list[str]:
    """The names of all formats the data set looks like; it is read in the first. Raises as `detect` does."""
    if spec.format != "auto":
        return [spec.format]
    data_set = _data_set(spec, name_for_errors, max_row_bytes)
    with _opened(path, data_set) as file:
        return _fitting(file, data_set)


@contextmanager
def _opened(path: Path, data_set: DataSet) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise data_set.error(f"cannot be read: {error.strerror}") from None
    with file:
        yield file


def _data_set(spec: SuiteSpec, name: str, max_row_bytes: int) -> DataSet:
    return DataSet(suite=spec.name, name=name, max_row_bytes=max_row_bytes, fields=spec.fields)


def _fitting(file: BinaryIO, data_set: DataSet) -> list[str]:
    """By the first row; `native` only where no other would read it. The file is left at its start."""
    kind = kind_of(file, data_set)
    line, first = first_row(file, data_set) or (None, None)
    head = _head(file, data_set)
    found = [name for name in FORMATS if _fits(FORMATS[name], first, head, data_set.name)]
    if found:
        return found
    if kind == "json" and first is not None and "input" not in first and not data_set.fields:
        keys = ", ".join(list(first)[:20])
        raise data_set.error(
            f"no known format has rows of these keys: {keys}; say where a case's are found ([suites.fields] "
            f'input = "{next(iter(first), "")}"), or name a format: {", ".join(FORMATS)}',
            line=line,
        )
    return [_PLAIN[kind]]


def _fits(format_: Format, first: Row | None, head: bytes, name: str) -> bool:
    if isinstance(format_, RowFormat):
        return first is not None and format_.fits(first)
    return format_.sniff(head, name)


def _head(file: BinaryIO, data_set: DataSet) -> bytes:
    line = file.readline(data_set.max_row_bytes + 1)
    head = line + file.read(max(0, _HEAD_BYTES - len(line)))
    file.seek(0)
    return head
