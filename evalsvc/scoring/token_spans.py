"""Tokens with their log-probabilities, laid over the text they are said to make up, whatever shape a server gives.

Chat shape: ``{"content": [{"token", "bytes", "logprob"}]}``. Shape of ``/completions``: ``{"tokens", "token_logprobs",
"text_offset"}``. Some servers give the former on both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from evalsvc.core.records import Completion
from evalsvc.errors import ScoringError

#: At or below this a server means "never": it cannot write minus infinity as JSON.
_NEVER = -9999.0
#: What rounding may put above the logarithm of 1.
_NOISE = 1e-6
#: Stands for bytes that are no whole character.
_BROKEN = "\ufffd"


@dataclass(frozen=True, slots=True)
class Span:
    """One token: the bytes of the text it covers, and its log-probability as it was given (natural logarithm)."""

    start: int
    end: int
    logprob: Any

    @property
    def nats(self) -> float:
        """Its log-probability. Raises `ScoringError` where that is none that can be added up."""
        value = self.logprob
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ScoringError(f"the token at byte {self.start} has no log-probability")
        if not isfinite(value) or value <= _NEVER or value > _NOISE:
            raise ScoringError(f"the token at byte {self.start} has the log-probability {value:g}")
        return min(float(value), 0.0)


def spans_of(completion: Completion) -> list[Span]:
    """The tokens of a completion in order; together they cover its text.

    Raises:
        ScoringError: there are none, or they do not add up to the text.
    """
    given = completion.logprobs
    if not isinstance(given, dict):
        raise ScoringError("no log-probabilities came with the answer")
    if isinstance(given.get("content"), list):
        return _chat(given["content"], completion.text)
    columns = [given.get(key) for key in ("tokens", "token_logprobs", "text_offset")]
    if not all(isinstance(column, list) for column in columns) or len({len(column or ()) for column in columns}) != 1:
        raise ScoringError("the log-probabilities are in no known form")
    tokens, logprobs, offsets = (column or [] for column in columns)
    return _with_offsets(tokens, logprobs, offsets, completion.text)


def _chat(entries: Sequence[Any], text: str) -> list[Span]:
    whole = text.encode("utf-8", "surrogatepass")
    spans: list[Span] = []
    at = 0
    for entry in entries:
        if at == len(whole) and at:
            if entry is not entries[-1]:
                raise ScoringError("there are more tokens than the text holds")
            break  # the token that ends the answer is no part of its text
        piece = _bytes(entry)
        if whole[at : at + len(piece)] != piece:
            raise ScoringError(f"the tokens do not make up the text: they differ at byte {at}")
        spans.append(Span(at, at + len(piece), entry.get("logprob")))
        at += len(piece)
    if at != len(whole) or not spans:
        raise ScoringError(f"the tokens end at byte {at} of {len(whole)}")
    return spans


def _bytes(entry: Any) -> bytes:
    if not isinstance(entry, dict):
        raise ScoringError("the log-probabilities are in no known form")
    given = entry.get("bytes")
    if isinstance(given, list):
        try:
            return bytes(given)
        except (TypeError, ValueError):
            raise ScoringError("the bytes of a token are none") from None
    token = entry.get("token")
    if not isinstance(token, str):
        raise ScoringError("a token has no text")
    return token.encode("utf-8", "surrogatepass")


def _with_offsets(tokens: Sequence[Any], logprobs: Sequence[Any], offsets: Sequence[Any], text: str) -> list[Span]:
    if not tokens or not all(isinstance(token, str) for token in tokens):
        raise ScoringError("the tokens are no texts")
    if not all(isinstance(at, int) and not isinstance(at, bool) for at in offsets):
        raise ScoringError("the offsets of the tokens are no numbers")
    for first in (0, 1):  # a token that begins every text may be listed, and be no part of this one
        last = len(tokens)
        if last - first > 1 and offsets[-1] - offsets[first] == len(text) and not _broken(tokens[-1]):
            last -= 1  # so may one that ends it
        if first >= last:
            break
        starts = [at - offsets[first] for at in offsets[first:last]]
        ends = [*starts[1:], len(text)]
        if _fits(tokens[first:last], starts, ends, text):
            sizes = _byte_offsets(text, {*starts, *ends})
            places = zip(starts, ends, logprobs[first:last], strict=True)
            return [Span(sizes[start], sizes[end], logprob) for start, end, logprob in places]
    raise ScoringError("the tokens do not make up the text at the offsets given")


def _broken(token: str) -> bool:
    """Whether a token holds bytes that are no whole character."""
    return _BROKEN in token or token.startswith("bytes:")


def _fits(tokens: Sequence[str], starts: Sequence[int], ends: Sequence[int], text: str) -> bool:
    """Whether each token stands where it is said to; a broken one covers as many characters as it has, or fewer."""
    for token, start, end in zip(tokens, starts, ends, strict=True):
        if not 0 <= start <= end <= len(text):
            return False
        if end - start > len(token) or (not _broken(token) and text[start:end] != token):
            return False
    return True


def _byte_offsets(text: str, places: set[int]) -> dict[int, int]:
    found, at, size = {}, 0, 0
    for place in sorted(places):
        size += len(text[at:place].encode("utf-8", "surrogatepass"))
        found[place], at = size, place
    return found
