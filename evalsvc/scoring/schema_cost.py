"""What a JSON Schema may cost, told before it is used: a few references can double the work a hundred times over.

The validator follows references as they are written; {"allOf": [{"$ref": "b"}, {"$ref": "b"}]}, where b does the same
with c, and so on, costs 2 to the number of steps. It holds the interpreter while it works, so no time limit would help.
What it remembers is what leads back into a schema that is being evaluated: such a reference costs once per value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

_MOST_UNITS = 10_000
_MOST_STEPS = 100
_METASCHEMA = "json-schema.org/"
_METASCHEMA_UNITS = 200
_A_METASCHEMA: dict[str, Any] = {}  # stands in for all of them: they are not in the document
#: Units of a pattern with lookaround or backreference, evaluated by backtracking.
BACKTRACKING_UNITS = 2_000

_LISTS = ("allOf", "anyOf", "oneOf")
_SINGLES = ("not", "if", "then", "else")
_MAPS = ("dependentSchemas", "dependencies")
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_ANY_CHILD = (
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "items",
    "additionalItems",
    "unevaluatedItems",
    "contains",
)

_Schema = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a schema may cost.

    ``units``: evaluations it may ask of one value in a document (about 100 ns each). ``again``: how many of them may
    lead back into a schema that is being evaluated.
    """

    units: int
    again: int


def cost_of(schema: object, backtracking: frozenset[str] = frozenset()) -> Cost:
    """What a schema may cost; an upper bound, in time linear in its size.

    Args:
        schema: a schema that the validator accepts.
        backtracking: its patterns that are evaluated by backtracking.

    Raises:
        ValueError: too much for any answer: references that multiply, or lead in a circle.
    """
    if not isinstance(schema, dict):
        return Cost(units=1, again=0)
    graph = _Graph(schema, backtracking)
    cost = graph.cost()
    graph.check_steps()
    return cost


@dataclass(slots=True)
class _Edge:
    """``times`` × the costliest of ``targets``: only one of them applies to any one value."""

    targets: list[_Schema]
    times: int = 1


@dataclass(slots=True)
class _Node:
    own: int
    here: list[_Edge] = field(default_factory=list)  # evaluated on the same value
    below: list[_Edge] = field(default_factory=list)  # evaluated on a part of it


