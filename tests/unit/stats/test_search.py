from hypothesis import given
from hypothesis import strategies as st

from evalsvc.stats.search import RESOLUTION, first_true, last_true


@given(st.integers(-50, 50), st.integers(0, 60), st.integers(-60, 120))
def test_first_true_finds_where_the_predicate_turns(low: int, width: int, turn: int) -> None:
    assert first_true(lambda x: x >= turn, low, low + width) == min(max(turn, low), low + width)


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1))
def test_last_true_stays_on_the_true_side(a: float, b: float, turn: float) -> None:
    low, high = sorted((a, b))
    found = last_true(lambda x: x <= turn, low, high)
    assert low <= found <= high
    if low <= turn < high:
        assert turn - 2 * RESOLUTION <= found <= turn
    elif turn < low:
        assert found == low
