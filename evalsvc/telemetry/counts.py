"""Plain numbers that are cheap to add to: what a scrape shows is made of them when it comes."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from math import exp, floor, inf, log

#: OpenTelemetry's buckets for the duration of a model call, in seconds, and three more for models that reason.
SECONDS = tuple(0.01 * 2**n for n in range(17))
#: OpenTelemetry's buckets for tokens.
TOKENS = tuple(float(4**n) for n in range(14))
#: Waits before a request, in seconds: most are none.
WAITS = (0.001, 0.01, 0.1, 1.0, 5.0, 30.0, 120.0, 600.0)
#: Commits and lags, in seconds: from a good disk to one that hangs.
SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

_LONGEST = 96
_PER_E = 1 / log(1.02)
_SHORTEST = 1e-6
_LOWEST = floor(log(_SHORTEST) * _PER_E)


class Histogram:
    """Counts by bucket, and the sum.

    Args:
        bounds: the upper bounds of the buckets, ascending; one more takes what is above.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, values: Sequence[float]) -> None:
        """Count values; a bound belongs to the bucket below it."""
        counts, bounds = self.counts, self.bounds
        for value in values:
            counts[bisect_left(bounds, value)] += 1
        self.sum += sum(values)

    def buckets(self) -> list[tuple[str, float]]:
        """(upper bound, how many are not above it), as Prometheus wants them."""
        names = [*(f"{bound:.12g}" for bound in self.bounds), "+Inf"]
        return list(zip(names, map(float, accumulate(self.counts)), strict=True))


class Sketch:
    """Quantiles of any number of durations in little memory, to 1% of their value.

    Charles Masson, Jee E. Rim, Homin K. Lee: DDSketch (VLDB 2019), section 2: buckets whose bounds grow by one factor.
    """

    __slots__ = ("_counts", "_n")

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._n = 0

    def add(self, seconds: Sequence[float]) -> None:
        """Count durations; an infinite one (a timeout) is longer than all others."""
        self._n += len(seconds)
        self._counts.update([floor(log(each) * _PER_E) for each in seconds if _SHORTEST < each < inf])
        self._counts[_LOWEST] += sum([each <= _SHORTEST for each in seconds])

    def quantile(self, q: float) -> float | None:
        """The duration that a share ``q`` of all does not exceed; None while there is none."""
        if not self._n:
            return None
        left = q * self._n
        for bucket in sorted(self._counts):
            left -= self._counts[bucket]
            if left <= 0:
                return exp((bucket + 0.5) / _PER_E)
        return inf


def label(text: str) -> str:
    """A text as it may stand in a label: short, and in characters that can be sent; names come from users."""
    seen = text.encode("utf-8", "replace").decode()
    return seen if len(seen) <= _LONGEST else f"{seen[: _LONGEST - 1]}…"
