import re
import string

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.scoring.tokens import split, squad

ANY_TEXT = st.text(st.characters(exclude_categories=()))


def official(text: str) -> str:
    """`normalize_answer` as SQuAD's evaluation script does it, step by step."""
    kept = "".join(ch for ch in text.lower() if ch not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())


@given(ANY_TEXT | st.lists(st.sampled_from(["the", "A", "a.n", "(an)", "theory", "é", "\u00a0", "\n"])).map(" ".join))
def test_the_normalisation_is_squads(text: str) -> None:
    assert squad(text) == official(text)


@pytest.mark.parametrize(
    ("text", "tokens", "found"),
    [
        ("It's 2.5 née K", "ascii", ["it", "s", "2", "5", "n", "e", "k"]),
        ("It's 2.5 née", "unicode", ["it", "s", "2", "5", "née"]),
        ("हिन्दी ne\u0301e ²", "unicode", ["हिन्दी", "ne\u0301e", "²"]),
        ("猫、a1 é e\u0301", "chars", ["猫", "a", "1", "é", "e\u0301"]),
        ("ที่", "chars", ["ที่"]),
        ("_-。!", "chars", []),
    ],
)
def test_tokens(text: str, tokens: str, found: list[str]) -> None:
    assert split(text, tokens) == found  # type: ignore[arg-type]  # the literal comes from a table


@given(ANY_TEXT)
def test_characters_are_the_words_taken_apart(text: str) -> None:
    words = [regex.sub(r"^\p{M}+", "", word) for word in split(text, "unicode")]
    assert "".join(split(text, "chars")) == "".join(words)


def test_only_words_of_more_than_three_characters_are_stemmed() -> None:
    assert split("Ties tied the ponies, relational", "ascii", stem=True) == ["tie", "tie", "the", "poni", "relat"]
    assert split("was", "ascii", stem=True) == ["was"]
    assert split("running" * 20, "ascii", stem=True) == ["running" * 20]
