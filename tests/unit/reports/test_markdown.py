"""The report as Markdown, read back by a Markdown and an HTML parser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from evalsvc.core.view import FlippedCase, ReportView
from evalsvc.reports import markdown

OURS = {"h2", "h3", "p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "code", "pre", "details", "summary"}
OURS |= {"blockquote", "strong", "em"}
HOSTILE = [
    "<script>alert(1)</script><img src=x onerror=y>",
    "[click](https://evil.example) ![x](https://evil.example/p.png) <https://evil.example>",
    "https://evil.example www.evil.example mail@evil.example",
    "@everyone @team please `merge` #1 GH-2",
    "`` ` ``` ```` \\` `\\",
    "```\n</details>\n\n# SHIP\n\n- [x] done\n```text\n~~~~",
    "a | b \\| c || d\n|---|---|\n| x | y |",
    "\n\n## SHIP\n\n---\n\n> quoted\n\n1. one\n",
    "**SHIP** __SHIP__ *x* ~~y~~ $x$ :tada: &lt;b&gt; &#64;team",
    "<!-- --> <![CDATA[x]]> <?php ?> </summary></details><details open>",
    "\x1b[31mred\x1b]52;c;x\x07 \u202egnp\u202c \u2028 \x00",
    "   indented\n\tcode",
    "[ref]: https://evil.example 'x'",
    " ",
]
NASTY = st.text(st.characters() | st.sampled_from("`|\\\n<>#-*_=+~&;:@![]()1. "))


class Page(HTMLParser):
    """Which elements a page has, and which text stands outside code."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.outside = ""
        self._code = 0
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self._code += tag in {"code", "pre"}
        assert not [name for name, _ in attrs if name not in {"style", "class"}], attrs

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag in {"code", "pre"}

    def handle_data(self, data: str) -> None:
        self.outside += "" if self._code else data

    def handle_comment(self, data: str) -> None:
        pytest.fail(f"a comment: {data}")


def page_of(text: str) -> Page:
    return Page(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text))


@pytest.mark.parametrize("payload", HOSTILE)
def test_nothing_of_content_is_markup_link_or_mention(
    poisoned: Callable[[str], ReportView], view: ReportView, payload: str
) -> None:
    found = page_of(markdown.render(poisoned(payload)))
    assert set(found.tags) <= OURS
    assert not [
        mark for mark in ("@", "://", "www.", "#", "<script", "</", "\x1b", "\u202e", "`") if mark in found.outside
    ]
    harmless = page_of(markdown.render(poisoned("word")))
    skeleton = [tag for tag in harmless.tags if tag not in {"code", "li", "p", "blockquote"}]
    assert [tag for tag in found.tags if tag not in {"code", "li", "p", "blockquote"}] == skeleton
    assert skeleton.count("table") == page_of(markdown.render(view)).tags.count("table")


@given(NASTY)
def test_a_span_is_one_code_span_and_one_cell(text: str) -> None:
    found = page_of(f"| a | b |\n|---|---|\n| {markdown.span(text)} | end |")
    assert found.tags == ["table", "thead", "tr", "th", "th", "tbody", "tr", "td", "code", "td"]
    assert "end" in found.outside


@given(NASTY)
def test_a_sentence_is_one_item_of_words_and_code(text: str) -> None:
    found = page_of(f"- {markdown.prose(text)}\n- next")
    assert [tag for tag in found.tags if tag != "code"] == ["ul", "li", "li"]
    assert not {"@", "#", "`", "<"} & set(found.outside)


@given(NASTY)
def test_a_fence_ends_only_where_we_end_it(text: str) -> None:
    found = page_of(f"{markdown.fence(text)}\nafter")
    assert found.tags == ["pre", "code", "p"]
    assert "after" in found.outside


def test_many_odd_words_are_read_in_linear_time() -> None:
    assert markdown.prose("1-1" * 600 + "_").startswith("`")
    assert len(markdown.prose("a-" * 100_000)) < 3_000


def test_our_own_sentences_stay_readable() -> None:
    said = "target_improvement holds: Better by 20.2 points (−1.5 to +3.1) on 1,450 cases: p99 0.15 s, 97.6%"
    assert markdown.prose(said) == said.replace("target_improvement", "`target_improvement`")


def test_what_it_says(view: ReportView, record: dict[str, Any]) -> None:
    text = markdown.render(view)
    assert text.startswith("## ❌ ITERATE (simulated): `support-7b v3 against gpt-4o`")
    assert "**Simulated**" in text
    assert "cut off" in text
    for gate in record["gates"]:
        assert f"| `{gate['name']}` |" in text
    assert "| `general_regression` | ❌ FAIL | " in text
    assert "➖ NOT MEASURED (does not count)" in text
    assert "❔ INCONCLUSIVE" in text
    assert (
        "| `tool-calling` | `target` | 500 |  | 90.6% | 78.7% | +11.8 | 71 (14.3%) / 415 (83.3%) / 12 (2.4%) |" in text
    )
    assert text.index("ITERATE") < text.index("`mmlu`") < text.index("Flipped cases")
    assert "(2 of 83)" in text


def test_it_fits_into_a_comment_and_says_what_it_left_out(view: ReportView, flip: FlippedCase) -> None:
    big = replace(flip, input="q" * 50_000, expected="e" * 50_000, suite="s" * 5_000, case_id="c" * 5_000)
    text = markdown.render(replace(view, flips=(big,) * 50, flips_total=50))
    assert len(text) < markdown.MOST
    record = {**view.record, "suites": [dict(view.record["suites"][1], name=f"{k}" * 100) for k in range(60)]}
    text = markdown.render(replace(view, record=record))
    assert len(text) <= markdown.MOST
    assert "Left out here" in text
    assert page_of(text).tags.count("details") == text.count("</details>")


def test_a_record_with_anything_missing_or_wrong_still_prints(view: ReportView, mutants: list[dict[str, Any]]) -> None:
    for mutant in mutants:
        text = markdown.render(replace(view, record=mutant, flips=(), latency={}))
        assert not {"None", "nan", "inf"} & set(text.split())
    assert "No decision was recorded" in markdown.render(ReportView(record={}, flips=(), flips_total=0, latency={}))
