import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import validator_for

from evalsvc.errors import ScoringError
from evalsvc.scoring.verdicts import Verdicts

SCALE = Verdicts(worth={point: (point - 1) / 4 for point in range(1, 6)})
LABELS = Verdicts(worth={"bad": 0.0, "fair": 0.4, "good": 1.0})


def reply(verdict: Any, **more: Any) -> str:
    return json.dumps({"reasoning": "because", "verdict": verdict, **more})


@pytest.mark.parametrize("wrap", ["{}", " {}\n", "```json\n{}\n```", "```\n{}\n```\n"])
def test_one_object_is_read_as_it_is_or_in_one_fence(wrap: str) -> None:
    assert SCALE.read(wrap.format(reply(4))) == (4, "because")
    assert LABELS.read(wrap.format(reply("fair"))) == ("fair", "because")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "4 out of 5",
        "null",
        f"[{reply(5)}]",
        f"Sure: {reply(5)}",
        f"{reply(5)} I hope this helps.",
        f"{reply(1)}\n{reply(5)}",
        f"```json\n{reply(1)}\n```\n```json\n{reply(5)}\n```",
        f"````json\n{reply(5)}\n````",
        reply(5, confidence=1),
        '{"verdict": 5}',
        '{"reasoning": "x"}',
        '{"reasoning": "x", "verdict": 1, "verdict": 5}',
        '{"reasoning": null, "verdict": 5}',
        '{"reasoning": ["x"], "verdict": 5}',
        '{"Reasoning": "x", "verdict": 5}',
        '{"reasoning": "x", "verdict": 5,}',
        '{"reasoning": "x", "verdict": NaN}',
        *(reply(wrong) for wrong in (0, 6, -1, 4.0, 4.5, "4", True, None, [4], {"4": 1}, 10**30, "good")),
        '{"reasoning": "' + "x" * 70_000 + '", "verdict": 5}',
        "[" * 5000,
    ],
)
def test_anything_else_is_no_verdict(text: str) -> None:
    with pytest.raises(ScoringError) as caught:
        SCALE.read(text)
    assert 0 < len(str(caught.value)) < 200
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("word", ["GOOD", "good ", "", 1, 1.0, True, None, "excellent"])
def test_a_label_is_one_of_the_labels_to_the_letter(word: Any) -> None:
    with pytest.raises(ScoringError, match="verdict"):
        LABELS.read(reply(word))


@given(text=st.text(), word=st.integers() | st.text() | st.floats() | st.none())
def test_a_verdict_is_one_of_those_there_are_or_none_at_all(text: str, word: Any) -> None:
    for said in (text, reply(word), text + reply(3)):
        try:
            found, _ = SCALE.read(said)
        except ScoringError:
            continue
        assert type(found) is int
        assert found in SCALE.worth


@pytest.mark.parametrize("verdicts", [SCALE, LABELS])
def test_the_schema_accepts_what_is_read_and_nothing_else(verdicts: Verdicts) -> None:
    valid = validator_for(verdicts.schema).is_valid
    assert all(valid(json.loads(reply(word))) for word in verdicts.worth)
    assert not any(valid(json.loads(reply(word))) for word in (0, 6, 2.5, "GOOD", None))
    assert not valid(json.loads(reply(next(iter(verdicts.worth)), more=1)))


def test_the_choice_is_said_with_the_best_label_first() -> None:
    assert SCALE.said() == "a whole number from 1 to 5"
    assert LABELS.said() == 'one of "good", "fair", "bad"'
    assert (LABELS.best, SCALE.best) == ("good", 5)
    assert (LABELS.middle, SCALE.middle) == (0.5, 0.5)
    assert Verdicts(worth={"a": 0.2, "b": 0.4}).middle == pytest.approx(0.3)
