"""The data sets of the Berkeley Function-Calling Leaderboard (BFCL), where they are one turn of Python's types.

A question a row: ``{"id", "question": [[messages]], "function": [{"name", "description", "parameters"}]}``. The ground
truth stands in the same row, or in a row of its own, in the suite's file of ``answers`` (BFCL keeps two files) or
anywhere in this one: ``{"id", "ground_truth": [{function: {argument: [accepted values]}}]}``. No call is wanted where
it is an empty array, and in the categories called irrelevance, which have none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, BinaryIO

from evalsvc.core.records import Case
from evalsvc.core.toml_source import KeyPath
from evalsvc.suites.base import FORMATS, DataSet
from evalsvc.suites.row_format import Draft, RowFormat, prompt_of, rest_of
from evalsvc.suites.strict_json import Fault
from evalsvc.suites.tables import Row, read_table
from evalsvc.suites.values import all_are, describe, identity, missing_or_wrong, wrong

_KNOWN = ("id", "question", "function", "ground_truth", "category")
_NAMES = {"input": ("question",), "expected": ("ground_truth",), "tools": ("function",)}
_PLAYS = "involved_classes"
_NO_CALL = re.compile(r"(?:live_)?irrelevance")
_NUMBER = re.compile(r"[_-]\d[\d-]*\Z")
_TYPES: dict[str, dict[str, Any]] = {
    **{name: {"type": name} for name in ("string", "integer", "number", "boolean", "array", "object")},
    "dict": {"type": "object"},
    "tuple": {"type": "array"},
    "float": {"type": "number", "format": "float"},
    "any": {},
}


def _fits(row: Row) -> bool:
    asks = "question" in row and ("function" in row or _PLAYS in row)
    return asks or row.keys() == {"id", "ground_truth"}


def _is_question(row: Row, first: Row) -> bool:  # noqa: ARG001 - every row says for itself what it is
    return "question" in row or "ground_truth" not in row


@dataclass(frozen=True, slots=True, kw_only=True)
class _Joined(RowFormat):
    """Rows of questions, and rows of answers that are found by their ids."""

    def read(self, file: BinaryIO, data_set: DataSet) -> Iterator[Case]:
        """See `Format.read`."""
        truths = _Truths(where="every other row" if data_set.answers is None else data_set.answers[1])
        truths.add((each for each in read_table(file, data_set) if not _is_question(each[1], {})), data_set)
        file.seek(0)
        truths.add_answers(data_set)
        joined = replace(self, draft=partial(_draft, truths))
        yield from joined.cases(read_table(file, data_set), data_set)
        truths.check_all_taken()


class _Truths:
    """The ground truth of rows that are no questions, by id, until their questions take it."""

    def __init__(self, where: str = "every other row") -> None:
        self.where = where
        self._left: dict[str, tuple[Any, int, DataSet]] = {}

    def add(self, table: Iterable[tuple[int, Row]], data_set: DataSet) -> None:
        for line, row in table:
            try:
                self._add(row, line, data_set)
            except Fault as fault:
                raise data_set.error(fault.message, line=line, path=fault.path) from None

    def add_answers(self, data_set: DataSet) -> None:
        """Those of the suite's file of answers, where there is one."""
        if data_set.answers is None:
            return
        path, name = data_set.answers
        own = replace(data_set, name=name)
        try:
            file = path.open("rb")
        except OSError as error:
            raise own.error(f"cannot be read: {error.strerror}") from None
        with file:
            self.add(read_table(file, own), own)

    def take(self, case_id: str) -> Any:
        return self._left.pop(case_id, (None,))[0]

    def check_all_taken(self) -> None:
        """Raise `JobError` for the first that belongs to no question, or to one that has its own already."""
        for case_id, (_, line, data_set) in self._left.items():
            message = f'"{case_id}" is no question without a ground truth: is it the right file?'
            raise data_set.error(message, line=line, path=("id",))

    def _add(self, row: Row, line: int, data_set: DataSet) -> None:
        case_id = identity(row.get("id"), ("id",))
        if not case_id:
            raise Fault("missing; the question that is answered", ("id",))
        if case_id in self._left:
            raise Fault(f'a second ground truth of "{case_id}"', ("id",))
        if "ground_truth" not in row:
            raise Fault("missing; the accepted calls, or [] for no call", ("ground_truth",))
        self._left[case_id] = (row["ground_truth"], line, data_set)


