"""Outcomes as CSV and JSON Lines."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.core.rows import OutcomeRow
from evalsvc.reports.rows import csv_head, csv_lines, json_lines, readable

ROW = OutcomeRow(
    suite="s",
    case_id="c1",
    category="edge",
    position=3,
    arm="candidate",
    trial=0,
    step="answer",
    status="ok",
    kind=None,
    detail=None,
    score=0.5,
    scores={"exact": {"value": 0.5, "explanation": "half"}, "shape": {"value": None, "explanation": ""}},
    input="q",
    expected=["a", "b"],
    text="answer",
    tool_calls=None,
    finish_reason="stop",
    refusal=None,
    reasoning=None,
    latency_s=0.25,
    first_token_s=None,
    since_scheduled_s=0.3,
    input_tokens=10,
    output_tokens=None,
    attempts=2,
    model="m",
    fingerprint=None,
    simulated=False,
    tainted=True,
    repaired=None,
    finished_at=1.5,
)
FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "  =1",
    "\u00a0=1",
    "\uff1d1",
    "\uff0d1",
    '=HYPERLINK("x")',
]


def parsed(*rows: OutcomeRow, labels: tuple[str, ...] = ("exact", "shape")) -> list[dict[str, str]]:
    text = csv_head(labels) + csv_lines("J", rows, labels)
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def test_a_csv_row_by_column() -> None:
    (row,) = parsed(ROW)
    assert {key: row[key] for key in ("job", "suite", "case_id", "arm", "score", "latency_s", "input_tokens")} == {
        "job": "J", "suite": "s", "case_id": "c1", "arm": "candidate", "score": "0.5", "latency_s": "0.25",
        "input_tokens": "10",
    }  # fmt: skip
    assert (row["expected"], row["explanation"], row["simulated"], row["tainted"]) == (
        '["a", "b"]',
        "half",
        "false",
        "true",
    )
    assert (row["kind"], row["output_tokens"], row["score shape"], row["score exact"]) == ("", "", "", "0.5")
    assert row["finished_at"] == "1970-01-01T00:00:01.500Z"
    assert None not in row


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("key", ["text", "input", "case_id", "model", "category", "detail"])
def test_no_cell_is_a_formula(formula: str, key: str) -> None:
    changed: dict[str, Any] = {key: formula}
    (row,) = parsed(replace(ROW, **changed))
    assert row[key][0] in "'\u240d"
    (row,) = parsed(replace(ROW, scores={formula: {"value": 1, "explanation": formula}}), labels=(formula,))
    assert row["explanation"][0] in "'\u240d"
    assert all(name[0].isalpha() for name in row)


@given(st.text(), st.text())
def test_any_text_stays_in_its_cell_and_commands_no_terminal(one: str, other: str) -> None:
    text = csv_head([]) + csv_lines("J", [replace(ROW, text=one, input=other), ROW], [])
    commands = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert not [c for c in text if c not in "\n\t\u200c\u200d" and unicodedata.category(c) in commands]
    first, second = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    assert (first["case_id"], second["text"], first["finished_at"]) == ("c1", "answer", second["finished_at"])
    assert not first["text"].lstrip().startswith(("=", "+", "-", "@"))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_json_line_gives_every_text_back_to_the_letter(text: str) -> None:
    lines = json_lines("J", [replace(ROW, text=text, input=[{"role": "user", "content": text}])])
    assert lines.isascii()
    assert lines.count("\n") == 1
    assert all(character.isprintable() for character in lines[:-1])
    row = json.loads(lines)
    assert (row["job"], row["text"], row["input"][0]["content"]) == ("J", text, text)


def test_a_json_line_holds_everything() -> None:
    row = json.loads(json_lines("J", [ROW]))
    assert row.keys() == {"job", *ROW.__slots__}
    assert (row["scores"]["exact"]["value"], row["kind"], row["tainted"], row["position"]) == (0.5, None, True, 3)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, ""),
        ("text", "text"),
        ([{"role": "system", "content": "a"}, {"role": "user", "content": "b"}], "[system] a\n\n[user] b"),
        ([{"role": "user", "content": [{"type": "text"}]}], '[user] [\n {\n  "type": "text"\n }\n]'),
        ({"a": "é"}, '{\n "a": "é"\n}'),
        ([], "[]"),
        (0, "0"),
    ],
)
def test_what_people_read(value: Any, said: str) -> None:
    assert readable(value) == said
