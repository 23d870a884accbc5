"""What a provider allows a minute, of requests or of tokens: a bucket that fills steadily.

Most servers keep such a bucket, and ours follows their word on it. Others count in fixed windows and give nothing
before the next one; their reset tells them apart: in a bucket every request moves the time at which all is there
again, in a window that time stays where it is.
"""

from __future__ import annotations

from math import inf

#: Without the server's word, never more at once than it allows in so many seconds: some servers count by the second.
_BURST_S = 1.0
#: A longer reset is no window of limits per minute.
_LONGEST_WINDOW_S = 75.0
#: Judged once so many seconds' worth was spent: resets are often whole seconds.
_JUDGED_AFTER_S = 4.0
#: Share of a server's bucket that is left alone: requests arrive unevenly, and cost a little more or less.
_SPARED = 0.05
_ROUNDING = 1e-6


class Budget:
    """A bucket of requests or tokens.

    Args:
        per_minute: the limit; with ``ceiling`` it is the user's, and no server's word raises it.
        now: the clock's reading.
        burst_s: its size at first, in seconds of the limit (but at least 1).
    """

    __slots__ = (
        "_at",
        "_burst_s",
        "_ceiling",
        "_closed_until",
        "_ends",
        "_spent_then",
        "_window",
        "capacity",
        "level",
        "rate",
        "spent",
    )

    def __init__(self, per_minute: float, *, now: float, ceiling: bool = False, burst_s: float = _BURST_S) -> None:
        self.rate = per_minute / 60.0
        self._burst_s = burst_s
        self.capacity = max(1.0, self.rate * burst_s)
        self.level = self.capacity
        self.spent = 0.0
        self._ceiling = per_minute if ceiling else inf
        self._at = now
        self._window = False
        self._closed_until = -inf
        self._ends: float | None = None
        self._spent_then = 0.0

    def wait(self, cost: float, now: float) -> float:
        """Seconds until ``cost`` is there, 0 if it is. What exceeds the whole bucket goes when the bucket is full."""
        capacity = self.capacity
        if self._closed_until > self._at:
            self._fill(now)
        else:  # what `_fill` does, inline: every request comes by here
            level = self.level + self.rate * (now - self._at)
            self.level = level if level < capacity else capacity  # noqa: FURB136 - min() is a call
            self._at = now
        lack = (cost if cost < capacity else capacity) - self.level  # noqa: FURB136 - min() is a call
        if lack <= _ROUNDING:
            return 0.0
        return max(lack / self.rate, self._closed_until - now)

    def take(self, cost: float) -> None:
        """Spend, into debt if need be."""
        self.level -= cost
        self.spent += cost

    def settle(self, reserved: float, true: float) -> None:
        """What was reserved did cost something else."""
        self.level += reserved - true
        self.spent += true - reserved

    def set_rate(self, per_second: float) -> None:
        """Another limit; the bucket keeps its size in seconds."""
        self.rate = per_second
        self.capacity = max(1.0, per_second * self._burst_s)
        self.level = min(self.level, self.capacity)

    def hear(
        self, limit: float | None, left: float | None, reset_s: float | None, *, since: float, age: float, now: float
    ) -> None:
        """The server's word in an answer.

        Args:
            limit: per minute.
            left: what is left of it.
            reset_s: seconds until all is there again.
            since: what was spent after the request it answers: the server may have seen none of it.
            age: seconds since that request was admitted, at most so old is the word.
            now: the clock's reading.
        """
        self._fill(now)
        per_second = min(limit or inf, self._ceiling) / 60.0
        if limit is not None and per_second != self.rate:
            self.set_rate(per_second)
        if left is None:
            return
        level = left - max(0.0, since - self.rate * age)
        if limit is not None and limit > self._ceiling:
            self.level = min(self.level, level)
            return
        self._judge(left, reset_s, limit, now)
        if self._window and reset_s:
            level = left - since
            self._closed_until = now + reset_s
        self.level = level - _SPARED * self.capacity

    def _fill(self, now: float) -> None:
        if self._closed_until > self._at:
            if now < self._closed_until:
                return
            # the new window gets no more than a start before the server's word on it: its clock is not ours
            self.level = max(self.level, 1.0, self.rate * _BURST_S)
            self._at = self._closed_until
        self.level = min(self.capacity, self.level + self.rate * (now - self._at))
        self._at = now

    def _judge(self, left: float, reset_s: float | None, limit: float | None, now: float) -> None:
        """A window or a bucket, and of what size."""
        size = left + 1.0 if reset_s is None or self._window else left + self.rate * reset_s
        keep = self.capacity if reset_s is None or self._window else 1.0
        self.capacity = max(keep, min(size, limit or inf), left)
        self._burst_s = self.capacity / self.rate
        if reset_s is None or reset_s > _LONGEST_WINDOW_S:
            self._window, self._ends = False, None
            return
        ends = now + reset_s
        if self._ends is None or now >= self._ends:
            self._ends, self._spent_then = ends, self.spent
            return
        moved_if_bucket = (self.spent - self._spent_then) / self.rate
        if moved_if_bucket >= _JUDGED_AFTER_S:
            self._window = ends - self._ends < moved_if_bucket / 2
            self._ends, self._spent_then = ends, self.spent
