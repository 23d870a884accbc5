from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from evalsvc.core.records import Case, Score
from evalsvc.errors import JobError, ScoringError
from evalsvc.scoring.base import Scorer

THEIRS = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL", "rouge_lsum": "rougeLsum"}
ORACLES = {stem: RougeScorer(list(THEIRS.values()), use_stemmer=stem) for stem in (False, True)}
WORDS = [
    "the",
    "Cat",
    "sat",
    "sats",
    "Sitting",
    "2",
    "né",
    "K",
    "İ",
    "-",
    "...",
    "a_b",
    "是",
    "\n",
    "\n\n",
    "\r\n",
    "\u2028",
]
TEXT = st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join) | st.text()


@pytest.mark.parametrize("stem", [False, True])
@pytest.mark.parametrize("name", THEIRS)
@given(TEXT, TEXT)
def test_equals_rouge_score(score: Callable[..., Score], name: str, stem: bool, reference: str, answer: str) -> None:
    wanted = ORACLES[stem].score(reference, answer)[THEIRS[name]].fmeasure
    assert score(name, answer, reference, stem=stem).value == pytest.approx(wanted, abs=1e-12)


@given(st.lists(TEXT, min_size=1, max_size=4), TEXT)
def test_the_best_reference_is_rouge_scores_too(
    score: Callable[..., Score], references: list[str], answer: str
) -> None:
    wanted = ORACLES[False].score_multi(references, answer)
    for name, theirs in THEIRS.items():
        assert score(name, answer, references).value == pytest.approx(wanted[theirs].fmeasure, abs=1e-12)


def test_equals_the_recorded_vectors(
    score: Callable[..., Score], recorded: Callable[[str], list[dict[str, Any]]]
) -> None:
    ours = {theirs: name for name, theirs in THEIRS.items()}
    rows = recorded("12_metric_vectors/rouge_cases.jsonl")
    assert len(rows) == 11
    for row in rows:
        value = score(ours[row["metric"]], row["prediction"], row["reference"], stem=row["use_stemmer"]).value
        assert value == pytest.approx(row["expected"]["fmeasure"], abs=row["tolerance"]), row["name"]


@pytest.mark.parametrize("name", THEIRS)
def test_the_best_reference_counts(score: Callable[..., Score], name: str) -> None:
    assert score(name, "the cat sat", ["a dog", "the cat sat"]).value == 1.0


def test_precision_and_recall_are_told(score: Callable[..., Score]) -> None:
    assert score("rouge_1", "a b c d", "a b").explanation == "F 0.667 (precision 0.500, recall 1.000)"


def test_other_alphabets_need_their_own_tokens(
    score: Callable[..., Score], make: Callable[..., Scorer], case: Callable[..., Case]
) -> None:
    assert score("rouge_l", "кот сидел", "кот сидел").value == 0.0
    assert score("rouge_l", "Кот сидел", "кот лежал", tokens="unicode").value == 0.5
    assert 'tokens = "ascii"' in (make("rouge_l").check(case("кот")) or "")
    assert make("rouge_l", tokens="unicode").check(case("кот")) is None


def test_scripts_without_spaces_are_compared_character_by_character(score: Callable[..., Score]) -> None:
    assert score("rouge_1", "猫坐了", "猫坐着。", tokens="unicode").value == 0.0
    assert score("rouge_1", "猫坐了", "猫坐着。", tokens="chars").value == pytest.approx(2 / 3)
    assert score("rouge_2", "猫坐了", "猫坐着。", tokens="chars").value == 0.5
    assert score("f1", "猫坐了", "猫,坐着。", tokens="chars").value == pytest.approx(2 / 3)
    assert score("f1", "猫坐了", "猫坐着").value == 0.0


def test_a_vowel_sign_is_part_of_its_word(score: Callable[..., Score]) -> None:
    assert score("rouge_1", "हिन्दी", "हन्दा", tokens="unicode").value == 0.0
    assert score("rouge_1", "ภาษา", "ภาษาไทย", tokens="unicode").value == 0.0


@pytest.mark.parametrize(
    ("name", "bad"), [("rouge_1", "?"), ("rouge_2", "one"), ("rouge_l", "?"), ("rouge_lsum", "\n")]
)
def test_a_case_needs_a_text(make: Callable[..., Scorer], case: Callable[..., Case], name: str, bad: str) -> None:
    assert make(name).check(case()) == "has no expected"
    assert make(name).check(case(["a b", bad])) is not None
    assert make(name).check(case(["a b", "b c"])) is None


