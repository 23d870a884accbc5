"""What sways a judge besides the answers: their order and their length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from evalsvc.core.evidence import JudgedScores
from evalsvc.stats.interval import Interval
from evalsvc.stats.length import LengthEffect, length_effect
from evalsvc.stats.rates import wilson

#: Proven share of decided pairs won by the longer answer that is worth a warning.
LONGER = 0.6
#: Share of pairs that flip with the order that is worth a warning: what GPT-4 did (Zheng et al. 2023, table 2).
FLIPS = 0.35

_ASK_PEOPLE = "ask people about some of these cases before you ship by it"


def bias_warnings(judged: JudgedScores) -> Iterator[str]:
    """What sways the judge beyond what is common, what that means, and what to do about it."""
    where = f"suite {judged.suite}, scorer {judged.label}"
    flipped, pairs = _flips(judged.orders)
    if flipped > FLIPS * pairs:
        yield f"{where}: the judge contradicts itself on {flipped} of {pairs} pairs when their order is turned"
    won, decided = _longer(judged)
    if decided and (wilson(won, decided).low or 0.0) > LONGER:
        yield (
            f"{where}: the judge preferred the longer answer in {won} of {decided} decided pairs "
            f"({won / decided:.0%}): it may pay for length and not for quality, so {_ASK_PEOPLE}"
        )
    effect = _effect([judged])
    if effect is not None and effect.explained:
        yield (
            f"{where}: length explains what the judge prefers: a difference of {effect.raw:+.3f}, "
            f"and {effect.controlled:+.3f} (not proven) between answers of equal length: nothing shows that the better "
            f"model is more than the wordier one, so {_ASK_PEOPLE}"
        )


def biases(judged: Sequence[JudgedScores]) -> dict[str, Any]:
    """The keys of the record that say what sways the judge, over these scorers."""
    orders = sum((Counter(each.orders) for each in judged), Counter[tuple[float, float]]())
    return {
        "flip_rate": _rate(*_flips(orders)),
        "first_position_rate": _rate(*_first(orders)),
        "length_bias": _length_bias(judged),
    }


def _flips(orders: Mapping[tuple[float, float], int]) -> tuple[int, int]:
    """Pairs whose verdict hangs on their order, and all pairs."""
    return sum(n for (one, other), n in orders.items() if one != other), sum(orders.values())


def _first(orders: Mapping[tuple[float, float], int]) -> tuple[int, int]:
    """Verdicts for the answer shown first, and all that are no tie."""
    first = sum(n * ((one == 1) + (other == 0)) for (one, other), n in orders.items())
    return first, sum(n * ((one != 0.5) + (other != 0.5)) for (one, other), n in orders.items())


def _longer(judged: JudgedScores) -> tuple[int, int]:
    """Cases that the longer answer won, and those won by either where one is longer."""
    signs = np.sign(np.asarray(judged.delta)) * np.sign(np.asarray(judged.log_length))
    return int((signs > 0).sum()), int((signs != 0).sum())


def _length_bias(judged: Sequence[JudgedScores]) -> dict[str, Any] | None:
    won, decided = (sum(column) for column in zip(*map(_longer, judged), strict=True)) if judged else (0, 0)
    share, effect = _rate(won, decided), _effect(judged)
    return None if share is None else {"longer_won": share, "effect": None if effect is None else _worded(effect)}


def _effect(judged: Sequence[JudgedScores]) -> LengthEffect | None:
    """Of one scorer: differences of several are of several units."""
    if len(judged) != 1:
        return None
    return length_effect(np.asarray(judged[0].delta), np.asarray(judged[0].log_length))


def _worded(effect: LengthEffect) -> dict[str, Any]:
    return {
        "n": effect.n,
        "raw": effect.raw,
        "raw_interval": _pair(effect.raw_interval),
        "equal_length": effect.controlled,
        "equal_length_interval": _pair(effect.controlled_interval),
        "slope": effect.slope,
    }


def _rate(events: int, n: int) -> dict[str, Any] | None:
    return {"count": events, "n": n, "rate": events / n, "wilson": _pair(wilson(events, n))} if n else None


def _pair(interval: Interval) -> list[float | None]:
    return [interval.low, interval.high]
