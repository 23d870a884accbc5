"""Quotas the simulator enforces: per model a bucket of requests and one of tokens, and what they let through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_PerMinute = Annotated[float, Field(gt=0, le=1e9)]


class Tier(BaseModel):
    """The limits that hold from ``after_s`` seconds after the first request on; None: no limit."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    after_s: Annotated[float, Field(gt=0, le=86_400)]
    rpm: _PerMinute | None = None
    tpm: _PerMinute | None = None


class QuotaTerms(BaseModel):
    """``[models.NAME.quota]`` of a profile.

    A bucket holds ``burst_s`` seconds' worth of its limit. ``headers`` are OpenAI's, on every answer, or none at all,
    not even a ``Retry-After``. Each tier of ``then`` takes the place of the limits before it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    rpm: _PerMinute | None = None
    tpm: _PerMinute | None = None
    burst_s: Annotated[float, Field(gt=0, le=86_400)] = 1.0
    headers: Literal["openai", "none"] = "openai"
    then: Annotated[tuple[Tier, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        times = [tier.after_s for tier in self.then]
        if times != sorted(set(times)):
            raise ValueError("the tiers of then must stand in the order of after_s")
        return self


@dataclass(slots=True)
class Counts:
    """What a model was asked and what became of it; ``tokens`` are those of the answers it let through."""

    requests: int = 0
    rate_limited: int = 0
    answered: int = 0
    tokens: int = 0


class _Bucket:
    def __init__(self, per_minute: float, burst_s: float) -> None:
        self.per_minute = per_minute
        self.rate = per_minute / 60
        self.size = self.level = max(1.0, self.rate * burst_s)

    def fill(self, seconds: float) -> None:
        self.level = min(self.size, self.level + self.rate * seconds)

    def wait(self, cost: float) -> float:
        return max(0.0, (min(cost, self.size) - self.level) / self.rate)

    def headers(self, what: str) -> dict[str, str]:
        return {
            f"x-ratelimit-limit-{what}": f"{self.per_minute:.0f}",
            f"x-ratelimit-remaining-{what}": f"{int(max(0.0, self.level))}",
            f"x-ratelimit-reset-{what}": _go_duration((self.size - self.level) / self.rate),
        }


class Meter:
    """The quota of one model; ``counts`` are kept without terms too.

    Args:
        terms: what it enforces.
        clock: monotonic seconds.
    """

    def __init__(self, terms: QuotaTerms | None, clock: Callable[[], float]) -> None:
        self.counts = Counts()
        self._terms = terms or QuotaTerms(headers="none")
        self._clock = clock
        self._began: float | None = None
        self._filled = 0.0
        self._tiers = list(self._terms.then)
        self._buckets: dict[str, _Bucket] = {}

    def ask(self, tokens: int) -> float | None:
        """Charge a request of so many tokens; None if it may go, else seconds until it could."""
        self._advance()
        self.counts.requests += 1
        costs = {"requests": 1, "tokens": tokens}
        wait = max((bucket.wait(costs[what]) for what, bucket in self._buckets.items()), default=0.0)
        if wait > 0:
            self.counts.rate_limited += 1
            return wait
        for what, bucket in self._buckets.items():
            bucket.level -= costs[what]
        self.counts.answered += 1
        self.counts.tokens += tokens
        return None

    def headers(self, wait_s: float | None) -> dict[str, str]:
        """What the answer tells of the quota; ``wait_s`` as `ask` gave it."""
        if self._terms.headers == "none":
            return {}
        told = {} if wait_s is None else {"retry-after": f"{wait_s:.3f}"}
        for what, bucket in self._buckets.items():
            told |= bucket.headers(what)
        return told

    def _advance(self) -> None:
        now = self._clock()
        if self._began is None:
            self._began = self._filled = now
            self._set(self._terms.rpm, self._terms.tpm)
        while self._tiers and now - self._began >= self._tiers[0].after_s:
            tier = self._tiers.pop(0)
            self._fill(self._began + tier.after_s)
            self._set(tier.rpm, tier.tpm)
        self._fill(now)

    def _fill(self, now: float) -> None:
        for bucket in self._buckets.values():
            bucket.fill(now - self._filled)
        self._filled = now

    def _set(self, rpm: float | None, tpm: float | None) -> None:
        """Other limits; what is left stays left, as far as it fits."""
        before = self._buckets
        limits = {"requests": rpm, "tokens": tpm}
        self._buckets = {
            what: _Bucket(limit, self._terms.burst_s) for what, limit in limits.items() if limit is not None
        }
        for what, bucket in self._buckets.items():
            if what in before:
                bucket.level = min(bucket.size, before[what].level)


def stats(meters: Mapping[str, Meter]) -> dict[str, dict[str, dict[str, int]]]:
    """``{"models": {NAME: {"requests", "rate_limited", "answered", "tokens"}}}``."""
    return {"models": {name: asdict(meter.counts) for name, meter in meters.items()}}


def _go_duration(seconds: float) -> str:
    """As Go writes a duration: ``120ms``, ``1.5s``, ``6m0s``."""
    millis = round(max(0.0, seconds) * 1000)
    if millis < 1000:
        return f"{millis}ms"
    minutes, rest = divmod(millis, 60_000)
    return f"{minutes}m{rest / 1000:g}s" if minutes else f"{rest / 1000:g}s"
