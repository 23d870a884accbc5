from __future__ import annotations

from typing import Any

import pytest

from evalsvc.reports.judge import judge_lines

SHARE = {"count": 3, "n": 12, "rate": 0.25, "wilson": [0.089, 0.532]}
JUDGE: dict[str, Any] = {
    "endpoint": "openai",
    "model": "gpt",
    "trusted": True,
    "distrust": None,
    "canaries": {"asked": 40, "answered": 39, "fooled": 1},
    "flip_rate": SHARE,
    "first_position_rate": SHARE,
    "length_bias": {"longer_won": SHARE, "effect": None},
    "scorers": [
        {
            "suite": "mails",
            "label": "tone",
            "length_bias": {"effect": {"raw": 0.2, "equal_length": 0.057, "equal_length_interval": [-0.01, 0.123]}},
        }
    ],
    "requests": 234,
    "cached": 34,
    "tokens": {"input": 5_000, "output": None},
    "cost": 1.5,
}


EQUAL = "+5.7 (\u22121.0 to +12.3)"


def test_a_trusted_judge_in_a_few_sentences() -> None:
    assert judge_lines({"judge": JUDGE}) == (
        "gpt on openai is trusted.",
        "Of 40 answers that deserve nothing it judged 39, and fell for 1 of them.",
        "Asked in both orders it contradicts itself in 25.0% (8.9% to 53.2%) of 12 pairs: those count as ties.",
        "It prefers what it is shown first in 25.0% (8.9% to 53.2%) of 12 verdicts that are no tie: 50% is fair.",
        "The longer of two answers wins in 25.0% (8.9% to 53.2%) of 12 decided cases.",
        f"tone of mails: candidate less baseline +20.0 points, {EQUAL} between answers of equal length.",
        "It was asked 234 times, 34 of them from earlier ones, at a cost of 1.50: 5,000 input and – output tokens.",
    )


def test_a_judge_that_is_not_trusted_says_why_first() -> None:
    lines = judge_lines({"judge": {**JUDGE, "trusted": False, "distrust": "it fell for 9 of 40 canaries"}})
    assert lines[0] == "gpt on openai is not trusted, its scores gate nothing: it fell for 9 of 40 canaries."


@pytest.mark.parametrize("judge", [None, "x", 3, []])
def test_a_record_without_a_judge_says_nothing_of_one(judge: Any) -> None:
    assert judge_lines({"judge": judge}) == ()
    assert judge_lines({}) == ()


@pytest.mark.parametrize(
    "broken", [{}, {"trusted": "yes", "canaries": 3, "flip_rate": [1], "length_bias": "x", "scorers": [1]}]
)
def test_a_broken_section_is_never_trusted(broken: dict[str, Any]) -> None:
    lines = judge_lines({"judge": broken})
    assert "not trusted" in lines[0]