class _Graph:
    """Schemas, and which others each of them evaluates."""

    def __init__(self, root: _Schema, backtracking: frozenset[str]) -> None:
        self._root = root
        self._backtracking = backtracking
        self._places = _Places(root)
        self._nodes = {id(_A_METASCHEMA): _Node(own=_METASCHEMA_UNITS)}

    def check_steps(self) -> None:
        """Raises ValueError where one value is handed on too often: the validator's stack would overflow."""
        heights: dict[int, int] = {}
        for node in list(self._nodes.values()):
            self._height(node, heights, 0)

    def _height(self, node: _Node, heights: dict[int, int], depth: int) -> int:
        height = heights.get(id(node), 0 if depth <= _MOST_STEPS else depth)
        if id(node) not in heights and depth <= _MOST_STEPS:
            for edge in node.here:
                for target in edge.targets:
                    height = max(height, 1 + self._height(self._node(target), heights, depth + 1))
            heights[id(node)] = height
        if height > _MOST_STEPS:
            raise ValueError(f"more than {_MOST_STEPS} references from one to the next, or in a circle")
        return height

    def cost(self) -> Cost:
        """Depth first, as the validator compiles: what leads back to a schema still open costs one unit."""
        costs: dict[int, Cost] = {}
        again = Cost(units=1, again=1)
        opened = {id(self._root)}
        stack = [(self._root, self._next(self._root))]
        while stack:
            schema, targets = stack[-1]
            target = next((each for each in targets if id(each) not in opened), None)
            if target is not None:
                opened.add(id(target))
                stack.append((target, self._next(target)))
                continue
            stack.pop()
            node = self._node(schema)
            parts = [
                (edge.times, [costs.get(id(each), again) for each in edge.targets]) for edge in node.here + node.below
            ]
            costs[id(schema)] = Cost(
                units=node.own + sum(times * max(each.units for each in some) for times, some in parts),
                again=sum(times * max(each.again for each in some) for times, some in parts),
            )
            if costs[id(schema)].units > _MOST_UNITS:
                raise ValueError(f"its references multiply: more than {_MOST_UNITS} evaluations of one value")
        return costs[id(self._root)]

    def _next(self, schema: _Schema) -> Iterator[_Schema]:
        node = self._node(schema)
        return (target for edge in node.here + node.below for target in edge.targets)

    def _node(self, schema: _Schema) -> _Node:
        if id(schema) not in self._nodes:
            self._nodes[id(schema)] = self._made(schema)
        return self._nodes[id(schema)]

    def _made(self, schema: _Schema) -> _Node:
        node = _Node(own=1 + len(_list(schema, "enum")) // 8)
        # What is left unevaluated is told by evaluating once more all that applies to the same value.
        times = 2 if {"unevaluatedProperties", "unevaluatedItems"} & schema.keys() else 1
        named = _map(schema, "patternProperties")
        node.own += BACKTRACKING_UNITS * len(self._backtracking & {*named, str(schema.get("pattern"))})
        beside = [each for key in _LISTS for each in _list(schema, key)]
        beside += [schema[key] for key in _SINGLES if key in schema]
        beside += [each for key in _MAPS for each in _map(schema, key).values()]
        for key in _REFERENCES:
            if isinstance(schema.get(key), str):
                beside += self._places.found(schema, key)
        node.here = [_Edge([each], times) for each in beside if isinstance(each, dict)]
        alternatives = [list(_map(schema, "properties").values()), _list(schema, "items"), _list(schema, "prefixItems")]
        alternatives += [[each] for each in named.values()] + [[schema.get(key)] for key in _ANY_CHILD]
        kept = ([each for each in some if isinstance(each, dict)] for some in alternatives)
        node.below = [_Edge(some) for some in kept if some]
        return node


class _Places:
    """Where the schemas of a document are, and which of them a reference may mean.

    More than one where that is open (an `$id` inside an `enum` is none): the costliest will count.
    """

    def __init__(self, root: _Schema) -> None:
        self.all: list[_Schema] = []
        self._root = root
        self._bases: dict[int, str] = {}
        self._named: dict[str, list[_Schema]] = {}
        self._dynamic: dict[str, list[_Schema]] = {}
        self._visit(root)

    def _visit(self, root: _Schema) -> None:
        todo: list[tuple[Any, str]] = [(root, "")]
        while todo:
            node, base = todo.pop()
            if isinstance(node, list):
                todo += [(each, base) for each in node]
            elif isinstance(node, dict):
                base = self._file(node, base)
                todo += [(each, base) for each in node.values()]

    def _file(self, node: _Schema, base: str) -> str:
        """Remembers the names of a schema; its base URI."""
        self.all.append(node)
        for key in ("$id", "id"):
            if isinstance(node.get(key), str):
                base = _joined(base, node[key])
                self._named.setdefault(base.rstrip("#"), []).append(node)
        for key in ("$anchor", "$dynamicAnchor"):
            if isinstance(node.get(key), str):
                self._named.setdefault(f"{base.rstrip('#')}#{node[key]}", []).append(node)
        if isinstance(node.get("$dynamicAnchor"), str):
            self._dynamic.setdefault(node["$dynamicAnchor"], []).append(node)
        if node.get("$recursiveAnchor") is True:
            self._dynamic.setdefault("", []).append(node)
        self._bases[id(node)] = base
        return base

    def found(self, schema: _Schema, key: str) -> list[_Schema]:
        """The schemas a reference may lead to. Raises ValueError where that cannot be told."""
        reference = schema[key]
        document, fragment = urldefrag(_joined(self._bases[id(schema)], reference))
        starts = self._named.get(document, []) + ([self._root] if reference.startswith("#") or not document else [])
        if fragment.startswith("/"):
            found = [place for start in starts if (place := _walk(start, fragment)) is not None]
        elif fragment:
            found = list(self._named.get(f"{document}#{fragment}", []))
        else:
            found = starts
        if key != "$ref":
            found = found + self._dynamic.get(fragment, [])
        if not found and _METASCHEMA in document:
            return [_A_METASCHEMA]
        if not found:
            raise ValueError(f"where its {key} {reference!r} leads cannot be told")
        return list({id(each): each for each in found if isinstance(each, dict)}.values())


def _joined(base: str, reference: str) -> str:
    """`urljoin`, also for the URIs it does not know (urn:)."""
    return urldefrag(base).url + reference if reference.startswith("#") else urljoin(base, reference)


def _walk(node: Any, pointer: str) -> Any:
    for step in unquote(pointer)[1:].split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict) and key in node:
            node = node[key]
        elif isinstance(node, list) and key.isdecimal() and int(key) < len(node):
            node = node[int(key)]
        else:
            return None
    return node


def _list(schema: _Schema, key: str) -> list[Any]:
    value = schema.get(key)
    return value if isinstance(value, list) else []


def _map(schema: _Schema, key: str) -> Mapping[str, Any]:
    value = schema.get(key)
    return value if isinstance(value, dict) else {}
