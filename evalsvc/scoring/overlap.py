"""Scorers that measure how far an answer overlaps a reference text: `rouge_l`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from rapidfuzz.distance import LCSseq

from evalsvc.core.records import Case, Score
from evalsvc.errors import ScoringError
from evalsvc.scoring.base import scorer
from evalsvc.scoring.text import TextScorer, lacks_reference, references

_MOST_TOKENS = 20_000
_TOKENS = {"ascii": re.compile(r"[a-z0-9]+"), "unicode": re.compile(r"[^\W_]+")}


@scorer("rouge_l")
@dataclass(frozen=True, slots=True, kw_only=True)
class RougeL(TextScorer):
    """ROUGE-L: the F-measure (β = 1) of the longest common subsequence of tokens; the best reference counts.

    Source: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004, section 3.1, equations 2 to 4, as the
    package rouge-score computes ``rougeL`` without a stemmer. It rewards shared words in the same order and nothing
    else: a right answer in other words scores low, a wrong one ("not" added) scores high, a longer answer loses
    precision.

    Options:
        tokens: "ascii" is rouge-score's rule (runs of a-z and 0-9, lower-cased), which drops every other alphabet;
            "unicode" takes runs of letters and digits of any script (a run without spaces is one token).
    """

    tokens: Literal["ascii", "unicode"] = "ascii"

    def check(self, case: Case) -> str | None:
        """The case needs a text in `expected`, or a list of texts, each with a token in it."""
        if all(_TOKENS[self.tokens].search(wanted.lower()) for wanted in references(case)):
            return lacks_reference(case)
        return f'expected has no word that tokens = "{self.tokens}" can see'

    def compare(self, text: str, case: Case) -> Score:
        """The best F-measure over the references. Raises ScoringError beyond 20,000 tokens."""
        answer = self._split(text)
        value = max(_f_measure(answer, self._split(wanted)) for wanted in references(case))
        return Score(value=value, explanation=f"ROUGE-L F {value:.3f}")

    def _split(self, text: str) -> list[str]:
        tokens = _TOKENS[self.tokens].findall(text.lower())
        if len(tokens) > _MOST_TOKENS:
            raise ScoringError(f"{len(tokens)} tokens: rouge_l compares at most {_MOST_TOKENS}")
        return tokens


def _f_measure(answer: list[str], reference: list[str]) -> float:
    common = LCSseq.similarity(answer, reference)
    if not common:
        return 0.0
    precision, recall = common / len(answer), common / len(reference)
    return 2 * precision * recall / (precision + recall)