def test_lines_are_sentences_to_lsum_only(score: Callable[..., Score]) -> None:
    answer, reference = "it was late\nthe cat sat", "the cat sat\nit was late"
    assert score("rouge_lsum", answer, reference).value == 1.0
    assert score("rouge_l", answer, reference).value == 0.5


@pytest.mark.parametrize("space", ["\r", "\x0b", "\x85", "\u2028"])
def test_only_a_line_feed_ends_a_sentence(score: Callable[..., Score], space: str) -> None:
    assert score("rouge_lsum", f"it was{space}the cat", "the cat it was").value == 0.5
    assert score("rouge_lsum", "it was\nthe cat", "the cat it was").value == 1.0


@pytest.mark.parametrize("name", THEIRS)
def test_too_long_a_text_is_a_scoring_error(score: Callable[..., Score], name: str) -> None:
    text = ("a " * 63 + "a\n") * 2_048
    assert score(name, text, "a b", strip=False).value is not None
    with pytest.raises(ScoringError, match="262145 characters: texts are compared up to 262144"):
        score(name, text + "a", "a b")


def test_too_many_pairs_are_a_scoring_error(score: Callable[..., Score]) -> None:
    assert score("rouge_l", "a " * 20_000, "a " * 20_000).value == 1.0
    with pytest.raises(ScoringError, match="20001 by 20000 tokens"):
        score("rouge_l", "a " * 20_001, "a " * 20_000)
    assert score("rouge_lsum", "a\n" * 300, "b\n" * 300).value == 0.0
    with pytest.raises(ScoringError, match="100000 tokens in 100000 lines by 10 in 10"):
        score("rouge_lsum", "a\n" * 100_000, "b\n" * 10)


def test_without_the_stemmers_package_the_option_says_so(
    make: Callable[..., Scorer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent() -> None:
        raise ModuleNotFoundError

    monkeypatch.setattr("evalsvc.scoring.tokens._porter", absent)
    make("rouge_1", stem=False)
    with pytest.raises(JobError, match=r"needs the package nltk: pip install 'evalsvc\[stem\]'") as caught:
        make("rouge_1", stem=True)
    assert caught.value.key == "stem"


def test_too_many_words_to_stem_are_a_scoring_error(score: Callable[..., Score]) -> None:
    with pytest.raises(ScoringError, match="20001 tokens: up to 20000 are stemmed"):
        score("rouge_1", "a " * 20_001, "a", stem=True)


def test_what_takes_long_goes_off_the_loop(make: Callable[..., Scorer]) -> None:
    assert make("rouge_lsum").offload
    assert make("rouge_1", stem=True).offload
    assert make("rouge_1", extract="x").offload
    assert not make("rouge_1").offload
    assert not make("f1").offload


def official_f1(answer: str, wanted: str) -> float:
    """`compute_f1` of SQuAD 2.0's evaluation script, on normalised texts."""
    gold, got = wanted.split(), answer.split()
    same = sum((Counter(gold) & Counter(got)).values())
    if not gold or not got:
        return float(gold == got)
    if not same:
        return 0.0
    precision, recall = same / len(got), same / len(gold)
    return 2 * precision * recall / (precision + recall)


@given(*[st.lists(st.sampled_from(["the", "A", "an", "Cat,", "sat.", "!", "theory", "né"])).map(" ".join)] * 2)
def test_f1_is_that_of_squad(score: Callable[..., Score], answer: str, wanted: str) -> None:
    plain = [text.lower().replace(",", "").replace(".", "").replace("!", "") for text in (answer, wanted)]
    without = [" ".join(word for word in text.split() if word not in ("a", "an", "the")) for text in plain]
    assert score("f1", answer, wanted).value == pytest.approx(official_f1(*without), abs=1e-12)


@pytest.mark.parametrize(
    ("answer", "wanted", "value"),
    [
        ("The Eiffel Tower!", "eiffel tower", 1.0),
        ("in the Eiffel Tower", "eiffel tower", 0.8),
        ("guilty", "not guilty", 2 / 3),
        ("Rome", ["Paris", "rome"], 1.0),
        ("the", "a", 1.0),
        ("the", "cat", 0.0),
        ("cat cat cat", "cat", 0.5),
        ("the-cat", "thecat", 1.0),
    ],
)
def test_f1(score: Callable[..., Score], answer: str, wanted: Any, value: float) -> None:
    assert score("f1", answer, wanted).value == pytest.approx(value)
