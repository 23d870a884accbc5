from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from evalsvc.core.records import Case, Score
from evalsvc.scoring.base import Scorer

RECORDED_RULE = r"(?s)\A.*?answer is \(?([A-J])\)?"  # the first such statement of an answer

# Where `choice` and the flags recorded with the data differ, and why.
DIFFERENT_FLAGS = {
    ("mmlupro-3080", "Yi-6B"): "'The answer is (a).' is right; the recorded rule knows capitals only",
    ("mmlupro-5007", "Yi-6b-Chat"): "states J, A, C, E by turns and A last; the recorded rule takes the first",
}


@pytest.mark.parametrize(
    "text",
    [
        "D",
        "D.",
        "(D)",
        "**D**",
        "d",
        "'D'",
        "The answer is (D).",
        "Answer: D",
        "**Answer:** D",
        "ANSWER IS D!",
        "Final Answer: **(D)**",
        "The correct answer is\n\n**D**",
        "The best answer to the question is option D.",
        "The answer is D because A is wrong",
        "The answer is D, I think.",
        "The answer is D and I am sure.",
        "the answer is (d)",
        r"so \boxed{D}",
        r"The answer is \boxed{\text{D}}.",
        "The answer is $D$.",
        "I think it's D",
        "I choose D.",
        "(D) is correct since (A) is not",
        "Option D",
        "D) 28.80",
        "**D. 28.80**",
        "It must be (D), the others fail.",
        "The answer is A. No: the answer is D.",
        "I think it's A ... The answer is D.\nIt is B otherwise.",  # a plain statement beats a weaker, later one
    ],
)
def test_settles_on_the_letter(score: Callable[..., Score], text: str) -> None:
    assert score("choice", text, "D") == Score(value=1.0, explanation="the answer settles on D")
    assert score("choice", text, "C").value == 0.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A dog ate it.",
        "I am sure.",
        "It is A level.",
        "The answer is A dog.",
        "the answer is a dog",
        "The answer is not D.",
        "The answer is A or D.",
        "The answer is (A) and (D).",
        "The answer is none of them.",
        "Vitamin A.",
        "A. one\nB. two\nC. three",
        "f(A) is large",
        "The answer is Because",
        "K",
    ],
)
def test_settles_on_nothing(score: Callable[..., Score], text: str) -> None:
    for letter in "ABCDI":
        result = score("choice", text, letter)
        assert result.value == 0.0
        assert result.explanation.startswith("no option letter in ")


def test_articles_and_pronouns_can_be_answers(score: Callable[..., Score]) -> None:
    for text in ("A", "The answer is A.", "The answer is A because I say so", "(A) is correct"):
        assert score("choice", text, "A").value == 1.0
    assert score("choice", "The answer is I.", "I").value == 1.0


def test_reads_the_end_of_a_long_answer(score: Callable[..., Score]) -> None:
    assert score("choice", "The answer is D. " + "x " * 30_000, "D").value == 1.0
    assert score("choice", "The answer is D. " + "x " * 33_000, "D").value == 0.0


def test_letters_bound_what_counts(score: Callable[..., Score]) -> None:
    assert score("choice", "The answer is E", "E", letters="ABCD").value == 0.0
    assert score("choice", "The answer is Z", "Z", letters="XYZ").value == 1.0


@pytest.mark.parametrize(
    ("expected", "fits"),
    [
        ("A", True),
        (["A", "B"], True),
        ("K", False),
        ("AB", False),
        ("a", False),
        ("", False),
        (None, False),
        (1, False),
    ],
)
def test_a_case_needs_a_letter(
    make: Callable[..., Scorer], case: Callable[..., Case], expected: Any, *, fits: bool
) -> None:
    assert (make("choice").check(case(expected)) is None) == fits


def test_agrees_with_the_recorded_flags_of_mmlu_pro(
    score: Callable[..., Score], recorded: Callable[[str], list[dict[str, Any]]]
) -> None:
    rows = recorded("05_mmlu_pro/items_yi6b.jsonl")
    different, ours, theirs = set(), Counter[str](), Counter[str]()
    for row in rows:
        for model, output in row["outputs"].items():
            right = score("choice", output["output"], row["expected"]).value == 1.0
            if (row["id"], model) in DIFFERENT_FLAGS:
                assert right != output["is_correct"]
                different.add((row["id"], model))
                continue
            ours[f"{model} {row['category']}"] += right
            theirs[f"{model} {row['category']}"] += output["is_correct"]
            assert right == output["is_correct"], (row["id"], model)
    assert different == set(DIFFERENT_FLAGS)
    assert ours == theirs
    assert len(theirs) == 2 * 14


def test_the_recorded_rule_as_extract_agrees_without_exception(
    score: Callable[..., Score], recorded: Callable[[str], list[dict[str, Any]]]
) -> None:
    for row in recorded("05_mmlu_pro/items_yi6b.jsonl"):
        for output in row["outputs"].values():
            result = score("choice", output["output"], row["expected"], extract=RECORDED_RULE)
            assert result.value == output["is_correct"], row["id"]
