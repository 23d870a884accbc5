from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.core.records import Case
from evalsvc.simulator.answers import POOL_SIZE, AnswerBook, Known, last_user_text, prompt_key


def case(prompt: str | list[dict[str, Any]], expected: Any, *, category: str = "c", **more: Any) -> Case:
    return Case(**({"suite": "s", "id": str(prompt)} | more), category=category, input=prompt, expected=expected)


def found(book: AnswerBook, prompt: str) -> Known:
    known = book.find(prompt_key(prompt))
    assert known is not None
    return known


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ("plain", "plain"),
        ([{"role": "user", "content": "one"}, {"role": "assistant", "content": "x"}], "one"),
        ([{"role": "user", "content": "one"}, {"role": "user", "content": "two"}], "two"),
        ([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}], "ab"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {}}, {"type": "text", "text": "b"}]}], "b"),
        ([{"role": "user", "content": None}], ""),
        ([{"role": "system", "content": "x"}], None),
        (["junk", 3], None),
        ([], None),
    ],
)
def test_the_prompt_is_the_last_user_message(messages: str | list[Any], text: str | None) -> None:
    assert last_user_text(messages) == text


def test_prompt_keys_are_the_same_on_every_machine() -> None:
    assert prompt_key("Grüße") == 0x06AB58B78490A392
    assert prompt_key("\ud800") != prompt_key("")


@pytest.mark.parametrize(
    ("expected", "right"),
    [
        ("42", "42"),
        (["four", "4"], "four"),
        ({"b": 1, "a": "ü"}, '{"a":"ü","b":1}'),
        ([{"name": "f"}, {"name": "g"}], '[{"name":"f"},{"name":"g"}]'),
        (7, "7"),
    ],
)
def test_the_right_answer_of_every_form_of_expected(expected: Any, right: str) -> None:
    assert found(AnswerBook.from_cases([case("q", expected)]), "q").right == right


def test_a_case_is_found_by_its_last_user_message_whatever_stands_before() -> None:
    chat = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]
    assert found(AnswerBook.from_cases([case(chat, "a")]), "q").right == "a"


def test_cases_without_expected_or_question_are_not_known() -> None:
    book = AnswerBook.from_cases([case("q", None), case("r", []), case([{"role": "system", "content": "s"}], "a")])
    assert len(book) == 0
    assert book.find(prompt_key("q")) is None


def test_of_two_cases_with_one_prompt_the_first_counts() -> None:
    assert found(AnswerBook.from_cases([case("q", "a"), case("q", "b")]), "q").right == "a"


def test_wrong_answers_come_from_the_same_category_and_schema() -> None:
    book = AnswerBook.from_cases(
        [
            case("q1", "one", category="x", schema={"a": 1}),
            case("q2", "two", category="x", schema={"a": 1}),
            case("q3", "other schema", category="x", schema={"a": 2}),
            case("q4", "other category", category="y", schema={"a": 1}),
            case("q5", "other suite", category="x", schema={"a": 1}, suite="t"),
        ]
    )
    assert {found(book, "q1").wrong(pick / 10) for pick in range(10)} == {"two"}


def test_a_category_of_one_answer_borrows_from_its_suite() -> None:
    book = AnswerBook.from_cases([case("q1", "one", category="x"), case("q2", "two", category="y")])
    assert found(book, "q1").wrong(0.5) == "two"


def test_without_any_other_answer_the_wrong_one_is_still_wrong() -> None:
    assert found(AnswerBook.from_cases([case("q", "a")]), "q").wrong(0.5) == "unknown"
    assert found(AnswerBook.from_cases([case("q", "unknown")]), "q").wrong(0.5) == "none"


@given(st.lists(st.lists(st.sampled_from("abcdef"), min_size=1), min_size=1), st.floats(0, 1, exclude_max=True))
def test_a_wrong_answer_is_never_an_accepted_one(expected: list[list[str]], pick: float) -> None:
    book = AnswerBook.from_cases(case(str(place), answers) for place, answers in enumerate(expected))
    for place, answers in enumerate(expected):
        assert found(book, str(place)).wrong(pick) not in answers


def test_pools_are_bounded_and_varied() -> None:
    book = AnswerBook.from_cases(case(str(number), str(number)) for number in range(1000))
    wrong = {found(book, "999").wrong(pick / 500) for pick in range(500)}
    assert len(wrong) == POOL_SIZE
