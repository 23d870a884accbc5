from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from evalsvc.core.records import Case, Score
from evalsvc.errors import ScoringError
from evalsvc.scoring.base import Scorer

ORACLE = RougeScorer(["rougeL"], use_stemmer=False)
TEXT = (
    st.lists(st.sampled_from(["the", "Cat", "sat", "2", "né", "K", "-", "...", "a_b", "是"])).map(" ".join) | st.text()
)


@given(TEXT, TEXT)
def test_equals_rouge_score(score: Callable[..., Score], reference: str, answer: str) -> None:
    wanted = ORACLE.score(reference, answer)["rougeL"].fmeasure
    assert score("rouge_l", answer, reference).value == pytest.approx(wanted, abs=1e-12)


def test_equals_the_recorded_vectors(
    score: Callable[..., Score], recorded: Callable[[str], list[dict[str, Any]]]
) -> None:
    rows = [row for row in recorded("12_metric_vectors/rouge_cases.jsonl") if row["metric"] == "rougeL"]
    rows = [row for row in rows if not row["use_stemmer"]]
    assert rows
    for row in rows:
        value = score("rouge_l", row["prediction"], row["reference"]).value
        assert value == pytest.approx(row["expected"]["fmeasure"], abs=row["tolerance"] or 1e-12), row["name"]


def test_the_best_reference_counts(score: Callable[..., Score]) -> None:
    assert score("rouge_l", "the cat sat", ["a dog", "the cat sat"]).value == 1.0


def test_other_alphabets_need_unicode_tokens(
    score: Callable[..., Score], make: Callable[..., Scorer], case: Callable[..., Case]
) -> None:
    assert score("rouge_l", "кот сидел", "кот сидел").value == 0.0
    assert score("rouge_l", "Кот сидел", "кот лежал", tokens="unicode").value == 0.5
    assert 'tokens = "ascii"' in (make("rouge_l").check(case("кот")) or "")
    assert make("rouge_l", tokens="unicode").check(case("кот")) is None


def test_a_case_needs_a_text(make: Callable[..., Scorer], case: Callable[..., Case]) -> None:
    assert make("rouge_l").check(case()) == "has no expected"
    assert make("rouge_l").check(case(["a", "?"])) is not None
    assert make("rouge_l").check(case(["a", "b"])) is None


def test_too_long_a_text_is_a_scoring_error(score: Callable[..., Score]) -> None:
    assert score("rouge_l", "a " * 20_000, "a").value is not None
    with pytest.raises(ScoringError, match="20001 tokens"):
        score("rouge_l", "a " * 20_001, "a")
