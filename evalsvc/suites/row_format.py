"""Formats whose rows are objects: what each does is put a row of its own into the words of a native one.

A format is a function from a row to a *draft*, a dict with the keys of a native case and ``choices``; checking it, ids,
field maps, choices and errors in the file's own words are the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from string import ascii_uppercase
from typing import Any, BinaryIO

from evalsvc.core.records import Case
from evalsvc.core.toml_source import KeyPath
from evalsvc.suites.base import FORMATS, DataSet, Ids
from evalsvc.suites.cases import case_of
from evalsvc.suites.fields import as_text, mapped
from evalsvc.suites.strict_json import Fault, loads
from evalsvc.suites.tables import Row, first_row, read_table
from evalsvc.suites.values import describe, wrong

Draft = dict[str, Any]
_AS_JSON = ("tools", "schema", "metadata", "choices")


def _same(row: Row) -> Mapping[str, Any]:
    return row


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFormat:
    """A format of rows, as a plug-in.

    Args:
        fits: whether a first row looks like it.
        draft: the row in a native row's words, with what is there; raises `Fault` with a path into the row.
        names: the keys of a row in which a key of the case may stand, for errors, if they are called otherwise.
        scope: what the names in a job's fields are looked up in.
        keep: whether a row counts, given the first one.
    """

    fits: Callable[[Row], bool]
    draft: Callable[[Row], Draft]
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    scope: Callable[[Row], Mapping[str, Any]] = _same
    keep: Callable[[Row, Row], bool] = lambda row, first: True  # noqa: ARG005 - a row is a case, as a rule

    def sniff(self, head: bytes, name: str) -> bool:
        """See `Format.sniff`."""
        first = first_row(BytesIO(head), DataSet(suite="", name=name))
        return first is not None and self.fits(first[1])

    def read(self, file: BinaryIO, data_set: DataSet) -> Iterator[Case]:
        """See `Format.read`."""
        return self.cases(read_table(file, data_set), data_set)

    def cases(self, table: Iterable[tuple[int, Row]], data_set: DataSet) -> Iterator[Case]:
        """The cases of rows that have been read."""
        ids, first = Ids(), None
        for line, row in table:
            first = first or row
            if not self.keep(row, first):
                continue
            try:
                yield self._case(row, line, data_set, ids)
            except Fault as fault:
                path = self._foreign(fault.path, row, data_set)
                raise data_set.error(fault.message, line=line, path=path) from None

    def _foreign(self, path: KeyPath, row: Row, data_set: DataSet) -> KeyPath:
        """A path in the file's own words."""
        key = path[0] if path and path[0] not in data_set.fields else None
        named = self.names.get(key, ()) if isinstance(key, str) else ()
        return next(((name, *path[1:]) for name in named if name in row), path)

    def _case(self, row: Row, line: int, data_set: DataSet, ids: Ids) -> Case:
        draft = self.draft(row)
        if data_set.fields:
            draft = _without(draft, data_set.fields) | mapped(data_set.fields, self.scope(row))
        if draft.get("input") is None:
            raise Fault(_no_input(self.scope(row)), ("input",))
        native = {key: _as_native(key, value) for key, value in draft.items()}
        _put_choices(native)
        return case_of(native, line, data_set.suite, ids, numbered=True)


def _no_input(row: Mapping[str, Any]) -> str:
    keys = ", ".join(list(row)[:20])
    return f'missing; say where it is found, [suites.fields] input = "KEY"; there are: {keys}'


def _without(draft: Draft, fields: Mapping[str, str]) -> Draft:
    """The draft, its metadata without what the job's fields name: that is elsewhere in the case."""
    named = set(fields.values())
    metadata = {key: value for key, value in (draft.get("metadata") or {}).items() if key not in named}
    return {**draft, "metadata": metadata}


