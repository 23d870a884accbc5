from __future__ import annotations

from math import exp, inf, log, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.core.records import Case, Completion, Score, ScorerSpec
from evalsvc.errors import ScoringError
from evalsvc.scoring.base import FollowUp, build
from evalsvc.scoring.perplexity import Perplexity
from evalsvc.scoring.token_spans import spans_of

CASE = Case(suite="s", id="1", category="c", input="Q: é? ", expected="yes, it is")


def chat(*tokens: tuple[str, Any]) -> dict[str, Any]:
    return {"content": [{"token": t, "logprob": p, "bytes": list(t.encode())} for t, p in tokens]}


def listed(*tokens: tuple[str, Any], start: int = 0) -> dict[str, Any]:
    offsets = [start + len("".join(t for t, _ in tokens[:i])) for i in range(len(tokens))]
    return {
        "tokens": [t for t, _ in tokens],
        "token_logprobs": [p for _, p in tokens],
        "text_offset": offsets,
        "top_logprobs": None,
    }


def of_answer(logprobs: Any, text: str = "ab é", **options: Any) -> Score:
    found = Perplexity(**options).follow_up(CASE, Completion(text=text, logprobs=logprobs))
    assert isinstance(found, Score)
    return found


ANSWER = (("a", -1.0), ("b ", -2.0), ("é", -3.0))


@pytest.mark.parametrize("logprobs", [chat(*ANSWER), listed(*ANSWER), listed(*ANSWER, start=17)])
def test_an_answer_by_hand(logprobs: Any) -> None:
    assert of_answer(logprobs).value == pytest.approx(exp(2))
    assert of_answer(logprobs, per="byte").value == pytest.approx(exp(6 / 5))
    bits = 6 / 5 / log(2)
    said = f"7.389 a token, 3.32 a byte ({bits:.4g} bits a byte) over 3 tokens, 5 bytes"
    assert of_answer(logprobs).explanation == said


@pytest.mark.parametrize("logprobs", [chat(*ANSWER, ("</s>", -0.1)), listed(*ANSWER, ("</s>", -0.1))])
def test_the_token_that_ends_an_answer_is_no_part_of_it(logprobs: Any) -> None:
    assert of_answer(logprobs).value == pytest.approx(exp(2))


BAD: tuple[Any, ...] = (None, "x", True, -inf, inf, nan, -9999.0, 0.1, [])
SPLIT = {
    "content": [{"token": "?", "logprob": -1.0, "bytes": [0xC3]}, {"token": "?", "logprob": -3.0, "bytes": [0xA9]}]
}
HALVES = {"tokens": ["\ufffd", "\ufffd"], "token_logprobs": [-1.0, -3.0], "text_offset": [0, 1]}


@pytest.mark.parametrize("logprobs", [SPLIT, HALVES])
def test_tokens_of_half_a_character_count(logprobs: Any) -> None:
    assert of_answer(logprobs, "é").value == pytest.approx(exp(2))
    assert of_answer(logprobs, "é", per="byte").value == pytest.approx(exp(2))


@pytest.mark.parametrize(
    ("logprobs", "said"),
    [
        (None, "no log-probabilities came"),
        ({}, "no known form"),
        ({"tokens": ["a"], "token_logprobs": [], "text_offset": [0]}, "no known form"),
        ({"content": []}, "end at byte 0"),
        ({"content": ["a"]}, "no known form"),
        ({"content": [{"token": 5, "logprob": -1}]}, "no text"),
        ({"content": [{"token": "a", "logprob": -1, "bytes": [300]}]}, "none"),
        (chat(*ANSWER[:2]), "end at byte 3 of 5"),
        (chat(*ANSWER[1:]), "differ at byte 0"),
        (chat(*ANSWER, ("x", -1.0), ("y", -1.0)), "more tokens"),
        (listed(*ANSWER[:2]), "do not make up the text"),
        (listed(*ANSWER[1:]), "do not make up the text"),
        ({**listed(*ANSWER), "text_offset": [0, 2, 1]}, "do not make up the text"),
        ({**listed(*ANSWER), "text_offset": [0, True, 3]}, "no numbers"),
        ({**listed(*ANSWER), "tokens": ["a", None, "é"]}, "no texts"),
        *((chat(("a", bad), *ANSWER[1:]), "the token at byte 0") for bad in BAD),
        (chat(("a", -5000.0), ("b ", -9.0), ("é", -9.0)), "too large"),
    ],
)
def test_what_is_not_known_is_never_a_number(logprobs: Any, said: str) -> None:
    with pytest.raises(ScoringError, match=said):
        of_answer(logprobs)


def test_rounding_above_certainty_is_certainty() -> None:
    assert of_answer(chat(("a", 1e-9)), "a").value == 1.0


def asked(**options: Any) -> FollowUp:
    found = Perplexity(mode="reference", **options).follow_up(CASE, Completion(text="whatever"))
    assert isinstance(found, FollowUp)
    return found


