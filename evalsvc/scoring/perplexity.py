"""`perplexity`: how unlikely a text is to the model, by its own log-probabilities."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from evalsvc.core.records import Case, Completion, Score
from evalsvc.errors import ScoringError
from evalsvc.scoring.base import AskingScorer, FollowUp, scorer
from evalsvc.scoring.text import references
from evalsvc.scoring.token_spans import Span, spans_of


@scorer("perplexity")
@dataclass(frozen=True, slots=True, kw_only=True)
class Perplexity(AskingScorer):
    """exp of the mean negative log-likelihood of a text's tokens; lower is better, and 1 is certainty.

    Source: Jelinek, Mercer, Bahl, Baker, "Perplexity: a measure of the difficulty of speech recognition tasks", J.
    Acoust. Soc. Am. 62, S63, 1977. Per token it misleads between models with unlike tokenizers: ``per = "byte"``
    divides by the text's bytes instead, which no tokenizer changes. Of the model's own answer it says how sure the
    model was, and not how right.

    Options:
        mode: "completion" scores the answer by the log-probabilities that came with it (``logprobs`` in the arm's
            params); "reference" has the model's endpoint read the case's `input` and `expected` as one text
            (``/completions`` with ``echo``) and scores what is expected.
        per: what the mean is over, "token" or "byte"; the other is in the explanation.
        max_tokens: in mode "reference", the tokens asked for beyond the text: 0, or 1 for servers that refuse 0.
    """

    bounds: ClassVar[tuple[float, float]] = (1.0, sys.float_info.max)

    mode: Literal["completion", "reference"] = "completion"
    per: Literal["token", "byte"] = "token"
    max_tokens: Annotated[int, Field(ge=0, le=1)] = 0

    @property
    def calls(self) -> int:
        """In mode "completion" the answer says it all."""
        return int(self.mode == "reference")

    def check(self, case: Case) -> str | None:
        """In mode "reference", the case's input is one text and so is what is expected."""
        if self.mode == "completion":
            return None
        if not isinstance(case.input, str) or not case.input:
            return "the case's input has to be one text: how a chat becomes a prompt is the model's own template"
        found = references(case)
        return None if len(found) == 1 and found[0] else "has to be one text that is not empty"

    def follow_up(self, case: Case, completion: Completion) -> Score | FollowUp:
        """The answer's own score, or the request that has the model read the reference."""
        if self.mode == "completion":
            return self._score(spans_of(completion), size=_size(completion.text), straddling=0)
        prompt, reference = str(case.input), references(case)[0]
        return FollowUp(
            step="",
            of="model",
            messages=[{"role": "user", "content": prompt + reference}],
            params={"echo": True, "logprobs": 1, "max_tokens": self.max_tokens, "temperature": 0},
            api="completions",
            read=lambda said: self._read(said, prompt, reference),
            cut=True,
        )

    def _read(self, said: Completion, prompt: str, reference: str) -> Score:
        if not said.text.startswith(prompt + reference):
            raise ScoringError("the server did not give the text back: it does not know `echo`")
        start, end = _size(prompt), _size(prompt + reference)
        within = [span for span in spans_of(said) if _touches(span, start, end)]
        straddling = sum(span.start < start or span.end > end or span.start == span.end == start for span in within)
        return self._score(within, size=end - start, straddling=straddling)

    def _score(self, spans: Sequence[Span], *, size: int, straddling: int) -> Score:
        nats = -sum(span.nats for span in spans)
        try:
            token, byte = exp(nats / len(spans)), exp(nats / size)
        except (OverflowError, ZeroDivisionError):
            raise ScoringError("it is too large for a number") from None
        said = (
            f"{token:.4g} a token, {byte:.4g} a byte ({nats / size / log(2):.4g} bits a byte)"
            f" over {len(spans)} tokens, {size} bytes"
        )
        if straddling:
            said += f"; {straddling} of the tokens also covers what stands beside the reference"
        return Score(value=token if self.per == "token" else byte, explanation=said)


def _touches(span: Span, start: int, end: int) -> bool:
    """Whether a token is of the text between two places; one without bytes is the rest of a character before it."""
    return start <= span.start <= end if span.start == span.end else span.start < end and span.end > start


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
