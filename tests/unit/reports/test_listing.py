"""Jobs in a terminal."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.core.listing import JobEntry
from evalsvc.core.records import Arm
from evalsvc.core.states import JobState
from evalsvc.reports.inert import cells
from evalsvc.reports.listing import ago, detail, table

ENTRY = JobEntry(
    id="a2121f74ce426730",
    name="ticket triage",
    state=JobState.RUNNING,
    reason=None,
    recorded=971,
    total=2200,
    models={Arm.CANDIDATE: "new", Arm.BASELINE: "old"},
    decision=None,
    simulated=None,
    created_at=1000.0,
    started_at=1001.0,
    finished_at=None,
)
DONE = replace(
    ENTRY,
    id="a2121f52828a63d2",
    state=JobState.DONE,
    recorded=2200,
    decision="SHIP",
    simulated=True,
    finished_at=1060.0,
)
TALLIES = [
    (Arm.CANDIDATE, "ok", None, 480),
    (Arm.CANDIDATE, "infra_error", "timeout", 2),
    (Arm.BASELINE, "ok", None, 489),
]


def shown(*entries: JobEntry, **options: Any) -> str:
    return table(
        entries, **{"count": len(entries), "held": True, "now": 1120.0, "color": False, "width": 100, **options}
    )


def test_a_job_a_line() -> None:
    heads, running, done = shown(ENTRY, DONE).splitlines()
    assert heads.split() == ["ID", "NAME", "STATE", "PROGRESS", "DECISION", "AGE"]
    assert re.split(" {2,}", running) == [
        "a2121f74ce426730",
        "ticket triage",
        "running",
        "971/2,200 (44%)",
        "–",
        "2 min",
    ]
    assert re.split(" {2,}", done) == [
        "a2121f52828a63d2",
        "ticket triage",
        "done",
        "2,200/2,200",
        "SHIP (simulated)",
        "2 min",
    ]
    assert {running.index("running"), done.index("done")} == {heads.index("STATE")}


@pytest.mark.parametrize(
    ("state", "held", "said"),
    [
        (JobState.RUNNING, False, "interrupted"),
        (JobState.DECIDING, False, "interrupted"),
        (JobState.PAUSED, False, "interrupted"),
        (JobState.RUNNING, True, "running"),
        (JobState.RUNNING, None, "running"),
        (JobState.DONE, False, "done"),
        (JobState.FAILED, False, "failed"),
    ],
)
def test_a_job_nobody_works_on_is_interrupted(state: JobState, held: bool | None, said: str) -> None:
    lines = shown(replace(ENTRY, state=state), held=held).splitlines()
    assert re.split(" {2,}", lines[1])[2] == said
    assert (len(lines) == 3) == (said == "interrupted")
    assert ("evalsvc serve" in lines[-1]) == (said == "interrupted")


@pytest.mark.parametrize(
    ("state", "reason", "held", "said"),
    [
        (JobState.PAUSED, "up is\x1b[2J down", True, "paused: up is down"),
        (JobState.PAUSED, "up is down", False, "interrupted: up is down"),
        (JobState.FAILED, "wrong key", False, "failed: wrong key"),
        (JobState.QUEUED, "the daemon was stopped", True, "queued: the daemon was stopped"),
        (JobState.QUEUED, None, True, "queued: waits for the process that has the database in hand"),
        (JobState.QUEUED, None, False, "queued: no process is at work on it"),
    ],
)
def test_a_job_that_waits_says_why_alone_and_among_others(
    state: JobState, reason: str | None, held: bool, said: str
) -> None:
    entry = replace(ENTRY, state=state, reason=reason)
    assert shown(entry, DONE, held=held).splitlines()[3] == f"{ENTRY.id} {said}"
    assert f"state       {said}\n" in detail(entry, [], None, held=held, now=1.0)


def test_where_nothing_is_known_nothing_is_said() -> None:
    assert len(shown(replace(ENTRY, state=JobState.QUEUED), replace(DONE, reason="x"), held=None).splitlines()) == 3


def test_what_is_not_shown_is_counted() -> None:
    assert "older jobs not shown: 13" in shown(ENTRY, count=14)
    assert "not shown" not in shown(ENTRY)
    assert shown() == "no jobs in this database; --url shows those of a daemon (`evalsvc serve`)\n"


def test_almost_done_is_not_done() -> None:
    assert "(99%)" in shown(replace(ENTRY, recorded=2199))
    assert "%" not in shown(replace(ENTRY, recorded=0), replace(ENTRY, total=0, recorded=0))


@given(st.text(), st.integers(40, 140))
def test_any_name_stays_in_its_column(name: str, width: int) -> None:
    heads, line, *_ = shown(replace(ENTRY, name=name), width=width).splitlines()
    place = cells(heads[: heads.index("STATE")])
    assert [k for k in range(len(line)) if line.startswith("running", k) and cells(line[:k]) == place]
    assert not [c for c in line if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}]
    assert cells(line) <= max(width, 85)


def test_colors_are_around_words_only() -> None:
    plain, painted = shown(ENTRY, DONE), shown(ENTRY, DONE, color=True)
    assert re.sub("\x1b\\[[0-9;]+m", "", painted) == plain
    assert "\x1b[1;32mSHIP (simulated)\x1b[0m" in painted


def test_one_job_in_some_lines() -> None:
    record = {"decision": "SHIP", "reasons": ["proven " * 40], "warnings": ["3% cut off"]}
    text = detail(DONE, TALLIES, record, held=None, now=1120.0, width=80)
    facts = dict(re.findall(r"^(\S+) +(.*)$", text, re.MULTILINE))
    assert (facts["candidate"], facts["baseline"], facts["took"], facts["state"]) == ("new", "old", "59 s", "done")
    assert "  candidate ok 480, infra_error 2 (timeout 2)" in text
    assert "  baseline  ok 489" in text
    assert "warning     3% cut off" in text
    assert max(map(cells, text.splitlines())) <= 80
    assert text.count("proven") == 40


def test_why_a_job_waits_is_said_and_made_plain() -> None:
    text = detail(
        replace(ENTRY, state=JobState.PAUSED, reason="endpoint \x1b[31mup is down"), [], None, held=True, now=1.0
    )
    assert "state       paused: endpoint up is down" in text
    assert "decision" not in text
    assert "took" not in text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (86399, "23 h"),
        (86400, "1 day"),
        (90 * 86400, "90 days"),
    ],
)
def test_an_age(seconds: float, said: str) -> None:
    assert ago(seconds) == said
