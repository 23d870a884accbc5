from __future__ import annotations

import math
import re
from array import array
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest

from evalsvc.core.records import Arm
from evalsvc.core.view import FlippedCase, ReportView
from evalsvc.reports import html

_TAGS = ("script", "svg", "img", "iframe", "body", "style", "object", "embed", "base", "meta", "link", "form", "math")
_HANDLERS = ("onerror", "onload", "onfocus", "ontoggle", "onmouseover", "onanimationstart", "onbegin", "onclick")
CORPUS = [
    *(f"<{tag} src=http://evil.example/x href=//evil.example>alert(1)</{tag}>" for tag in _TAGS),
    *(f"<{tag} {handler}=alert(1)>" for tag in ("img src=x", "svg", "details open") for handler in _HANDLERS),
    *(f'"{handler}="alert(1)" x="' for handler in _HANDLERS),
    *(f"' {handler}=alert(1) x='" for handler in _HANDLERS),
    "</style><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "</bdi></details></body></html><script>alert(1)</script>",
    "--><script>alert(1)</script><!--",
    "]]><script>alert(1)</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<scr<script>ipt>alert(1)</script>",
    "<ScRiPt\x0c>alert(1)</sCrIpT>",
    "<\x00script>alert(1)</script>",
    "\ufeff<script>alert(1)</script>",
    "\ud83c<script>\udfff",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)",
    "{{ 7 * 7 }}{% include 'x' %}{# x #}",
    "${7*7}#{7*7}<%= 7*7 %>",
    "javascript:alert(1)",
    "[x](javascript:alert(1)) ![y](http://evil.example/p.png)",
    "data:text/html,<script>alert(1)</script>",
    "url(http://evil.example/x)",
    "@import 'http://evil.example/x.css';",
    "}*{background:url(//evil.example)}",
    "\u202egnp.exe\u202c\u2066x\u2069\u200b\u061c",
    "\x1b[31mred\x1b]52;c;Zm9v\x07",
    '=cmd|"/c calc"!A1',
    "<a href='vbscript:x'>x</a>",
    "\U000e0041\U000e0042 tags",
]
_VOID = {"meta", "input", "rect", "line", "circle", "polyline"}


class _Structure(HTMLParser):
    """Elements with their attributes, and the text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.strange: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        self.strange.append(data)

    def unknown_decl(self, data: str) -> None:
        self.strange.append(data)


def parse(page: str) -> _Structure:
    parser = _Structure()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def test_the_corpus_is_large_enough() -> None:
    assert len(set(CORPUS)) >= 60


@pytest.mark.parametrize("payload", CORPUS)
def test_no_element_or_attribute_originates_from_content(poisoned: Callable[[str], ReportView], payload: str) -> None:
    hostile, harmless = parse(html.render(poisoned(payload))), parse(html.render(poisoned("harmless")))
    assert hostile.elements == harmless.elements
    assert hostile.strange == []


@pytest.mark.parametrize("payload", CORPUS)
def test_no_hidden_character_reaches_the_page(poisoned: Callable[[str], ReportView], payload: str) -> None:
    page = html.render(poisoned(payload))
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u2028-\u202e\u2066-\u2069\ufeff\U000e0001-\U000e007f]", page
    )
    page.encode()  # no lone surrogate


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
    assert 0 < page.index("Simulated.") < page.index("were cut off") < page.index("<h1>ITERATE</h1>")


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
