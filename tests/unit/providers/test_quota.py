from __future__ import annotations

from email.utils import formatdate
from time import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from evalsvc.core.records import Quota
from evalsvc.providers.quota import quota_of

DATE = "Thu, 01 Jan 2026 00:00:00 GMT"
EPOCH = 1767225600


def told(**headers: str) -> Quota | None:
    given = {name.replace("_", "-").title(): value for name, value in headers.items()}
    return quota_of(CIMultiDictProxy(CIMultiDict(given)))


def test_no_header_says_nothing() -> None:
    assert told(content_type="application/json", date=DATE, x_request_id="x") is None


def test_openai() -> None:
    quota = told(
        x_ratelimit_limit_requests="600",
        x_ratelimit_remaining_requests="599",
        x_ratelimit_reset_requests="120ms",
        x_ratelimit_limit_tokens="90000",
        x_ratelimit_remaining_tokens="0",
        x_ratelimit_reset_tokens="6m0s",
    )
    assert quota == Quota(
        requests=600, requests_left=599, requests_reset_s=0.12, tokens=90000, tokens_left=0, tokens_reset_s=360
    )
    assert told(x_ratelimit_remaining_tokens="7") == Quota(tokens_left=7)


def test_anthropic_with_dates_against_its_own_clock() -> None:
    quota = told(
        date=DATE,
        anthropic_ratelimit_requests_limit="50",
        anthropic_ratelimit_requests_remaining="49",
        anthropic_ratelimit_requests_reset="2026-01-01T00:00:01.5Z",
        anthropic_ratelimit_tokens_limit="40000",
        anthropic_ratelimit_tokens_remaining="39000",
        anthropic_ratelimit_tokens_reset="2026-01-01T01:00:10+01:00",
    )
    assert quota == Quota(
        requests=50, requests_left=49, requests_reset_s=1.5, tokens=40000, tokens_left=39000, tokens_reset_s=10
    )


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x_ratelimit_limit": "60", "x_ratelimit_remaining": "9", "x_ratelimit_reset": "5"}, (60, 9, 5)),
        ({"ratelimit_limit": "60", "ratelimit_remaining": "9", "ratelimit_reset": "5"}, (60, 9, 5)),
        ({"ratelimit_limit": "10, 10;w=1", "ratelimit_remaining": "9", "ratelimit_reset": "1"}, (600, 9, 1)),
        ({"ratelimit": "limit=60, remaining=9, reset=5"}, (60, 9, 5)),
        ({"ratelimit": "limit=60;remaining=9;reset=5"}, (60, 9, 5)),
        ({"ratelimit": '"default";r=9;t=5', "ratelimit_policy": '"default";q=10;w=10'}, (60, 9, 5)),
    ],
)
def test_generic_and_ietf_forms(headers: dict[str, str], expected: tuple[float, float, float]) -> None:
    limit, left, reset = expected
    assert told(**headers) == Quota(requests=limit, requests_left=left, requests_reset_s=reset)


def test_tokens_a_minute_by_that_name() -> None:
    quota = told(x_ratelimit_limit_tokens_minute="500", x_ratelimit_remaining_tokens_minute="4")
    assert quota == Quota(tokens=500, tokens_left=4)


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("0", 0),
        ("1.5", 1.5),
        ("1s", 1),
        ("6m0s", 360),
        ("120ms", 0.12),
        ("1h2m3.5s", 3723.5),
        ("250µs", 0.00025),
        (str(EPOCH + 30), 30),
        (str((EPOCH + 30) * 1000), 30),
        (str(EPOCH - 30), 0),
        ("2026-01-01T00:00:30Z", 30),
        ("2026-01-01T00:00:30", 30),
        ("Thu, 01 Jan 2026 00:00:30 GMT", 30),
        *(
            (garbage, None)
            for garbage in ("", "-1", "nan", "inf", "soon", "1x", "m", "2026-13-01T00:00:00Z", "9" * 400)
        ),
        ("9" * 400 + "s", None),
    ],
)
def test_resets(reset: str, seconds: float | None) -> None:
    quota = told(date=DATE, x_ratelimit_remaining_requests="1", x_ratelimit_reset_requests=reset)
    assert quota is not None
    assert quota.requests_left == 1
    assert quota.requests_reset_s == (None if seconds is None else pytest.approx(seconds))


def test_a_date_without_a_server_clock_is_held_against_ours() -> None:
    quota = told(x_ratelimit_remaining="1", x_ratelimit_reset=formatdate(time() + 100, usegmt=True))
    assert quota is not None
    assert quota.requests_reset_s == pytest.approx(100, abs=5)


@pytest.mark.parametrize("garbage", ["-1", "", "nan", "inf", "many", "0"])
def test_a_limit_that_is_none_is_not_known(garbage: str) -> None:
    assert told(x_ratelimit_limit_requests=garbage) is None
    assert told(x_ratelimit_limit_requests=garbage, x_ratelimit_remaining_requests="3") == Quota(requests_left=3)


@given(st.lists(st.text(max_size=30) | st.floats().map(str), min_size=3, max_size=3), st.text(max_size=40))
def test_whatever_comes_is_a_quota_of_numbers_or_none(values: list[str], combined: str) -> None:
    names = ("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens")
    for headers in (dict(zip(names, values, strict=True)), {"ratelimit": combined, "date": values[0]}):
        quota = quota_of(headers)
        if quota is not None:
            for number in (quota.requests, quota.requests_left, quota.tokens, quota.tokens_left, quota.tokens_reset_s):
                assert number is None or 0 <= number < float("inf")
