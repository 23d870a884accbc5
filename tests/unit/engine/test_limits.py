from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.core.records import Quota
from evalsvc.engine.limits import Admission, EndpointLimits, Result
from evalsvc.providers.quota import quota_of
from evalsvc.simulator.quota import Meter, QuotaTerms, Tier

pytestmark = pytest.mark.anyio


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes only by waiting: minutes take milliseconds, and every run is the same."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        selector: Any = self._selector  # type: ignore[attr-defined]  # asyncio's own, in no stub
        really = selector.select

        def select(timeout: float | None = None) -> Any:
            events = really(0)
            if not events and timeout:
                self._now += timeout
            return events

        selector.select = select

    def time(self) -> float:
        return self._now


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualLoop}


def loop_time() -> float:
    return asyncio.get_running_loop().time()


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def admit(limits: EndpointLimits, chars: int = 4, max_tokens: int | None = 0) -> Admission | None:
    return limits.admit_now("job", "m", chars, max_tokens)


def must(admission: Admission | None) -> Admission:
    assert admission is not None
    return admission


def finish(
    limits: EndpointLimits,
    admission: Admission,
    result: Result = "ok",
    *,
    usage: tuple[int, int] | None = None,
    quota: Quota | None = None,
) -> None:
    given, made = usage or (None, None)
    limits.finish(admission, result=result, input_tokens=given, output_tokens=made, quota=quota)


def fill(limits: EndpointLimits) -> list[Admission]:
    held = []
    while (admission := admit(limits)) is not None:
        held.append(admission)
    return held


def a_round(limits: EndpointLimits, result: Result = "ok") -> None:
    held = fill(limits)
    for admission in held[1:]:
        finish(limits, admission)
    finish(limits, held[0], result)


def test_starts_at_64_and_doubles_a_clean_round_until_the_first_cut_then_adds_a_twentieth() -> None:
    limits = EndpointLimits(1000)
    seen = []
    for _ in range(3):
        seen.append(limits.limit)
        a_round(limits)
    finish(limits, must(admit(limits)), "rate_limited", quota=Quota())
    for _ in range(3):
        seen.append(limits.limit)
        a_round(limits)
    assert seen == [64, 128, 256, 409, 429, 450]


def test_never_grows_beyond_what_the_user_allows_and_starts_no_higher() -> None:
    limits = EndpointLimits(100)
    for _ in range(5):
        a_round(limits)
    assert limits.limit == 100
    assert EndpointLimits(3).limit == 3


def test_an_unused_limit_does_not_grow() -> None:
    limits = EndpointLimits(1000)
    for _ in range(640):
        finish(limits, must(admit(limits)))
    assert limits.limit == 64


@pytest.mark.parametrize(("result", "limit"), [("transient", 64), ("other", 128), ("ok", 128)])
def test_trouble_of_the_server_keeps_a_round_from_being_clean_but_cuts_nothing(result: Result, limit: int) -> None:
    limits = EndpointLimits(1000)
    a_round(limits, result)
    assert limits.limit == limit


def test_one_cut_an_episode() -> None:
    limits = EndpointLimits(64)
    first = fill(limits)
    for admission in first[:40]:
        finish(limits, admission, "rate_limited", quota=Quota())
    assert limits.limit == 51
    later = must(admit(limits))
    finish(limits, first[40], "rate_limited", quota=Quota())
    assert limits.limit == 51
    finish(limits, later, "rate_limited", quota=Quota())
    assert limits.limit == 40


def test_the_limit_never_falls_below_one() -> None:
    limits = EndpointLimits(2)
    for _ in range(5):
        finish(limits, must(admit(limits)), "rate_limited", quota=Quota())
    assert limits.limit == 1
    assert admit(limits) is not None


def test_says_what_the_next_request_would_wait_for() -> None:
    assert EndpointLimits(1).reason == ""
    slot = EndpointLimits(1)
    fill(slot)
    assert slot.reason == "slot"
    concurrency = EndpointLimits(1000)
    fill(concurrency)
    assert concurrency.reason == "concurrency"
    clock = Clock()
    for kind, limits in (
        ("rpm", EndpointLimits(9, rpm=60, clock=clock)),
        ("tpm", EndpointLimits(9, tpm=60, clock=clock)),
    ):
        held = fill(limits)
        assert (len(held), limits.reason) == (1, kind)
        clock.now += 1.01
        assert admit(limits) is not None


