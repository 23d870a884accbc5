from dataclasses import dataclass
from typing import Any

import pytest

from evalsvc.core.records import Case, Completion, Score, ScorerSpec
from evalsvc.errors import JobError
from evalsvc.scoring.base import SCORERS, Scorer, build, scorer


def spec(name: str, **options: Any) -> ScorerSpec:
    return ScorerSpec(name=name, label="mine", options=options)


def test_the_scorers_of_the_house_are_registered() -> None:
    assert set(SCORERS) >= {"exact_match", "contains", "regex", "numeric", "choice", "rouge_l", "json_schema"}


def test_an_unknown_scorer_lists_the_known_ones() -> None:
    with pytest.raises(
        JobError, match=r"""unknown scorer 'exactmatch'; did you mean "exact_match"\? known: .*exact_match"""
    ) as caught:
        build(spec("exactmatch"))
    assert caught.value.key == "mine"


def test_an_unknown_option_lists_the_known_ones() -> None:
    with pytest.raises(
        JobError, match=r'unknown option; did you mean "tolerance"\? numeric takes: extract, strip.*rel_tolerance'
    ) as caught:
        build(spec("numeric", tolerence=1))
    assert caught.value.key == "tolerence"


@pytest.mark.parametrize(
    ("name", "option", "value", "right"),
    [
        ("numeric", "tolerance", "1", "valid number"),
        ("numeric", "tolerance", True, "valid number"),
        ("numeric", "tolerance", -1, "greater than or equal to 0"),
        ("numeric", "tolerance", float("nan"), "finite"),
        ("exact_match", "strip", 1, "valid boolean"),
        ("exact_match", "extract", "(", "not a regular expression: missing \\)"),
        ("exact_match", "extract", "", "at least 1 character"),
        ("regex", "pattern", "[a", "not a regular expression"),
        ("regex", "time_limit_s", 0, "greater than 0"),
        ("rouge_l", "tokens", "words", "'ascii', 'unicode' or 'chars'"),
        ("choice", "letters", "abc", "match pattern"),
        ("json_schema", "schema", {"type": "text"}, "not a usable JSON Schema"),
        ("json_schema", "schema", "{}", "valid dictionary"),
    ],
)
def test_a_wrong_option_is_named_with_what_is_right(name: str, option: str, value: object, right: str) -> None:
    with pytest.raises(JobError, match=right) as caught:
        build(spec(name, **{option: value}))
    assert caught.value.key == option
    assert f"{name} takes: " in caught.value.message
    assert "Input" not in caught.value.message


def test_an_int_will_do_for_a_float() -> None:
    assert build(spec("numeric", tolerance=1)) == build(spec("numeric", tolerance=1.0))


def test_a_scorer_is_one_class_and_one_decorator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SCORERS, "_known", dict(SCORERS._known))

    @scorer("shouts")
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Shouts(Scorer):
        at_least: int = 1

        def check(self, case: Case) -> str | None:
            return None if case.input else "has no input"

        def score(self, case: Case, completion: Completion) -> Score:
            assert case.input
            return Score(value=float(completion.text.count("!") >= self.at_least))

    built = build(spec("shouts", at_least=2))
    case = Case(suite="s", id="1", category="c", input="?")
    assert isinstance(built, Shouts)
    assert not built.offload
    assert [built.score(case, Completion(text=text)).value for text in ("a!", "a!!")] == [0.0, 1.0]
    with pytest.raises(ValueError, match="registered twice"):
        scorer("shouts")(Shouts)
