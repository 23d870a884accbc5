"""The scorer `json_match`: an answer's JSON value against the expected one, path by path."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from evalsvc.core.records import Case, Score
from evalsvc.errors import ScoringError
from evalsvc.scoring.base import scorer
from evalsvc.scoring.json_text import Document, JsonScorer, NotJson, read
from evalsvc.scoring.text import normal_form, quote

#: An option: a JSON Pointer (RFC 6901): "" is the whole value, "/items/0/price" a part of it.
Pointer = Annotated[str, Field(pattern=r"^(?:/(?:[^~/]|~[01])*)*$")]

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_MOST_VALUES = 100_000
_NOTHING = object()
_Steps = tuple[Any, ...]  # (place of the parent, key): a chain costs nothing until it is written out


@dataclass(slots=True)
class _Tally:
    """Leaves that are expected, those that agree, those nobody asked for, and where the first difference is."""

    expected: int = 0
    right: int = 0
    extra: int = 0
    difference: _Steps | None = field(default=None)

    def share(self, *, count_extra: bool) -> float:
        return self.right / (self.expected + (self.extra if count_extra else 0))


@scorer("json_match")
@dataclass(frozen=True, slots=True, kw_only=True)
class JsonMatch(JsonScorer):
    """The share of leaves at which the answer's JSON value and the expected one agree.

    A leaf is a text, a number, true, false, null, or an empty object or array; its path is the keys and indexes that
    lead to it. The score is leaves that agree / leaves of either: 1 if and only if the values are equal. Keys have no
    order, arrays have one. Numbers are compared as numbers (1 is 1.0), and true is no number. `expected` is the value
    itself if it is an object, or a text that holds it as JSON; of a list the best one counts.

    It misleads where one leaf matters more than others (name it in `paths`), and where an array may come in any order:
    one missing first item makes every other one wrong.

    Options:
        paths: only what these JSON Pointers name is compared; each must be there in `expected`.
        extra: whether leaves that `expected` does not have "count" against the answer, or it is right to "ignore" them.
        tolerance: greatest absolute difference of two numbers.
        ignore_case: compare texts case-folded.
    """

    paths: Annotated[list[Pointer], Field(min_length=1)] | None = None
    extra: Literal["count", "ignore"] = "count"
    tolerance: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    ignore_case: bool = False

    def check(self, case: Case) -> str | None:
        """The case needs a JSON value in `expected`, with all the paths."""
        if case.expected is None:
            return "has no expected"
        if not (expected := _alternatives(case)):
            return "expected should be an object, or a text that holds JSON, or a list of them"
        for each in expected:
            try:
                value = _value(each)
                for path in self.paths or []:
                    _at(value, path, needed=True)
            except (NotJson, LookupError, ScoringError) as error:
                return f"expected: {error}"
        return None

    def judge(self, document: Document, case: Case) -> Score:
        """Compares with every accepted value; the best counts. Raises ScoringError where that is too much."""
        accepted = _alternatives(case)
        if len(accepted) * document.nodes > _MOST_VALUES:
            raise ScoringError(f"{document.nodes} values: too many to compare with {len(accepted)} accepted ones")
        tallies = [self._tally(_value(expected), document.value) for expected in accepted]
        count_extra = self.extra == "count"
        best = max(tallies, key=lambda tally: tally.share(count_extra=count_extra))
        value = best.share(count_extra=count_extra)
        where = f"; the first difference is at {_shown(best.difference)}" if best.difference is not None else ""
        extra = f", {best.extra} more than expected" if best.extra and count_extra else ""
        return Score(value=value, explanation=f"{best.right} of {best.expected} values are right{extra}{where}")

    def _tally(self, expected: Any, answer: Any) -> _Tally:
        tally = _Tally()
        for path in self.paths or [""]:
            start: _Steps = ()
            for key in _steps(path):
                start = (start, key)
            self._compare(_at(expected, path, needed=True), _at(answer, path), start, tally)
        return tally

    def _compare(self, expected: Any, answer: Any, start: _Steps, tally: _Tally) -> None:
        todo = [(expected, answer, start)]
        while todo:
            wanted, got, place = todo.pop()
            if _is_leaf(wanted):
                agree = self._same(wanted, got)
                tally.expected += 1
                tally.right += agree
                tally.extra += 0 if _is_leaf(got) else _leaves(got)
                if not agree and tally.difference is None:
                    tally.difference = place
                continue
            # Keys of objects are texts, those of arrays numbers: an object and an array share none.
            inner, found = dict(_items(wanted)), {} if _is_leaf(got) else dict(_items(got))
            more = [value for key, value in found.items() if key not in inner]
            more += [got] if _is_leaf(got) and got is not _NOTHING else []
            tally.extra += sum(map(_leaves, more))
            if more and tally.difference is None and self.extra == "count":
                tally.difference = place
            todo += [(value, found.get(key, _NOTHING), (place, key)) for key, value in reversed(inner.items())]

    def _same(self, wanted: Any, got: Any) -> bool:
        if isinstance(wanted, str) and isinstance(got, str):
            return self._text(wanted) == self._text(got)
        if _is_number(wanted) and _is_number(got):
            return bool(wanted == got or abs(wanted - got) <= self.tolerance)
        return type(wanted) is type(got) and bool(wanted == got)

    def _text(self, text: str) -> str:
        normal = text if self.unicode == "none" else normal_form(text, self.unicode)
        return normal.casefold() if self.ignore_case else normal


def _alternatives(case: Case) -> list[Any]:
    """The accepted values as the case gives them; empty where one of them is neither an object nor a text."""
    accepted = case.expected if isinstance(case.expected, list) else [case.expected]
    return accepted if all(isinstance(each, dict | str) for each in accepted) else []


def _value(expected: Any) -> Any:
    """Raises NotJson."""
    return read(expected).value if isinstance(expected, str) else expected


def _is_leaf(value: Any) -> bool:
    return not (isinstance(value, dict | list) and value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _items(value: Any) -> Iterator[tuple[Any, Any]]:
    return iter(value.items()) if isinstance(value, dict) else enumerate(value)


def _leaves(value: Any) -> int:
    count, todo = 0, [value]
    while todo:
        node = todo.pop()
        if _is_leaf(node):
            count += 1
        else:
            todo += [each for _, each in _items(node)]
    return count


def _steps(pointer: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _at(value: Any, pointer: str, *, needed: bool = False) -> Any:
    """What a JSON Pointer names, or `_NOTHING`. Raises LookupError where that is ``needed``."""
    for step in _steps(pointer):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and _INDEX.fullmatch(step) and int(step) < len(value):
            value = value[int(step)]
        elif needed:
            raise LookupError(f"has nothing at {quote(pointer)}")
        else:
            return _NOTHING
    return value


def _shown(place: _Steps) -> str:
    """A place as a JSON Pointer."""
    keys = []
    while place:
        place, key = place
        keys.append(str(key).replace("~", "~0").replace("/", "~1"))
    return quote("".join(f"/{key}" for key in reversed(keys)))
