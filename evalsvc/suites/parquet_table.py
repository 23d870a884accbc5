"""Parquet row by row, a few rows in memory at a time. Needs pyarrow: ``pip install 'evalsvc[parquet]'``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from math import isfinite
from typing import Any, BinaryIO

import orjson

from evalsvc.suites.base import DataSet
from evalsvc.suites.strict_json import Fault, loads

_ROWS = 32
_BUFFER_BYTES = 2**20


def read_parquet(file: BinaryIO, data_set: DataSet) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows as objects, each with its 1-based number. Binary columns are left out; dates become ISO texts.

    Raises:
        JobError: pyarrow is not installed, the file is no Parquet, a row is beyond the limit.
    """
    try:
        import pyarrow as pa  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra of its own, and 0.3 s
        import pyarrow.parquet as pq  # type: ignore[import-untyped]  # noqa: PLC0415 - the same
    except ImportError:
        raise data_set.error("Parquet needs pyarrow: pip install 'evalsvc[parquet]'") from None
    number = 0
    try:
        table = pq.ParquetFile(file, pre_buffer=False, buffer_size=_BUFFER_BYTES)
        columns = [field.name for field in table.schema_arrow if not _is_binary(pa, field.type)]
        for batch in table.iter_batches(batch_size=_ROWS, columns=columns, use_threads=False):
            for row in batch.to_pylist():
                number += 1
                yield number, _plain(row, number, data_set)
    except (pa.ArrowException, OSError, ValueError) as error:
        message = " ".join(str(error).split())[:200]
        raise data_set.error(f"not Parquet that can be read: {message}", line=number + 1) from None


def _is_binary(pa: Any, kind: Any) -> bool:
    """Whether a column holds bytes (a picture, say), at any depth."""
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return True
    return any(_is_binary(pa, kind.field(index).type) for index in range(kind.num_fields))


def _plain(row: dict[str, Any], number: int, data_set: DataSet) -> dict[str, Any]:
    """The row as JSON has it, and as strictly checked."""
    try:
        raw = orjson.dumps(row, default=_text)
        value: dict[str, Any] = loads(raw)
    except (TypeError, Fault) as error:
        path = error.path if isinstance(error, Fault) else ()
        raise data_set.error(f"cannot be written as JSON: {error}", line=number, path=path) from None
    if len(raw) > data_set.max_row_bytes:
        most = data_set.max_row_bytes
        raise data_set.error(f"a row of more than {most} bytes ([engine] max_row_mb in config.toml)", line=number)
    return value


def _text(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value) if isfinite(value) else None
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    raise TypeError(f"a {type(value).__name__} is no JSON value")