def test_estimates_tokens_by_the_letters_until_usage_taught_better() -> None:
    limits = EndpointLimits(64)
    assert limits.tokens_estimate("m", 400, None) == 356
    assert limits.tokens_estimate("m", 400, 10) == 110
    for _ in range(200):
        finish(limits, must(limits.admit_now("job", "m", 300, 500)), usage=(100, 20))
    assert limits.tokens_estimate("m", 600, 500) == pytest.approx(220)
    assert limits.tokens_estimate("m", 600, 5) == pytest.approx(205)
    assert limits.tokens_estimate("another", 400, 0) == 100


def test_tokens_are_settled_with_the_true_usage_into_debt_if_need_be() -> None:
    clock = Clock()
    limits = EndpointLimits(64, tpm=6000, clock=clock)
    refund = must(admit(limits, chars=400))
    assert admit(limits) is None
    finish(limits, refund, usage=(50, 0))
    charged = must(admit(limits, chars=80))
    finish(limits, charged, usage=(10, 230))
    clock.now += 1.9
    assert limits.reason == "tpm"
    clock.now += 1.0
    assert admit(limits) is not None


@given(
    steps=st.lists(st.tuples(st.floats(0, 0.5), st.integers(1, 400), st.integers(0, 200)), min_size=1, max_size=200),
    tpm=st.sampled_from([600.0, 6000.0]),
)
def test_budgets_are_exceeded_by_no_more_than_the_estimates_were_wrong(
    steps: list[tuple[float, int, int]], tpm: float
) -> None:
    clock = Clock()
    limits = EndpointLimits(1000, rpm=120, tpm=tpm, clock=clock)
    admitted, spent = 0, 0.0
    for pause, chars, true in steps:
        clock.now += pause
        estimate = limits.tokens_estimate("m", chars, 0)
        admission = limits.admit_now("job", "m", chars, 0)
        if admission is None:
            continue
        admitted += 1
        assert admitted <= 2 + 2 * clock.now + 1e-6
        # whatever is spent, this request was only let in while the budget was there
        room = tpm / 60 * (1 + clock.now) - spent
        assert room >= min(estimate, tpm / 60) - 1e-6
        finish(limits, admission, usage=(true, 0))
        spent += true


@given(st.lists(st.integers(0, 3), max_size=300), st.integers(1, 70))
def test_never_more_in_flight_than_the_limit(moves: list[int], most: int) -> None:
    limits = EndpointLimits(most)
    held: list[Admission] = []
    results: tuple[Result, ...] = ("ok", "rate_limited", "transient")
    for move in moves:
        if move == 3 or not held:
            before = limits.in_flight
            admission = admit(limits)
            assert (admission is not None) == (before < limits.limit)
            held += [admission] if admission else []
        else:
            finish(limits, held.pop(0), results[move], quota=Quota())
        assert limits.in_flight == len(held)
        assert 1 <= limits.limit <= most


def test_the_servers_word_counts_when_it_is_lower_than_the_users() -> None:
    clock = Clock()
    limits = EndpointLimits(640, rpm=6000, clock=clock)
    finish(limits, must(admit(limits)), quota=Quota(requests=600, requests_left=4, requests_reset_s=0.6))
    assert len(fill(limits)) == 3  # a twentieth of its bucket is left alone
    clock.now += 1
    assert len(fill(limits)) in {9, 10}


def test_no_word_of_a_server_raises_what_the_user_allows() -> None:
    clock = Clock()
    limits = EndpointLimits(640, rpm=600, clock=clock)
    finish(limits, must(admit(limits)), quota=Quota(requests=60000, requests_left=60000, requests_reset_s=0))
    assert len(fill(limits)) == 9


def test_a_burst_that_the_server_allows_is_used() -> None:
    limits = EndpointLimits(64, clock=Clock())
    finish(limits, must(admit(limits)), quota=Quota(requests=60, requests_left=59, requests_reset_s=1))
    assert len(fill(limits)) == 56


