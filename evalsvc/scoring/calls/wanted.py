"""What a case wants called: its `expected`, in either of two forms, with the tools it belongs to.

Plain: ``{"name": "book", "arguments": {"day": "Monday"}}``. With alternatives, as BFCL writes its ground truth:
``{"book": {"day": ["Monday", "Mon"], "seats": [2, ""]}}``, the accepted values of each argument, where ``""`` means
that it may be left out; the same holds for the keys of objects inside. Parallel calls are a list of either.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from evalsvc.core.records import Case
from evalsvc.scoring.calls.shown import name as shown_name

_DEEPEST = 64
_MOST = 100
_NUMBERED = re.compile(r"(?P<name>.+)[ _]\d+", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One wanted call.

    ``name`` is the tool's, ``written`` the name as `expected` has it. ``accepted`` holds the values of each argument as
    in BFCL's ground truth if ``alternatives``, else the one value of each. ``parameters`` is the JSON Schema of the
    tool's arguments, None without the tool; ``offered`` is false where the case has tools and this is none of them.
    """

    name: str
    written: str
    accepted: Mapping[str, Any]
    alternatives: bool
    parameters: Any
    offered: bool


class BadExpected(Exception):
    """An `expected` that wants no calls one could compare with; the message says why."""


def wanted_calls(case: Case, *, bfcl: bool = False) -> list[Wanted]:
    """The wanted calls, none if no call is wanted.

    With ``bfcl`` a ground truth is taken as it is, one that no call can satisfy too: BFCL has some.

    Raises:
        BadExpected: says what is wrong with `expected`.
    """
    expected = case.expected
    items = [] if expected is None else expected if isinstance(expected, list) else [expected]
    tools = tools_of(case)
    found = [wanted for item in items for wanted in _item(item, tools, bfcl=bfcl)]
    if len(found) > _MOST:
        raise BadExpected(f"expected wants {len(found)} calls; at most {_MOST} are compared")
    return found


def lacks(case: Case, *, bfcl: bool = False) -> str | None:
    """What keeps a case from being scored, or None."""
    if case.expected is None and not case.tools:
        return "has no expected, and no tools that should be left alone ([] says that no call is wanted)"
    if _depth(case.expected) > _DEEPEST:
        return f"expected is nested deeper than {_DEEPEST} levels"
    try:
        found = wanted_calls(case, bfcl=bfcl)
    except BadExpected as error:
        return str(error)
    stranger = next((wanted for wanted in found if not wanted.offered), None)
    if stranger is not None and not bfcl:
        return f"expected calls {shown_name(stranger.name)}, which is none of the case's tools"
    return None


def tools_of(case: Case) -> dict[str, Any]:
    """The JSON Schema of each tool's arguments, by its name. A tool without one takes no argument."""
    found = {}
    for tool in case.tools or ():
        function = tool.get("function")
        body = function if isinstance(function, dict) else tool
        parameters = body.get("parameters")
        found[str(body.get("name"))] = NO_ARGUMENTS if parameters is None else parameters
    return found


#: The schema of a tool that has none.
NO_ARGUMENTS: Mapping[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}


def same_name(one: str, other: str) -> bool:
    """Whether two names are one to BFCL: OpenAI's API allows no dots, so ``math.gcd`` is asked for as ``math_gcd``."""
    return one == other or one.replace(".", "_") == other.replace(".", "_")


def _item(item: Any, tools: Mapping[str, Any], *, bfcl: bool) -> Iterator[Wanted]:
    if not isinstance(item, dict) or not item:
        raise BadExpected('expected should be {"name", "arguments"}, a list of such, or null for no call')
    if isinstance(item.get("name"), str):
        yield _plain(item, tools)
        return
    for key, accepted in item.items():
        if not bfcl and not _is_ground_truth(accepted):
            raise BadExpected(f"expected: {shown_name(key)} should hold a list of the accepted values of each argument")
        written = _without_number(key, tools)
        if bfcl and len(tools) == 1 and len(item) == 1:
            written = next(iter(tools))  # of a single function BFCL looks at the arguments only
        yield _of_tool(written, tools, accepted=accepted if isinstance(accepted, dict) else {}, alternatives=True)


def _plain(item: dict[str, Any], tools: Mapping[str, Any]) -> Wanted:
    if item.keys() - {"name", "arguments"}:
        raise BadExpected('expected should have the keys "name" and "arguments" and no others')
    arguments = item.get("arguments", {})
    if not isinstance(arguments, dict):
        raise BadExpected("expected.arguments should be an object")
    return _of_tool(item["name"], tools, accepted=arguments, alternatives=False)


def _is_ground_truth(accepted: Any) -> bool:
    return isinstance(accepted, dict) and all(isinstance(values, list) and values for values in accepted.values())


def _without_number(key: str, tools: Mapping[str, Any]) -> str:
    """The function of a key such as "book 1" or "book_2": a repeated call in one object, unless a tool is called so."""
    numbered = _NUMBERED.fullmatch(key)
    repeated = numbered is not None and _tool(key, tools) is None and _tool(numbered["name"], tools) is not None
    return numbered["name"] if numbered and repeated else key


def _of_tool(written: str, tools: Mapping[str, Any], **fields: Any) -> Wanted:
    name = _tool(written, tools)
    return Wanted(
        name=name or written,
        written=written,
        parameters=tools.get(name) if name else None,
        offered=name is not None or not tools,
        **fields,
    )


def _tool(name: str, tools: Mapping[str, Any]) -> str | None:
    """The tool that a name means."""
    return name if name in tools else next((tool for tool in tools if same_name(tool, name)), None)


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [inner for node in level for inner in _inner(node)]
    return depth


def _inner(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        yield from node.values()
    elif isinstance(node, list):
        yield from node
