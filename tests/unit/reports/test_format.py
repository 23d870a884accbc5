from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.reports import format as fmt


@pytest.mark.parametrize(
    ("rate", "near", "written"),
    [
        (0.875, None, "87.5%"),
        (1.0, None, "100.0%"),
        (0.99996, None, ">99.9%"),
        (0.0, None, "0.0%"),
        (0.0001, None, "<0.1%"),
        (0.8996, 0.9, "89.96%"),
        (0.90004, 0.9, "90.004%"),
        (0.9, 0.9, "90.0%"),
        (None, None, "–"),
        (math.nan, None, "–"),
        ("0.5", None, "–"),
        (True, None, "–"),
    ],
)
def test_percent(rate: object, near: float | None, written: str) -> None:
    assert fmt.percent(rate, near=near) == written


@pytest.mark.parametrize(
    ("delta", "near", "written"),
    [
        (0.119, None, "+11.9"),
        (-0.005, None, "−0.5"),
        (0.0, None, "0.0"),
        (-0.0001, None, "0.0"),
        (0.0003, 0.0, "+0.03"),
        (0.0504, 0.05, "+5.04"),
        (None, 0.05, "–"),
    ],
)
def test_points(delta: object, near: float | None, written: str) -> None:
    assert fmt.points(delta, near=near) == written


@given(st.floats(-1, 1), st.sampled_from([-0.05, 0.0, 0.05]))
def test_a_delta_a_ten_thousandth_off_never_rounds_onto_its_threshold(delta: float, near: float) -> None:
    if abs(delta - near) > 0.0001:
        assert fmt.points(delta, near=near) != fmt.points(near, near=near)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.52, "520 ms"),
        (0.0042, "4.2 ms"),
        (0.9996, "1.00 s"),
        (1.844, "1.84 s"),
        (12.34, "12.3 s"),
        (1234.5, "1,234 s"),
        (math.inf, "∞"),
        (None, "–"),
    ],
)
def test_seconds(value: object, written: str) -> None:
    assert fmt.seconds(value) == written


@pytest.mark.parametrize(
    ("interval", "written"),
    [
        ([0.42, 0.88], "0.42× to 0.88×"),
        ([0.42, None], "0.42× and up"),
        ([None, 0.88], "up to 0.88×"),
        ([None, None], "–"),
        (None, "–"),
        ("ab", "–"),
        ([1], "–"),
    ],
)
def test_interval(interval: Any, written: str) -> None:
    assert fmt.interval(interval, fmt.ratio) == written


@pytest.mark.parametrize(
    ("written", "shorter"),
    [("85.0%", "85%"), ("87.5%", "87.5%"), ("2.00×", "2×"), ("1.40×", "1.4×"), ("100%", "100%"), ("10.0 ms", "10 ms")],
)
def test_short(written: str, shorter: str) -> None:
    assert fmt.short(written) == shorter


def test_other_numbers() -> None:
    assert fmt.count(210344) == "210,344"
    assert [fmt.score(v) for v in (1, 0.0, 0.4267, -0.5, None)] == ["1", "0", "0.43", "−0.5", "–"]
    assert [fmt.cost(v) for v in (12.345, 0.976, 0.00123, 0, None)] == ["12.35", "0.976", "0.00123", "0.00", "–"]
    assert [fmt.p_value(v) for v in (0.0000281, 0.0017, 1.0, None)] == ["<0.0001", "0.0017", "1", "–"]
    assert [fmt.plain_number(v) for v in (8.234, 12345.6, -2, None)] == ["8.23", "12,346", "−2", "–"]


def test_times() -> None:
    assert fmt.date("2026-11-23T10:03:12Z") == "23 Nov 2026, 10:03 UTC"
    assert fmt.date("2026-11-23T10:03:12+02:00") == "23 Nov 2026, 08:03 UTC"
    assert fmt.date("soon") == "–"
    assert fmt.duration("2026-11-23T10:00:00Z", "2026-11-23T10:03:12Z") == "3 min 12 s"
    assert fmt.duration("2026-11-23T10:00:00Z", "2026-11-23T12:03:12Z") == "2 h 3 min"
    assert fmt.duration("2026-11-23T10:00:00Z", None) == "–"
