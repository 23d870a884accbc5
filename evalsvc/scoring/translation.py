"""Scorers of translations: `bleu` and `chrf`, as the package sacrebleu computes them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from evalsvc.core.records import Case, CountedScore, Score
from evalsvc.scoring.base import CorpusScore, scorer
from evalsvc.scoring.text import TextScorer, limit

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

_LONGEST = 65_536

Smooth = Literal["exp", "floor", "add-k", "none"]
Order = Annotated[int, Field(ge=1, le=10)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sacre(TextScorer):
    """A metric of sacrebleu: its sentence value for a case, its corpus value over all of them.

    Both come from the same counts of n-grams; those of a case are the `parts` of its score, after (1, references,
    references²), which tell afterwards whether all cases had as many references.
    """

    corpus: ClassVar[bool] = True

    ignore_case: bool = False

    @property
    def offload(self) -> bool:
        """True: 0.1 to 0.5 ms for an ordinary answer."""
        return True

    def check(self, case: Case) -> str | None:
        """The case needs a text in `expected`, or a list of texts, none of them empty or too long."""
        if lack := self.lacks_text(case):
            return lack
        wanted = self.wanted(case)
        if not all(wanted):
            return "expected holds an empty text"
        if sum(map(len, wanted)) > _LONGEST:
            return f"expected has more than {_LONGEST} characters"
        return None

    def compare(self, text: str, case: Case) -> Score:
        """The sentence value. Raises ScoringError beyond 65,536 characters."""
        limit(text, "n-grams are counted up to", _LONGEST)
        counts = self._counts(text, case)
        value = _value(self._metric(sentence=True), counts)
        count = len(self.wanted(case))
        return CountedScore(value=value, explanation=f"{100 * value:.2f} of 100", parts=_parts(count, counts))

    def fault(self, case: Case, why: str) -> Score:
        """0, and in the corpus an empty answer: one that is missing would flatter the rest."""
        counts, count = self._counts("", case), len(self.wanted(case))
        return CountedScore(value=0.0, explanation=why, parts=_parts(count, counts))

    def aggregate(self, parts: Sequence[float]) -> CorpusScore:
        """The corpus value of summed parts, with sacrebleu's signature."""
        cases, references, squares, *counts = (int(part) for part in parts)
        metric = copy(self._metric(sentence=False))
        uniform = cases * squares == references * references
        metric.num_refs = references // cases if uniform else -1
        normal = "" if self.unicode == "none" else f"|unicode:{self.unicode}"
        return CorpusScore(value=_value(metric, counts), signature=f"{metric.get_signature()}{normal}")

    def _counts(self, text: str, case: Case) -> list[int]:
        # What sacrebleu's own significance tests use; its public calls give no counts for chrF.
        found: list[list[int]] = self._metric(sentence=True)._extract_corpus_statistics(  # noqa: SLF001
            [text], [[wanted] for wanted in self.wanted(case)]
        )
        return found[0]

    @abstractmethod
    def _metric(self, *, sentence: bool) -> Metric:
        """The metric with the settings for one sentence, or for a corpus."""


@scorer("bleu")
@dataclass(frozen=True, slots=True, kw_only=True)
class Bleu(_Sacre):
    """BLEU / 100: shared n-grams of 1 to 4 tokens, with a penalty for short answers; all references count together.

    Per case it is sentence BLEU (smoothed, effective order), over all cases corpus BLEU: not the mean of the cases.

    Source: Papineni et al., "BLEU: a Method for Automatic Evaluation of Machine Translation", 2002, section 2.3, as the
    package sacrebleu computes it (Post, "A Call for Clarity in Reporting BLEU Scores", 2018); smoothing is that of Chen
    and Cherry 2014. It misleads on single sentences, where it agrees poorly with people, on right answers in other
    words, and wherever tokens differ: only values with the same signature can be compared.

    Options:
        tokens: sacrebleu's tokenizer: "13a", "intl", "zh", "char" (for scripts that write no spaces) or "none".
        ignore_case: lower-case both.
        order: the longest n-gram.
        smooth: how an order without a match is smoothed: "exp", "floor", "add-k" or "none".
        smooth_value: of "floor" (0.1 if not given) and "add-k" (1).
    """

    tokens: Literal["13a", "intl", "zh", "char", "none"] = "13a"
    order: Order = 4
    smooth: Smooth = "exp"
    smooth_value: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] | None = None

    def _metric(self, *, sentence: bool) -> Metric:
        return _bleu(self.tokens, self.ignore_case, self.order, self.smooth, self.smooth_value, sentence)


@scorer("chrf")
@dataclass(frozen=True, slots=True, kw_only=True)
class Chrf(_Sacre):
    """chrF / 100: the F-measure of shared character n-grams, recall weighing more; the best reference counts.

    Needs no tokens, so it suits every script. Per case it is sentence chrF, over all cases corpus chrF.

    Source: Popović, "chrF: character n-gram F-score for automatic MT evaluation", 2015, equation 1, and "chrF++: words
    helping character n-grams", 2017, as the package sacrebleu computes them. It misleads because spelling is not
    meaning: "not" costs three characters. Unrelated texts of one language still get 0.1 to 0.2.

    Options:
        order: the longest character n-gram.
        words: the longest word n-gram; 2 makes it chrF++.
        beta: how much more recall weighs than precision.
        ignore_case: lower-case both.
    """

    order: Order = 6
    words: Annotated[int, Field(ge=0, le=4)] = 0
    beta: Annotated[int, Field(ge=1, le=10)] = 2

    def _metric(self, *, sentence: bool) -> Metric:  # noqa: ARG002 - one sentence and a corpus have the same settings
        return _chrf(self.order, self.words, self.beta, self.ignore_case)


def _parts(references: int, counts: Sequence[int]) -> tuple[float, ...]:
    return (1, references, references**2, *counts)


def _value(metric: Metric, counts: list[int]) -> float:
    score: float = metric._aggregate_and_compute([counts]).score  # noqa: SLF001
    return min(1.0, round(score / 100, 12))  # a perfect answer gets 100.00000000000004


@lru_cache(maxsize=64)
def _bleu(
    tokens: str, ignore_case: bool, order: int, smooth: str, smooth_value: float | None, sentence: bool
) -> Metric:
    from sacrebleu.metrics.bleu import BLEU  # noqa: PLC0415 - 0.1 s, and seldom needed

    metric = BLEU(
        tokenize=tokens,
        lowercase=ignore_case,
        max_ngram_order=order,
        smooth_method=smooth,
        smooth_value=smooth_value,
        effective_order=sentence,
    )
    metric.tokenizer = _forgetful(metric.tokenizer)
    return metric


@lru_cache(maxsize=64)
def _chrf(order: int, words: int, beta: int, ignore_case: bool) -> Metric:
    from sacrebleu.metrics.chrf import CHRF  # noqa: PLC0415 - 0.1 s, and seldom needed

    return CHRF(char_order=order, word_order=words, beta=beta, lowercase=ignore_case)


def _forgetful(tokenizer: Any) -> Callable[[str], str]:
    """The tokenizer without its memory: it would keep the last 65,536 texts for as long as the process lives."""
    after = getattr(tokenizer, "_post_tokenizer", None)
    if after is not None:
        tokenizer._post_tokenizer = _forgetful(after)  # noqa: SLF001 - it has no other handle
    call = type(tokenizer).__call__
    return partial(getattr(call, "__wrapped__", call), tokenizer)
