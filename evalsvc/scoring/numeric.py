"""The scorer `numeric`: the last number of an answer against the expected one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Annotated

from pydantic import Field

from evalsvc.core.records import Case, Score
from evalsvc.scoring.base import scorer
from evalsvc.scoring.text import TextScorer, quote

# Latin, Greek and Cyrillic. Scripts that write no spaces (是18个) may touch a number without being part of it.
_LETTER = "A-Za-zÀ-ÖØ-öø-ɏͰ-ԯ"
_WORD = rf"[{_LETTER}][{_LETTER}\d_]*+(?:(?:-|(?<=\d)\.(?=\d))[{_LETTER}\d_]++)*+"
# Every repetition is possessive or followed by at most one step back: time stays linear in the text.
_NUMBER = r"""
    (?:(?<![\w)\]}%.])(?P<sign>[-+−–]))?
    (?:[$€£¥₹](?P<inner>[-+−]?))?
    (?P<digits>
        \d{1,3}(?P<gap>[,\u00a0\u202f\u2009])\d{3}(?:(?P=gap)\d{3})*(?!\d)(?:\.\d++)?
      | \d++/\d++
      | \d++(?:\.\d++)?
      | (?<![\w.])\.\d++
    )
    (?:[eE](?P<exponent>[-+−]?\d++))?
"""
_TOKEN = re.compile(rf"{_WORD}|(?P<number>{_NUMBER})", re.VERBOSE)
_ALONE = re.compile(rf"\s*{_NUMBER}\s*%?\s*", re.VERBOSE)

_TAIL = 65_536
_WINDOW = 128
_LONGEST = 400
_GREATEST_POWER = 400

Tolerance = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@scorer("numeric")
@dataclass(frozen=True, slots=True, kw_only=True)
class Numeric(TextScorer):
    """1 if the last number of the answer equals `expected` (any of a list), else 0.

    A number is written "18", "-5" (or "−5"), "1,234.50", ".5", "1e3", "$18", "50%" (read as 50) or "3/4" (as 0.75); a
    narrow or no-break space may stand in for the thousands comma, an ordinary space may not. Digits that belong to a
    word ("gpt4", "GPT-4") are none. Only the last 65,536 characters are read. It misleads where an answer goes on after
    its result ("18, that is 3 per day"), on decimal commas ("3,5" ends in 5) and on powers ("2 × 10^3" ends in 3): use
    `extract` there.

    Options:
        tolerance: greatest absolute difference allowed.
        rel_tolerance: greatest difference allowed as a share of the expected number; the laxer of the two counts.
    """

    tolerance: Tolerance = 0.0
    rel_tolerance: Tolerance = 0.0

    def check(self, case: Case) -> str | None:
        """The case needs a number in `expected`, as text or JSON number, or a list of them."""
        if case.expected is None:
            return "has no expected"
        if _wanted(case):
            return None
        return 'expected should be a number written as text ("18"), or a list of such'

    def compare(self, text: str, case: Case) -> Score:
        """Exact rational arithmetic: 0.1 is 0.10, and a tolerance of 0.01 is no binary fraction."""
        found = _last_number(text[-_TAIL:])
        if found is None:
            return Score(value=0.0, explanation=f"no number in {quote(text)}")
        got = _value(found)
        if got is None:
            return Score(value=0.0, explanation=f"{quote(found[0])} is out of range")
        right = any(self._close(got, wanted) for wanted in _wanted(case))
        return Score(value=float(right), explanation=f"the last number is {quote(found[0])}")

    def _close(self, got: Fraction, wanted: Fraction) -> bool:
        if got == wanted:
            return True
        allowed = max(_exact(self.tolerance), _exact(self.rel_tolerance) * abs(wanted))
        return abs(got - wanted) <= allowed


def _wanted(case: Case) -> tuple[Fraction, ...]:
    """The numbers a case accepts; empty when any of them is not a number."""
    expected = case.expected if isinstance(case.expected, list) else [case.expected]
    numbers = [_read(str(item)) if isinstance(item, str | int | float) else None for item in expected]
    return () if None in numbers else tuple(number for number in numbers if number is not None)


@lru_cache(maxsize=4096)
def _read(text: str) -> Fraction | None:
    found = _ALONE.fullmatch(text)
    return _value(found) if found else None


@lru_cache(maxsize=64)
def _exact(tolerance: float) -> Fraction:
    return Fraction(repr(tolerance))


def _last_number(text: str) -> re.Match[str] | None:
    """Reads windows that grow from the end, cut at white space: long answers cost what their tail costs."""
    size = _WINDOW
    while True:
        start = _token_start(text, len(text) - size)
        found = None
        for match in _TOKEN.finditer(text[start:]):
            found = match if match["number"] else found
        if found or start == 0:
            return found
        size = 8 * (len(text) - start)


def _token_start(text: str, near: int) -> int:
    """The first place at or before ``near`` where no token goes on from the left; 0 if there is none."""
    if near <= 0:
        return 0
    return max(text.rfind(" ", 0, near), text.rfind("\n", 0, near)) + 1


def _value(number: re.Match[str]) -> Fraction | None:
    """The number, or None where it is too long or too great to compute with, or divided by zero."""
    digits, exponent = number["digits"], number["exponent"]
    if len(digits) > _LONGEST:
        return None
    try:
        size = Fraction(digits.replace(number["gap"], "") if number["gap"] else digits)
    except ZeroDivisionError:
        return None
    if exponent:
        power = int(exponent.replace("−", "-")) if len(exponent) <= 4 else _GREATEST_POWER + 1
        if abs(power) > _GREATEST_POWER:
            return None
        size *= Fraction(10) ** power
    return -size if (number["sign"] or number["inner"]) in {"-", "−", "–"} else size
