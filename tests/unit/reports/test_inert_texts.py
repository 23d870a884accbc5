"""All harmful texts in every report at once: they are shown, and nothing obeys them."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from inert_texts import TEXTS
from markdown_it import MarkdownIt
from page_structure import parse

from evalsvc.core.records import Arm, Role, ScorerSpec, SuiteSpec
from evalsvc.core.rows import OutcomeRow
from evalsvc.core.view import ReportView
from evalsvc.reports import calibration_text, html, junit, markdown, rows, text
from evalsvc.reports.inert import plain, visible

HARMLESS = [f"harmless {k}" for k in range(len(TEXTS))]
_OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def obeyed(shown: str) -> set[str]:
    """What a terminal or a reader of text would obey, line feeds and the two joiners apart."""
    return {c for c in set(shown) - {"\n", "\u200c", "\u200d"} if unicodedata.category(c) in _OBEYED}


@pytest.fixture
def saying(view: ReportView) -> Callable[[list[str]], ReportView]:
    """The view with a warning, reason, gate, category, scorer and flipped case for each of some texts."""

    def make(texts: list[str]) -> ReportView:
        gate, suite = view.record["gates"][0], view.record["suites"][1]
        score, category = suite["scores"]["tool_call"], suite["categories"][0]
        record = {
            **view.record,
            "warnings": texts,
            "reasons": texts,
            "gates": [
                {**gate, "name": said, "claim": said, "reason": said, "verdict": said, "method": said, "waived": said}
                for said in texts
            ],
            "suites": [
                {
                    **suite,
                    "name": texts[0],
                    "categories": [{**category, "name": said} for said in texts],
                    "scores": {"tool_call": score, **dict.fromkeys(texts, score)},
                }
            ],
            "environment": dict(zip(texts, texts, strict=True)),
        }
        return replace(view, record=record, flips=tuple(_flips(view, texts)), flips_total=len(texts))

    return make


def _flips(view: ReportView, texts: list[str]) -> Iterator[Any]:
    flip = view.flips[0]
    for said in texts:
        answers = {
            arm: replace(answer, status=said, kind=said, text=said, explanation=said)
            for arm, answer in flip.answers.items()
        }
        yield replace(
            flip, suite=said, role=said, case_id=said, category=said, input=said, expected=said, answers=answers
        )


def outcome(said: str, arm: Arm = Arm.CANDIDATE) -> OutcomeRow:
    """An outcome in which everything that can be a text is this one."""
    values: dict[str, Any] = dict.fromkeys(OutcomeRow.__slots__, said)
    values |= {"position": 0, "arm": arm.value, "trial": 0, "score": 0.0, "latency_s": 0.5, "since_scheduled_s": 0.5}
    values |= {"scores": {"exact": {"value": 0.0, "explanation": said}}, "first_token_s": None, "finished_at": 1.0}
    values |= {"input_tokens": 1, "output_tokens": 1, "attempts": 1, "simulated": False, "tainted": False}
    return OutcomeRow(**(values | {"input": [{"role": said, "content": said}], "tool_calls": [{said: said}]}))


def test_there_are_enough() -> None:
    assert len(set(TEXTS)) == len(TEXTS) >= 150
    assert max(map(len, TEXTS)) <= 300


def test_no_element_attribute_or_hidden_character_of_a_page_is_content(
    saying: Callable[[list[str]], ReportView],
) -> None:
    page = html.render(saying(TEXTS))
    hostile, harmless = parse(page), parse(html.render(saying(HARMLESS)))
    assert hostile.elements == harmless.elements
    assert hostile.strange == []
    assert obeyed(page) <= {"\t"}
    shown = "".join(hostile.text)
    assert [said for said in TEXTS if visible(said) not in shown] == []


def test_whatever_a_record_holds_is_text(poisoned: Callable[[str], ReportView]) -> None:
    harmless = parse(html.render(poisoned("harmless"))).elements
    for said in TEXTS[::3]:
        page = html.render(poisoned(said))
        assert parse(page).elements == harmless
        assert obeyed(page) <= {"\t"}


def test_nothing_in_a_terminal_is_obeyed(saying: Callable[[list[str]], ReportView]) -> None:
    for texts in (TEXTS[k : k + 1] for k in range(0, len(TEXTS), 9)):
        assert obeyed(text.render(saying(texts), color=False)) == set()
    printed = text.render(saying(TEXTS), color=True)
    assert obeyed(printed) == {"\x1b"}
    assert obeyed(text.render(saying(TEXTS), color=False)) == set()
    assert not {"\x1b[31m", "\x1b[2J", "\x1b]"} & {printed[k : k + n] for n in (2, 4, 5) for k in range(len(printed))}


def test_nothing_in_markdown_is_markup(saying: Callable[[list[str]], ReportView]) -> None:
    """In portions: a report leaves out what does not fit."""
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    count = 9
    for start in range(0, len(TEXTS), count):
        texts = TEXTS[start : start + count]
        shown = markdown.render(saying(texts))
        assert "Left out here" not in shown
        assert obeyed(shown) <= {"\t"}
        found, meant = (
            [token.type for token in reader.parse(page)]
            for page in (shown, markdown.render(saying(HARMLESS[: len(texts)])))
        )
        assert [each for each in found if each != "inline"] == [each for each in meant if each != "inline"]
        inline = {child.type for token in reader.parse(shown) for child in token.children or ()}
        assert not inline & {"image", "link_open", "html_inline"}
        assert not {"@", "://", "www."} & set(_outside(reader.parse(shown)))


def _outside(tokens: list[Any]) -> Iterator[str]:
    for token in tokens:
        for child in token.children or ():
            if child.type == "text":
                yield from child.content.split()


def test_a_table_for_spreadsheets_holds_one_cell_a_value_and_no_formula() -> None:
    labels = ["exact", *TEXTS]
    table = rows.csv_head(labels) + rows.csv_lines("j", map(outcome, TEXTS), labels)
    assert obeyed(table) <= {"\t"}
    read = list(csv.reader(io.StringIO(table, newline=""), strict=True))
    assert {len(row) for row in read} == {len(read[0])}
    assert len(read) == 1 + len(TEXTS)
    for row in read:
        for cell in row:
            assert not cell.lstrip().startswith(("=", "+", "@", "\uff1d"))
            assert not cell.startswith(("\t", "\r", "\n"))
            assert cell[:1] != "-" or float(cell) < 0


def test_json_lines_give_every_text_back_in_one_line() -> None:
    lines = rows.json_lines("j", map(outcome, TEXTS)).splitlines()
    assert all(line.isascii() for line in lines)
    assert [json.loads(line)["text"] for line in lines] == TEXTS


def test_junit_is_xml_of_our_elements() -> None:
    suite = SuiteSpec(
        name=TEXTS[0],
        role=Role.TARGET,
        dataset="d",
        format="auto",
        scorers=(ScorerSpec(name="exact", label=TEXTS[0]),),
    )
    results = [junit.case_result(suite, [outcome(said), outcome(said, Arm.BASELINE)]) for said in TEXTS]
    gates: Mapping[str, Any] = {
        "gates": [
            {"name": said, "verdict": said, "reason": said, "required": True, "waived": None, "claim": said}
            for said in TEXTS
        ],
        "job": {"name": TEXTS[0]},
        "decision": TEXTS[1],
    }
    results += junit.gate_results(gates)
    tally = junit.Tally()
    document = junit.opening(gates, [tally]) + junit.suite_opening(TEXTS[0], tally, properties=dict.fromkeys(TEXTS, ""))
    document += "".join(map(junit.test_case, results)) + junit.suite_closing() + junit.closing()
    assert obeyed(document) <= {"\t"}
    root = ET.fromstring(document)
    assert {element.tag for element in root.iter()} == {
        "testsuites", "testsuite", "properties", "property", "testcase", "failure", "error",
    }  # fmt: skip
    assert len(root.findall("testsuite/testcase")) == len(results)


def test_a_calibration_is_plain() -> None:
    row = {"PASS": 0.1, "FAIL": 0.1, "INCONCLUSIVE": 0.8, "NOT_MEASURED": 0.0, "required": True}
    for said in TEXTS:
        found: dict[str, Any] = {"name": said, "baseline": said, "resamples": 400, "cases": 10, "repeats": 2}
        found |= {"job": "j", "left_out": 0, "gates": [{**row, "name": said}], "flips": []}
        found |= {"decisions": {"SHIP": 0.1, "ITERATE": 0.1, "HOLD": 0.8}, "false_pass": 0.1}
        assert obeyed(calibration_text.render(found, color=False)) == set()


def test_plain_text_keeps_what_can_be_seen() -> None:
    assert plain("SHIP\x1b[31m now\u202e\n\nplease") == "SHIP now please"
    for said in TEXTS:
        assert obeyed(plain(said)) == set()
        assert "\n" not in plain(said)