def row_format(name: str, fits: Callable[[Row], bool], **options: Any) -> Callable[[Callable[[Row], Draft]], RowFormat]:
    """Decorator that registers a function from rows to drafts as a format; see `RowFormat`."""

    def register(draft: Callable[[Row], Draft]) -> RowFormat:
        plugin = RowFormat(fits=fits, draft=draft, **options)
        FORMATS.register(name)(plugin)
        return plugin

    return register


def rest_of(row: Row, *known: str) -> dict[str, Any] | None:
    """What a row holds beside the keys known: the case's metadata."""
    return {key: value for key, value in row.items() if key not in known} or None


def message_text(message: Any, path: tuple[str | int, ...]) -> str:
    """The text of a message: a string, or text parts joined. Raises `Fault` where there is none."""
    content = message.get("content") if isinstance(message, dict) else message
    if isinstance(content, list) and all(
        isinstance(part, dict) and isinstance(part.get("text"), str) for part in content
    ):
        return "".join(part["text"] for part in content)
    if not isinstance(content, str):
        raise wrong((*path, "content") if isinstance(message, dict) else path, "a text", content)
    return content


def prompt_of(messages: list[Any]) -> Any:
    """Messages as a case's input: a text where there is nothing but one of the user's."""
    alone = messages[0] if len(messages) == 1 else None
    if isinstance(alone, dict) and alone.keys() == {"role", "content"} and alone["role"] == "user":
        return alone["content"] if isinstance(alone["content"], str) else messages
    return messages


def _as_native(key: str, value: Any) -> Any:
    """A value of foreign kind as a native row would have it, where there is no doubt what is meant."""
    if key in _AS_JSON and isinstance(value, str):
        return _from_json(key, value)
    if key == "id" and isinstance(value, float) and value.is_integer():
        return int(value)
    if key in ("input", "category", "expected") and isinstance(value, int | float):
        return as_text(value)
    if key == "expected" and isinstance(value, list):
        return [as_text(each) if isinstance(each, int | float) else each for each in value]
    return None if value == "" and key not in ("input", "expected") else value


def _from_json(key: str, text: str) -> Any:
    try:
        return loads(text.encode("utf-8", "surrogatepass")) if text.strip() else None
    except Fault as fault:
        raise Fault(f"must be JSON: {fault.message}", (key,)) from None


def _put_choices(native: dict[str, Any]) -> None:
    """Write the options under the question, lettered, and make what is expected a letter."""
    choices = native.pop("choices", None)
    if choices is None:
        return
    if not isinstance(choices, list) or not 2 <= len(choices) <= len(ascii_uppercase):
        raise wrong(("choices",), f"an array of 2 to {len(ascii_uppercase)} options", choices)
    options = dict(zip(ascii_uppercase, map(as_text, choices), strict=False))
    listed = "\n".join(f"{letter}) {option}" for letter, option in options.items())
    native["input"] = _with_text(native.get("input"), f"\n\n{listed}")
    if "expected" in native:
        native["expected"] = _letters(native["expected"], options)


def _with_text(value: Any, more: str) -> Any:
    if isinstance(value, str):
        return value + more
    if not isinstance(value, list) or not value or not isinstance(value[-1], dict):
        return value  # it is refused as an input
    last = value[-1]
    content = last.get("content")
    added = [*content, {"type": "text", "text": more}] if isinstance(content, list) else f"{content or ''}{more}"
    return [*value[:-1], last | {"content": added}]


def _letters(expected: Any, options: Mapping[str, str]) -> Any:
    if isinstance(expected, list):
        return [_letters(each, options) for each in expected]
    if expected is None or expected in options:
        return expected
    for letter, option in options.items():
        if option == expected:
            return letter
    if isinstance(expected, str) and expected.isdecimal() and len(expected) < 3 and int(expected) < len(options):
        return list(options)[int(expected)]
    known = f"{', '.join(options)}, an option's text or its number from 0"
    raise Fault(f"must be one of {known}, got {describe(expected)}", ("expected",))
