"""The comparison of a call with what is wanted as BFCL's own checker does it, laxness and all.

The Berkeley Function-Calling Leaderboard (Patil et al., ICML 2025) judges a call by the types its tool's schema names:

- strings without regard to case, spaces and ``,./-_*^`` ("-5" is "5"); ``'`` is ``"``;
- an integer may stand for a float, 5.0 is no integer;
- an argument may have the type of the accepted values in place of the schema's (a variable's name, say);
- the items of a list all have the type the schema gives them, one level deep; strings in a list are compared as above,
  those inside further lists as they are;
- an object may leave out the keys whose accepted values hold ""; where leaving out is accepted, so is an empty list;
- an argument the schema requires must be there, whatever is accepted; one that the schema does not know must not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalsvc.scoring.calls import Call
from evalsvc.scoring.calls.shown import name, shown
from evalsvc.scoring.calls.wanted import Wanted, same_name

_KINDS: Mapping[Any, type] = {
    "string": str,
    "any": str,
    "integer": int,
    "number": float,
    "float": float,
    "boolean": bool,
    "array": list,
    "tuple": list,
    "object": dict,
    "dict": dict,
}
_IGNORED = str.maketrans("'", '"', " ,./-_*^")


def difference(call: Call, wanted: Wanted) -> str | None:
    """The first thing in which a call is not the wanted one, in words; None if it is."""
    if not same_name(call.name, wanted.name):
        return f"wanted a call of {name(wanted.name)}, got one of {name(call.name)}"
    if not wanted.offered:
        return f"wanted a call of {name(wanted.name)}, which is none of the case's tools"
    return _arguments_differ(call, wanted)


def _arguments_differ(call: Call, wanted: Wanted) -> str | None:
    accepted, properties = wanted.accepted, _properties(wanted)
    for key in _required(wanted):
        if key not in call.arguments:
            return f"argument {name(str(key))} is missing, which its tool requires"
    for key, value in call.arguments.items():
        if key not in accepted or (properties is not None and key not in properties):
            return f"argument {name(key)} is not wanted"
        choices = _as_list(accepted[key]) if wanted.alternatives else [accepted[key]]
        if wrong := _wrong(value, choices, (properties or {}).get(key), plain=not wanted.alternatives):
            return f"argument {name(key)}: {wrong}, got {shown(value)}"
    for key, values in accepted.items():
        if key not in call.arguments and not (wanted.alternatives and "" in _as_list(values)):
            return f"argument {name(key)} is missing"
    return None


def _alternatives(value: Any, items: type | None = None) -> Any:
    """A plain value in the form of the ground truth: each key of an object has a list of one accepted value.

    What a list holds is compared as it stands, but for objects in an argument whose ``items`` are such.
    """
    if isinstance(value, dict):
        return {key: _alternatives(inner) if isinstance(inner, dict) else [inner] for key, inner in value.items()}
    return [_alternatives(inner) for inner in value] if isinstance(value, list) and items is dict else value


def _properties(wanted: Wanted) -> Mapping[str, Any] | None:
    """What the tool's schema says of each argument; None without it."""
    found = wanted.parameters.get("properties") if isinstance(wanted.parameters, dict) else None
    return found if isinstance(found, dict) else None


def _required(wanted: Wanted) -> list[Any]:
    found = wanted.parameters.get("required") if isinstance(wanted.parameters, dict) else None
    return found if isinstance(found, list) else []


def _wrong(value: Any, accepted: list[Any], schema: Any, *, plain: bool) -> str | None:
    """What is wrong with an argument, or None; ``plain`` is whether what is accepted stands there as it is."""
    known, schema = schema is not None, schema if isinstance(schema, dict) else {}
    usual = next((type(choice) for choice in accepted if choice != ""), None)
    kind = _kind(schema) or (str if known else usual) or str
    if kind is float and type(value) is int and abs(value) < 2**1000:
        value = float(value)
    items = _kind(schema.get("items")) if kind is list else None
    given = str if isinstance(value, str) else type(value)  # a bare name is a text here
    if given is kind:
        if items is not None and not any(_all_of(value, choice, items) for choice in accepted):
            return f"wanted items of type {schema['items']['type']}"
    elif given is not usual:
        return f"wanted a value of type {schema.get('type', kind.__name__)}"
    if usual in (None, kind) and given is kind and kind in (str, list, dict):
        right = _matches(value, [_alternatives(each, items) for each in accepted] if plain else accepted, items)
    else:
        right = value in accepted
    return None if right else f"wanted {shown(next((choice for choice in accepted if choice != ''), ''))} or the like"


def _kind(schema: Any) -> type | None:
    said = schema.get("type") if isinstance(schema, dict) else None
    return _KINDS.get(said) if isinstance(said, str) else None


def _all_of(value: list[Any], choice: Any, kind: type) -> bool:
    """Whether all items have the type the schema says, or that of the accepted list's own."""
    if not isinstance(choice, list):
        return True
    usual = next((type(item) for item in choice if item != ""), None)
    return all(type(item) in (kind, usual) for item in value)


def _matches(value: Any, accepted: list[Any], items: type | None) -> bool:
    if isinstance(value, str):
        return _standard(value) in [_standard(choice) for choice in accepted if isinstance(choice, str)]
    if isinstance(value, dict):
        return any(_object_matches(value, choice) for choice in accepted)
    if items is dict:
        return any(_objects_match(value, choice) for choice in accepted)
    return _standard(value) in [_standard(choice) if choice else [] for choice in accepted]


def _objects_match(value: list[Any], choice: Any) -> bool:
    if not isinstance(choice, list):
        return choice == "" and not value
    pairs = zip(value, choice, strict=False)
    return len(value) == len(choice) and all(_object_matches(one, other) for one, other in pairs)


def _object_matches(value: Any, choice: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(choice, dict) or not value.keys() <= choice.keys():
        return False
    return all(
        _value_matches(value[key], accepted) if key in value else "" in _as_list(accepted)
        for key, accepted in choice.items()
    )


def _value_matches(value: Any, accepted: Any) -> bool:
    """Whether the value of a key inside an object is accepted. Objects in it are told by their keys as well."""
    if isinstance(accepted, dict):
        return _object_matches(value, accepted)
    return _one(value) in [_one(choice) for choice in _as_list(accepted)]


def _as_list(accepted: Any) -> list[Any]:
    return accepted if isinstance(accepted, list) else [accepted]


def _standard(value: Any) -> Any:
    """A string as it is compared; a list with its strings so."""
    return [_one(item) for item in value] if isinstance(value, list) else _one(value)


def _one(value: Any) -> Any:
    return value.translate(_IGNORED).lower() if isinstance(value, str) else value
