"""What a gate's row says beside its numbers of clusters and categories."""

from __future__ import annotations

from typing import Any

from evalsvc.reports.calibration_text import render
from evalsvc.reports.gates import gate_rows


def notes(**more: Any) -> tuple[str, ...]:
    (row,) = gate_rows({"gates": [{"name": "general_regression", "threshold": -0.05, **more}]})
    return row.notes


def test_clusters_are_told_of() -> None:
    (note,) = notes(clusters={"count": 12, "icc": 0.213})
    assert note == "Judged by clusters, not by cases: those of one cluster are alike to 21.3%."
    assert notes(clusters={"count": 12, "icc": None}) == ()
    assert "alike to 0.0%" in notes(clusters={"count": 12, "icc": -0.01})[0]


def test_categories_that_differ_are_told_of() -> None:
    (note,) = notes(heterogeneity={"p": 0.0012, "weighted_alike": -0.13})
    assert note == "Its categories differ by more than chance (0.0012); each weighted alike: −13.0 points."
    assert notes(heterogeneity={"p": 0.2, "weighted_alike": -0.13}) == ()
    assert notes(heterogeneity=None) == ()
    assert notes(heterogeneity="nonsense", clusters=3) == ()


GATE = {"name": "target_improvement", "required": True, "PASS": 0.12, "FAIL": 0.0, "INCONCLUSIVE": 0.88}
FOUND = {
    "name": "a job\x1b[2J",
    "baseline": "old",
    "job": "j1",
    "resamples": 400,
    "repeats": 2,
    "cases": 1000,
    "left_out": 3,
    "gates": [{**GATE, "NOT_MEASURED": 0.0}],
    "decisions": {"SHIP": 0.1, "ITERATE": 0.0, "HOLD": 0.9},
    "flips": [{"suite": "s", "cases": 1000, "rate": 0.333}, {"suite": "none", "cases": 0, "rate": None}],
    "false_pass": 0.12,
}


def test_a_calibration_in_words() -> None:
    text = render(FOUND, color=False, width=100)
    words = " ".join(text.split())
    assert "\x1b" not in text
    assert "400 resamples of 1,000 cases, 2 answers of each (job j1)" in text
    assert "left out: 3 cases" in text
    assert "target_improvement 12.0% - 88.0% -" in words
    assert "A PASS is false here: 12.0%, and at most 2.5%" in words
    assert "Identical models ship in 10.0% of 400 resamples" in words
    assert "scored unlike on 33.3% of 1000 cases" in words
    assert "No case has two scores." in words
    assert "do not trust these gates to ship" in words
    assert "never measured" in render({**FOUND, "false_pass": None}, color=False)
    assert 'calibration = "required" allows 5.0%.' in " ".join(
        render({**FOUND, "false_pass": 0.01}, color=True).split()
    )
    assert max(map(len, text.splitlines())) <= 100
