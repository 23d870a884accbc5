"""The strict comparison of a call with what is wanted: by name, and each argument by value and type.

A number without a fraction stands for a float of the same value (5 for 5.0), because JSON writers drop the point; the
other way round only where the tool's schema says "number". Everything else is equal or not: 5 is not "5", true is not
1, "paris" is not "Paris".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalsvc.scoring.calls import Call
from evalsvc.scoring.calls.python_calls import Bare
from evalsvc.scoring.calls.shown import name, shown
from evalsvc.scoring.calls.wanted import Wanted

_NOTHING: Mapping[str, Any] = {}


def difference(call: Call, wanted: Wanted) -> str | None:
    """The first thing in which a call is not the wanted one, in words; None if it is."""
    if call.name not in (wanted.name, wanted.written):
        return f"wanted a call of {name(wanted.name)}, got one of {name(call.name)}"
    if call.nameless:
        return "an argument stands there without its name"
    comparison = _one_of if wanted.alternatives else _equal
    properties = _below(wanted.parameters, "properties")
    for key, accepted in wanted.accepted.items():
        if key not in call.arguments:
            if not wanted.alternatives or "" not in accepted:
                return f"argument {name(key)} is missing"
        elif not comparison(call.arguments[key], accepted, _below(properties, key)):
            return f"argument {name(key)}: wanted {_choice(accepted, wanted)}, got {_got(call.arguments[key])}"
    for key in call.arguments:
        if key not in wanted.accepted:
            return f"argument {name(key)} is not wanted"
    return None


def _equal(value: Any, wanted: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a value is the wanted one; ``schema`` is what the tool says about it."""
    if isinstance(wanted, dict):
        if not isinstance(value, dict) or value.keys() != wanted.keys():
            return False
        properties = _below(schema, "properties")
        return all(_equal(value[key], wanted[key], _below(properties, key)) for key in wanted)
    return _flat_equal(value, wanted, schema, _equal)


def _one_of(value: Any, accepted: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a value is one of those accepted, where ``""`` stands for none at all."""
    choices = accepted if isinstance(accepted, list) else [accepted]
    return any(_fits(value, choice, schema) for choice in choices if choice != "")


def _fits(value: Any, wanted: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a value is the wanted one, where an object has the accepted values of each of its keys."""
    if isinstance(wanted, dict):
        if not isinstance(value, dict) or not value.keys() <= wanted.keys():
            return False
        properties = _below(schema, "properties")
        return all(
            _one_of(value[key], accepted, _below(properties, key))
            if key in value
            else isinstance(accepted, list) and "" in accepted
            for key, accepted in wanted.items()
        )
    return _flat_equal(value, wanted, schema, _fits)


def _flat_equal(value: Any, wanted: Any, schema: Mapping[str, Any], inner: Any) -> bool:
    if isinstance(wanted, list):
        if not isinstance(value, list) or len(value) != len(wanted):
            return False
        items = _below(schema, "items")
        return all(inner(one, other, items) for one, other in zip(value, wanted, strict=True))
    if type(value) is type(wanted):
        return bool(value == wanted)
    if type(value) is int and type(wanted) is float:
        return value == wanted
    return type(value) is float and type(wanted) is int and value == wanted and _says_number(schema)


def _says_number(schema: Mapping[str, Any]) -> bool:
    said = schema.get("type")
    return said == "number" or (isinstance(said, list) and "number" in said)


def _below(schema: Any, key: str) -> Mapping[str, Any]:
    found = schema.get(key) if isinstance(schema, dict) else None
    return found if isinstance(found, dict) else _NOTHING


def _choice(accepted: Any, wanted: Wanted) -> str:
    if not wanted.alternatives:
        return shown(accepted)
    values = [value for value in accepted if value != ""]
    if not values:
        return "it left out"
    return shown(values[0]) + (f" (or {len(values) - 1} more)" if len(values) > 1 else "")


def _got(value: Any) -> str:
    return f"the bare name {name(value)}" if type(value) is Bare else shown(value)
