"""evalsvc's own data set format: JSONL, one case a row.

``{"id", "input": str or [messages], "expected": str, [str] or object, "category", "tools", "schema", "metadata"}``.
Only ``input`` is required; an optional key that is null counts as not given.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, BinaryIO

import orjson

from evalsvc.core.invalid import describe, unknown_key
from evalsvc.core.records import Case
from evalsvc.core.toml_source import KeyPath
from evalsvc.suites.base import FORMATS, DataSet, Ids, rows
from evalsvc.suites.strict_json import Fault, loads

KEYS = ("id", "input", "expected", "category", "tools", "schema", "metadata")
_KEY_SET = frozenset(KEYS)


@FORMATS.register("native")
class Native:
    """The format plug-in."""

    @staticmethod
    def sniff(head: bytes, name: str) -> bool:
        """By the name, else by a first row that opens an object with an input."""
        return name.endswith((".jsonl", ".ndjson")) or b'"input"' in head.partition(b"\n")[0]

    @staticmethod
    def read(file: BinaryIO, data_set: DataSet) -> Iterator[Case]:
        """The cases, one a row."""
        ids = Ids()
        for line, raw in rows(file, data_set):
            try:
                yield _case(loads(raw), line, data_set.suite, ids)
            except Fault as fault:
                raise data_set.error(fault.message, line=line, path=fault.path) from None


def _case(row: Any, line: int, suite: str, ids: Ids) -> Case:
    if type(row) is not dict:
        raise Fault(f"a row must be an object, got {_describe(row)}")
    if not row.keys() <= _KEY_SET:
        key = next(key for key in row if key not in _KEY_SET)
        raise Fault(unknown_key(key, KEYS), (key,))
    get = row.get
    return Case(
        suite=suite,
        id=_claim_id(row, ids),
        category=_label(get("category"), "category") or "uncategorized",
        input=_input(row),
        expected=_expected(get("expected")),
        tools=_objects(get("tools"), "tools"),
        schema=_schema(get("schema")),
        metadata=_object(get("metadata"), "metadata") or {},
        line=line,
    )


def _describe(value: object) -> str:
    return describe(value, table="an object")


def _wrong(path: KeyPath, wanted: str, value: object) -> Fault:
    return Fault(f"must be {wanted}, got {_describe(value)}", path)


def _claim_id(row: dict[str, Any], ids: Ids) -> str:
    given = row.get("id")
    if given is None:
        content = {key: value for key, value in row.items() if value is not None}
        case_id = blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()
        if not ids.is_new(case_id):
            raise Fault(
                f'duplicate id "{case_id}": an earlier row without an id has the same content; '
                "give each an id of its own, or remove one",
                ("id",),
            )
        return case_id
    case_id = str(given) if type(given) is int else _label(given, "id", "a string or an integer")
    if not ids.is_new(case_id):
        raise Fault(f'duplicate id "{case_id}": an earlier row has it', ("id",))
    return case_id


def _label(value: Any, key: str, wanted: str = "a string") -> str:
    """A text that tables and metrics can show; empty when there is none."""
    if value is None:
        return ""
    if type(value) is not str:
        raise _wrong((key,), wanted, value)
    if not value.strip() or not value.isprintable():
        raise Fault("must be printable text on one line, without control characters", (key,))
    return value


def _input(row: dict[str, Any]) -> str | list[dict[str, Any]]:
    value: Any = row.get("input")
    if type(value) is str:
        return value
    if "input" not in row:
        raise Fault("missing; the text or the chat messages the model is asked", ("input",))
    if type(value) is not list or not value:
        wanted = "a string or an array of at least one message"
        raise _wrong(("input",), wanted, value)
    for index, message in enumerate(value):
        _check_message(message, ("input", index))
    return value


def _check_message(message: Any, path: KeyPath) -> None:
    if type(message) is not dict:
        raise _wrong(path, 'a message: an object with "role" and "content"', message)
    role = message.get("role")
    if type(role) is not str or not role:
        raise _missing_or_wrong(message, "role", "a string such as user", path)
    content = message.get("content")
    if type(content) is str or (content is None and message.get("tool_calls")):
        return
    if type(content) is not list or not all(type(part) is dict for part in content):
        raise _missing_or_wrong(message, "content", "a string or an array of parts", path)


def _missing_or_wrong(message: dict[str, Any], key: str, wanted: str, path: KeyPath) -> Fault:
    if key not in message:
        return Fault(f"missing; {wanted}", (*path, key))
    return _wrong((*path, key), wanted, message[key])


def _expected(value: Any) -> Any:
    if value is None or type(value) is str or type(value) is dict:
        return value
    if type(value) is list and (_all_are(str, value) or _all_are(dict, value)):
        return value
    raise _wrong(("expected",), "a string, an object, an array of either, or null", value)


def _all_are(kind: type, values: list[Any]) -> bool:
    return all(type(value) is kind for value in values)


def _objects(value: Any, key: str) -> list[dict[str, Any]] | None:
    if value is None or (type(value) is list and _all_are(dict, value)):
        return value or None
    raise _wrong((key,), "an array of objects", value)


def _object(value: Any, key: str) -> dict[str, Any] | None:
    if value is None or type(value) is dict:
        return value
    raise _wrong((key,), "an object", value)


def _schema(value: Any) -> Any:
    if value is None or type(value) is dict or type(value) is bool:
        return value
    raise _wrong(("schema",), "a JSON Schema: an object, true or false", value)
