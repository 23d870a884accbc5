"""The geometry of the report's pictures; templates and the terminal draw it.

Positions along a scale are percent of its width (0 at the left), so a picture fits any width without scaling its text.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from evalsvc.core.records import Arm
from evalsvc.reports import format as fmt

_SLIVER = 0.6  # percent: the narrowest bar that can still be seen
_STEPS = 240
_LEAST = 1e-4  # seconds: what the logarithmic scale begins with
_PLOT = 1000  # side of the latency plot's own coordinates


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """A range of numbers along a line."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Where a number lies, percent, kept within the line."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(1.0, max(0.0, share)), 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A labelled place. ``anchor`` keeps the label inside the picture."""

    at: float
    label: str
    anchor: str = "middle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of the line."""

    start: float
    width: float

    @property
    def end(self) -> float:
        """Where it ends, percent."""
        return self.start + self.width


@dataclass(frozen=True, slots=True, kw_only=True)
class Forest:
    """An interval against a threshold. ``envelope``: the worst and best case of what is missing, where that differs."""

    threshold: Tick | None
    good: Span | None
    interval: Span | None
    envelope: Span | None
    estimate: float | None
    zero: float | None
    ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The numbers of a forest bar.

    ``above`` tells the good side, None draws none; ``rate`` that the numbers lie in [0, 1].
    """

    estimate: float | None
    interval: object
    envelope: object
    threshold: float | None
    above: bool | None = True
    rate: bool = False


def scale_for(claims: Sequence[Claim], *, room: float = 0.1) -> Scale:
    """A scale that holds all numbers of the claims with air around them; ``room`` is the least half width."""
    found = [n for c in claims for n in (c.estimate, c.threshold, *fmt.bounds(c.interval), *fmt.bounds(c.envelope))]
    known = [n for n in found if n is not None] or [0.0]
    low, high = min(known), max(known)
    air = max(0.18 * (high - low), room / 10)
    if high - low < room / 10:
        air = room
    low, high = low - air, high + air
    if all(c.rate for c in claims):
        low, high = max(0.0, low), min(1.0, high)
    return Scale(low=low, high=high)


def forest(claim: Claim, scale: Scale, write: fmt.Writer) -> Forest:
    """The picture of one claim; ``write`` labels its threshold and ticks."""
    threshold = None if claim.threshold is None else scale.at(claim.threshold)
    good = None
    if threshold is not None and claim.above is not None:
        good = Span(start=threshold, width=100 - threshold) if claim.above else Span(start=0, width=threshold)
    bar, envelope = _span(claim.interval, scale), _span(claim.envelope, scale)
    return Forest(
        threshold=None if threshold is None else _tick(threshold, fmt.short(write(claim.threshold)), 14),
        good=good,
        interval=bar,
        envelope=None if envelope == bar else envelope,
        estimate=None if claim.estimate is None else scale.at(claim.estimate),
        zero=scale.at(0) if scale.low < 0 < scale.high else None,
        ticks=tuple(_tick(scale.at(value), fmt.short(write(value)), 5) for value in nice(scale)),
    )


def _tick(at: float, label: str, edge: float) -> Tick:
    return Tick(at=at, label=label, anchor="start" if at < edge else "end" if at > 100 - edge else "middle")


def _span(value: object, scale: Scale) -> Span | None:
    """A bound that does not exist lets the bar run off the picture."""
    low, high = fmt.bounds(value)
    if low is None and high is None:
        return None
    start = 0.0 if low is None else scale.at(low)
    end = 100.0 if high is None else scale.at(high)
    width = max(end - start, _SLIVER)
    return Span(start=round(min(start, 100 - width), 2), width=round(width, 2))


def nice(scale: Scale, most: int = 5) -> list[float]:
    """At most ``most`` round numbers on a scale, one of the steps 1, 2, 2.5 and 5 times a power of ten apart."""
    width = scale.high - scale.low
    power = 10 ** math.floor(math.log10(width / most))
    step = next(s * power for s in (1, 2, 2.5, 5, 10, 20) if width / (s * power) <= most)
    first = math.ceil(scale.low / step - 1e-9)
    return [round(k * step, 10) for k in range(first, math.floor(scale.high / step + 1e-9) + 1)]


def shares(parts: Sequence[float]) -> tuple[Span, ...]:
    """Parts of a whole laid end to end; empty where there is no whole."""
    whole = sum(parts)
    if not whole:
        return ()
    ends = [100 * sum(parts[:k]) / whole for k in range(len(parts) + 1)]
    return tuple(Span(start=round(a, 2), width=round(b - a, 2)) for a, b in pairwise(ends))


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One arm's latencies: the points of a polyline in a square of side 1000."""

    arm: str
    points: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyPlot:
    """Share of answers (up, each nine as high as the last) against seconds (right, logarithmic)."""

    curves: tuple[Curve, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]


def latency_plot(latency: Mapping[Arm, array[float]]) -> LatencyPlot | None:
    """Both arms' distributions in one picture, or None where no finite sample is known."""
    ends = [max(end, _LEAST) for samples in latency.values() for end in _finite_ends(samples)]
    if not ends:
        return None
    low, high = math.log10(min(ends)), math.log10(max(ends))
    scale = Scale(low=low - 0.04, high=high + 0.04 + (0.1 if high - low < 0.1 else 0))
    longest = max(len(samples) for samples in latency.values())
    top = min(3.2, max(2.2, math.log10(longest)))
    marks = ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"))
    return LatencyPlot(
        curves=tuple(Curve(arm=arm, points=_curve(latency[arm], scale, top)) for arm in Arm if latency.get(arm)),
        across=tuple(_tick(scale.at(math.log10(x)), fmt.short(fmt.seconds(x)), 5) for x in _decades(scale)),
        up=tuple(Tick(at=round(100 - 100 * _nines(q) / top, 2), label=p) for q, p in marks if _nines(q) <= top),
    )


def _finite_ends(samples: Sequence[float]) -> Sequence[float]:
    """The first and the last of sorted samples that is no timeout."""
    finite = bisect_left(samples, math.inf)
    return (samples[0], samples[finite - 1]) if finite else ()


def _nines(share: float) -> float:
    return -math.log10(1 - share)


def _curve(samples: Sequence[float], scale: Scale, top: float) -> str:
    """Order statistics along the nines; where the timeouts begin the curve runs flat off the right edge."""
    places: list[tuple[float, float]] = []
    for step in range(_STEPS + 1):
        height = top * step / _STEPS
        rank = math.ceil((1 - 10**-height) * len(samples) - 1e-9)
        sample = samples[min(max(rank, 1), len(samples)) - 1]
        y = round(_PLOT * (1 - height / top), 1)
        if math.isinf(sample):
            places.append((_PLOT, places[-1][1] if places else y))
            break
        places.append((round(scale.at(math.log10(max(sample, _LEAST))) * _PLOT / 100, 1), y))
        if rank >= len(samples):
            break
    return " ".join(f"{x:g},{y:g}" for x, y in places)


def _decades(scale: Scale, most: int = 7) -> list[float]:
    """Round seconds on a logarithmic scale, as many as fit."""
    powers = range(math.floor(scale.low) - 1, math.ceil(scale.high) + 1)
    choices = [
        [f * 10.0**p for p in powers for f in factors if scale.low <= math.log10(f * 10.0**p) <= scale.high]
        for factors in ((1, 2, 5), (1, 3), (1,))
    ]
    return next((choice for choice in choices if len(choice) <= most), choices[-1][::2])
