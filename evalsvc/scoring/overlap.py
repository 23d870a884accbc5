"""Scorers that measure how far an answer overlaps a reference text: the ROUGE family and `f1`."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeVar

from rapidfuzz.distance import LCSseq

from evalsvc.core.records import Case, Score
from evalsvc.errors import ScoringError
from evalsvc.scoring.base import scorer
from evalsvc.scoring.lcs import union_hits
from evalsvc.scoring.text import TextScorer, limit
from evalsvc.scoring.tokens import Stem, Tokens, split, squad

_MOST_PAIRS = 400_000_000
_MOST_STEPS = 1_000_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rouge(TextScorer):
    """What the ROUGE scorers share: tokens, stems, the best reference.

    Options:
        tokens: "ascii" is rouge-score's rule (runs of a-z and 0-9, lower-cased), which drops every other alphabet;
            "unicode" takes runs of letters and digits of any script; "chars" takes each of them for itself, for scripts
            that write no spaces.
        stem: cut English words to their stem first (rouge-score's ``use_stemmer``).
    """

    tokens: Tokens = "ascii"
    stem: Stem = False

    @property
    def offload(self) -> bool:
        """True where a pattern of the user runs, or words are stemmed (10 µs each)."""
        return self.extract is not None or self.stem

    def check(self, case: Case) -> str | None:
        """The case needs a text in `expected`, or a list of texts, each with a token in it."""
        if lack := self.lacks_text(case):
            return lack
        if all(self._split(wanted) for wanted in self.wanted(case)):
            return None
        return f'expected has no word that tokens = "{self.tokens}" can see'

    def compare(self, text: str, case: Case) -> Score:
        """The best F-measure (β = 1) over the references. Raises ScoringError where the texts are too long."""
        limit(text, "texts are compared up to")
        value, precision, recall = max(self._measures(text, wanted) for wanted in self.wanted(case))
        return Score(value=value, explanation=f"F {value:.3f} (precision {precision:.3f}, recall {recall:.3f})")

    def _measures(self, text: str, wanted: str) -> tuple[float, float, float]:
        """F-measure, precision, recall."""
        hits, answered, expected = self._hits(text, wanted)
        if not hits:
            return 0.0, 0.0, 0.0
        precision, recall = hits / answered, hits / expected
        return 2 * precision * recall / (precision + recall), precision, recall

    @abstractmethod
    def _hits(self, text: str, wanted: str) -> tuple[int, int, int]:
        """How many units agree, and how many there are in the answer and in the reference."""

    def _split(self, text: str) -> list[str]:
        return split(text, self.tokens, stem=self.stem)


@scorer("rouge_1")
@dataclass(frozen=True, slots=True, kw_only=True)
class Rouge1(_Rouge):
    """ROUGE-1: the F-measure (β = 1) of shared tokens, each as often as both texts have it; the best reference counts.

    Source: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004, section 2, equation 1, as the package
    rouge-score computes ``rouge1``. It misleads because it knows no order and no meaning: "dog bites man" equals "man
    bites dog", common words count like rare ones, a right answer in other words scores low.
    """

    def _hits(self, text: str, wanted: str) -> tuple[int, int, int]:
        return _shared(self._split(text), self._split(wanted))


@scorer("rouge_2")
@dataclass(frozen=True, slots=True, kw_only=True)
class Rouge2(_Rouge):
    """ROUGE-2: the F-measure (β = 1) of shared pairs of neighbouring tokens; the best reference counts.

    Source: Lin 2004, section 2, equation 1, as the package rouge-score computes ``rouge2``. It misleads on short
    answers (a single word has no pair and scores 0) and on free word order, and knows no meaning.
    """

    def check(self, case: Case) -> str | None:
        """The case needs a text in `expected`, or a list of texts, each with two tokens in it."""
        if lack := self.lacks_text(case):
            return lack
        if all(len(self._split(wanted)) > 1 for wanted in self.wanted(case)):
            return None
        return f'expected has fewer than the two words (tokens = "{self.tokens}") that rouge_2 needs'

    def _hits(self, text: str, wanted: str) -> tuple[int, int, int]:
        return _shared(list(pairwise(self._split(text))), list(pairwise(self._split(wanted))))


@scorer("rouge_l")
@dataclass(frozen=True, slots=True, kw_only=True)
class RougeL(_Rouge):
    """ROUGE-L: the F-measure (β = 1) of the longest common subsequence of tokens; the best reference counts.

    Source: Lin 2004, section 3.1, equations 2 to 4, as the package rouge-score computes ``rougeL``. It misleads because
    it rewards shared words in the same order and nothing else: a right answer in other words scores low, a wrong one
    ("not" added) scores high, a longer answer loses precision.
    """

    def _hits(self, text: str, wanted: str) -> tuple[int, int, int]:
        answer, reference = self._split(text), self._split(wanted)
        if len(answer) * len(reference) > _MOST_PAIRS:
            raise ScoringError(f"{len(answer)} by {len(reference)} tokens: rouge_l compares up to 20000 by 20000")
        return LCSseq.similarity(answer, reference), len(answer), len(reference)


@scorer("rouge_lsum")
@dataclass(frozen=True, slots=True, kw_only=True)
class RougeLsum(_Rouge):
    r"""ROUGE-Lsum: ROUGE-L sentence by sentence, for summaries; the best reference counts.

    A line is a sentence. Each sentence of the reference is covered by the union of its longest common subsequences with
    every sentence of the answer, so the order of sentences does not matter.

    Source: Lin 2004, section 3.2, equations 5 to 7, as the package rouge-score computes ``rougeLsum``. It misleads
    where texts are not broken into lines: without a "\n" it is ROUGE-L. It knows no meaning.
    """

    @property
    def offload(self) -> bool:
        """True: about 10 µs a pair of sentences."""
        return True

    def _hits(self, text: str, wanted: str) -> tuple[int, int, int]:
        answer, reference = self._sentences(text), self._sentences(wanted)
        answered, expected = sum(map(len, answer)), sum(map(len, reference))
        longest = max(map(len, answer), default=0)
        steps = (answered * len(reference) + expected * len(answer)) * (1 + longest // 1000)
        steps += 8 * len(answer) * len(reference)
        if steps > _MOST_STEPS:
            sizes = f"{answered} tokens in {len(answer)} lines by {expected} in {len(reference)}"
            raise ScoringError(f"{sizes}: too much to compare")
        return union_hits(reference, answer), answered, expected

    def _sentences(self, text: str) -> list[list[str]]:
        return [self._split(sentence) for sentence in text.split("\n") if sentence]


@scorer("f1")
@dataclass(frozen=True, slots=True, kw_only=True)
class F1(TextScorer):
    """F1 of shared tokens after SQuAD's normalisation; the best reference counts.

    Both texts lose case, punctuation and articles. Where either has nothing left, the score is 1 if both have, else 0.

    Source: Rajpurkar et al., "SQuAD: 100,000+ Questions for Machine Comprehension of Text", 2016, section 6.1; the rule
    for empty texts is that of SQuAD 2.0's script. It misleads because it knows no order and no meaning: "not guilty"
    against "guilty" is 0.67, and a long answer that contains the right one loses precision. Its articles are English.

    Options:
        tokens: "words" are what white space divides, as in SQuAD; "chars" takes each letter and digit for itself, for
            scripts that write no spaces.
    """

    tokens: Literal["words", "chars"] = "words"

    def check(self, case: Case) -> str | None:
        """The case needs a text in `expected`, or a list of texts."""
        return self.lacks_text(case)

    def compare(self, text: str, case: Case) -> Score:
        """The best F1 over the references. Raises ScoringError where the text is too long."""
        limit(text, "texts are compared up to")
        answer = self._split(text)
        value = max(_f1(answer, self._split(wanted)) for wanted in self.wanted(case))
        return Score(value=value, explanation=f"F1 {value:.3f} of {len(answer)} tokens")

    def _split(self, text: str) -> list[str]:
        normal = squad(text)
        return normal.split() if self.tokens == "words" else split(normal, "chars")


def _f1(answer: list[str], wanted: list[str]) -> float:
    if not answer or not wanted:
        return float(answer == wanted)
    shared, answered, expected = _shared(answer, wanted)
    return 2 * shared / (answered + expected)


def _shared(answer: list[T], wanted: list[T]) -> tuple[int, int, int]:
    """How many items both lists have, each counted as often as both have it, and how many each has."""
    return (Counter(answer) & Counter(wanted)).total(), len(answer), len(wanted)
