"""A case from a row in evalsvc's own words, checked."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import orjson

from evalsvc.core.invalid import unknown_key
from evalsvc.core.records import Case
from evalsvc.core.toml_source import KeyPath
from evalsvc.suites.base import Ids
from evalsvc.suites.strict_json import Fault
from evalsvc.suites.values import a_row, all_are, identity, label, missing_or_wrong, obj, objects, wrong

#: The keys of a native row.
KEYS = ("id", "input", "expected", "category", "tools", "schema", "metadata")
_KEY_SET = frozenset(KEYS)


def case_of(row: Any, line: int, suite: str, ids: Ids, *, numbered: bool = False) -> Case:
    """The case a native row says.

    Args:
        row: the row as it was parsed.
        line: where it stands, 1-based.
        suite: whose case it is.
        ids: those met before.
        numbered: whether a row without an id whose content was met before gets a number, instead of being an error.

    Raises:
        Fault: the row is wrong.
    """
    if not a_row(row).keys() <= _KEY_SET:
        key = next(key for key in row if key not in _KEY_SET)
        raise Fault(unknown_key(key, KEYS), (key,))
    get = row.get
    return Case(
        suite=suite,
        id=_claim_id(row, ids, numbered=numbered),
        category=label(get("category"), ("category",)) or "uncategorized",
        input=_input(row),
        expected=_expected(get("expected")),
        tools=objects(get("tools"), ("tools",)),
        schema=_schema(get("schema")),
        metadata=obj(get("metadata"), ("metadata",)) or {},
        line=line,
    )


def _claim_id(row: dict[str, Any], ids: Ids, *, numbered: bool) -> str:
    given = row.get("id")
    if given is None:
        content = {key: value for key, value in row.items() if value is not None}
        case_id = blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()
        if numbered:
            return ids.numbered(case_id)
        if not ids.is_new(case_id):
            raise Fault(
                f'duplicate id "{case_id}": an earlier row without an id has the same content; '
                "give each an id of its own, or remove one",
                ("id",),
            )
        return case_id
    case_id = identity(given, ("id",))
    if not ids.is_new(case_id):
        raise Fault(f'duplicate id "{case_id}": an earlier row has it', ("id",))
    return case_id


def _input(row: dict[str, Any]) -> str | list[dict[str, Any]]:
    value: Any = row.get("input")
    if type(value) is str:
        return value
    if "input" not in row:
        raise Fault("missing; the text or the chat messages the model is asked", ("input",))
    if type(value) is not list or not value:
        wanted = "a string or an array of at least one message"
        raise wrong(("input",), wanted, value)
    for index, message in enumerate(value):
        _check_message(message, ("input", index))
    return value


def _check_message(message: Any, path: KeyPath) -> None:
    if type(message) is not dict:
        raise wrong(path, 'a message: an object with "role" and "content"', message)
    role = message.get("role")
    if type(role) is not str or not role:
        raise missing_or_wrong(message, "role", "a string such as user", path)
    content = message.get("content")
    if type(content) is str or (content is None and message.get("tool_calls")):
        return
    if type(content) is not list or not all(type(part) is dict for part in content):
        raise missing_or_wrong(message, "content", "a string or an array of parts", path)


def _expected(value: Any) -> Any:
    if value is None or type(value) is str or type(value) is dict:
        return value
    if type(value) is list and (all_are(str, value) or all_are(dict, value)):
        return value
    raise wrong(("expected",), "a string, an object, an array of either, or null", value)


def _schema(value: Any) -> Any:
    if value is None or type(value) is dict or type(value) is bool:
        return value
    raise wrong(("schema",), "a JSON Schema: an object, true or false", value)
