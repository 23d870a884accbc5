"""The scorer `choice`: the option letter of a free-form answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

from pydantic import Field

from evalsvc.core.records import Case, Score
from evalsvc.scoring.base import scorer
from evalsvc.scoring.text import TextScorer, lacks_reference, quote, references

# Every repetition below is bounded, and none stands beside another that could match the same: time stays linear.
_TAIL = 65_536
_OPEN = r"(?:\\(?:boxed|text\w{0,2}|math\w{2})\s?\{|[*_`$\"'“‘(\[{<]){0,6}"
_PROSE = r"(?![AI]\s{1,3}(?!(?:because|since|as|due|is)\b)[a-z])"  # "A dog", "I think": an article, a pronoun
_WORD_END = r"(?!\w|['’-]\w)"
_LINK = r"[\s*_]{0,4}(?:is|would be|must be|should be|will be|[:=→–—-])[\s*_:]{0,6}"
_FILLER = r"(?:(?:option|choice|letter|therefore|clearly|thus|most likely|likely|probably)[\s:*]{1,4}){0,2}"
_TOPIC = r"(?:\s(?:to|for|among|of|from|here)\b[^.\n:]{0,60}?)?"
_PICKS = r"it['’]?s|it is|it must be|choose|chose|pick|select|go(?:ing)? with|think|believe|say"
_RIGHT = r"(?:is|are)\s(?:the\s)?(?:most\s)?(?:correct|right|best|true|answer)\b"


@scorer("choice")
@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(TextScorer):
    r"""1 if the option letter an answer settles on is `expected` (any of a list), else 0.

    The last plain statement counts: "The answer is (D).", "Answer: D", "\\boxed{D}". Without one, a weaker one does: "I
    think it's C", "(C) is correct". Without either, a letter that is marked as one, if no other is: "D", "(D)",
    "**D**", "D. 28.80". A hedge ("A or B"), a list of several options, and letters inside prose ("A dog") settle on
    nothing and score 0. Only the last 65,536 characters are read. It misleads where a model repeats the options after
    its answer, or answers with an option's text.

    Options:
        letters: the letters in use.
    """

    letters: Annotated[str, Field(pattern=r"^[A-Z]{2,26}$")] = "ABCDEFGHIJ"

    def check(self, case: Case) -> str | None:
        """The case needs one of the letters in `expected`, or a list of them."""
        if all(len(wanted) == 1 and wanted in self.letters for wanted in references(case)):
            return lacks_reference(case)
        return f"expected should be one letter of {self.letters}"

    def compare(self, text: str, case: Case) -> Score:
        """Finds the letter and compares it."""
        letter = _settled(text[-_TAIL:], self.letters)
        if letter is None:
            return Score(value=0.0, explanation=f"no option letter in {quote(text)}")
        return Score(value=float(letter in references(case)), explanation=f"the answer settles on {letter}")


def _settled(text: str, letters: str) -> str | None:
    if len(alone := text.strip(" \t\r\n.*()[]$'\"`")) == 1:
        return alone.upper() if alone.upper() in letters else None
    statement, lean, marked = _patterns(letters)
    for pattern in (statement, lean):
        if found := list(_letters(pattern, text)):
            return found[-1]
    several = set(_letters(marked, text))
    return several.pop() if len(several) == 1 else None


def _letters(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    for match in pattern.finditer(text):
        yield (match[match.lastindex or 0]).upper()


@lru_cache(maxsize=64)
def _patterns(letters: str) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Patterns of a plain statement, of a weaker one, and of a marked letter; the last group is the letter."""
    bare = rf"{_PROSE}[{letters}]"
    letter = rf"({bare}|(?<=[(\[{{])[{letters.lower()}](?=[)\]}}])){_WORD_END}"
    hedge = rf"(?![)\]*_\s]{{0,4}}(?:or\b|and\b|[/&])\s{{0,2}}[(*]{{0,3}}{bare}{_WORD_END})"
    answer = rf"(?i:\b(?:answer|option|choice)\b{_TOPIC}{_LINK}{_FILLER}){_OPEN}{letter}{hedge}"
    boxed = rf"\\boxed\s?\{{{_OPEN}{letter}"
    picks = rf"(?i:\b(?:{_PICKS})[\s:]{{1,4}}{_FILLER}){_OPEN}{letter}{hedge}"
    right = rf"(?<!\w){letter}[)\]*.]{{0,3}}\s(?i:{_RIGHT})"
    inside = rf"(?<!\w)(?:\(({bare})\)|\*\*\(?({bare})[.):]?\)?\*\*)"
    head = r"^[ \t]{0,8}[*_(]{0,3}(?:(?i:option|choice|answer)[ \t])?"
    line = rf"(?m:{head}({bare})(?:[).:*_]{{1,4}}(?!\w)|[ \t]{{0,8}}$))"
    return re.compile(f"{answer}|{boxed}"), re.compile(f"{picks}|{right}"), re.compile(f"{inside}|{line}")
