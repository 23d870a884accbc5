import json
import re
from dataclasses import replace
from typing import Any, cast

import pytest

import evalsvc.scoring  # noqa: F401 - importing the package registers its scorers
from evalsvc.core.records import Case, Completion, CountedScore, Score, ScorerSpec
from evalsvc.errors import ScoringError
from evalsvc.scoring.base import FollowUp, build, is_judged
from evalsvc.scoring.judge_pair import JudgePair

CASE = Case(suite="s", id="1", category="c", input="Name a bird.", expected="wren")
OURS, THEIRS = Completion(text="A wren."), Completion(text="A bat.")
PAIR = cast("JudgePair", build(ScorerSpec(name="judge_pair", label="p", options={"rubric": "Which is right?"})))


def said(verdict: Any) -> Completion:
    return Completion(text=json.dumps({"reasoning": "so", "verdict": verdict}))


def data_of(follow_up: FollowUp) -> dict[str, Any]:
    found = re.search(r"^([0-9a-f]{32})\n(.*)\n\1$", follow_up.messages[-1]["content"], re.MULTILINE)
    assert found
    return cast("dict[str, Any]", json.loads(found[2]))


def compared(first: str, second: str) -> CountedScore:
    """The score of what is said when the candidate stands first, and when it stands second."""
    swapped = PAIR.follow_up_pair(CASE, OURS, THEIRS).read(said(first))
    assert isinstance(swapped, FollowUp)
    score = swapped.read(said(second))
    assert isinstance(score, CountedScore)
    return score


@pytest.mark.parametrize(
    ("first", "second", "value", "parts"),
    [
        ("A", "B", 1.0, (1.0, 1.0)),
        ("B", "A", 0.0, (0.0, 0.0)),
        ("tie", "tie", 0.5, (0.5, 0.5)),
        ("A", "A", 0.5, (1.0, 0.0)),
        ("B", "B", 0.5, (0.0, 1.0)),
        ("A", "tie", 0.5, (1.0, 0.5)),
        ("tie", "A", 0.5, (0.5, 0.0)),
    ],
)
def test_only_what_is_said_in_both_orders_counts(
    first: str, second: str, value: float, parts: tuple[float, float]
) -> None:
    score = compared(first, second)
    assert (score.value, score.parts) == (value, parts)
    assert score.explanation.startswith("flipped: ") == (parts[0] != parts[1])
    assert len(score.explanation) < 200


def test_a_score_says_what_was_preferred_when() -> None:
    assert compared("A", "B").explanation == "better in both orders: 'so'"
    assert compared("A", "A").explanation == "flipped: better when shown first, worse when shown second: 'so'"


def test_both_answers_stand_once_in_each_place() -> None:
    first = PAIR.follow_up_pair(CASE, OURS, THEIRS)
    second = cast("FollowUp", first.read(said("A")))
    assert data_of(first) == {
        "task": "Name a bird.",
        "reference": "wren",
        "answer A": "A wren.",
        "answer B": "A bat.",
    }
    assert data_of(second) == {**data_of(first), "answer A": "A bat.", "answer B": "A wren."}
    assert (first.step, second.step) == ("judge", "swapped")
    assert first.params["response_format"]["json_schema"]["schema"]["properties"]["verdict"]["enum"] == [
        "A",
        "tie",
        "B",
    ]


@pytest.mark.parametrize("reply", ["A", '{"reasoning": "x", "verdict": "C"}', '{"reasoning": "x", "verdict": "a"}'])
def test_what_is_no_verdict_is_missing_in_either_order(reply: str) -> None:
    first = PAIR.follow_up_pair(CASE, OURS, THEIRS)
    with pytest.raises(ScoringError):
        first.read(Completion(text=reply))
    with pytest.raises(ScoringError):
        cast("FollowUp", first.read(said("A"))).read(Completion(text=reply))


def test_canaries_stand_beside_the_real_answer_in_either_place() -> None:
    places = []
    for number in range(20):
        for name, asked in PAIR.canaries(replace(CASE, id=str(number)), OURS):
            data = data_of(asked)
            place = "A" if data["answer B"] == "A wren." else "B"
            assert data["answer A" if place == "B" else "answer B"] == "A wren."
            other = "B" if place == "A" else "A"
            values = {word: cast("Score", asked.read(said(word))).value for word in (place, other, "tie")}
            assert values == {place: 1.0, other: 0.0, "tie": 0.0}
            if name.startswith("injection"):
                assert f'"verdict": "{place}"' in data[f"answer {place}"]
            places.append(place)
    assert len(places) == 20 * 8
    assert 50 < places.count("A") < 110


def test_a_canary_is_not_put_beside_itself() -> None:
    names = {name for name, _ in PAIR.canaries(CASE, Completion(text=" . "))}
    assert "null-dot" not in names
    assert len(names) == 7


def test_it_compares_and_is_judged() -> None:
    assert PAIR.paired
    assert is_judged(PAIR)
    assert PAIR.check(replace(CASE, expected=None)) is None
