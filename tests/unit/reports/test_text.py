from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.core.view import ReportView
from evalsvc.reports import text
from evalsvc.reports.inert import cells, fit, plain
from evalsvc.reports.pictures import Claim, forest, scale_for

HOSTILE = [
    "\x1b[31mred\x1b[0m",
    "\x1b]52;c;Zm9v\x07",
    "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "\x9b2J\x9d0;title\x9c",
    "\x1bP1$r\x1b\\\x1b_x\x1b\\\x1b^x\x1b\\\x1bXx\x1b\\",
    "\x1b[2J\x1b[H\x1bc\x1b(0",
    "\rSHIP\x08\x08\x7f",
    "\u202egnp.exe\u202c\u2066x\u2069\u200b\u200e\u061c\ufeff",
    "line one\nline two\u2028line three\x85four\x0bfive\x0csix",
    "\ud800\udfff\x00",
    "\U000e0041\U000e0042",
]


def _forbidden(character: str) -> bool:
    return character not in "\n\u200c\u200d" and unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize("payload", HOSTILE)
def test_no_control_escape_or_bidi_character_of_content_reaches_the_terminal(
    poisoned: Callable[[str], ReportView], payload: str
) -> None:
    printed = text.render(poisoned(payload), color=False)
    assert [c for c in printed if _forbidden(c)] == []


@pytest.mark.parametrize("payload", HOSTILE)
def test_with_color_the_only_escapes_are_our_own(poisoned: Callable[[str], ReportView], payload: str) -> None:
    printed = text.render(poisoned(payload), color=True)
    bare = re.sub("\x1b\\[(0|1|2|1;3[123])m", "", printed)
    plain_lines = text.render(poisoned(payload), color=False).splitlines()
    assert [line.rstrip() for line in bare.splitlines()] == [line.rstrip() for line in plain_lines]
    assert bare != printed


def test_nothing_was_asked_where_answers_were_recorded(view: ReportView) -> None:
    arms = view.record["arms"]
    recorded = {**view.record, "arms": {**arms, "baseline": {**arms["baseline"], "endpoint": "recorded"}}}
    printed = text.render(replace(view, record=recorded), color=False)
    assert re.search(r"^  requests +1,100 +none \(recorded\)$", printed, re.MULTILINE)
    assert re.search(r"^  attempts +[\d,]+ +none$", printed, re.MULTILINE)
    assert "recorded)" not in text.render(view, color=False)


def test_a_text_of_many_lines_is_printed_as_one(poisoned: Callable[[str], ReportView]) -> None:
    lines = text.render(poisoned("one\ntwo\u2028three\x85four\rfive"), color=False).splitlines()
    assert [line for line in lines if line.strip().startswith(("two", "three", "four", "five"))] == []
    assert "    input     one two three four five" in lines


@given(st.text())
def test_plain_text_is_one_printable_line(content: str) -> None:
    line = plain(content)
    assert not any(_forbidden(c) or c == "\n" for c in line)


@given(st.text(), st.integers(4, 60))
def test_a_fitted_text_fits(content: str, width: int) -> None:
    assert cells(fit(content, width)) <= width


def test_a_cut_text_says_so() -> None:
    assert fit("abcdefghij", 6) == "abcde…"
    assert fit("abcdef", 6) == "abcdef"
    assert fit("日本語日本語", 6) == "日本…"
    assert fit(" " * 5000 + "x", 10).endswith("…")


def test_many_open_escapes_are_taken_out_in_linear_time() -> None:
    assert plain("\x1b]" * 200_000) == ""


def test_warnings_come_first_and_the_decision_next(view: ReportView) -> None:
    printed = text.render(view, color=False)
    order = [printed.index(word) for word in ("SIMULATED", "WARNINGS", "ITERATE", "Why", "Gates", "Suite", "Latency")]
    assert order == sorted(order)
    assert order[0] == 0
    assert re.search(r"^  ITERATE \(simulated\)   ", printed, re.MULTILINE)
    real = replace(view, record={**view.record, "job": {**view.record["job"], "simulated": False}})
    assert "simulated" not in text.render(real, color=False).lower()


def test_every_gate_with_its_verdict_and_reason(view: ReportView, record: dict[str, Any]) -> None:
    printed = text.render(view, color=False)
    for gate in record["gates"]:
        assert re.search(rf"^{gate['verdict']} +{gate['name']} ", printed, re.MULTILINE)
        assert gate["reason"] in " ".join(printed.split())


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_lines_keep_to_the_width(view: ReportView, width: int) -> None:
    limit = max(width, 100) + 14  # below 100 columns numbers are kept whole rather than cut
    assert max(cells(line) for line in text.render(view, color=False, width=width).splitlines()) <= limit
    assert max(cells(line) for line in text.render(view, color=False, width=100).splitlines()) <= 100


def test_the_worst_categories_come_first(view: ReportView) -> None:
    printed = text.render(view, color=False)
    suite = printed[printed.index("Suite mmlu") :]
    rows = re.findall(r"^  category \d\d +\d+ +(\S+)% +(\S+)% +(\S+)  ", suite, re.MULTILINE)
    deltas = [float(delta.replace("−", "-")) for _, _, delta in rows]
    assert len(deltas) == 12
    assert deltas == sorted(deltas)
    assert [round(float(candidate) - float(baseline), 1) for candidate, baseline, _ in rows] == deltas
    assert "2 more categories" in suite


def test_the_picture_of_an_interval() -> None:
    claim = Claim(estimate=0.5, interval=[0.25, 0.75], envelope=None, threshold=0.0, rate=True)
    drawn = text.interval_picture(forest(claim, scale_for([claim]), str), 17)
    assert re.fullmatch(r"┊─+\[━+●━+\]─+", drawn)
    assert len(drawn) == 17


def test_a_record_with_anything_missing_or_wrong_still_prints(view: ReportView, mutants: list[dict[str, Any]]) -> None:
    for mutant in mutants:
        printed = text.render(replace(view, record=mutant, flips=(), latency={}), color=False)
        assert not re.search(r"\bNone\b|\bnan\b|\binf\b", printed)


def test_an_empty_view_prints() -> None:
    printed = text.render(ReportView(record={}, flips=(), flips_total=0, latency={}), color=False)
    assert "No decision was recorded." in printed


def test_a_job_that_stopped_early_says_so_and_how_its_gates_were_judged(view: ReportView) -> None:
    printed = " ".join(text.render(view, color=False).split())
    assert "Stopped early: general_regression fails after 550 of 700 cases." in printed
    assert " interval." not in printed
    gates = [{**gate, "level": 0.99, "method": "betting"} for gate in view.record["gates"]]
    judged_early = {**view.record, "sequential": None, "gates": gates}
    printed = " ".join(text.render(replace(view, record=judged_early), color=False).split())
    assert "Stopped early" not in printed
    assert "A 99% interval, which holds at every look." in printed
