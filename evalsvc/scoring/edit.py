"""The scorer `edit_similarity`: how little has to be changed to turn an answer into what is expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rapidfuzz.distance import Levenshtein

from evalsvc.core.records import Case, Score
from evalsvc.errors import ScoringError
from evalsvc.scoring.base import scorer
from evalsvc.scoring.text import TextScorer, limit

_MOST_PAIRS = 400_000_000


@scorer("edit_similarity")
@dataclass(frozen=True, slots=True, kw_only=True)
class EditSimilarity(TextScorer):
    """1 − edits / length of the longer text; the best reference counts. An edit inserts, drops or replaces one token.

    Source: Levenshtein, "Binary Codes Capable of Correcting Deletions, Insertions, and Reversals", 1966; divided by the
    longer text as in the package rapidfuzz (``Levenshtein.normalized_similarity``). It misleads on meaning ("can" and
    "can't" are close), on moved text (a sentence that stands elsewhere counts as dropped and inserted), and is seldom
    near 0: two unrelated English sentences agree to about a quarter.

    Options:
        tokens: "chars" counts characters (code points), "words" what white space divides (with it, 1 minus this is a
            word error rate that cannot exceed 1).
        ignore_case: compare case-folded.
    """

    tokens: Literal["chars", "words"] = "chars"
    ignore_case: bool = False

    def check(self, case: Case) -> str | None:
        """The case needs a text in `expected`, or a list of texts."""
        return self.lacks_text(case)

    def compare(self, text: str, case: Case) -> Score:
        """The best similarity over the references; two empty texts are equal. Raises ScoringError beyond the bounds."""
        limit(text, "texts are compared up to")
        answer = self._split(text)
        wanted = [self._split(each) for each in self.wanted(case)]
        if len(answer) * sum(map(len, wanted)) > _MOST_PAIRS:
            raise ScoringError(f"{len(answer)} by {sum(map(len, wanted))} {self.tokens}: compares up to 20000 by 20000")
        value = max(Levenshtein.normalized_similarity(answer, each) for each in wanted)
        return Score(value=value, explanation=f"similarity {value:.3f} over {len(answer)} {self.tokens}")

    def _split(self, text: str) -> Sequence[str]:
        folded = text.casefold() if self.ignore_case else text
        return folded if self.tokens == "chars" else folded.split()
