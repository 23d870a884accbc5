from typing import Any

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
    (row,) = suite_rows({"suites": [{**suite, "corpus": {"bleu": None}}, "garbage"]})
    assert [score.label for score in row.scores] == ["bleu", "f1"]
