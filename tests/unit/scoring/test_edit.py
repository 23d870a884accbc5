from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.core.records import Case, Score
from evalsvc.errors import ScoringError
from evalsvc.scoring.base import Scorer

TEXT = st.text(st.sampled_from("ab c"), max_size=12)


def distance(one: Any, other: Any) -> int:
    """Levenshtein's, by its definition (Wagner and Fischer 1974)."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


@given(TEXT, TEXT)
def test_is_one_minus_the_share_of_edits(score: Callable[..., Score], answer: str, wanted: str) -> None:
    for tokens, pair in (("chars", (answer, wanted)), ("words", (answer.split(), wanted.split()))):
        longest = max(map(len, pair))
        value = score("edit_similarity", answer, wanted, tokens=tokens, strip=False).value
        assert value == pytest.approx(1 - distance(*pair) / longest if longest else 1.0, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "expected", "options", "value"),
    [
        ("kitten", "sitting", {}, 1 - 3 / 7),
        ("kitten", ["dog", "kitten"], {}, 1.0),
        ("STRASSE", "straße", {}, 0.0),
        ("STRASSE", "straße", {"ignore_case": True}, 1.0),
        ("the cat sat", "the dog sat", {"tokens": "words"}, 2 / 3),
        ("e\u0301", "é", {}, 0.0),
        ("e\u0301", "é", {"unicode": "NFC"}, 1.0),
        ("", "", {}, 1.0),
        ("", "a", {}, 0.0),
    ],
)
def test_edit_similarity(score: Callable[..., Score], text: str, expected: Any, options: Any, value: float) -> None:
    assert score("edit_similarity", text, expected, **options).value == pytest.approx(value)


def test_a_case_needs_a_text(make: Callable[..., Scorer], case: Callable[..., Case]) -> None:
    assert make("edit_similarity").check(case()) == "has no expected"
    assert make("edit_similarity").check(case("")) is None


def test_its_work_is_bounded(score: Callable[..., Score]) -> None:
    assert score("edit_similarity", "ab" * 10_000, "ba" * 10_000).value is not None
    with pytest.raises(ScoringError, match="20002 by 20000 chars"):
        score("edit_similarity", "ab" * 10_001, ["ba" * 5_000] * 2)
    with pytest.raises(ScoringError, match="262145 characters"):
        score("edit_similarity", "a" * 262_145, "a")
