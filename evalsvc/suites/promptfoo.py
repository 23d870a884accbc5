"""promptfoo's tests: a YAML configuration or list of tests, JSONL, or CSV with ``__expected`` columns.

A test is ``{"vars", "assert", "metadata", "description"}``. The prompt is the configuration's only one, or the job's
(``[suites.fields] input = "Translate {{text}}"``); else a variable called ``input`` or ``prompt``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

from evalsvc.core.records import Case
from evalsvc.suites.base import FORMATS, DataSet
from evalsvc.suites.fields import rendered
from evalsvc.suites.promptfoo_asserts import expected_of, from_cell
from evalsvc.suites.row_format import Draft, RowFormat
from evalsvc.suites.strict_json import Fault, loads
from evalsvc.suites.tables import Row, kind_of
from evalsvc.suites.values import describe, missing_or_wrong, obj

_TEST_KEYS = ("vars", "assert", "metadata", "description", "options", "threshold", "id")
_COLUMN = re.compile(r"__(expected\d*|metadata:.+|prefix|suffix|description|metric|threshold)")
_HOLE = "{{"


@FORMATS.register("promptfoo")
class Promptfoo:
    """The format plug-in."""

    @staticmethod
    def sniff(head: bytes, name: str) -> bool:
        """See `Format.sniff`."""
        return name.lower().endswith((".yaml", ".yml")) or _ROWS.sniff(head, name)

    @staticmethod
    def read(file: BinaryIO, data_set: DataSet) -> Iterator[Case]:
        """See `Format.read`."""
        if kind_of(file, data_set) == "yaml" or _is_configuration(file):
            return _configuration(file, data_set)
        return _ROWS.read(file, data_set)


def _is_configuration(file: BinaryIO) -> bool:
    """Whether a JSON file is one object over many lines."""
    first = file.readline(2**16).strip()
    file.seek(0)
    return first == b"{"


def _fits(row: Row) -> bool:
    return isinstance(row.get("vars"), dict) or any(_COLUMN.fullmatch(key) for key in row)


def _configuration(file: BinaryIO, data_set: DataSet) -> Iterator[Case]:
    raw = file.read(data_set.max_row_bytes + 1)
    if len(raw) > data_set.max_row_bytes:
        raise data_set.error(f"more than {data_set.max_row_bytes} bytes, which is read whole; write it as JSONL")
    from evalsvc.suites.yaml_rows import load_yaml  # noqa: PLC0415 - the parser is needed for these files only

    value, lines = load_yaml(raw, data_set)
    config = value if isinstance(value, dict) else {"tests": value}
    try:
        tests = _tests(config)
        template, default = _template(config, data_set), obj(config.get("defaultTest"), ("defaultTest",)) or {}
    except Fault as fault:
        raise data_set.error(fault.message, path=fault.path) from None
    return _ROWS.cases(_prepared(tests, lines, template, default, data_set), data_set)


def _tests(config: Mapping[str, Any]) -> list[Any]:
    tests = config.get("tests")
    if isinstance(tests, str):
        raise Fault(f'the tests stand in another file, "{tests[:100]}": name that one as the data set', ("tests",))
    if not isinstance(tests, list):
        raise missing_or_wrong(dict(config), "tests", "an array of tests")
    return tests


def _prepared(
    tests: Iterable[Any], lines: Mapping[int, int], template: Any, default: Row, data_set: DataSet
) -> Iterator[tuple[int, Row]]:
    """Tests as rows, each with what the configuration gives all of them."""
    for index, test in enumerate(tests):
        line = lines.get(id(test), 0)
        if not isinstance(test, dict):
            raise data_set.error(f"must be a test: an object, got {describe(test)}", path=("tests", index))
        row = {**default, **test}
        for key, empty in (("vars", {}), ("metadata", {}), ("assert", [])):
            row[key] = _joined(default.get(key), test.get(key), empty)
        yield line, row if template is None else row | {"prompt": template}


def _joined(default: Any, own: Any, empty: Any) -> Any:
    """What all tests have and what one has, together; anything of a wrong kind is left for the check to find."""
    both = [each for each in (default, own) if each is not None]
    if not all(isinstance(each, type(empty)) for each in both):
        return both[-1]
    if isinstance(empty, list):
        return [part for each in both for part in each]
    return {key: value for each in both for key, value in each.items()}


def _template(config: Mapping[str, Any], data_set: DataSet) -> Any:
    """The only prompt of a configuration: a text or messages with holes; None where the job or each test has it."""
    prompts = config.get("prompts")
    if prompts is None or "input" in data_set.fields:
        return None
    prompts = prompts if isinstance(prompts, list) else [prompts]
    if len(prompts) != 1:
        raise Fault(
            f"holds {len(prompts)} prompts: two models are compared on one; choose it in the job "
            '([suites.fields] input = "... {{name}} ...")',
            ("prompts",),
        )
    prompt = prompts[0].get("raw") if isinstance(prompts[0], dict) else prompts[0]
    if not isinstance(prompt, str) or prompt.startswith("file://") or re.search(r"\.(txt|md|js|py|json)\Z", prompt):
        raise Fault('stands in another file; write it into the job ([suites.fields] input = "...")', ("prompts", 0))
    return _parsed(prompt)


def _parsed(prompt: str) -> Any:
    """A prompt that is a chat, written as JSON, as messages."""
    if not prompt.lstrip().startswith("["):
        return prompt
    try:
        return loads(prompt.encode())
    except Fault:
        return prompt


def _scope(row: Row) -> Mapping[str, Any]:
    inner = row.get("vars")
    return {**row, **inner} if isinstance(inner, dict) else row


def _draft(row: Row) -> Draft:
    test = row if "vars" in row else _from_columns(row)
    values = obj(test.get("vars"), ("vars",)) or {}
    asserts = test.get("assert") or []
    if not isinstance(asserts, list):
        raise Fault(f"must be an array of assertions, got {describe(asserts)}", ("assert",))
    metadata = obj(test.get("metadata"), ("metadata",)) or {}
    category = metadata.get("category")
    draft = {
        "metadata": {**metadata, "vars": values, "description": test.get("description"), "assert": asserts},
        "category": category if isinstance(category, str) else None,
        **_filled(expected_of(asserts, ("assert",)), values),
    }
    prompt = test.get("prompt", values.get("input", values.get("prompt")))
    if prompt is None:
        return draft
    return draft | {"input": _filled(_around(prompt, test), values, key="input")}


def _around(prompt: Any, test: Row) -> Any:
    """The prompt with what a test puts before and after it."""
    options = obj(test.get("options"), ("options",)) or {}
    if not isinstance(prompt, str):
        return prompt
    return f"{options.get('prefix') or ''}{prompt}{options.get('suffix') or ''}"


def _filled(value: Any, values: Mapping[str, Any], key: str = "vars") -> Any:
    """A value with the variables put in, wherever there is a text with holes."""
    if isinstance(value, str):
        if value.startswith("file://"):
            raise Fault("stands in another file; write it here", (key,))
        return rendered(value, values, key) if _HOLE in value else value
    if isinstance(value, list):
        return [_filled(each, values, key) for each in value]
    if isinstance(value, dict):
        return {name: _filled(each, values, key) for name, each in value.items()}
    return value


def _from_columns(row: Row) -> Row:
    """A row of a CSV as a test: columns with two underscores say what is asserted, all others are variables."""
    special = {key: value for key, value in row.items() if key.startswith("__")}
    for key in special:
        if not _COLUMN.fullmatch(key):
            raise Fault(
                "unknown column; known: __expected, __expected1, ..., __prefix, __suffix, __metadata:NAME", (key,)
            )
    metadata = {key.partition(":")[2]: value for key, value in special.items() if key.startswith("__metadata:")}
    return {
        "vars": {key: value for key, value in row.items() if not key.startswith("__")},
        "assert": [from_cell(cell) for key, cell in special.items() if key.startswith("__expected") and cell],
        "metadata": metadata,
        "description": special.get("__description"),
        "options": {"prefix": special.get("__prefix"), "suffix": special.get("__suffix")},
    }


_ROWS = RowFormat(fits=_fits, draft=_draft, scope=_scope)
