"""The cases that flipped, cut to what a page can carry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalsvc.core.records import Arm
from evalsvc.core.view import AnswerView, FlippedCase
from evalsvc.reports import format as fmt
from evalsvc.reports.inert import clip

_TEXTS = 6  # input, expected, and an answer and an explanation of each arm
_BUDGET = 1_400_000  # bytes of a page that flipped cases may take together
_LEAST, _MOST = 300, 16_000  # bytes of one text
_HEAD = 480  # characters of a long text shown before it is opened
_HEAD_LINES = 8
_PREVIEW = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class LongText:
    """A text in parts: ``head`` is always seen, ``rest`` is opened, ``left_out`` characters are not in the page."""

    head: str
    rest: str
    left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCard:
    """One arm's answer."""

    arm: str
    status: str
    score: str
    latency: str
    text: LongText
    explanation: LongText


@dataclass(frozen=True, slots=True, kw_only=True)
class FlipCard:
    """One flipped case; ``worse`` for the candidate or not; ``preview`` begins its input."""

    suite: str
    category: str
    case: str
    delta: str
    worse: bool
    preview: str
    input: LongText
    expected: LongText
    answers: tuple[AnswerCard, ...]


def flip_cards(flips: Sequence[FlippedCase]) -> tuple[FlipCard, ...]:
    """A card per case, in the order given; the more cases, the shorter their texts."""
    limit = min(_MOST, max(_LEAST, _BUDGET // (_TEXTS * max(1, len(flips)))))
    return tuple(_card(flip, limit) for flip in flips)


def _card(flip: FlippedCase, limit: int) -> FlipCard:
    return FlipCard(
        suite=flip.suite,
        category=flip.category,
        case=flip.case_id,
        delta=fmt.score(flip.delta) if flip.delta < 0 else f"+{fmt.score(flip.delta)}",
        worse=flip.delta < 0,
        preview=" ".join(flip.input[:_PREVIEW].split()),
        input=_long(flip.input, limit),
        expected=_long(flip.expected, limit),
        answers=tuple(_answer(arm, flip.answers[arm], limit) for arm in Arm if arm in flip.answers),
    )


def _answer(arm: Arm, answer: AnswerView, limit: int) -> AnswerCard:
    return AnswerCard(
        arm=arm,
        status=answer.status if answer.kind is None else f"{answer.status}: {answer.kind}",
        score=fmt.score(answer.score),
        latency=fmt.seconds(answer.latency_s),
        text=_long(answer.text, limit),
        explanation=_long(answer.explanation, limit),
    )


def _long(text: str, limit: int) -> LongText:
    shown, left_out = clip(text, limit)
    end = _head_end(shown)
    return LongText(head=shown[:end], rest=shown[end:], left_out=left_out)


def _head_end(text: str) -> int:
    """Where the head ends: at a line or a word, and not for a few characters more."""
    lines = text.split("\n", _HEAD_LINES)
    if len(text) <= _HEAD + 200 and len(lines) <= _HEAD_LINES:
        return len(text)
    end = min(_HEAD, len("\n".join(lines[:_HEAD_LINES])))
    space = text.rfind(" ", end - 40, end)
    return space + 1 if end == _HEAD and space > 0 else end
