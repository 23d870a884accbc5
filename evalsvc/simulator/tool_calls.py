"""The tool calls the simulator answers with: those a case wants, or ones that are surely not wanted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalsvc.core.records import Case

Call = dict[str, Any]

_NUMBERED = re.compile(r"(.+)[ _]\d+", re.DOTALL)
_FILLERS = {"integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}}


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCalls:
    """What a case with tools wants called; nothing at all where ``right`` is empty.

    ``accepted`` has the accepted values of each argument of each call, with "" where it may be left out.
    """

    right: Sequence[Call]
    accepted: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, case: Case) -> KnownCalls | None:
        """The calls of a case; None where it has no tools, or expects a text."""
        expected = case.expected
        items = [] if expected is None else expected if isinstance(expected, list) else [expected]
        if not case.tools or not all(isinstance(item, dict) for item in items):
            return None
        tools = [tool["function"] if isinstance(tool.get("function"), dict) else tool for tool in case.tools]
        names = [str(tool.get("name")) for tool in tools]
        pairs = [pair for item in items for pair in _calls(item)]
        right = [{"name": _tool(name, names), "arguments": _first_accepted(accepted)} for name, accepted in pairs]
        return cls(right=right, accepted=[accepted for _, accepted in pairs], tools=tools)

    def wrong(self, pick: float) -> Sequence[Call]:
        """Calls that are not accepted, none at all among them; ``pick`` in [0, 1) chooses."""
        choices = list(self._wrong_ones())
        return choices[int(pick * len(choices))]

    def _wrong_ones(self) -> Iterator[Sequence[Call]]:
        if not self.right:
            yield [_any_call(tool) for tool in self.tools[:1]]
            return
        for place, call in enumerate(self.right):
            for key, value in call["arguments"].items():
                anywhere = [choice for each in self.accepted for choice in _as_list(each.get(key, ()))]
                yield self._with(place, arguments=call["arguments"] | {key: _other(value, anywhere)})
                if "" not in anywhere:
                    yield self._with(place, arguments={k: v for k, v in call["arguments"].items() if k != key})
        others = [str(tool.get("name")) for tool in self.tools if tool.get("name") != self.right[0]["name"]]
        yield self._with(0, name=others[0] if others else f"{self.right[0]['name']}_all")
        yield [*self.right, self.right[-1]]
        yield []

    def _with(self, place: int, **changed: Any) -> Sequence[Call]:
        return [*self.right[:place], self.right[place] | changed, *self.right[place + 1 :]]


def _calls(item: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(function, accepted values of each argument) of each call in either form of `expected`."""
    if isinstance(item.get("name"), str):
        arguments = item.get("arguments")
        plain = arguments if isinstance(arguments, dict) else {}
        yield item["name"], {key: [_Plain(value)] for key, value in plain.items()}
        return
    for name, accepted in item.items():
        yield name, accepted if isinstance(accepted, dict) else {}


@dataclass(frozen=True, slots=True)
class _Plain:
    """A value that is meant as it stands, an object in it too."""

    value: Any


def _first_accepted(accepted: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments, or an object inside one, with the first accepted value of each key."""
    found = {}
    for key, values in accepted.items():
        choices = [value for value in _as_list(values) if value != ""]
        if choices:
            found[key] = _settled(choices[0])
    return found


def _as_list(values: Any) -> Sequence[Any]:
    return values if isinstance(values, list | tuple) else [values]


def _settled(value: Any) -> Any:
    if isinstance(value, _Plain):
        return value.value
    if isinstance(value, dict):
        return _first_accepted(value)
    return [_settled(item) for item in value] if isinstance(value, list) else value


def _other(value: Any, accepted: Sequence[Any]) -> Any:
    """A value like that one that is not accepted, by the laxest comparison."""
    taken = {_bare(_settled(choice)) for choice in accepted}
    return next(other for other in _like(value) if _bare(other) not in taken)


def _like(value: Any) -> Iterator[Any]:
    if isinstance(value, bool):
        yield not value
    for step in range(1, 1000):
        if isinstance(value, list):
            yield [*value, *[value[-1] if value else "other"] * step]
        elif isinstance(value, dict):
            yield value | {f"other{step}": step}
        elif isinstance(value, float):
            yield value / (step + 1) + step
        elif isinstance(value, int):
            yield value + step
        else:
            yield f"{value or 'other'} {step + 1}"


def _bare(value: Any) -> str:
    """What is left of a value to those who mind neither case nor punctuation, nor 5 for 5.0."""
    if isinstance(value, str):
        return re.sub(r"\W", "", value).casefold()
    return repr(float(value) if type(value) is int and abs(value) < 2**53 else value)


def _any_call(tool: Mapping[str, Any]) -> Call:
    """A call of a tool with whatever its schema requires."""
    schema = tool.get("parameters")
    schema = schema if isinstance(schema, dict) else {}
    properties, required = schema.get("properties"), schema.get("required")
    known = properties if isinstance(properties, dict) else {}
    keys = [key for key in required if isinstance(key, str)] if isinstance(required, list) else []
    return {"name": str(tool.get("name")), "arguments": {key: _filler(known.get(key)) for key in keys}}


def _filler(schema: Any) -> Any:
    return _FILLERS.get(str(schema.get("type")), "any") if isinstance(schema, dict) else "any"


def _tool(name: str, names: Sequence[str]) -> str:
    """The tool that is meant: its name, that with dots, that with a number behind it, or the only one there is."""
    numbered = _NUMBERED.fullmatch(name)
    for meant in (name, numbered[1] if numbered else name):
        for known in names:
            if known.replace(".", "_") == meant.replace(".", "_"):
                return known
    return names[0] if len(names) == 1 else name
