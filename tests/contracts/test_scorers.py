"""What holds for every registered scorer, whatever a model answers."""

import dataclasses
import math
from time import thread_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import evalsvc.scoring  # noqa: F401 - importing the package registers its scorers
from evalsvc.core.records import Case, Completion, CountedScore, Score, ScorerSpec
from evalsvc.errors import ScoringError
from evalsvc.scoring.base import SCORERS, Scorer, build

MEGABYTE = 1_000_000
HOSTILE = {
    "empty": "",
    "brackets": "[" * 10_000,
    "braces": '{"a":' * 100_000,
    "balanced": "[" * 1024 + "]" * 1024,
    "nul": "\0" * 1000,
    "lone surrogates": "\ud800 18 \udfff",
    "escaped surrogate": '"\\ud800"',
    "5,000 digits": "9" * 5000,
    "huge exponent": "1e999999999",
    "nan": "NaN",
    "1 MB of digits": "1" * MEGABYTE,
    "1 MB of commas": ",".join("1" * (MEGABYTE // 2)),
    "1 MB of groups": "1" + ",123" * (MEGABYTE // 4) + "4",
    "1 MB of words": "a " * (MEGABYTE // 2),
    "1 MB of spaces": "answer is" + " " * MEGABYTE,
    "1 MB of stars": "answer is " + "*" * MEGABYTE,
    "1 MB of cues": "answer to " * (MEGABYTE // 10),
    "1 MB of letters": "(A) B\n" * (MEGABYTE // 6),
    "1 MB of quotes": '"' + '\\"' * (MEGABYTE // 2) + '"',
    "1 MB of lists": "[" + "[]," * (MEGABYTE // 3) + "[]]",
    "1 MB of tags": "<tool_call>" * (MEGABYTE // 11),
    "1 MB of calls": "f(x=[(" * (MEGABYTE // 6),
    "1 MB of marks": "e" + "\u0301\u0323" * (MEGABYTE // 2),
    "1 MB of ligatures": "\ufdfa" * MEGABYTE,
    "100,000 tokens": " ".join(f"w{i % 50_000}" for i in range(100_000)),
    "200,000 characters of words": "the cat sat, " * 15_000,
    "60,000 characters of words": "the cat sat, " * 4_600,
    "60,000 characters of hanzi": "猫坐。" * 20_000,
    "100,000 lines": "a\n" * 100_000,
    "zero width": "\u200b\u200d\ufeff1\u200b8\u2060" * 1000,
    "backtracking": "a" * 100 + "!",
    "bidi and emoji": "\u202e😀" * 500,
}
CASE = Case(
    suite="s",
    id="1",
    category="c",
    input="?",
    expected="18",
    schema={"type": "array", "uniqueItems": True},
    tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
)
#: Seconds of CPU; twice what is promised, as machines differ.
LONGEST = 2.0
FITTING: dict[str, Any] = {
    "choice": "D",
    "rouge_2": "eighteen cats",
    "tool_call": {"name": "f", "arguments": {"x": 18}},
}
#: Options that a scorer does not do without.
NEEDED: dict[str, dict[str, Any]] = {
    "judge": {"rubric": "Is it right?"},
    "judge_pair": {"rubric": "Which is right?"},
}
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    *((name, NEEDED.get(name, {})) for name in SCORERS),
    ("regex", {"pattern": "(?:a|aa)+$"}),
    ("exact_match", {"extract": "(a|aa)+$"}),
    ("numeric", {"extract": r"(\d+)$"}),
    ("exact_match", {"normalize": "squad", "unicode": "NFKC"}),
    ("rouge_l", {"tokens": "unicode"}),
    ("rouge_2", {"tokens": "chars", "unicode": "NFC"}),
    ("rouge_lsum", {"stem": True}),
    ("f1", {"tokens": "chars"}),
    ("edit_similarity", {"tokens": "words", "ignore_case": True}),
    ("bleu", {"tokens": "zh", "ignore_case": True}),
    ("bleu", {"tokens": "intl"}),
    ("chrf", {"words": 2}),
    ("json_schema", {"fenced": True}),
    ("json_match", {"fenced": True, "duplicate_keys": "last", "extra": "ignore", "unicode": "NFKC"}),
    ("tool_call", {"compat": "bfcl"}),
    ("tool_call", {"extract": r"(?s)(\w+\(.*\))"}),
]


def needed(name: str) -> Scorer:
    """The scorer with no more options than it needs."""
    return build(ScorerSpec(name=name, label=name, options=NEEDED.get(name, {})))


def case_for(name: str) -> Case:
    return dataclasses.replace(CASE, expected=FITTING.get(name, CASE.expected))


def said_of(scorer: Scorer, case: Case, text: str) -> tuple[float, str]:
    """The value and the words of a score; a scoring error counts as 0."""
    try:
        score = scorer.score(case, Completion(text=text))
    except ScoringError as error:
        return 0.0, str(error)
    assert score.value is not None
    return score.value, score.explanation


def holds(scorer: Scorer, case: Case, text: str) -> None:
    """One answer ends in a score within its range or in a scoring error; either says why in few, storable words."""
    value, why = said_of(scorer, case, text)
    assert math.isfinite(value)
    assert 0 <= value <= 1
    assert 0 < len(why) < 200
    assert why.isprintable()


@pytest.mark.parametrize("answer", list(HOSTILE))
@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_a_hostile_answer_ends_in_a_score_or_a_scoring_error(name: str, options: dict[str, Any], answer: str) -> None:
    scorer = build(ScorerSpec(name=name, label=name, options=options))
    assert scorer.check(case_for(name)) is None
    begun = thread_time()
    holds(scorer, case_for(name), HOSTILE[answer])
    assert thread_time() - begun < LONGEST


@pytest.mark.parametrize("name", list(SCORERS))
@given(text=st.text(st.characters(exclude_categories=())))
def test_any_answer_ends_in_a_score_or_a_scoring_error(name: str, text: str) -> None:
    holds(needed(name), case_for(name), text)


@pytest.mark.parametrize("name", list(SCORERS))
@given(expected=st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists) | st.just({"a": 1}))
def test_a_case_is_refused_or_scored(name: str, expected: Any) -> None:
    scorer = needed(name)
    case = dataclasses.replace(CASE, expected=expected)
    said = scorer.check(case)
    if said is None:
        holds(scorer, case, "18")
    else:
        assert 0 < len(said) < 300


@pytest.mark.parametrize("name", list(SCORERS))
def test_a_scorer_is_a_frozen_slotted_record_of_its_options(name: str) -> None:
    scorer = needed(name)
    assert dataclasses.is_dataclass(scorer)
    assert not hasattr(scorer, "__dict__")
    assert hash(scorer) == hash(needed(name))
    assert "pass_at" not in {field.name for field in dataclasses.fields(scorer)}
    assert isinstance(scorer.offload, bool)
    assert type(scorer).__doc__


@pytest.mark.parametrize("name", list(SCORERS))
def test_an_answer_that_is_none_scores_0_where_that_is_the_least(name: str) -> None:
    fault = needed(name).fault(case_for(name), "cut off")
    assert isinstance(fault, Score)
    assert (fault.value, fault.explanation) == (0.0 if SCORERS[name].bounds == (0.0, 1.0) else None, "cut off")


@pytest.mark.parametrize("name", [name for name in SCORERS if SCORERS[name].corpus])
@given(texts=st.lists(st.none() | st.text(), min_size=1, max_size=4))
def test_a_corpus_score_is_that_of_summed_parts(name: str, texts: list[str | None]) -> None:
    scorer, case = needed(name), case_for(name)
    scores = [
        scorer.fault(case, "cut off") if text is None else scorer.score(case, Completion(text=text)) for text in texts
    ]
    parts = [score.parts for score in scores if isinstance(score, CountedScore)]
    assert len(parts) == len(texts)
    found = scorer.aggregate([sum(column) for column in zip(*parts, strict=True)])
    assert 0 <= found.value <= 1
    assert found.signature
