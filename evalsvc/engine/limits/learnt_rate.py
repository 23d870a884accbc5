"""A rate nobody told us, learnt from 429s.

It starts at the rate at which requests were taken, is cut by a tenth with each new episode of 429s, and grows while
there are none and it is used: by halves until the second cut, then by 1% a round for eight rounds, which keeps close to
a limit that stands, then faster and faster, which leaves behind a limit that is gone. Where 429s go on at half of
a rate that was answered well before, they have nothing to do with the rate: the cap is dropped, and comes back only
when they are more than a few.

Where many were answered and then every single one is refused, or all are for a while, a window is used up: that says
nothing of a rate. The endpoint is shut: a request now and then asks whether the next window has begun. The first
answer, or one that is not refused before the next goes, opens it again, at a rate that doubles until it is refused.
"""

from __future__ import annotations

from collections import deque

from evalsvc.engine.limits.budget import Budget

#: How often the counts are looked at, and how far back.
_LOOK_S = 0.5
_LOOKS = 5
_ROUND_S = 1.0
_ROUND_REQUESTS = 5
_LONGEST_ROUND_S = 5.0
_BURST_S = 0.1
_CUT = 0.9
_DEEPEST_CUT = 0.5
_USED = 0.8
_LOWEST_PER_SECOND = 0.2
_FIRST_STEP = 0.5
_STEP = 0.01
_STEADY_ROUNDS = 8
_HOPELESS = 0.5
_PROVEN = 0.2
_ENOUGH = 20
_ALL_REFUSED = 4
#: Where nothing at all is answered for so long, it is no slow rate either.
_NO_RATE_S = 15.0
_PROBES_PER_SECOND = 0.25
#: Of one request, so that its attempts last for a minute.
_OWN_PROBES_PER_SECOND = 0.05
_REOPENED_PER_SECOND = 5.0
#: Beyond this rate no cap is needed.
_FREE_PER_SECOND = 10_000.0
#: Longer than any window of limits per minute: what is at rest for so long does not wait for the next one.
_LONG_REST_S = 75.0


