"""Outcomes as CSV for spreadsheets and as JSON Lines for programs: one row an outcome."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from evalsvc.core.rows import OutcomeRow
from evalsvc.reports.inert import visible

#: A spreadsheet takes a cell that begins so for a formula (OWASP, "CSV Injection"; the wide forms are Excel's).
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_KEYS = tuple(field.name for field in fields(OutcomeRow))
_CSV_KEYS = tuple(key for key in _KEYS if key not in {"scores", "position"})


def json_lines(job_id: str, rows: Iterable[OutcomeRow]) -> str:
    """A JSON object a row, everything as it was recorded, in ASCII (a text may hold what a terminal would obey)."""
    return "".join(json.dumps({"job": job_id, **_plain(row)}) + "\n" for row in rows)


def csv_head(labels: Sequence[str]) -> str:
    """The line of names. ``labels`` are the job's scorers: each has a column ``score LABEL``."""
    return _lines([["job", *_CSV_KEYS, "explanation", *(f"score {label}" for label in labels)]])


def csv_lines(job_id: str, rows: Iterable[OutcomeRow], labels: Sequence[str]) -> str:
    """A line a row, as RFC 4180 has them, but ended by a line feed alone.

    A cell that a spreadsheet would take for a formula gets a ``'`` before it, and control characters are made
    visible; whoever needs texts to the letter takes `json_lines`.
    """
    lines = []
    for row in rows:
        values = _plain(row)
        scores = [row.scores.get(label, {}).get("value") for label in labels]
        lines.append([job_id, *(values[key] for key in _CSV_KEYS), row.explanation, *scores])
    return _lines(lines)


def readable(value: Any) -> str:
    """An input, an expected answer or a tool call as a person reads it; empty for None."""
    if value is None or isinstance(value, str):
        return value or ""
    if value and isinstance(value, list) and all(isinstance(part, dict) and "role" in part for part in value):
        said = [f"[{part['role']}] {readable(part.get('content'))}" for part in value]
        return "\n\n".join(said)
    return json.dumps(value, ensure_ascii=False, indent=1)


def _plain(row: OutcomeRow) -> dict[str, Any]:
    values = {key: getattr(row, key) for key in _KEYS}
    moment = datetime.fromtimestamp(row.finished_at, UTC)
    return values | {"finished_at": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")}


def _lines(rows: Iterable[Iterable[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue()


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    if isinstance(value, int | float):
        return value
    text = visible(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    # Spaces before it do not keep every spreadsheet from it.
    risky = text.startswith(("\t", "\n")) or text.lstrip().startswith(_FORMULA)
    return f"'{text}" if risky else text
