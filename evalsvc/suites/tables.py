"""The rows of a data set as objects, whatever kind of file they stand in.

====================  ==============================================================================================
JSON                  an object a line, or one array of objects
CSV                   by the file's name; each row an object of texts, a cell that is empty is null
Parquet               by its first bytes
YAML                  by the file's name; an array of objects, or an object with one under ``tests``
====================  ==============================================================================================
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator
from typing import Any, BinaryIO, Literal

from evalsvc.errors import JobError
from evalsvc.suites.base import DataSet, rows
from evalsvc.suites.csv_table import read_csv
from evalsvc.suites.json_array import elements
from evalsvc.suites.strict_json import Fault, loads
from evalsvc.suites.values import a_row

Row = dict[str, Any]
Kind = Literal["json", "csv", "parquet", "yaml"]

_HEAD_BYTES = 4096


def kind_of(file: BinaryIO, data_set: DataSet) -> Kind:
    """What kind of file it is; it is left at its start."""
    head = _head(file)
    if head.startswith(b"PAR1"):
        return "parquet"
    name = data_set.name.lower()
    if name.endswith((".yaml", ".yml")):
        return "yaml"
    return "csv" if name.endswith((".csv", ".tsv")) and not head.startswith((b"{", b"[")) else "json"


def read_table(file: BinaryIO, data_set: DataSet) -> Iterator[tuple[int, Row]]:
    """The rows, each with its 1-based line (Parquet: its number). Raises JobError with file, line and key."""
    kind = kind_of(file, data_set)
    if kind == "csv":
        return read_csv(file, data_set)
    if kind == "parquet":
        from evalsvc.suites.parquet_table import read_parquet  # noqa: PLC0415 - an extra of its own

        return read_parquet(file, data_set)
    if kind == "yaml":
        raise data_set.error('YAML is read as promptfoo tests only: format = "promptfoo"')
    return _json_rows(file, data_set)


def first_row(file: BinaryIO, data_set: DataSet) -> tuple[int, Row] | None:
    """The first row and its line, or None where there is none that can be read; the file is left at its start."""
    try:
        return next(iter(read_table(file, data_set)), None)
    except JobError:
        return None
    finally:
        file.seek(0)


def _head(file: BinaryIO) -> bytes:
    head = file.read(_HEAD_BYTES).removeprefix(BOM_UTF8).lstrip()
    file.seek(0)
    return head


def _json_rows(file: BinaryIO, data_set: DataSet) -> Iterator[tuple[int, Row]]:
    first = True
    for line, raw in elements(file, data_set) if _head(file).startswith(b"[") else rows(file, data_set):
        try:
            row = a_row(loads(raw))
        except Fault as fault:
            hint = _hint(raw) if first else ""
            raise data_set.error(fault.message + hint, line=line, path=fault.path) from None
        yield line, row
        first = False


def _hint(raw: bytes) -> str:
    """What a first row that does not even open like one may mean."""
    if raw.strip() == b"{":
        return "; an object over many lines: write one a line, or one array of them"
    return "" if raw.lstrip().startswith((b"{", b"[")) else "; rows are objects of JSON, or name the file .csv"
