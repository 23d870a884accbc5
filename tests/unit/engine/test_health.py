from __future__ import annotations

import pytest

from evalsvc.engine import health
from evalsvc.engine.health import EndpointHealth


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(health, "perf_counter", clock)
    return clock


def fail(endpoint: EndpointHealth, cases: range, kind: str = "server", *, job: str = "j") -> None:
    for case in cases:
        endpoint.failed((job, case), kind, "why")


def test_twenty_like_failures_of_twenty_cases_over_ten_seconds_open_it(clock: Clock) -> None:
    endpoint = EndpointHealth(cases=100)
    fail(endpoint, range(30))
    assert not endpoint.down
    clock.now += 10
    fail(endpoint, range(1))
    assert endpoint.down
    assert endpoint.reason == "why"


def test_cases_of_two_jobs_are_two_though_they_stand_at_one_place(clock: Clock) -> None:
    endpoint = EndpointHealth(cases=10)
    fail(endpoint, range(10), job="a")
    fail(endpoint, range(9), job="b")
    clock.now += 10
    fail(endpoint, range(9), job="b")
    assert not endpoint.down  # 19 cases so far
    fail(endpoint, range(10), job="b")
    assert endpoint.down


def test_a_success_between_starts_the_count_anew(clock: Clock) -> None:
    endpoint = EndpointHealth(cases=100)
    fail(endpoint, range(30))
    endpoint.succeeded()
    clock.now += 10
    fail(endpoint, range(19))
    clock.now += 10
    fail(endpoint, range(19))
    assert not endpoint.down


def test_unlike_failures_start_the_count_anew(clock: Clock) -> None:
    endpoint = EndpointHealth(cases=100)
    fail(endpoint, range(30))
    clock.now += 10
    fail(endpoint, range(1), "network")
    assert not endpoint.down


def test_the_same_few_cases_do_not_open_it(clock: Clock) -> None:
    endpoint = EndpointHealth(cases=100)
    for _ in range(10):
        fail(endpoint, range(3))
        clock.now += 5
    assert not endpoint.down


def test_a_small_job_finds_an_unreachable_endpoint_down_but_no_other(clock: Clock) -> None:
    unreachable, broken = EndpointHealth(cases=3), EndpointHealth(cases=3)
    for _ in range(10):
        fail(unreachable, range(3), "network")
        fail(broken, range(3), "server")
        clock.now += 5
    assert unreachable.down
    assert not broken.down


def test_a_request_is_undecided_only_while_the_endpoint_itself_is_in_doubt(clock: Clock) -> None:
    endpoint = EndpointHealth(cases=100)
    since = clock.now
    clock.now += 1
    fail(endpoint, range(5))
    assert endpoint.undecided("server", since)
    assert not endpoint.undecided("network", since)
    endpoint.succeeded()
    assert not endpoint.undecided("server", since)
    fail(endpoint, range(5))
    clock.now += 11
    assert not endpoint.undecided("server", clock.now - 11)


@pytest.mark.anyio
async def test_the_first_answer_closes_it(clock: Clock) -> None:
    endpoint = EndpointHealth(cases=100)
    fail(endpoint, range(30))
    clock.now += 10
    fail(endpoint, range(1))
    assert await endpoint.wait_down() == "why"
    endpoint.succeeded()
    await endpoint.wait_up()
    assert not endpoint.down


def test_the_smallest_job_that_asks_says_when_an_endpoint_is_down() -> None:
    endpoint = EndpointHealth()
    assert endpoint._cases == 20
    with endpoint.asked_by(100), endpoint.asked_by(3):
        with endpoint.asked_by(3):
            assert endpoint._cases == 3
        assert endpoint._cases == 3
    assert endpoint._cases == 20
