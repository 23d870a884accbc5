"""What a report says of the judge: whether it is trusted and why, and what sways it besides the answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from evalsvc.reports import format as fmt


def judge_lines(record: Mapping[str, Any]) -> tuple[str, ...]:
    """A few sentences on the record's `judge`; none where there was no judge."""
    judge = record.get("judge")
    return tuple(_lines(judge)) if isinstance(judge, Mapping) else ()


def _lines(judge: Mapping[str, Any]) -> Iterator[str]:
    who = f"{fmt.text(judge.get('model'))} on {fmt.text(judge.get('endpoint'))}"
    if judge.get("trusted") is True:
        yield f"{who} is trusted."
    else:
        yield f"{who} is not trusted, its scores gate nothing: {fmt.text(judge.get('distrust'))}."
    yield _canaries(judge)
    if (flips := _share(judge.get("flip_rate"))) is not None:
        yield f"Asked in both orders it contradicts itself in {flips} pairs: those count as ties."
    if (first := _share(judge.get("first_position_rate"))) is not None:
        yield f"It prefers what it is shown first in {first} verdicts that are no tie: 50% is fair."
    yield from _length(judge)
    yield _spent(judge)


def _canaries(judge: Mapping[str, Any]) -> str:
    def said(key: str) -> str:
        return fmt.count(fmt.dig(judge, "canaries", key))

    tried = f"Of {said('asked')} answers that deserve nothing"
    return f"{tried} it judged {said('answered')}, and fell for {said('fooled')} of them."


def _length(judge: Mapping[str, Any]) -> Iterator[str]:
    longer = _share(fmt.dig(judge, "length_bias", "longer_won"))
    if longer is not None:
        yield f"The longer of two answers wins in {longer} decided cases."
    for scorer in fmt.rows(judge.get("scorers")):
        effect = fmt.dig(scorer, "length_bias", "effect")
        if isinstance(effect, Mapping):
            where = f"{fmt.text(scorer.get('label'))} of {fmt.text(scorer.get('suite'))}"
            raw, equal = (fmt.points(effect.get(key)) for key in ("raw", "equal_length"))
            between = fmt.interval(effect.get("equal_length_interval"), fmt.points)
            yield f"{where}: candidate less baseline {raw} points, {equal} ({between}) between answers of equal length."


def _spent(judge: Mapping[str, Any]) -> str:
    asked, cached = fmt.count(judge.get("requests")), fmt.number(judge.get("cached"))
    taken = f", {fmt.count(cached)} of them from earlier ones" if cached else ""
    cost = "" if judge.get("cost") is None else f", at a cost of {fmt.cost(judge.get('cost'))}"
    tokens = " and ".join(f"{fmt.count(fmt.dig(judge, 'tokens', kind))} {kind}" for kind in ("input", "output"))
    return f"It was asked {asked} times{taken}{cost}: {tokens} tokens."


def _share(rate: object) -> str | None:
    """``12.5% (8.0% to 19.0%) of 160``, None where nothing was counted."""
    if not isinstance(rate, Mapping):
        return None
    between = fmt.interval(rate.get("wilson"), fmt.percent)
    return f"{fmt.percent(rate.get('rate'))} ({between}) of {fmt.count(rate.get('n'))}"
