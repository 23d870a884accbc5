from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.core.records import Case, Score
from evalsvc.scoring.base import Scorer
from evalsvc.scoring.tokens import squad


@pytest.mark.parametrize(
    ("text", "expected", "options", "value"),
    [
        ("Paris", "Paris", {}, 1.0),
        ("paris", "Paris", {}, 0.0),
        ("STRASSE", "straße", {"ignore_case": True}, 1.0),
        ("Paris.", "Paris", {}, 0.0),
        ("7.0", "7", {}, 0.0),
        ("b", ["a", "b"], {}, 1.0),
        ("ab", ["a", "b"], {}, 0.0),
    ],
)
def test_exact_match(score: Callable[..., Score], text: str, expected: Any, options: Any, value: float) -> None:
    assert score("exact_match", text, expected, **options).value == value


@given(st.text(), st.text())
def test_exact_match_is_equality_of_stripped_texts(score: Callable[..., Score], text: str, expected: str) -> None:
    assert score("exact_match", text, expected).value == (text.strip() == expected.strip())
    assert score("exact_match", text, text).value == 1.0


@pytest.mark.parametrize(
    ("text", "expected", "options", "value"),
    [
        ("in Paris, France", "Paris", {}, 1.0),
        ("in Paris", ["Rome", "Paris"], {}, 1.0),
        ("in Paris", ["Rome", "Paris"], {"all": True}, 0.0),
        ("Rome and Paris", ["Rome", "Paris"], {"all": True}, 1.0),
        ("PARIS", "Paris", {}, 0.0),
        ("PARIS", "Paris", {"ignore_case": True}, 1.0),
    ],
)
def test_contains(score: Callable[..., Score], text: str, expected: Any, options: Any, value: float) -> None:
    assert score("contains", text, expected, **options).value == value


def test_contains_says_what_is_missing(score: Callable[..., Score]) -> None:
    assert score("contains", "Rome", ["Rome", "Paris"], all=True).explanation == "'Paris' does not occur in the answer"


@pytest.mark.parametrize(
    ("text", "expected", "options", "value"),
    [
        ("so it is 42!", None, {"pattern": r"\b42\b"}, 1.0),
        ("so it is 420", None, {"pattern": r"\b42\b"}, 0.0),
        ("Yes", None, {"pattern": "^yes$", "ignore_case": True}, 1.0),
        ("abc", "b.$", {}, 1.0),
        ("abc", ["x", "^a"], {}, 1.0),
        ("abc", ["x", "y"], {}, 0.0),
        ("abc", "x", {"pattern": "a"}, 1.0),  # the option wins over expected
        ("\\boxed{7}", None, {"pattern": r"(?<=\\boxed\{)7"}, 1.0),
    ],
)
def test_regex(score: Callable[..., Score], text: str, expected: Any, options: Any, value: float) -> None:
    assert score("regex", text, expected, **options).value == value


@pytest.mark.parametrize(
    ("name", "expected", "lack"),
    [
        ("exact_match", None, "has no expected"),
        ("exact_match", {"a": 1}, "a text or a list of texts"),
        ("exact_match", [], "a text or a list of texts"),
        ("exact_match", ["a", 1], "a text or a list of texts"),
        ("exact_match", "", None),
        ("contains", "", "empty text"),
        ("contains", ["a", " "], "empty text"),
        ("contains", None, "has no expected"),
        ("regex", None, "has no expected, and the scorer has no pattern"),
        ("regex", "(", "expected is not a regular expression"),
        ("regex", "a", None),
    ],
)
def test_what_a_case_lacks_is_said_before_anything_is_asked(
    make: Callable[..., Scorer], case: Callable[..., Case], name: str, expected: Any, lack: str | None
) -> None:
    said = make(name).check(case(expected))
    assert said is None if lack is None else said is not None and lack in said


def test_a_regex_with_a_pattern_needs_no_expected(make: Callable[..., Scorer], case: Callable[..., Case]) -> None:
    assert make("regex", pattern="a").check(case()) is None


@pytest.mark.parametrize(
    ("text", "expected", "options", "value"),
    [
        ("The Eiffel-Tower!", "eiffeltower", {"normalize": "squad"}, 1.0),
        ("an  apple", "Apple.", {"normalize": "squad"}, 1.0),
        ("theory", "ory", {"normalize": "squad"}, 0.0),
        ("Straße", "STRASSE", {"normalize": "squad"}, 0.0),
        ("Straße", "STRASSE", {"normalize": "squad", "ignore_case": True}, 1.0),
        ("e\u0301", "é", {}, 0.0),
        ("e\u0301", "é", {"unicode": "NFC"}, 1.0),
        ("é", "e\u0301", {"unicode": "NFC"}, 1.0),
        ("ﬁve １", "five 1", {"unicode": "NFC"}, 0.0),
        ("ﬁve １", "five 1", {"unicode": "NFKC"}, 1.0),
        ("\u3000x", "x", {"unicode": "NFKC", "strip": False}, 0.0),
    ],
)
def test_what_normalisation_makes_equal(
    score: Callable[..., Score], text: str, expected: Any, options: Any, value: float
) -> None:
    assert score("exact_match", text, expected, **options).value == value


@given(st.text(), st.text())
def test_squad_equality_is_equality_of_normalised_texts(score: Callable[..., Score], text: str, expected: str) -> None:
    assert score("exact_match", text, expected, normalize="squad").value == (squad(text) == squad(expected))


def test_a_reference_that_cannot_be_normalised_is_said_at_once(
    make: Callable[..., Scorer], case: Callable[..., Case]
) -> None:
    marks = "e" + "\u0301" * 31
    assert make("exact_match").check(case(marks)) is None
    for name in ("exact_match", "contains"):
        said = make(name, unicode="NFC").check(case(["a", marks]))
        assert said == "expected has 31 combining marks in a row: too many to normalise"
