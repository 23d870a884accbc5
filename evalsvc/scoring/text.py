"""What every scorer of an answer's text shares: `extract`, `strip`, `unicode`, `expected`, quoting, users' patterns."""

from __future__ import annotations

import unicodedata
from abc import abstractmethod
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal

import regex
from pydantic import AfterValidator, Field

from evalsvc.core.records import NOTHING_EXTRACTED, Case, Completion, Score
from evalsvc.errors import ScoringError
from evalsvc.scoring.base import Scorer

_QUOTED = 60
_LONGEST = 262_144
# Unicode's own limit for text that can be normalised in linear time (UAX #15, "Stream-Safe Text Format").
_MARKS = regex.compile(r"\p{M}{31}")


@lru_cache(maxsize=512)
def compiled(pattern: str, *, ignore_case: bool = False) -> regex.Pattern[str]:
    """A user's pattern, compiled once. Raises ValueError that says what is wrong with it."""
    try:
        return regex.compile(pattern, regex.IGNORECASE if ignore_case else 0)
    except (regex.error, RecursionError, OverflowError) as error:
        raise ValueError(f"is not a regular expression: {str(error) or 'nested too deep'}") from None


@contextmanager
def time_limit(limit_s: float, text: str) -> Iterator[None]:
    """Around the use of a user's pattern on ``text`` with ``timeout=limit_s``.

    Raises:
        ScoringError: the time runs out, or the text is longer than patterns are let loose on.
    """
    limit(text, "patterns are applied to at most")
    try:
        yield
    except TimeoutError:
        raise ScoringError(f"the pattern took longer than {limit_s:g} s") from None


def limit(text: str, work: str, most: int = _LONGEST) -> None:
    """Raises ScoringError where ``text`` is too long for ``work``: a long answer must not keep the others waiting."""
    if len(text) > most:
        raise ScoringError(f"{len(text)} characters: {work} {most}")


def normal_form(text: str, form: Literal["NFC", "NFKC"]) -> str:
    """The text in a Unicode normal form. Raises ScoringError where that takes for ever: 31 combining marks in a row."""
    if text.isascii():
        return text
    limit(text, "texts are normalised up to")
    if _MARKS.search(text):
        raise ScoringError("31 combining marks in a row: too many to normalise")
    return unicodedata.normalize(form, text)


def quote(text: str) -> str:
    """Model text for an explanation: escaped, on one line, and cut short."""
    shown = repr(text[:_QUOTED])
    whole = len(text) <= _QUOTED and len(shown) <= _QUOTED + 2
    return shown if whole else f"{shown[:_QUOTED]}…"


def references(case: Case) -> tuple[str, ...]:
    """The accepted texts of a case: `expected` is one text or a list of them. Empty when it is neither."""
    expected = case.expected
    if isinstance(expected, str):
        return (expected,)
    if isinstance(expected, list) and all(isinstance(item, str) for item in expected):
        return tuple(expected)
    return ()


def lacks_reference(case: Case) -> str | None:
    """Says that a case has no text to compare with, or None."""
    if references(case):
        return None
    if case.expected is None:
        return "has no expected"
    return "expected should be a text or a list of texts"


def _compiles(pattern: str) -> str:
    compiled(pattern)
    return pattern


#: An option that is a user's regular expression (syntax of the package ``regex``).
Pattern = Annotated[str, Field(min_length=1), AfterValidator(_compiles)]

#: An option in seconds.
Seconds = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextScorer(Scorer):
    """A scorer that compares text.

    Options:
        extract: a pattern; only its last match is scored, the first group of it if it has one.
        strip: whether white space around the answer (and around what is expected) is ignored.
        unicode: the normal form both are brought into before they are compared: "NFC" (one é, however it is written) or
            "NFKC" (also ﬁ = fi, １ = 1, ² = 2).
        time_limit_s: how long a user's pattern may run on one answer.
    """

    extract: Pattern | None = None
    strip: bool = True
    unicode: Literal["none", "NFC", "NFKC"] = "none"
    time_limit_s: Seconds = 0.5

    @property
    def offload(self) -> bool:
        """True where a user's pattern runs."""
        return self.extract is not None

    def score(self, case: Case, completion: Completion) -> Score:
        """The score of what `extract`, `unicode` and `strip` leave of the answer; 0 where `extract` finds nothing."""
        text = completion.text if self.extract is None else self._extracted(completion.text, self.extract)
        if text is None:
            return Score(value=0.0, explanation=NOTHING_EXTRACTED)
        return self.compare(self.trim(text), case)

    @abstractmethod
    def compare(self, text: str, case: Case) -> Score:
        """The score of the text that is left of an answer. Raises ScoringError."""

    def trim(self, text: str) -> str:
        """The text as it is compared. Raises ScoringError where it cannot be normalised."""
        normal = text if self.unicode == "none" else normal_form(text, self.unicode)
        return normal.strip() if self.strip else normal

    def wanted(self, case: Case) -> tuple[str, ...]:
        """The accepted texts of a case as they are compared."""
        return tuple(self.trim(text) for text in references(case))

    def lacks_text(self, case: Case) -> str | None:
        """Says that a case has no text to compare with, or none that can be brought into the normal form, or None."""
        try:
            self.wanted(case)
        except ScoringError as error:
            return f"expected has {error}"
        return lacks_reference(case)

    def _extracted(self, text: str, pattern: str) -> str | None:
        with time_limit(self.time_limit_s, text):
            last = deque(compiled(pattern).finditer(text, timeout=self.time_limit_s), maxlen=1)
        return last[0][min(last[0].re.groups, 1)] if last else None
