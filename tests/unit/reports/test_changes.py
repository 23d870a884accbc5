from dataclasses import replace
from typing import Any

import pytest

from evalsvc.core.view import ReportView
from evalsvc.reports import html, markdown, text
from evalsvc.reports.changes import suite_rows


def test_a_corpus_score_stands_below_the_mean_of_the_cases() -> None:
    suite: dict[str, Any] = {
        "name": "news",
        "primary": "bleu",
        "scores": {"bleu": {"candidate": 0.31, "baseline": 0.3}, "f1": {"candidate": 0.5, "baseline": 0.5}},
        "corpus": {"bleu": {"candidate": 0.284, "baseline": 0.25, "cases": 480, "signature": "nrefs:1"}},
    }
    (row,) = suite_rows({"suites": [suite]})
    assert [score.label for score in row.scores] == ["bleu", "bleu, corpus", "f1"]
    assert (row.scores[1].candidate, row.scores[1].baseline, row.scores[1].delta) == ("28.4%", "25.0%", "+3.4")
    assert row.notes == ("bleu, corpus of 480 cases: candidate 28.4%, baseline 25.0% (nrefs:1)",)
    (row,) = suite_rows({"suites": [{**suite, "corpus": {"bleu": None}}, "garbage"]})
    assert [score.label for score in row.scores] == ["bleu", "f1"]
    assert row.notes == ()


def test_a_signature_stands_in_every_report(view: ReportView) -> None:
    signature = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"
    whole = {"candidate": 0.284, "baseline": 0.25, "cases": 480, "signature": signature}
    suites = [{**suite, "corpus": {"bleu": whole}} for suite in view.record["suites"]]
    found = replace(view, record={**view.record, "suites": suites})
    for written in (text.render(found, color=False, width=100), html.render(found), markdown.render(found)):
        assert "bleu, corpus of 480 cases: candidate 28.4%, baseline 25.0%" in written
        assert signature in "".join(written.split())


def test_wins_and_ties_are_given_as_rates_too(view: ReportView) -> None:
    suites = [{**view.record["suites"][0], "wins": {"candidate": 5, "ties": 14, "baseline": 1}}]
    found = replace(view, record={**view.record, "suites": suites})
    printed = text.render(found, color=False)
    assert "  candidate better 5 (25.0%), ties 14 (70.0%), baseline better 1 (5.0%)\n" in printed
    assert "| 5 (25.0%) / 14 (70.0%) / 1 (5.0%) |" in markdown.render(found)
    assert '<strong>14</strong> ties <span class="quiet">70.0%</span>' in html.render(found)


@pytest.mark.parametrize("wins", [None, {"candidate": 5, "ties": 14}, {"candidate": 0, "ties": 0, "baseline": 0}])
def test_of_nothing_there_is_no_rate(wins: object) -> None:
    (row,) = suite_rows({"suites": [{"name": "s", "wins": wins}]})
    assert row.rates == ("–", "–", "–")


def test_it_is_said_what_a_data_set_was_read_as(view: ReportView) -> None:
    suites = [{**suite, "format": "openai-evals"} for suite in view.record["suites"]]
    found = replace(view, record={**view.record, "suites": suites})
    assert "(target, 500 cases, read as openai-evals)\n" in text.render(found, color=False)
    assert "| `target` | 500 | `openai-evals` |" in markdown.render(found)
    assert "500 cases, read as <bdi>openai-evals</bdi></span>" in html.render(found)
    for unknown in (None, "auto"):
        (row, *_) = suite_rows({"suites": [{"name": "s", "format": unknown}]})
        assert row.format is None
