"""Tables of no format in particular: CSV, Parquet, and JSON whose keys the job maps.

A column that is called like a key of a native case is that key; ``[suites.fields]`` says where the others are found.
What nothing names is the case's metadata.
"""

from __future__ import annotations

from evalsvc.suites.base import FORMATS
from evalsvc.suites.cases import KEYS
from evalsvc.suites.row_format import Draft, RowFormat, rest_of
from evalsvc.suites.tables import Row


def _draft(row: Row) -> Draft:
    draft = {key: row[key] for key in KEYS if row.get(key) is not None}
    return {"metadata": rest_of(row, *KEYS), **draft}


#: Rows of any keys.
PLAIN = RowFormat(fits=lambda row: False, draft=_draft)  # noqa: ARG005 - it is what remains

FORMATS.register("csv")(PLAIN)
FORMATS.register("parquet")(PLAIN)
