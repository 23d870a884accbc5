"""The words in which every border of the house says what is wrong with a value and what would be right."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from evalsvc.core.nearest import did_you_mean
from evalsvc.core.toml_source import KeyPath, TomlSource
from evalsvc.errors import InputError

E = TypeVar("E", bound=InputError)

_SHOWN_CHARACTERS = 60
_WANTED = {
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a table",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "an integer",
    "int_parsing": "an integer",
    "int_type": "an integer",
    "list_type": "an array",
    "model_type": "a table",
    "string_type": "a string",
}
_LIMITS = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def describe(value: object, *, table: str = "a table") -> str:
    """A value by its kind: ``a string "x"`` (cut to a readable length), ``an integer 3``, ``an array``, ``null``.

    ``table`` is what the format at hand calls a dict.
    """
    for kind, words in _KINDS:
        if isinstance(value, kind):
            return words(value)
    return table if isinstance(value, dict) else f"a {type(value).__name__}"


def _quoted(text: str) -> str:
    cut = text[:_SHOWN_CHARACTERS].encode("unicode_escape").decode()
    return f'a string "{cut}{"…" if len(text) > _SHOWN_CHARACTERS else ""}"'


def _integer(number: int) -> str:
    return f"an integer {number}" if number.bit_length() <= 64 else "an integer beyond 64 bits"


# bool before int, which it is a kind of
_KINDS: tuple[tuple[type, Callable[[Any], str]], ...] = (
    (type(None), lambda _: "null"),
    (bool, lambda flag: "true" if flag else "false"),
    (int, _integer),
    (float, lambda number: f"a number {number}"),
    (str, _quoted),
    (list, lambda _: "an array"),
)


def unknown_key(key: str, known: Iterable[str]) -> str:
    """The message for a key that does not exist, with the nearest one that does."""
    names = list(known)
    return f'unknown key "{key}"; {did_you_mean(key, names)}known: {", ".join(names)}'


def first_error(error: ValidationError, model: type[BaseModel], source: TomlSource[E]) -> E:
    """The one error of a failed validation of ``source`` worth showing first, with file, line and key.

    An unknown key comes before all others, because a misspelt key is also a missing one; then the order of lines.
    """
    details = error.errors(include_url=False)
    found = min(details, key=lambda each: (each["type"] != "extra_forbidden", source.line_of(each["loc"]) or 0))
    return source.error(found["loc"], explain(found, model))


def explain(found: ErrorDetails, model: type[BaseModel]) -> str:
    """What is wrong and what would be right, for one error of pydantic's under ``model``."""
    kind, context = found["type"], found.get("ctx", {})
    if kind == "extra_forbidden":
        owner = _owner(model, found["loc"])
        return unknown_key(str(found["loc"][-1]), owner.model_fields if owner else ())
    if kind == "missing":
        owner = _owner(model, found["loc"])
        return f"missing; {owner.model_fields[str(found['loc'][-1])].description if owner else 'it is required'}"
    if kind in {"too_short", "string_too_short"}:
        return "must not be empty"
    if kind == "value_error":
        return str(context["error"])
    return f"must be {_wanted(kind, context, found['msg'])}, got {describe(found['input'])}"


def _wanted(kind: str, context: dict[str, Any], message: str) -> str:
    if kind in _WANTED:
        return _WANTED[kind]
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        return f"{words} {context[name]:g}"
    if kind in {"literal_error", "enum"}:
        return str(context["expected"]).replace("'", '"')
    return message


def _owner(model: type[BaseModel], path: KeyPath) -> type[BaseModel] | None:
    """The model whose field the last part of ``path`` names."""
    kind: Any = model
    for part in path[:-1]:
        kind = _inner(kind, part)
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _inner(kind: Any, part: str | int) -> Any:
    """The type that stands at ``part`` inside a value of type ``kind``."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(part))
        return _bare(field.annotation) if field else None
    return _bare(get_args(kind)[-1]) if get_origin(kind) in {list, dict} else None


def _bare(kind: Any) -> Any:
    """A type without what is annotated to it and without its None."""
    while get_origin(kind) in {Annotated, Union, types.UnionType}:
        kind = next(part for part in get_args(kind) if part is not type(None))
    return kind
