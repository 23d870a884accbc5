import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from sacrebleu.tokenizers.tokenizer_char import TokenizerChar
from sacrebleu.tokenizers.tokenizer_intl import TokenizerV14International
from sacrebleu.tokenizers.tokenizer_re import TokenizerRegexp
from sacrebleu.tokenizers.tokenizer_zh import TokenizerZh

from evalsvc.core.records import Case, Completion, CountedScore, Score
from evalsvc.errors import ScoringError
from evalsvc.scoring.base import CorpusScore, Scorer

WORDS = ["the", "Cat", "cat", "sat.", "on", "a", "mat,", "3.5", "né", "猫", "&amp;", "<skipped>", "-\n", "\u2028", "!"]
TEXT = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join) | st.text(max_size=20)
EXPECTED = TEXT.filter(str.strip)
#: Options of ours, and what sacrebleu calls them.
BLEUS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"tokens": "intl", "ignore_case": True}, {"tokenize": "intl", "lowercase": True}),
    ({"tokens": "zh"}, {"tokenize": "zh"}),
    ({"tokens": "char", "order": 2}, {"tokenize": "char", "max_ngram_order": 2}),
    ({"tokens": "none", "smooth": "floor"}, {"tokenize": "none", "smooth_method": "floor"}),
    ({"smooth": "add-k", "smooth_value": 2.0}, {"smooth_method": "add-k", "smooth_value": 2.0}),
    ({"smooth": "none"}, {"smooth_method": "none"}),
]
CHRFS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"words": 2, "ignore_case": True}, {"word_order": 2, "lowercase": True}),
    ({"order": 3, "beta": 1}, {"char_order": 3, "beta": 1}),
]


def corpus_of(
    scorer: Scorer, case: Callable[..., Case], answers: Sequence[str | None], references: Sequence[list[str]]
) -> CorpusScore:
    """The corpus score of answers; one that is None was cut off."""
    cases = [case(each) for each in references]
    scores = [
        scorer.fault(one, "cut off") if answer is None else scorer.score(one, Completion(text=answer))
        for one, answer in zip(cases, answers, strict=True)
    ]
    parts = [cast(CountedScore, score).parts for score in scores]
    return scorer.aggregate([sum(column) for column in zip(*parts, strict=True)])


def theirs(metric: Any, answers: Sequence[str], references: Sequence[list[str]]) -> float:
    most = max(map(len, references))
    streams = [[each[i] if i < len(each) else None for each in references] for i in range(most)]
    return float(metric.corpus_score(list(answers), streams).score) / 100


@pytest.mark.parametrize(("ours", "options"), BLEUS)
@settings(max_examples=40)
@given(answer=TEXT, references=st.lists(EXPECTED, min_size=1, max_size=3))
def test_a_case_has_sacrebleus_sentence_bleu(
    score: Callable[..., Score], ours: dict[str, Any], options: dict[str, Any], answer: str, references: list[str]
) -> None:
    wanted = BLEU(effective_order=True, **options).sentence_score(answer, references).score / 100
    assert score("bleu", answer, references, strip=False, **ours).value == pytest.approx(wanted, abs=1e-11)


@pytest.mark.parametrize(("ours", "options"), CHRFS)
@settings(max_examples=40)
@given(answer=TEXT, references=st.lists(EXPECTED, min_size=1, max_size=3))
def test_a_case_has_sacrebleus_sentence_chrf(
    score: Callable[..., Score], ours: dict[str, Any], options: dict[str, Any], answer: str, references: list[str]
) -> None:
    wanted = CHRF(**options).sentence_score(answer, references).score / 100
    assert score("chrf", answer, references, strip=False, **ours).value == pytest.approx(wanted, abs=1e-11)


@pytest.mark.parametrize(
    ("name", "metric", "ours", "options"),
    [("bleu", BLEU, *each) for each in BLEUS] + [("chrf", CHRF, *each) for each in CHRFS],
)
@settings(max_examples=40)
@given(rows=st.lists(st.tuples(TEXT, st.lists(EXPECTED, min_size=1, max_size=3)), min_size=1, max_size=6))
def test_all_together_have_sacrebleus_corpus_score_and_signature(
    make: Callable[..., Scorer],
    case: Callable[..., Case],
    name: str,
    metric: Any,
    ours: dict[str, Any],
    options: dict[str, Any],
    rows: list[tuple[str, list[str]]],
) -> None:
    answers, references = [row[0] for row in rows], [row[1] for row in rows]
    oracle = metric(**options)
    found = corpus_of(make(name, strip=False, **ours), case, answers, references)
    assert found.value == pytest.approx(theirs(oracle, answers, references), abs=1e-11)
    assert found.signature == str(oracle.get_signature())