def test_what_is_under_way_is_taken_off_the_servers_word() -> None:
    limits = EndpointLimits(64, clock=Clock())
    held = [must(admit(limits)) for _ in range(21)]
    finish(limits, held[0], quota=Quota(requests=60, requests_left=59, requests_reset_s=1))
    assert len(fill(limits)) == 36


def test_old_news_does_not_overwrite_new_news() -> None:
    limits = EndpointLimits(64, clock=Clock())
    old, new = must(admit(limits)), must(admit(limits))
    finish(limits, new, quota=Quota(requests=60, requests_left=0, requests_reset_s=60))
    finish(limits, old, quota=Quota(requests=60, requests_left=59, requests_reset_s=1))
    assert limits.reason == "rpm"


def test_in_a_fixed_window_nothing_is_sent_before_the_next_one() -> None:
    clock = Clock()
    limits = EndpointLimits(64, clock=clock)
    left = 600
    for _ in range(100):  # the reset stays where it is, however much is spent
        left -= 1
        quota = Quota(requests=600, requests_left=left, requests_reset_s=60 - clock.now)
        finish(limits, must(admit(limits)), quota=quota)
        clock.now += 0.01
    finish(limits, must(admit(limits)), "rate_limited", quota=Quota(requests=600, requests_left=0, requests_reset_s=58))
    clock.now = 58.0
    assert admit(limits) is None
    clock.now = 60.0
    assert admit(limits) is not None


