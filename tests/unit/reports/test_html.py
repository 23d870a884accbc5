from __future__ import annotations

import math
import re
from array import array
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from page_structure import parse

from evalsvc.core.records import Arm
from evalsvc.core.view import FlippedCase, ReportView
from evalsvc.reports import html


def test_content_is_shown_and_not_lost(poisoned: Callable[[str], ReportView]) -> None:
    text = "".join(parse(html.render(poisoned("<b>&amp;\u202e"))).text)
    assert "<b>&amp;⟨U+202E⟩" in text


def test_nothing_runs_and_nothing_is_fetched(view: ReportView) -> None:
    page = html.render(view)
    found = parse(page)
    allowed = {"xmlns", "class", "id", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "rx", "dy", "width", "height"}
    allowed |= {"viewbox", "preserveaspectratio", "overflow", "points", "text-anchor", "role", "aria-labelledby"}
    allowed |= {
        "aria-label",
        "scope",
        "open",
        "type",
        "name",
        "checked",
        "for",
        "lang",
        "charset",
        "content",
        "http-equiv",
    }
    assert {name for _, attrs in found.elements for name, _ in attrs} <= allowed
    assert {tag for tag, _ in found.elements}.isdisjoint(
        {"script", "a", "img", "link", "iframe", "object", "base", "form"}
    )
    assert not re.search(r"javascript:|https?:|url\(|@import|src=|href=", page)


def test_the_policy_allows_this_style_and_nothing_else(view: ReportView) -> None:
    page = html.render(view)
    policy = next(
        dict(attrs)["content"]
        for tag, attrs in parse(page).elements
        if tag == "meta" and dict(attrs).get("http-equiv") == "Content-Security-Policy"
    )
    style = re.findall("<style>(.*?)</style>", page, re.DOTALL)
    assert len(style) == 1
    digest = b64encode(sha256(style[0].encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_every_gate_category_suite_warning_and_reason_is_there(view: ReportView, record: dict[str, Any]) -> None:
    text = "".join(parse(html.render(view)).text)
    expected = [record["decision"], record["job"]["name"], *record["warnings"], *record["reasons"]]
    expected += [gate[key] for gate in record["gates"] for key in ("name", "claim", "reason", "verdict")]
    expected += [suite["name"] for suite in record["suites"]]
    expected += [category["name"] for suite in record["suites"] for category in suite["categories"]]
    assert [part for part in expected if part not in text] == []


def test_warnings_and_simulated_stand_before_the_decision(view: ReportView) -> None:
    page = html.render(view)
    decision = page.index("<h1>ITERATE <small>(simulated)</small></h1>")
    assert 0 < page.index("Simulated.") < page.index("were cut off") < decision


def test_every_picture_has_a_title_and_ids_are_unique(view: ReportView) -> None:
    found = parse(html.render(view))
    pictures = [dict(attrs) for tag, attrs in found.elements if tag == "svg" and dict(attrs).get("role") == "img"]
    ids = [dict(attrs)["id"] for _, attrs in found.elements if "id" in dict(attrs)]
    assert len(pictures) == 7 + 2 + 15 + 1  # gates, wins of two suites, their categories, latency
    assert len(ids) == len(set(ids))
    assert {name for p in pictures for name in (p["aria-labelledby"] or "").split()} <= set(ids)


def test_every_table_header_has_its_scope(view: ReportView) -> None:
    headers = [dict(attrs) for tag, attrs in parse(html.render(view)).elements if tag == "th"]
    assert headers
    assert all(header.get("scope") in {"row", "col"} for header in headers)


def test_timeouts_are_said(view: ReportView) -> None:
    assert "12 of 612 requests to the candidate timed out" in html.render(view)


def test_it_says_how_many_flips_are_shown_of_how_many(view: ReportView) -> None:
    assert "2 of 83 cases on which the arms differ" in html.render(view)


def test_without_flips_it_says_so(view: ReportView) -> None:
    assert "No case flipped." in html.render(replace(view, flips=(), flips_total=0))
    assert "None of 9 flipped cases are shown." in html.render(replace(view, flips=(), flips_total=9))


@pytest.mark.parametrize("letter", ["a", "<", "'", "\x00", "語", "\u202e", "\n"])
def test_a_hundred_long_flips_stay_under_two_megabytes(view: ReportView, flip: FlippedCase, letter: str) -> None:
    text = letter * 16_384
    answers = {arm: replace(answer, text=text, explanation=text) for arm, answer in flip.answers.items()}
    flips = (replace(flip, input=text, expected=text, answers=answers),) * 100
    page = html.render(replace(view, flips=flips, flips_total=100))
    assert len(page.encode()) < 2_000_000
    assert "characters left out of this page" in page


def test_a_long_text_is_whole_in_two_parts(view: ReportView, flip: FlippedCase) -> None:
    text = " ".join(f"word{k}" for k in range(400))
    page = html.render(replace(view, flips=(replace(flip, input=text),)))
    assert text in "".join(re.sub("[0-9,]+ more characters", "", part) for part in parse(page).text)
    assert "left out of this page" not in page


def test_a_record_with_anything_missing_or_wrong_still_renders(view: ReportView, mutants: list[dict[str, Any]]) -> None:
    for mutant in mutants:
        page = html.render(replace(view, record=mutant, flips=(), latency={}))
        assert not re.search(
            r"\bNone\b(?! of)|\bnan\b|\binf\b", re.sub("<style>.*?</style>", "", page, flags=re.DOTALL)
        )


def test_an_empty_record_renders() -> None:
    page = html.render(ReportView(record={}, flips=(), flips_total=0, latency={}))
    assert "No decision was recorded." in page
    assert "No latency was measured." in page


def test_only_timeouts_render(view: ReportView) -> None:
    late = array("d", [math.inf] * 3)
    page = html.render(replace(view, latency={Arm.CANDIDATE: late, Arm.BASELINE: late}))
    assert "3 of 3 requests to the baseline timed out" in page