def _draft(truths: _Truths, row: Row) -> Draft:
    if _PLAYS in row:
        raise Fault("a category that plays with an environment (multi-turn, memory, web search) cannot be read")
    case_id = identity(row.get("id"), ("id",))
    category, numbered = _NUMBER.subn("", case_id)
    return {
        "id": row.get("id"),
        "category": row.get("category") or (category if numbered else None),
        "input": _input(row),
        "expected": _expected(row, case_id, truths),
        "tools": _tools(row),
        "metadata": rest_of(row, *_KNOWN),
    }


FORMATS.register("bfcl")(_Joined(fits=_fits, draft=partial(_draft, _Truths()), names=_NAMES, keep=_is_question))


def _input(row: Row) -> Any:
    """The one turn's messages."""
    question = row.get("question")
    if type(question) is list and question and all_are(list, question):
        if len(question) > 1:
            raise Fault(f"has {len(question)} turns; questions of one turn can be read", ("question",))
        question = question[0]
    if type(question) is str:
        return question
    if type(question) is not list or not question:
        raise missing_or_wrong(row, "question", "an array with one array of messages")
    return prompt_of(question)


def _expected(row: Row, case_id: str, truths: _Truths) -> list[dict[str, Any]]:
    truth = row.get("ground_truth")
    if truth is None:
        truth = truths.take(case_id)
    if truth is None and _NO_CALL.match(case_id):
        return []
    if truth is None:
        # "relevance" asks for any call in some versions and for none in others: to guess would turn scores around
        said = f'no ground truth of "{case_id}", here or in {truths.where}; the accepted calls, or [] for no call'
        raise Fault(said, ("ground_truth",))
    calls = [truth] if type(truth) is dict else truth
    wanted = "{function: {argument: [accepted values]}}"
    if type(calls) is not list:
        raise wrong(("ground_truth",), f"an array of objects {wanted}", truth)
    for index, call in enumerate(calls):
        if type(call) is not dict:
            raise wrong(("ground_truth", index), f"an object {wanted}", call)
        if not call:
            raise Fault("an empty object names no call; [] says that none is wanted", ("ground_truth", index))
    return [{name: arguments} for call in calls for name, arguments in call.items()]


def _tools(row: Row) -> list[dict[str, Any]]:
    """The functions as OpenAI's API takes them: JSON Schema's types, and no dots in names."""
    functions: Any = row.get("function")
    if type(functions) is dict:
        functions = [functions]
    if type(functions) is not list or not all_are(dict, functions):
        raise missing_or_wrong(row, "function", "an array of functions")
    return [_tool(function, ("function", index)) for index, function in enumerate(functions)]


def _tool(function: dict[str, Any], path: KeyPath) -> dict[str, Any]:
    name = function.get("name")
    if type(name) is not str or not name:
        raise missing_or_wrong(function, "name", "a string", path)
    if type(function.get("parameters")) is not dict:
        raise missing_or_wrong(function, "parameters", "an object: a schema of the arguments", path)
    parameters = _schema(function["parameters"], (*path, "parameters"))
    return {"type": "function", "function": function | {"name": name.replace(".", "_"), "parameters": parameters}}


def _schema(node: dict[str, Any], path: KeyPath) -> dict[str, Any]:
    """A schema in which BFCL's names of types are JSON Schema's."""
    found = {key: value for key, value in node.items() if key != "type"}
    if "type" in node:
        found = _type(node["type"], (*path, "type")) | found
    if isinstance(node.get("properties"), dict):
        below = (*path, "properties")
        found["properties"] = {
            key: _schema(inner, (*below, key)) if isinstance(inner, dict) else inner
            for key, inner in node["properties"].items()
        }
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            found[key] = _schema(node[key], (*path, key))
    return found


def _type(name: Any, path: KeyPath) -> dict[str, Any]:
    if type(name) is not str or name not in _TYPES:
        known = ", ".join(_TYPES)
        raise Fault(f"must be one of {known} (Java's and JavaScript's cannot be read), got {describe(name)}", path)
    return _TYPES[name]