@pytest.mark.parametrize("granted", [False, True])
async def test_a_cancelled_wait_costs_neither_slot_nor_budget(granted: bool) -> None:
    limits = EndpointLimits(1, rpm=6000, tpm=600_000, clock=loop_time)
    held = must(admit(limits))
    assert limits._requests is not None
    assert limits._tokens is not None
    before = limits._requests.level, limits._tokens.level
    waiting = asyncio.create_task(limits.admit("job", "m", 4, 0))
    await anyio.wait_all_tasks_blocked()
    assert (limits.waiting, limits.in_flight) == (1, 1)
    if granted:  # it is admitted, and cancelled before it wakes
        finish(limits, held)
        assert (limits.waiting, limits.in_flight) == (0, 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    if not granted:
        finish(limits, held)
    assert (limits.waiting, limits.in_flight) == (0, 0)
    assert (limits._requests.level, limits._tokens.level) == before
    assert admit(limits)


async def test_a_cancelled_head_of_the_line_lets_the_next_one_go() -> None:
    limits = EndpointLimits(8, tpm=600, clock=loop_time)
    finish(limits, must(admit(limits, chars=40)))
    async with anyio.create_task_group() as group:
        with anyio.move_on_after(0.05):
            await limits.admit("big", "m", 40_000, 0)
        group.start_soon(limits.admit, "small", "m", 4, 0)
    assert loop_time() < 0.2


async def test_jobs_take_turns_and_are_first_come_first_served_within() -> None:
    limits = EndpointLimits(1, clock=loop_time)
    order: list[str] = []

    async def ask(job: str, number: int) -> None:
        admission = await limits.admit(job, "m", 4, 0)
        order.append(f"{job}{number}")
        await anyio.sleep(0.1)
        finish(limits, admission)

    async with anyio.create_task_group() as group:
        for number in range(6):
            group.start_soon(ask, "a", number)
        await anyio.wait_all_tasks_blocked()
        for number in range(2):
            group.start_soon(ask, "b", number)
    assert order == ["a0", "a1", "b0", "a2", "b1", "a3", "a4", "a5"]


async def test_tells_waiting_for_a_slot_from_waiting_for_the_quota() -> None:
    limits = EndpointLimits(1, rpm=60, clock=loop_time)
    held = must(admit(limits))
    waited: list[Admission] = []

    async def wait() -> None:
        waited.append(await limits.admit("job", "m", 4, 0))

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.sleep(0.25)
        finish(limits, held)
        await anyio.sleep(0.25)
        assert (limits.reason, limits.waiting) == ("rpm", 1)
    assert waited[0].slot_wait_s == pytest.approx(0.25)
    assert waited[0].quota_wait_s == pytest.approx(0.75)
    assert waited[0].admitted_at == pytest.approx(1.0)


Log = list[tuple[float, str, bool, int]]


async def drive(
    limits: EndpointLimits, meter: Meter | Window, seconds: float, jobs: dict[str, int], *, latency_s: float = 0.05
) -> Log:
    """Workers per job ask a server with quotas for so long: (when, job, taken, tokens) as the server saw them."""
    rng = random.Random(3)
    log: Log = []

    async def ask(job: str) -> None:
        admission = limits.admit_now(job, "m", 400, 64) or await limits.admit(job, "m", 400, 64)
        await anyio.sleep(rng.uniform(0.001, 0.004))
        usage = rng.randint(50, 150), rng.randint(2, 38)
        wait_s = meter.ask(sum(usage))
        quota = quota_of(meter.headers(wait_s))
        log.append((loop_time(), job, wait_s is None, sum(usage)))
        await anyio.sleep(0.001 if wait_s else latency_s * rng.uniform(0.6, 1.8))
        if wait_s is None:
            finish(limits, admission, usage=usage, quota=quota)
        else:
            finish(limits, admission, "rate_limited", quota=quota)
            await anyio.sleep(rng.uniform(0, 0.5))

    async def work(job: str) -> None:
        while True:
            await ask(job)

    with anyio.move_on_after(seconds):
        async with anyio.create_task_group() as group:
            for job, workers in jobs.items():
                for _ in range(workers):
                    group.start_soon(work, job)
    return log


def figures(log: Log, since: float, until: float, per_second: float, *, tokens: bool = False) -> tuple[float, float]:
    """(share of the allowed throughput, share of 429s) in a span."""
    span = [(taken, cost) for at, _, taken, cost in log if since <= at < until]
    used = sum(cost if tokens else 1 for taken, cost in span if taken)
    return used / (per_second * (until - since)), sum(not taken for taken, _ in span) / len(span)


@pytest.mark.parametrize(("told", "configured"), [("openai", True), ("openai", False), ("none", True)])
@pytest.mark.parametrize(("rpm", "tpm"), [(6000, None), (None, 600_000)])
async def test_known_limits_are_used_up_and_kept(told: Any, rpm: int | None, tpm: int | None, configured: bool) -> None:
    limits = EndpointLimits(64, clock=loop_time, **({"rpm": rpm, "tpm": tpm} if configured else {}))
    log = await drive(limits, Meter(QuotaTerms(rpm=rpm, tpm=tpm, headers=told), loop_time), 12, {"job": 64})
    used, refused = figures(log, 2, 12, (rpm or tpm or 0) / 60, tokens=tpm is not None)
    assert used >= 0.95
    assert refused <= 0.01


async def test_follows_a_change_of_tier_up_and_down() -> None:
    then = (Tier(after_s=5, rpm=9000), Tier(after_s=10, rpm=1500))
    log = await drive(
        EndpointLimits(64, clock=loop_time), Meter(QuotaTerms(rpm=3000, then=then), loop_time), 20, {"job": 64}
    )
    for since, until, per_second in ((2, 5, 50), (6, 10, 150), (11, 20, 25)):
        used, refused = figures(log, since, until, per_second)
        assert used >= 0.95
        assert refused <= 0.01


@pytest.mark.parametrize("rpm", [300, 1200, 6000])
async def test_finds_limits_that_nobody_tells(rpm: int) -> None:
    meter = Meter(QuotaTerms(rpm=rpm, headers="none"), loop_time)
    log = await drive(EndpointLimits(64, clock=loop_time), meter, 60, {"job": 64})
    used, refused = figures(log, 5, 60, rpm / 60)
    assert used >= 0.85
    assert refused <= 0.03


async def test_a_learnt_rate_lifts_itself_when_the_limit_is_gone() -> None:
    meter = Meter(QuotaTerms(rpm=600, headers="none", then=(Tier(after_s=10),)), loop_time)
    log = await drive(EndpointLimits(64, clock=loop_time), meter, 60, {"job": 64})
    assert figures(log, 50, 60, 10)[0] > 50


async def test_a_small_job_gets_its_turns_beside_a_big_one() -> None:
    limits = EndpointLimits(64, rpm=6000, clock=loop_time)
    log = await drive(limits, Meter(QuotaTerms(rpm=6000), loop_time), 10, {"big": 200, "small": 20})
    share = Counter(job for at, job, taken, _ in log if taken and at > 2)
    assert share["small"] / share.total() == pytest.approx(0.5, abs=0.05)


async def test_neither_an_endpoint_nor_its_clock_is_shared() -> None:
    make: Callable[[], EndpointLimits] = lambda: EndpointLimits(64, clock=loop_time)  # noqa: E731 - two alike
    slow, fast = make(), make()
    finish(slow, must(admit(slow)), "rate_limited", quota=Quota(requests=1, requests_left=0, requests_reset_s=60))
    assert (slow.reason, fast.reason, fast.limit) == ("rpm", "", 64)


class Window:
    """600 requests each minute of the clock, refused ones counted too; a 429 says nothing, answers say what is left."""

    def __init__(
        self, *, told: bool, used_by_others: int, clock: Callable[[], float], lifted_at: float = float("inf")
    ) -> None:
        self._told = told
        self._clock = clock
        self._lifted_at = lifted_at
        self._minute, self._count = 0, used_by_others

    def ask(self, tokens: int) -> float | None:  # noqa: ARG002 - as `Meter.ask`
        minute = int(self._clock() // 60)
        if minute != self._minute:
            self._minute, self._count = minute, 0
        self._count += 1
        return None if self._count <= 600 or self._clock() >= self._lifted_at else 1.0

    def headers(self, wait_s: float | None) -> dict[str, str]:
        if wait_s is not None or not self._told:
            return {}
        return {"x-ratelimit-limit-requests": "600", "x-ratelimit-remaining-requests": str(600 - self._count)}


@pytest.mark.parametrize(("told", "refused_at_most"), [(True, 0.07), (False, 0.3)])
@pytest.mark.parametrize("used_by_others", [0, 300])
async def test_a_window_used_up_is_asked_now_and_then_and_the_next_one_is_used_whole(
    told: bool, refused_at_most: float, used_by_others: int
) -> None:
    server = Window(told=told, used_by_others=used_by_others, clock=loop_time)
    log = await drive(EndpointLimits(64, clock=loop_time), server, 240, {"job": 64})
    for minute in (1, 2, 3):
        used, refused = figures(log, 60 * minute, 60 * minute + 60, 10)
        assert used >= 0.95
        assert refused <= refused_at_most


@pytest.mark.parametrize("latency_s", [1, 4])
async def test_a_window_opens_again_before_a_slow_model_has_answered(latency_s: float) -> None:
    server = Window(told=False, used_by_others=0, clock=loop_time)
    log = await drive(EndpointLimits(300, clock=loop_time), server, 300, {"job": 300}, latency_s=latency_s)
    assert figures(log, 60, 300, 10)[0] >= 0.9


async def test_a_cap_that_nothing_needs_any_more_is_gone() -> None:
    limits = EndpointLimits(64, clock=loop_time)
    server = Window(told=False, used_by_others=590, clock=loop_time, lifted_at=61)
    log = await drive(limits, server, 90, {"job": 64})
    assert limits._rate.budget is None
    assert figures(log, 85, 90, 10)[0] > 60


async def trickle(limits: EndpointLimits, seconds: float) -> None:
    """20 requests a second, all answered."""
    until = loop_time() + seconds
    while loop_time() < until:
        admission = must(admit(limits))
        await anyio.sleep(0.05)
        finish(limits, admission)


@pytest.mark.parametrize("before_s", [0, 5])
async def test_time_at_rest_is_no_slow_rate(before_s: float) -> None:
    """A job that comes after an hour without one is not held to the rate of that hour by its first 429."""
    limits = EndpointLimits(64, clock=loop_time)
    await trickle(limits, before_s)
    await anyio.sleep(3600)
    await trickle(limits, 1.2)
    finish(limits, must(admit(limits)), "rate_limited")
    until, admitted = loop_time() + 5, 0
    while loop_time() < until:
        if (admission := admit(limits)) is not None:
            admitted += 1
            finish(limits, admission)
        await anyio.sleep(0.01)
    assert admitted >= 5 * 15
