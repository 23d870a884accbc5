"""Where a case's keys are found in a row: ``[suites.fields]`` of the job, applied.

A value is the name of a key of the row, a path into it (``item.question``, ``messages[0].content``), or a text with
such names in double braces (``"Question: {{question}}"``), which are put in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from evalsvc.suites.strict_json import Fault
from evalsvc.suites.values import describe

_HOLE = re.compile(r"\{\{([^{}]*)\}\}")
_STEP = re.compile(r"[.\[\]]+")
_SHOWN_KEYS = 20


def mapped(fields: Mapping[str, str], row: Mapping[str, Any]) -> dict[str, Any]:
    """What the fields find in a row, by key of the case. Raises `Fault` for a name the row has not."""
    return {
        key: rendered(where, row, key) if "{{" in where else _found(where, row, key) for key, where in fields.items()
    }


def rendered(template: str, row: Mapping[str, Any], key: str) -> str:
    """A text with the row's values put in for names in double braces. Raises `Fault` for a name the row has not."""
    if "{%" in template or "{{" in _HOLE.sub("", template):
        raise Fault("only names in double braces are filled in: {{name}}; no filter, no condition, no loop", (key,))
    return _HOLE.sub(lambda hole: as_text(_found(hole[1].strip(), row, key)), template)


def as_text(value: Any) -> str:
    """A value as it is put into a text: a string as it is, nothing for null, anything else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _found(where: str, row: Mapping[str, Any], key: str) -> Any:
    if where in row:
        return row[where]
    value: Any = row
    for step in _STEP.split(where.rstrip("]")):
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and len(step) < 10 and int(step) < len(value):
            value = value[int(step)]
        else:
            raise Fault(f'no "{where}" here, where the job looks for {key}; {_holds(value)}', (where,))
    return value


def _holds(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"there are: {', '.join(list(value)[:_SHOWN_KEYS])}"
    return f"there is {describe(value)}"
