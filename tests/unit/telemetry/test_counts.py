"""Histograms and sketches hold what was put in; labels can be sent."""

from __future__ import annotations

from math import ceil, inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.telemetry.counts import SECONDS, SHORT, TOKENS, WAITS, Histogram, Sketch, label

durations = st.lists(st.floats(min_value=1e-5, max_value=1e4), min_size=1, max_size=80)


def test_a_bound_belongs_to_the_bucket_below_it() -> None:
    histogram = Histogram((1.0, 2.0))
    histogram.add([0.5, 1.0, 1.5, 2.0, 9.0])
    assert histogram.buckets() == [("1", 2.0), ("2", 4.0), ("+Inf", 5.0)]
    assert histogram.sum == 14.0


@given(durations)
def test_buckets_count_what_is_not_above_them(values: list[float]) -> None:
    histogram = Histogram(SECONDS)
    for at in range(0, len(values), 7):
        histogram.add(values[at : at + 7])
    for bound, (_, count) in zip((*SECONDS, inf), histogram.buckets(), strict=True):
        assert count == sum(value <= bound for value in values)
    assert histogram.sum == pytest.approx(sum(values))


def test_the_buckets_are_those_of_the_contract() -> None:
    assert (SECONDS[0], SECONDS[13], SECONDS[-1]) == (0.01, 81.92, 655.36)
    assert (TOKENS[0], TOKENS[1], TOKENS[-1]) == (1, 4, 4**13)
    for bounds in (SECONDS, TOKENS, WAITS, SHORT):
        names = [name for name, _ in Histogram(bounds).buckets()]
        assert list(bounds) == sorted(set(bounds))
        assert [float(name) for name in names] == [*bounds, inf]  # no digit is lost in the name


@given(durations, st.sampled_from([0.01, 0.5, 0.95, 0.99, 1.0]))
def test_a_quantile_is_right_to_one_per_cent(values: list[float], q: float) -> None:
    sketch = Sketch()
    sketch.add(values[:3])
    sketch.add(values[3:])
    found = sketch.quantile(q)
    assert found == pytest.approx(sorted(values)[ceil(q * len(values)) - 1], rel=0.01)


def test_a_timeout_is_longer_than_all_others() -> None:
    sketch = Sketch()
    assert sketch.quantile(0.5) is None
    sketch.add([1.0] * 98 + [inf] * 2)
    assert sketch.quantile(0.5) == pytest.approx(1.0, rel=0.01)
    assert sketch.quantile(0.99) == inf


def test_what_takes_no_time_is_counted() -> None:
    sketch = Sketch()
    sketch.add([0.0, 1e-9, 5.0])
    assert sketch.quantile(0.5) == pytest.approx(1e-6, rel=0.05)
    assert sketch.quantile(1.0) == pytest.approx(5.0, rel=0.01)


@given(st.text(st.characters()))
def test_a_label_is_short_and_can_be_sent(text: str) -> None:
    made = label(text)
    assert len(made) <= 96
    made.encode()
    if len(text) <= 96 and text.isascii():
        assert made == text


def test_lone_surrogates_are_replaced() -> None:
    assert label("a\ud800b") == "a?b"
