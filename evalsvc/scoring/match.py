"""Scorers that look for an exact text or a pattern: `exact_match`, `contains`, `regex`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evalsvc.core.records import Case, Score
from evalsvc.scoring.base import scorer
from evalsvc.scoring.text import Pattern, TextScorer, compiled, lacks_reference, quote, references, time_limit
from evalsvc.scoring.tokens import squad


@dataclass(frozen=True, slots=True, kw_only=True)
class _Literal(TextScorer):
    """Compares text with text, with or without regard to case."""

    ignore_case: bool = False

    def _normal(self, text: str) -> str:
        trimmed = self.trim(text)
        return trimmed.casefold() if self.ignore_case else trimmed


@scorer("exact_match")
@dataclass(frozen=True, slots=True, kw_only=True)
class ExactMatch(_Literal):
    """1 if the answer is `expected` (any of a list), else 0.

    Source of "squad": Rajpurkar et al., "SQuAD: 100,000+ Questions for Machine Comprehension of Text", 2016, section
    6.1. It misleads where an answer is right in other words, or in the same ones and a sentence around them.

    Options:
        ignore_case: compare case-folded.
        normalize: "squad" compares without regard to case, ASCII punctuation, the articles a, an, the, and runs of
            white space.
    """

    normalize: Literal["none", "squad"] = "none"

    def check(self, case: Case) -> str | None:
        """The case needs a text in `expected`, or a list of texts."""
        return self.lacks_text(case)

    def compare(self, text: str, case: Case) -> Score:
        """Equality of texts, no parsing: "7.0" is not "7", and JSON is compared as it is written."""
        answer = self._form(text)
        if any(answer == self._form(wanted) for wanted in references(case)):
            return Score(value=1.0, explanation="equals expected")
        return Score(value=0.0, explanation=f"{quote(text)} is not what was expected")

    def _form(self, text: str) -> str:
        return squad(self._normal(text)) if self.normalize == "squad" else self._normal(text)


@scorer("contains")
@dataclass(frozen=True, slots=True, kw_only=True)
class Contains(_Literal):
    """1 if `expected` (any of a list) occurs in the answer, else 0. "no" occurs in "know": it knows no words.

    Options:
        all: every text of the list must occur.
        ignore_case: compare case-folded.
    """

    all: bool = False

    def check(self, case: Case) -> str | None:
        """The case needs a text in `expected`, or a list of texts, none of them empty."""
        if lack := self.lacks_text(case):
            return lack
        if not all(self._normal(wanted) for wanted in references(case)):
            return "expected holds an empty text, which occurs in every answer"
        return None

    def compare(self, text: str, case: Case) -> Score:
        """Occurrence anywhere in the text."""
        answer = self._normal(text)
        missing = [wanted for wanted in references(case) if self._normal(wanted) not in answer]
        if not missing or (not self.all and len(missing) < len(references(case))):
            return Score(value=1.0, explanation="expected occurs in the answer")
        return Score(value=0.0, explanation=f"{quote(missing[0])} does not occur in the answer")


@scorer("regex")
@dataclass(frozen=True, slots=True, kw_only=True)
class Regex(TextScorer):
    """1 if a pattern is found anywhere in the answer, else 0.

    Options:
        pattern: the pattern; without it each case's `expected` is one, or a list of them (any of which will do).
        ignore_case: match without regard to case.
    """

    pattern: Pattern | None = None
    ignore_case: bool = False

    @property
    def offload(self) -> bool:
        """True: a user's pattern runs."""
        return True

    def check(self, case: Case) -> str | None:
        """Without the option `pattern` the case needs a pattern in `expected`."""
        if self.pattern is not None:
            return None
        if lack := lacks_reference(case):
            return f"{lack}, and the scorer has no pattern"
        try:
            for pattern in references(case):
                compiled(pattern, ignore_case=self.ignore_case)
        except ValueError as error:
            return f"expected {error}"
        return None

    def compare(self, text: str, case: Case) -> Score:
        """Searches the text; all patterns of a case share one time limit in equal parts."""
        patterns = references(case) if self.pattern is None else (self.pattern,)
        share_s = self.time_limit_s / len(patterns)
        if any(self._found(pattern, text, share_s) for pattern in patterns):
            return Score(value=1.0, explanation="the pattern is found")
        return Score(value=0.0, explanation=f"the pattern is not found in {quote(text)}")

    def _found(self, pattern: str, text: str, limit_s: float) -> bool:
        with time_limit(limit_s, text):
            return compiled(pattern, ignore_case=self.ignore_case).search(text, timeout=limit_s) is not None