def test_equals_the_recorded_vectors(
    make: Callable[..., Scorer],
    score: Callable[..., Score],
    case: Callable[..., Case],
    recorded: Callable[[str], list[dict[str, Any]]],
) -> None:
    names = {
        "tokenize": "tokens",
        "lowercase": "ignore_case",
        "max_ngram_order": "order",
        "smooth_method": "smooth",
        "smooth_value": "smooth_value",
    }
    rows = recorded("12_metric_vectors/bleu_cases.jsonl")
    assert len(rows) == 15
    for row in rows:
        options = {names[key]: value for key, value in row["options"].items() if key in names and value is not None}
        if "smooth_value" in options:
            options["smooth_value"] = float(options["smooth_value"])
        references = [list(each) for each in zip(*row["references"], strict=True)]
        if row["kind"] == "corpus":
            value = corpus_of(make("bleu", **options), case, row["hypotheses"], references).value
        else:
            value = score("bleu", row["hypotheses"][0], references[0], **options).value or 0.0
        assert 100 * value == pytest.approx(row["expected"], abs=row["tolerance"]), row["name"]


@pytest.mark.parametrize("name", ["bleu", "chrf"])
def test_an_answer_that_was_cut_off_counts_as_an_empty_one(
    make: Callable[..., Scorer], case: Callable[..., Case], name: str
) -> None:
    scorer, references = make(name), [["the cat sat on the mat"], ["it was late in the day"]]
    answers = ["the cat sat on the mat", None]
    assert scorer.fault(case(references[1]), "cut off").value == 0.0
    assert scorer.fault(case(references[1]), "cut off").explanation == "cut off"
    with_fault = corpus_of(scorer, case, answers, references)
    assert with_fault == corpus_of(scorer, case, ["the cat sat on the mat", ""], references)
    assert with_fault.value < 0.6
    assert corpus_of(scorer, case, answers[:1], references[:1]).value == 1.0


@pytest.mark.parametrize("name", ["bleu", "chrf"])
def test_the_expected_text_itself_scores_1(score: Callable[..., Score], name: str) -> None:
    for text in ("a", "the cat", "the cat sat on the mat, and it was late."):
        assert score(name, text, ["x", text]).value == 1.0
    assert score(name, "the cat", "the cat").explanation == "100.00 of 100"


def test_a_normal_form_stands_in_the_signature(make: Callable[..., Scorer], case: Callable[..., Case]) -> None:
    plain = corpus_of(make("bleu"), case, ["a"], [["a", "b"]]).signature
    assert plain.startswith("nrefs:2|case:mixed|eff:no|tok:13a|smooth:exp|version:2.")
    assert corpus_of(make("bleu", unicode="NFC"), case, ["a"], [["a", "b"]]).signature == f"{plain}|unicode:NFC"


@pytest.mark.parametrize("name", ["bleu", "chrf"])
@pytest.mark.parametrize(
    ("expected", "lack"),
    [
        (None, "has no expected"),
        ("", "empty text"),
        (["a", " "], "empty text"),
        ({"a": 1}, "a text or a list of texts"),
        (["a" * 65_536, "a"], "more than 65536 characters"),
        (["a", "b"], None),
    ],
)
def test_what_a_case_lacks_is_said_before_anything_is_asked(
    make: Callable[..., Scorer], case: Callable[..., Case], name: str, expected: Any, lack: str | None
) -> None:
    said = make(name).check(case(expected))
    assert said is None if lack is None else said is not None and lack in said


@pytest.mark.parametrize("name", ["bleu", "chrf"])
def test_its_work_is_bounded(make: Callable[..., Scorer], score: Callable[..., Score], name: str) -> None:
    assert make(name).offload
    assert score(name, "a" * 65_536, "a").value is not None
    with pytest.raises(ScoringError, match="65537 characters: n-grams are counted up to 65536"):
        score(name, "a" * 65_537, "a")


@pytest.mark.parametrize("tokens", ["13a", "intl", "zh", "char", "none"])
def test_no_text_is_kept_in_memory(score: Callable[..., Score], tokens: str) -> None:
    kinds: list[Any] = [Tokenizer13a, TokenizerChar, TokenizerRegexp, TokenizerV14International, TokenizerZh]
    held = [kind.__call__.cache_info().currsize for kind in kinds]
    score("bleu", f"an answer nobody has seen before {tokens}", "the cat", tokens=tokens)
    assert [kind.__call__.cache_info().currsize for kind in kinds] == held


def test_heavy_packages_wait_until_they_are_needed() -> None:
    code = "import sys, evalsvc.scoring; print([m for m in ('sacrebleu', 'nltk', 'lxml') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
