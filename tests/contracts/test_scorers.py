"""What holds for every registered scorer, whatever a model answers."""

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import evalsvc.scoring  # noqa: F401 - importing the package registers its scorers
from evalsvc.core.records import Case, Completion, ScorerSpec
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
    "backtracking": "a" * 100 + "!",
    "bidi and emoji": "\u202e😀" * 500,
}
CASE = Case(suite="s", id="1", category="c", input="?", expected="18", schema={"type": "array", "uniqueItems": True})
FITTING: dict[str, Any] = {"choice": "D"}
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in SCORERS),
    ("regex", {"pattern": "(?:a|aa)+$"}),
    ("exact_match", {"extract": "(a|aa)+$"}),
    ("numeric", {"extract": r"(\d+)$"}),
    ("rouge_l", {"tokens": "unicode"}),
    ("json_schema", {"fenced": True}),
]


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
    holds(scorer, case_for(name), HOSTILE[answer])


@pytest.mark.parametrize("name", list(SCORERS))
@given(text=st.text(st.characters(exclude_categories=())))
def test_any_answer_ends_in_a_score_or_a_scoring_error(name: str, text: str) -> None:
    holds(build(ScorerSpec(name=name, label=name)), case_for(name), text)


@pytest.mark.parametrize("name", list(SCORERS))
@given(expected=st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists) | st.just({"a": 1}))
def test_a_case_is_refused_or_scored(name: str, expected: Any) -> None:
    scorer = build(ScorerSpec(name=name, label=name))
    case = dataclasses.replace(CASE, expected=expected)
    said = scorer.check(case)
    if said is None:
        holds(scorer, case, "18")
    else:
        assert 0 < len(said) < 300


@pytest.mark.parametrize("name", list(SCORERS))
def test_a_scorer_is_a_frozen_slotted_record_of_its_options(name: str) -> None:
    scorer = build(ScorerSpec(name=name, label=name))
    assert dataclasses.is_dataclass(scorer)
    assert not hasattr(scorer, "__dict__")
    assert hash(scorer) == hash(build(ScorerSpec(name=name, label=name)))
    assert "pass_at" not in {field.name for field in dataclasses.fields(scorer)}
    assert isinstance(scorer.offload, bool)
    assert type(scorer).__doc__
