import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.core.records import Score
from evalsvc.errors import ScoringError
from evalsvc.scoring.base import Scorer
from evalsvc.scoring.text import normal_form, quote

ANY_TEXT = st.text(st.characters(exclude_categories=()))


@pytest.mark.parametrize(
    ("extract", "text", "value"),
    [
        (r"A: (\d+)", "A: 1\nA: 2", 1.0),  # the last match, its group
        (r"\d+", "1 then 2", 1.0),  # no group: the match
        (r"(?:is (\d)|x)", "is 2, x", 0.0),  # the last match has nothing in its group
        (r"Answer (.*)", "A: 2", 0.0),
        (r"A:(.*)", "A:  2 ", 1.0),  # stripped after extracting
    ],
)
def test_extract_takes_the_last_match(score: Callable[..., Score], extract: str, text: str, value: float) -> None:
    assert score("exact_match", text, "2", extract=extract).value == value


def test_nothing_extracted_is_a_zero_that_says_so(score: Callable[..., Score]) -> None:
    assert score("exact_match", "2", "2", extract="A: (.*)") == Score(value=0.0, explanation="nothing matched extract")


def test_strip_can_be_turned_off(score: Callable[..., Score]) -> None:
    assert score("exact_match", " 2\n", "2").value == 1.0
    assert score("exact_match", "2", " 2\n").value == 1.0
    assert score("exact_match", " 2\n", "2", strip=False).value == 0.0


def test_a_pattern_that_runs_away_is_a_scoring_error(score: Callable[..., Score]) -> None:
    runaway = r"(?:a|aa)+$"
    for name, options in (("exact_match", {"extract": runaway}), ("regex", {"pattern": runaway})):
        with pytest.raises(ScoringError, match=r"longer than 0\.05 s"):
            score(name, "a" * 100 + "!" + "a" * 100 + "!", "x", time_limit_s=0.05, **options)


def test_a_text_too_long_for_patterns_is_a_scoring_error(score: Callable[..., Score]) -> None:
    assert score("regex", "x" * 262_144, pattern="^x").value == 1.0
    for name, options in (("exact_match", {"extract": "^x"}), ("regex", {"pattern": "^x"})):
        with pytest.raises(ScoringError, match="262145 characters"):
            score(name, "x" * 262_145, "x", **options)


def test_users_patterns_go_off_the_loop(make: Callable[..., Scorer]) -> None:
    assert make("exact_match", extract="x").offload
    assert make("regex", pattern="x").offload
    assert not make("exact_match").offload


@given(ANY_TEXT)
def test_a_quote_is_short_printable_and_on_one_line(text: str) -> None:
    shown = quote(text)
    assert len(shown) <= 62
    assert shown.isprintable()


def test_a_quote_shows_short_text_whole() -> None:
    assert quote("D\n") == r"'D\n'"
    assert quote("x" * 61) == "'" + "x" * 59 + "…"


@given(ANY_TEXT)
def test_the_normal_form_is_unicodes(text: str) -> None:
    assert normal_form(text, "NFC") == unicodedata.normalize("NFC", text)
    assert normal_form(text, "NFKC") == unicodedata.normalize("NFKC", text)


def test_a_text_that_takes_for_ever_to_normalise_is_a_scoring_error() -> None:
    assert normal_form("a" * 300_000, "NFC") == "a" * 300_000
    assert normal_form("e" + "\u0301" * 30, "NFC").startswith("é")
    with pytest.raises(ScoringError, match="31 combining marks in a row"):
        normal_form("e" + "\u0301\u0323" * 100_000, "NFKC")
    with pytest.raises(ScoringError, match="262145 characters: texts are normalised up to 262144"):
        normal_form("é" * 262_145, "NFC")