class LearntRate:
    """The rate cap of one endpoint; ``budget`` is None as long as there is none.

    ``look`` is due at ``next_look``. ``shut_at`` is the number of the last admission before a window was used up, None
    while the endpoint is open, and ``probes`` how many that were admitted since are under way: for the owner to keep.
    """

    __slots__ = (
        "_answered_well",
        "_clean_rounds",
        "_distrusted",
        "_looks",
        "_opened",
        "_probing",
        "_reopening",
        "_round_admitted",
        "_round_at",
        "budget",
        "next_look",
        "probes",
        "shut_at",
    )

    def __init__(self, now: float) -> None:
        self.budget: Budget | None = None
        self.next_look = now
        self.shut_at: int | None = None
        self.probes = 0
        self._opened = (now, 0)  # since when, and how many were answered until then
        self._reopening = False
        self._looks = deque([(now, 0, 0, 0)], maxlen=_LOOKS)
        self._probing = True
        self._distrusted = False
        self._answered_well = 0.0  # the best rate of answers while 429s were few
        self._clean_rounds = 0
        self._round_at = now
        self._round_admitted = 0

    def look(self, now: float, *, admitted: int, limited: int, answered: int) -> None:
        """Note how many were admitted, got a 429 and were answered so far, and end the round if it is time."""
        self.next_look = now + _LOOK_S
        self._looks.append((now, admitted, limited, answered))
        if self.share_limited(admitted, limited) <= _PROVEN:
            then, _, _, answered_then = self._looks[0]
            self._answered_well = max(self._answered_well, (answered - answered_then) / max(1.0, now - then))
        if self.budget is None or self.shut_at is not None:
            return
        if self._reopening:
            self._double()
            return
        seconds, requests = now - self._round_at, admitted - self._round_admitted
        if seconds >= min(_LONGEST_ROUND_S, max(_ROUND_S, _ROUND_REQUESTS / self.budget.rate)):
            if requests >= _USED * self.budget.rate * seconds:
                self._grow()
            self._new_round(now, admitted)

    def rested(self, now: float, *, admitted: int, limited: int, answered: int) -> None:
        """Nothing was asked for a while: that is no slow rate, unless 429s may be the reason."""
        long = now - self._looks[-1][0] > _LONG_REST_S
        if long and self.shut_at is not None:
            self.shut_at = self.budget = None
        if long or limited == self._looks[0][2]:
            self._start(now, admitted, limited, answered)

    def cut(self, now: float, *, admitted: int, limited: int, answered: int) -> None:
        """A new episode of 429s."""
        if self._used_up(now, limited, answered):
            self.shut_at, self.probes, self._reopening = admitted, 0, False
            self.budget = Budget(60.0 * _PROBES_PER_SECOND, now=now)
            self.budget.level = 0.0
            return
        observed = max(_LOWEST_PER_SECOND, self._taken_per_second(now, admitted, limited))
        enough = admitted - self._looks[0][1] >= _ENOUGH
        proven = enough and self.share_limited(admitted, limited) > _PROVEN
        if self.budget is None:
            if self._distrusted and not proven:
                return
            opened_at, answered_then = self._opened
            usual = (answered - answered_then) / max(1.0, now - opened_at)  # others may have held it back just now
            self.budget = Budget(60.0 * max(observed, usual), now=now, burst_s=_BURST_S)
            self._reopening = False
            self._answered_well = 0.0 if proven else self._answered_well
        elif self.budget.rate < _HOPELESS * self._answered_well and not proven:
            self.budget, self._distrusted = None, True
            return
        else:
            # Where a window is used up nothing is answered until the next one: that is no rate to stay at.
            lowest = max(_LOWEST_PER_SECOND, _DEEPEST_CUT * self.budget.rate)
            self.budget.set_rate(max(lowest, min(_CUT * self.budget.rate, observed)))
            self._probing = self._reopening = False
        self.budget.level = min(self.budget.level, 0.0)
        self._clean_rounds = 0
        self._new_round(now, admitted)

    def refused_while_shut(self, waiting: int) -> None:
        """The next window has not begun; ``waiting`` requests share the asking."""
        assert self.budget is not None
        self.budget.set_rate(min(_PROBES_PER_SECOND, _OWN_PROBES_PER_SECOND * (waiting + 1)))

    def reopen(self, now: float, *, admitted: int, limited: int, answered: int) -> None:
        """The next window has begun."""
        self.shut_at, self._reopening = None, True
        self.budget = Budget(60.0 * _REOPENED_PER_SECOND, now=now, burst_s=_BURST_S)
        self._start(now, admitted, limited, answered)

    def _double(self) -> None:
        assert self.budget is not None
        if self.budget.rate < _FREE_PER_SECOND:
            self.budget.set_rate(2.0 * self.budget.rate)
        else:
            self.budget, self._reopening = None, False

    def _start(self, now: float, admitted: int, limited: int, answered: int) -> None:
        """What was before says nothing any more."""
        self._opened = now, answered
        self._looks.clear()
        self._looks.append((now, admitted, limited, answered))
        self.next_look = now + _LOOK_S
        self._new_round(now, admitted)

    def _used_up(self, now: float, limited: int, answered: int) -> bool:
        then, _, limited_then, answered_then = self._looks[0]
        if answered > answered_then or limited - limited_then < _ALL_REFUSED:
            return False
        return answered - self._opened[1] >= _ENOUGH or now - then >= _NO_RATE_S

    def share_limited(self, admitted: int, limited: int) -> float:
        """Share of 429s among the last seconds' requests."""
        _, admitted_then, limited_then, _ = self._looks[0]
        return (limited - limited_then) / max(1, admitted - admitted_then)

    def _taken_per_second(self, now: float, admitted: int, limited: int) -> float:
        # a 429 comes at once, an answer late: what is still under way was taken
        then, admitted_then, limited_then, _ = self._looks[0]
        return (admitted - admitted_then - (limited - limited_then)) / max(1.0, now - then)

    def _grow(self) -> None:
        assert self.budget is not None
        self._clean_rounds += 1
        if self._probing or self.budget.rate < _HOPELESS * self._answered_well:
            step = _FIRST_STEP
        else:
            step = min(_FIRST_STEP, _STEP * 2 ** max(0, self._clean_rounds - _STEADY_ROUNDS))
        self.budget.set_rate(self.budget.rate * (1.0 + step))

    def _new_round(self, now: float, admitted: int) -> None:
        self._round_at, self._round_admitted = now, admitted
