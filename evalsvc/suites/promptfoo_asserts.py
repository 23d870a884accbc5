"""What promptfoo's assertions ask of an answer, as a case's ``expected`` and ``schema``.

An assertion that an own scorer can judge gives its value; the suite's scorer has to be the one for it:

==================================================  ====================================================
``equals``                                          ``exact_match``
``contains``, ``contains-any``, ``icontains``, ...  ``contains``; ``all = true`` for ``contains-all``
``regex``, ``starts-with`` (made a pattern)         ``regex``
``is-json``, ``contains-json``                      ``json_schema``
``similar``, ``levenshtein``, ``rouge-n``,          a text metric, or a judge
``bleu``, ``factuality``, ``llm-rubric``, ...
``latency``, ``cost``, ``perplexity``, ...          none: kept as metadata, the gates are there for that
==================================================  ====================================================
"""

from __future__ import annotations

import re
from typing import Any

from evalsvc.core.nearest import did_you_mean
from evalsvc.core.toml_source import KeyPath
from evalsvc.suites.fields import as_text
from evalsvc.suites.row_format import Draft
from evalsvc.suites.strict_json import Fault, loads
from evalsvc.suites.values import describe

_ONE = {"equals", "contains", "icontains", "starts-with", "regex"}
_SEVERAL = {"contains-any", "contains-all", "icontains-any", "icontains-all"}
_SCHEMA = {"is-json", "contains-json"}
_LIKE = {
    "similar", "levenshtein", "rouge-n", "bleu", "gleu", "meteor", "llm-rubric", "model-graded-closedqa",
    "model-graded-factuality", "factuality", "answer-relevance", "g-eval", "classifier",
}  # fmt: skip
_BESIDE = {
    "latency",
    "cost",
    "perplexity",
    "perplexity-score",
    "finish-reason",
    "guardrails",
    "moderation",
    "is-refusal",
}
#: What can only be had by running somebody's code.
_CODE = {"javascript", "python", "ruby", "webhook", "fn", "file", "eval"}
#: How a cell of a CSV writes an assertion: ``contains-any: a, b``, ``similar(0.8): text``, or the text it must equal.
_CELL = re.compile(r"(?s)(not-)?([a-z][a-z-]*)(?:\((\d+(?:\.\d+)?)\))?(?::(.*))?")
_SHORT = {"grade": "llm-rubric", "fn": "javascript", "eval": "javascript"}


def expected_of(asserts: list[Any], path: KeyPath) -> Draft:
    """``expected`` and ``schema`` of a test. Raises `Fault` for an assertion that is none of ours, or two of them."""
    draft: Draft = {}
    by = ""
    for index, each in enumerate(asserts):
        here = (*path, index)
        kind, value = _kind_and_value(each, here)
        if kind in _SCHEMA:
            draft["schema"] = _schema(value, (*here, "value"))
        elif kind not in _BESIDE:
            if by:
                raise Fault(
                    f'"{kind}" beside "{by}": a case has one expected answer; make two suites of them', (*here, "type")
                )
            by, draft["expected"] = kind, _value(kind, value, (*here, "value"))
    return draft


def from_cell(cell: str) -> dict[str, Any]:
    """The assertion a cell of a CSV writes."""
    found = _CELL.fullmatch(cell.strip())
    kind = _SHORT.get(found[2], found[2]) if found else ""
    if found is None or kind not in _ONE | _SEVERAL | _SCHEMA | _LIKE | _BESIDE | _CODE:
        return {"type": "equals", "value": cell}
    value: Any = None if found[4] is None else found[4].strip()
    if kind in _SEVERAL and value is not None:
        value = [part.strip() for part in value.split(",")]
    return {"type": f"{found[1] or ''}{kind}", "value": value} | ({"threshold": float(found[3])} if found[3] else {})


def _kind_and_value(each: Any, path: KeyPath) -> tuple[str, Any]:
    kind = each.get("type") if isinstance(each, dict) else None
    if not isinstance(each, dict) or not isinstance(kind, str):
        raise Fault(f"must be an assertion: an object with a type, got {describe(each)}", path)
    if kind in _CODE:
        raise Fault(
            f'"{kind}" runs code that came with the tests: never; score with a scorer of evalsvc', (*path, "type")
        )
    known = _ONE | _SEVERAL | _SCHEMA | _LIKE | _BESIDE
    if kind not in known:
        negated = kind.removeprefix("not-") in known
        why = "asserts what must not be: no scorer does" if negated else "is no assertion that can be read"
        raise Fault(f'"{kind}" {why}; {did_you_mean(kind, known)}known: {", ".join(sorted(known))}', (*path, "type"))
    return kind, each.get("value")


def _value(kind: str, value: Any, path: KeyPath) -> Any:
    if isinstance(value, str) and value.startswith(("file://", "package:")):
        raise Fault("stands in another file; write it here", path)
    if kind in _SEVERAL:
        if isinstance(value, list) and value:
            return value
        raise Fault(f"must be an array of texts, got {describe(value)}", path)
    if value is None or isinstance(value, dict | list):
        raise Fault(f"must be a text, got {describe(value)}", path)
    return rf"\A{re.escape(as_text(value))}" if kind == "starts-with" else value


def _schema(value: Any, path: KeyPath) -> Any:
    """A JSON Schema: any JSON will do where there is none."""
    if value is None:
        return True
    if isinstance(value, str):
        try:
            return loads(value.encode())
        except Fault:
            raise Fault("must be a JSON Schema, written here", path) from None
    return value
