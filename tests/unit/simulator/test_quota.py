from __future__ import annotations

from pathlib import Path

import pytest

from evalsvc.errors import JobError
from evalsvc.simulator.profile import load
from evalsvc.simulator.quota import Meter, QuotaTerms, Tier, stats


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_requests_go_as_fast_as_the_bucket_fills() -> None:
    clock = Clock()
    meter = Meter(QuotaTerms(rpm=600), clock)
    assert [meter.ask(5) for _ in range(11)] == [None] * 10 + [pytest.approx(0.1)]
    clock.now += 0.2
    assert [meter.ask(5) is None for _ in range(3)] == [True, True, False]
    assert stats({"m": meter}) == {"models": {"m": {"requests": 14, "rate_limited": 2, "answered": 12, "tokens": 60}}}


def test_tokens_are_charged_and_a_request_beyond_the_bucket_goes_when_it_is_full() -> None:
    clock = Clock()
    meter = Meter(QuotaTerms(tpm=6000, burst_s=0.5), clock)
    assert meter.ask(70) is None
    assert meter.ask(30) == pytest.approx(0.5)
    clock.now += 0.7
    assert meter.ask(1000) is None
    clock.now += 9
    assert meter.ask(1) is not None
    clock.now += 1
    assert meter.ask(1) is None


def test_tells_in_openais_headers() -> None:
    clock = Clock()
    meter = Meter(QuotaTerms(rpm=600, tpm=600_000, burst_s=60), clock)
    assert meter.headers(meter.ask(12_345)) == {
        "x-ratelimit-limit-requests": "600",
        "x-ratelimit-remaining-requests": "599",
        "x-ratelimit-reset-requests": "100ms",
        "x-ratelimit-limit-tokens": "600000",
        "x-ratelimit-remaining-tokens": "587655",
        "x-ratelimit-reset-tokens": "1.234s",
    }
    assert meter.ask(580_000) is None
    told = meter.headers(meter.ask(10_000))
    assert told["retry-after"] == "0.234"
    assert told["x-ratelimit-reset-tokens"] == "59.234s"


def test_or_tells_nothing() -> None:
    meter = Meter(QuotaTerms(rpm=60, headers="none"), Clock())
    assert meter.headers(meter.ask(1)) == {}
    assert meter.headers(meter.ask(1)) == {}
    free = Meter(None, Clock())
    assert free.headers(free.ask(10**9)) == {}


def test_tiers_hold_from_their_time_after_the_first_request() -> None:
    clock = Clock()
    meter = Meter(QuotaTerms(rpm=60, then=(Tier(after_s=5, rpm=600), Tier(after_s=10))), clock)
    assert [meter.ask(1) is None for _ in range(2)] == [True, False]
    clock.now += 5.5
    assert [meter.ask(1) is None for _ in range(7)] == [True] * 6 + [False]
    clock.now += 5
    assert all(meter.ask(1) is None for _ in range(100))


def test_in_a_profile(tmp_path: Path) -> None:
    path = tmp_path / "profile.toml"
    path.write_text(
        "[models.m]\naccuracy = 1\n[models.m.quota]\nrpm = 600\ntpm = 90000\nburst_s = 2\nheaders = 'none'\n"
        "then = [{ after_s = 5, rpm = 1200 }]\n"
    )
    quota = load(path).models["m"].quota
    assert quota == QuotaTerms(rpm=600, tpm=90000, burst_s=2, headers="none", then=(Tier(after_s=5, rpm=1200),))


@pytest.mark.parametrize(
    "wrong", ["rpm = 0", "headers = 'azure'", "rps = 3", "then = [{ after_s = 5 }, { after_s = 5 }]", "burst_s = 0"]
)
def test_refuses_what_makes_no_sense(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "profile.toml"
    path.write_text(f"[models.m]\naccuracy = 1\n[models.m.quota]\n{wrong}\n")
    with pytest.raises(JobError, match=r"models\.m\.quota"):
        load(path)
