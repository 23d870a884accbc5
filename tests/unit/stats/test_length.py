import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evalsvc.stats.length import length_effect

DELTA = np.array([0.3, 0.1, 0.4, -0.1, 0.2, 0.5, 0, 0.3, 0.1, 0.2])
LOG_LENGTH = np.array([0.5, 0.1, 0.6, -0.2, 0.1, 0.9, 0, 0.4, 0.2, 0.1])


def test_the_effect_at_equal_length_is_that_of_the_reference() -> None:
    found = length_effect(DELTA, LOG_LENGTH)
    assert found is not None
    assert found.n == 10
    assert found.raw == pytest.approx(0.2)
    assert found.controlled == pytest.approx(0.05671176, abs=1e-8)
    assert found.slope == pytest.approx(0.53069719, abs=1e-8)
    assert found.controlled_interval.low == pytest.approx(-0.00966235, abs=1e-8)
    assert found.controlled_interval.high == pytest.approx(0.12308587, abs=1e-8)
    assert found.explained


def test_an_effect_that_length_does_not_explain_stays() -> None:
    found = length_effect(DELTA + 0.3, LOG_LENGTH)
    assert found is not None
    assert found.controlled == pytest.approx(0.35671176, abs=1e-8)
    assert not found.explained
    nothing = length_effect(DELTA - DELTA.mean(), LOG_LENGTH)
    assert nothing is not None
    assert not nothing.explained  # there is nothing to explain


def test_a_line_needs_cases_and_lengths_that_differ() -> None:
    assert length_effect(DELTA[:9], LOG_LENGTH[:9]) is None
    assert length_effect(np.array([]), np.array([])) is None
    assert length_effect(DELTA, np.zeros(10)) is None
    assert length_effect(DELTA, np.full(10, 0.7)) is None


VALUES = st.floats(-1, 1, width=32)


@given(
    delta=arrays(np.float64, 12, elements=VALUES), lengths=arrays(np.float64, 12, elements=st.floats(-5, 5, width=32))
)
def test_turning_the_arms_turns_the_effect(delta: np.ndarray, lengths: np.ndarray) -> None:
    one, other = length_effect(delta, lengths), length_effect(-delta, -lengths)
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert one.controlled == pytest.approx(-other.controlled, abs=1e-6)
        assert one.slope == pytest.approx(other.slope, abs=1e-6)
        assert (one.raw_interval.low or 0) <= one.raw <= (one.raw_interval.high or 0)