def read(logprobs: Any, text: str = "Q: é? yes, it is", **options: Any) -> Score:
    found = asked(**options).read(Completion(text=text, logprobs=logprobs, finish_reason="length"))
    assert isinstance(found, Score)
    return found


def test_the_reference_is_read_by_the_model_that_answered() -> None:
    found = asked()
    assert (found.of, found.api, found.cut, found.step) == ("model", "completions", True, "")
    assert found.messages == [{"role": "user", "content": "Q: é? yes, it is"}]
    assert found.params == {"echo": True, "logprobs": 1, "max_tokens": 0, "temperature": 0}
    assert asked(max_tokens=1).params["max_tokens"] == 1


PROMPT = (("Q:", None), (" é? ", -7.0))
REFERENCE = (("yes", -1.0), (",", -2.0), (" it is", -3.0))


@pytest.mark.parametrize("shape", [chat, listed])
def test_only_what_is_expected_counts(shape: Any) -> None:
    assert read(shape(*PROMPT, *REFERENCE)).value == pytest.approx(exp(2))
    assert read(shape(*PROMPT, *REFERENCE), per="byte").value == pytest.approx(exp(0.6))
    more = shape(*PROMPT, *REFERENCE, (" indeed", -9.0))
    assert read(more, "Q: é? yes, it is indeed", max_tokens=1).value == pytest.approx(exp(2))


def test_a_token_that_begins_every_text_is_left_out() -> None:
    logprobs = listed(("<s>", None), *PROMPT, *REFERENCE)
    assert read(logprobs).value == pytest.approx(exp(2))


def test_a_token_across_the_border_is_counted_and_said() -> None:
    found = read(listed(("Q:", None), (" é?", -7.0), (" yes", -1.0), (",", -2.0), (" it is", -3.0)))
    assert found.value == pytest.approx(exp(2))
    assert found.explanation.endswith("1 of the tokens also covers what stands beside the reference")


@pytest.mark.parametrize(
    ("logprobs", "text", "said"),
    [
        (chat(("and", -1.0)), "and", "does not know `echo`"),
        (None, "Q: é? yes, it is", "no log-probabilities"),
        (listed(*PROMPT, *REFERENCE[:2]), "Q: é? yes, it is", "do not make up the text"),
        (listed(*PROMPT, ("yes", None), *REFERENCE[1:]), "Q: é? yes, it is", "byte 7 has no log-probability"),
    ],
)
def test_a_reference_that_was_not_read_has_no_score(logprobs: Any, text: str, said: str) -> None:
    with pytest.raises(ScoringError, match=said):
        read(logprobs, text)


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({}, True),
        ({"expected": ["one"]}, True),
        ({"expected": ["one", "two"]}, False),
        ({"expected": ""}, False),
        ({"expected": None}, False),
        ({"input": [{"role": "user", "content": "q"}]}, False),
    ],
)
def test_cases_it_can_score(changes: dict[str, Any], fits: bool) -> None:
    case = Case(**{"suite": "s", "id": "1", "category": "c", "input": "q", "expected": "a", **changes})
    assert (Perplexity(mode="reference").check(case) is None) == fits
    assert Perplexity().check(case) is None


def test_an_answer_that_is_none_has_no_perplexity() -> None:
    made = build(ScorerSpec(name="perplexity", label="p"))
    assert made.fault(CASE, "cut off") == Score(value=None, explanation="cut off")


texts = st.lists(st.tuples(st.text(min_size=1, max_size=5), st.floats(-30, 0)), min_size=1, max_size=8)


@given(texts)
def test_both_shapes_say_the_same_and_cover_the_text(tokens: list[tuple[str, float]]) -> None:
    text = "".join(token for token, _ in tokens)
    found = [spans_of(Completion(text=text, logprobs=shape(*tokens))) for shape in (chat, listed)]
    assert found[0] == found[1]
    assert [span.start for span in found[0]] == [0, *(span.end for span in found[0][:-1])]
    assert found[0][-1].end == len(text.encode())


@given(texts, st.data())
def test_a_token_less_or_changed_is_found(tokens: list[tuple[str, float]], data: st.DataObject) -> None:
    text = "".join(token for token, _ in tokens)
    place = data.draw(st.integers(0, len(tokens) - 1))
    fewer = tokens[:place] + tokens[place + 1 :]
    if "".join(token for token, _ in fewer) == text:
        return
    for shape in (chat, listed):
        with pytest.raises(ScoringError):
            spans_of(Completion(text=text, logprobs=shape(*fewer)))


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3), st.lists, max_leaves=6)
)
def test_anything_a_server_says_is_a_number_in_bounds_or_a_scoring_error(value: Any) -> None:
    for logprobs in (value, {"content": value}, {"tokens": value, "token_logprobs": value, "text_offset": value}):
        try:
            score = of_answer(logprobs, "ab")
        except ScoringError:
            continue
        assert score.value is not None
        assert 1 <= score.value < inf
