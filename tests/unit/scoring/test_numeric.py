from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.core.records import Case, Score
from evalsvc.scoring.base import Scorer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,234.50", "1234.5"),
        ("1,234,567", "1234567"),
        ("$18", "18"),
        ("18 eggs", "18"),
        ("So it is 18.", "18"),
        ("18.00", "18"),
        ("-5", "-5"),
        ("−5", "-5"),
        ("-$5", "-5"),
        ("$-5", "-5"),
        ("1e3", "1000"),
        ("1.5E-1", ".15"),
        ("50%", "50"),
        ("3/4", "0.75"),
        (".5", "0.5"),
        ("0.1", "0.10"),
        ("1\u202f234", "1234"),
        ("18 234", "234"),  # an ordinary space separates numbers
        ("5-3", "3"),  # a hyphen between numbers is no sign
        ("20-30 eggs", "30"),
        ("- 18 eggs", "18"),  # a list's dash is no sign
        ("1,2,3", "3"),
        ("1,234,5", "5"),
        ("1,2345", "2345"),
        ("80-3=<<80-3=77>>77", "77"),
        ("18 by gpt4", "18"),
        ("18, says GPT-4", "18"),
        ("18 in v1.2", "18"),
        ("No.5", "5"),
        ("5kg", "5"),
        ("_18_", "18"),
        ("**18**", "18"),
        (r"\boxed{18}", "18"),
        ("是18个", "18"),
        ("１８", "18"),
    ],
)
def test_reads_the_last_number(score: Callable[..., Score], text: str, expected: str) -> None:
    assert score("numeric", text, expected).value == 1.0
    assert score("numeric", f"1 of 7: {text}", expected).value == 1.0
    assert score("numeric", text, "999").value == 0.0


@pytest.mark.parametrize("text", ["", "none", "gpt4", "nan", "inf", "Infinity", "-", "x1", "ten"])
def test_no_number_is_a_zero_that_says_so(score: Callable[..., Score], text: str) -> None:
    result = score("numeric", text, "4")
    assert result.value == 0.0
    assert result.explanation.startswith("no number in ")


def test_reads_the_end_of_a_long_answer(score: Callable[..., Score]) -> None:
    assert score("numeric", "17 " + "x " * 30_000, "17").value == 1.0
    assert score("numeric", "17 " + "x " * 33_000, "17").value == 0.0


@pytest.mark.parametrize("text", ["1" * 5000, "1e99999", "-1e-99999", "7/0", "1e401"])
def test_a_number_out_of_range_is_a_zero_that_says_so(score: Callable[..., Score], text: str) -> None:
    result = score("numeric", text, "1")
    assert result.value == 0.0
    assert "out of range" in result.explanation


@pytest.mark.parametrize(
    ("text", "expected", "options", "value"),
    [
        ("3.15", "3.14", {"tolerance": 0.01}, 1.0),  # exactly at the tolerance, which no float difference is
        ("3.1501", "3.14", {"tolerance": 0.01}, 0.0),
        ("3.13", "3.14", {"tolerance": 0.01}, 1.0),
        ("101", "100", {"rel_tolerance": 0.01}, 1.0),
        ("101.1", "100", {"rel_tolerance": 0.01}, 0.0),
        ("-101", "-100", {"rel_tolerance": 0.01}, 1.0),
        ("102", "100", {"tolerance": 2, "rel_tolerance": 0.01}, 1.0),
        ("2", ["1", "2"], {}, 1.0),
        ("18", 18, {}, 1.0),
        ("0.1", 0.1, {}, 1.0),
    ],
)
def test_tolerances(score: Callable[..., Score], text: str, expected: Any, options: Any, value: float) -> None:
    assert score("numeric", text, expected, **options).value == value


@given(st.fractions(max_denominator=1), st.integers(0, 6), st.text(st.sampled_from("ab ,.-$%\n"), max_size=300))
def test_a_written_number_is_read_back(score: Callable[..., Score], whole: Fraction, places: int, before: str) -> None:
    written = f"{int(whole):,}" + (f".{'0' * places}" if places else "")
    assert score("numeric", f"{before} {written} eggs", str(int(whole))).value == 1.0


@given(st.text(st.sampled_from("12a ,.-/e\n\u202f"), min_size=1, max_size=400))
def test_windows_read_what_one_look_at_the_whole_reads(score: Callable[..., Score], text: str) -> None:
    padded = " x" * 3000
    assert score("numeric", text, "1").value == score("numeric", f"{text} {padded}", "1").value


@pytest.mark.parametrize(
    ("expected", "fits"),
    [
        ("18", True),
        (" $1,234.50 ", True),
        ("50%", True),
        (["1", "2"], True),
        (18, True),
        (None, False),
        ("eighteen", False),
        ("18 or 20", False),
        ("#### 18", False),
        ("", False),
        ([], False),
        (["1", "x"], False),
        ({"a": 1}, False),
        (True, False),
        (float("nan"), False),
        ("1/0", False),
    ],
)
def test_a_case_needs_a_number(
    make: Callable[..., Scorer], case: Callable[..., Case], expected: Any, *, fits: bool
) -> None:
    assert (make("numeric").check(case(expected)) is None) == fits


@pytest.mark.parametrize(("model", "correct"), [("6b_finetuning", 21), ("6b_verification", 37)])
def test_agrees_with_the_recorded_flags_of_gsm8k(
    score: Callable[..., Score], recorded: Callable[[str], list[dict[str, Any]]], model: str, correct: int
) -> None:
    rows = recorded("01_gsm8k/items.jsonl")
    ours = {row["id"]: score("numeric", row["outputs"][model]["output"], row["expected"]).value for row in rows}
    assert ours == {row["id"]: row["outputs"][model]["is_correct"] for row in rows}
    assert len(rows) == 102
    assert sum(value or 0 for value in ours.values()) == correct
