"""The examples whose suites come with evalsvc, run as a user runs them: one command, on the built-in simulator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DECISIONS = {"SHIP": 0, "ITERATE": 3, "HOLD": 4}


@pytest.mark.parametrize(
    ("example", "decision", "reason", "cases"),
    [
        ("general_knowledge", "ITERATE", "general_regression fails", 50),
        ("ab_report", "HOLD", "human_preference is open: There are no votes", 20),
        ("extraction", "HOLD", "schema_compliance is open: All answers to 24 cases satisfy", 24),
        ("safety", "HOLD", "adversarial_robustness is open: 38 of 40", 40),
    ],
)
def test_the_examples_end_as_they_say(
    evalsvc: Callable[..., Any], example: str, decision: str, reason: str, cases: int
) -> None:
    ran = evalsvc("run", EXAMPLES / example / "job.toml", "--json")
    assert ran.code == DECISIONS[decision], ran.err
    record = ran.record
    assert record["decision"] == decision
    assert any(reason in said for said in record["reasons"])
    assert sum(suite["cases"] for suite in record["suites"]) == cases
    assert record["arms"]["candidate"]["ok"] == record["arms"]["baseline"]["ok"] == cases
    if example == "general_knowledge":
        flagged = {each["name"] for each in record["suites"][0]["categories"] if each["verdict"] == "FAIL"}
        assert flagged == {"geography", "science", "language"}
    if example == "ab_report":
        assert record["suites"][0]["wins"] == {"candidate": 5, "baseline": 1, "ties": 14}
