"""Two jobs side by side in a terminal and as JSON."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import replace
from typing import Any

import pytest

from evalsvc.core.listing import JobEntry
from evalsvc.core.pairing import ChangedAnswer, Coverage
from evalsvc.core.records import Arm, Role
from evalsvc.core.states import JobState
from evalsvc.core.view import AnswerView
from evalsvc.decide.two_jobs import Change, Finding, SuiteChange
from evalsvc.reports.comparison import Comparison, render
from evalsvc.reports.inert import cells
from evalsvc.stats.interval import Interval

HOSTILE = ["\x1b[31mred\x1b]52;c;x\x07", "\u202egnp\u2066", "one\ntwo\rthree\u2028", "\ud800\x00\x9b2J"]


def change(suite: str = "s", category: str | None = None, **other: Any) -> Change:
    made = Change(
        suite=suite, role=Role.TARGET, category=category, cases=100, n=98, first=0.5, second=0.625, difference=0.125,
        interval=Interval(0.04, 0.21), method="tango", better=20, worse=8, same=70, missing=(2, 0),
        finding=Finding.BETTER, p_value=0.004, clusters=None,
    )  # fmt: skip
    return replace(made, **other)


def answer(text: str, score: float | None) -> AnswerView:
    return AnswerView(status="ok", kind=None, text=text, score=score, explanation="why", latency_s=0.5)


def entry(name: str) -> JobEntry:
    return JobEntry(
        id=f"id-{name}", name=name, state=JobState.DONE, reason=None, recorded=200, total=200,
        models={Arm.CANDIDATE: f"model-{name}", Arm.BASELINE: "old"}, decision="SHIP", simulated=False,
        created_at=1.0, started_at=2.0, finished_at=3.0,
    )  # fmt: skip


@pytest.fixture
def comparison(record: dict[str, Any]) -> Comparison:
    worse = change(category="hard", difference=-0.25, interval=Interval(-0.4, -0.1), finding=Finding.WORSE)
    lost = change(category="lost", n=0, first=None, second=None, difference=None, interval=Interval(None, None),
                  finding=Finding.NOT_MEASURED)  # fmt: skip
    flip = ChangedAnswer(
        suite="s", case_id="c7", category="hard", input=[{"role": "user", "content": "12 × 12?"}], expected="144",
        delta=-1.0, first=answer("144", 1.0), second=answer("124", 0.0),
    )  # fmt: skip
    return Comparison(
        first=entry("one"),
        second=entry("two"),
        records=(record, record),
        arm=Arm.CANDIDATE,
        changes=[SuiteChange(whole=change(), categories=(change(category="easy"), lost, worse))],
        drift=[SuiteChange(whole=change(difference=0.0, finding=Finding.OPEN), categories=())],
        coverage=[Coverage(suite="s", shared=100)],
        notes=["scored by evalsvc 1 and by evalsvc 2"],
        flips=[flip],
        flips_total=41,
    )


def test_what_a_reader_sees(comparison: Comparison) -> None:
    text = render(comparison, color=False)
    lines = text.splitlines()
    assert lines[0] == "! scored by evalsvc 1 and by evalsvc 2"
    assert re.split(r" {2,}", next(line for line in lines if line.startswith("  all"))) == [
        "", "all", "98", "50.0% →", "62.5%", "+12.5", "+4.0 to +21.0", "second better",
    ]  # fmt: skip
    assert "second better on 20, the same on 70, worse on 8; scores missing: first 2, second 0" in text
    categories = [line.split()[0] for line in lines if re.match("  (hard|easy|lost) ", line)]
    assert categories == ["hard", "easy", "lost"]
    assert "too much missing" in text
    assert "no difference shown" in text
    assert "Drift: the baseline" in text
    assert "(1 of 41)" in text
    assert "second    [0] 124" in text
    assert "input     [user] 12 × 12?" in text


def test_clusters_are_said_where_there_are_some(comparison: Comparison) -> None:
    assert "shared cases in" not in render(comparison, color=False)
    assert comparison.as_json()["suites"][0]["clusters"] is None
    clustered = SuiteChange(whole=change(clusters=12, method="cluster-t"), categories=())
    found = replace(comparison, changes=[clustered])
    assert "Suite s  (target, 100 shared cases in 12 clusters)" in render(found, color=False)
    assert found.as_json()["suites"][0]["clusters"] == 12


def test_it_never_speaks_of_a_decision(comparison: Comparison) -> None:
    for text in (render(comparison, color=False), json.dumps(comparison.as_json()["suites"])):
        assert not {"SHIP", "ITERATE", "HOLD", "PASS", "FAIL"} & set(re.findall("[A-Z]+", text))


def test_without_an_unchanged_arm_there_is_no_drift(comparison: Comparison) -> None:
    assert "Drift" not in render(replace(comparison, drift=[]), color=False)


def test_simulated_answers_are_said_to_be_first_of_all(comparison: Comparison) -> None:
    simulated = replace(comparison, first=replace(comparison.first, simulated=True))
    assert render(simulated, color=False).startswith("SIMULATED")


@pytest.mark.parametrize("payload", HOSTILE)
def test_nothing_of_content_commands_the_terminal(comparison: Comparison, payload: str) -> None:
    whole = change(suite=payload, category=payload)
    poisoned = replace(
        comparison,
        first=replace(comparison.first, name=payload, models=dict.fromkeys(Arm, payload)),
        notes=[payload],
        changes=[SuiteChange(whole=whole, categories=(whole, whole))],
        drift=[SuiteChange(whole=whole, categories=())],
        flips=[replace(comparison.flips[0], suite=payload, case_id=payload, input=payload, expected={"a": payload},
                       first=replace(answer(payload, 1.0), kind=payload), second=answer("", None))],
    )  # fmt: skip
    text = render(poisoned, color=False)
    assert not [c for c in text if c != "\n" and unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
    painted = re.sub("\x1b\\[(0|1|2|1;3[123])m", "", render(poisoned, color=True))
    assert painted == text
    assert json.dumps(poisoned.as_json()).isascii()


@pytest.mark.parametrize("width", [40, 80, 100, 140])
def test_lines_keep_to_the_width(comparison: Comparison, width: int) -> None:
    text = render(replace(comparison, notes=["word " * 100]), color=False, width=width)
    assert max(cells(line) for line in text.splitlines()) <= max(width, 100)


def test_json_holds_numbers_and_no_bound_that_is_not_there(comparison: Comparison) -> None:
    got = json.loads(json.dumps(comparison.as_json(), allow_nan=False))
    assert (got["schema"], got["arm"], got["first"]["id"], got["flips_total"]) == (
        "evalsvc.comparison/1", "candidate", "id-one", 41,
    )  # fmt: skip
    (suite,) = got["suites"]
    assert (suite["difference"], suite["interval"], suite["finding"]) == (0.125, [0.04, 0.21], "better")
    assert suite["missing"] == {"first": 2, "second": 0}
    assert suite["categories"][1] == {
        **suite["categories"][1], "interval": None, "difference": None, "finding": "not measured",
    }  # fmt: skip
    assert got["cases"] == {"s": {"shared": 100, "only_first": 0, "only_second": 0, "changed": 0, "unasked": 0}}
    assert got["flips"][0]["second"]["text"] == "124"


def test_many_categories_are_cut(comparison: Comparison) -> None:
    many = tuple(change(category=f"k{k:02}", difference=k / 100) for k in range(30))
    text = render(replace(comparison, changes=[SuiteChange(whole=change(), categories=many)]), color=False)
    assert "k11" in text
    assert "k12" not in text
    assert "18 more categories, all better than these" in text
