"""evalsvc's own data set format: JSONL, one case a row.

``{"id", "input": str or [messages], "expected": str, [str] or object, "category", "tools", "schema", "metadata"}``.
Only ``input`` is required; an optional key that is null counts as not given. Where the job says in which keys a case's
are found, rows may have any keys; those that nothing names are the metadata.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from evalsvc.core.records import Case
from evalsvc.suites.base import FORMATS, DataSet, Ids
from evalsvc.suites.cases import case_of
from evalsvc.suites.plain import PLAIN
from evalsvc.suites.strict_json import Fault
from evalsvc.suites.tables import read_table


@FORMATS.register("native")
class Native:
    """The format plug-in."""

    @staticmethod
    def sniff(head: bytes, name: str) -> bool:  # noqa: ARG004 - what a row says is enough
        """Never: rows that look like no other format are read as native ones."""
        return False

    @staticmethod
    def read(file: BinaryIO, data_set: DataSet) -> Iterator[Case]:
        """The cases, one a row."""
        if data_set.fields:
            yield from PLAIN.read(file, data_set)
            return
        ids = Ids()
        for line, row in read_table(file, data_set):
            try:
                yield case_of(row, line, data_set.suite, ids)
            except Fault as fault:
                raise data_set.error(fault.message, line=line, path=fault.path) from None
