from dataclasses import replace
from typing import Any

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
