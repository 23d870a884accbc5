"""How many requests at once: additive increase, multiplicative decrease.

A round is as many finished requests as the limit allows at once. After a clean one the limit grows, if it was used:
it doubles until the first cut (slow start), then adds 5%. A rate limit cuts it to 80%; errors that are none of ours
(5xx, timeouts) only keep the round from being clean.
"""

from __future__ import annotations

START = 64
_GROWTH = 0.05
_CUT = 0.8
_USED = 0.8


class Concurrency:
    """The adaptive limit of one endpoint, from 1 to ``most``; ``peak`` is the most in flight in this round.

    ``peak`` is for the owner to keep: it is counted on admission.
    """

    __slots__ = ("_calm", "_clean", "_finished", "_slow_start", "limit", "most", "peak")

    def __init__(self, most: int) -> None:
        self.most = most
        self.limit = min(START, most)
        self.peak = 0
        self._calm = self.limit  # the highest with a clean round
        self._finished = 0
        self._clean = True
        self._slow_start = True

    def finished(self, clean: bool) -> None:
        """One request ended; ``clean`` if the endpoint took it without trouble."""
        self._finished += 1
        if not clean:
            self._clean = False
        if self._finished >= self.limit:
            if self._clean and self.peak >= _USED * self.limit:
                self._calm = max(self._calm, self.limit)
                self._grow()
            self._new_round()

    def cut(self) -> None:
        """The endpoint said it was too much."""
        self.limit = max(1, int(_CUT * self.limit))
        self._slow_start = False
        self._new_round()

    def restore(self) -> None:
        """What it was cut for was something else: back to where it went well."""
        self.limit = max(self.limit, self._calm)
        self._new_round()

    def _grow(self) -> None:
        more = self.limit if self._slow_start else max(1, int(_GROWTH * self.limit))
        self.limit = min(self.most, self.limit + more)

    def _new_round(self) -> None:
        self._finished = self.peak = 0
        self._clean = True
