import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import multinomial

from evalsvc.stats.enumerated import tango_exact_p_values
from evalsvc.stats.paired import mcnemar_exact, tango, tango_p_values

tables = st.tuples(st.integers(0, 25), st.integers(0, 25), st.integers(0, 40)).map(lambda t: (t[0], t[1], sum(t)))


def brute_force(wins: int, losses: int, n: int, delta: float) -> float:
    """P(score ≥ observed), every table gone through, the loss probability found by a general optimizer."""

    def cells(loss: float) -> list[float]:
        return [max(0.0, loss + delta), loss, max(0.0, 1 - 2 * loss - delta)]

    def unlikely(loss: float) -> float:
        return -float(multinomial.logpmf([wins, losses, n - wins - losses], n, cells(loss)))

    least, most = max(0.0, -delta), (1 - delta) / 2
    inner = minimize_scalar(unlikely, bounds=(least, most), method="bounded", options={"xatol": 1e-12}).x
    best = min([least, float(inner), most], key=unlikely)
    observed = tango_p_values(wins, losses, n, delta)[0]
    return sum(
        float(multinomial.pmf([w, lost, n - w - lost], n, cells(best)))
        for w in range(n + 1)
        for lost in range(n + 1 - w)
        if tango_p_values(w, lost, n, delta)[0] <= observed + 1e-9
    )


@pytest.mark.parametrize(
    ("table", "delta"),
    [
        ((5, 0, 30), 0.05),
        ((10, 1, 20), 0.05),
        ((2, 9, 20), -0.05),
        ((0, 0, 20), -0.1),
        ((12, 3, 25), 0.1),
        ((20, 0, 20), 0.5),
        ((3, 8, 25), 0.0),
        ((1, 0, 1), 0.2),
    ],
)
def test_it_is_the_sum_over_all_tables(table: tuple[int, int, int], delta: float) -> None:
    wins, losses, n = table
    p_pass, p_fail = tango_exact_p_values(wins, losses, n, delta)
    assert p_pass == pytest.approx(brute_force(wins, losses, n, delta), abs=1e-6)
    assert p_fail == pytest.approx(brute_force(losses, wins, n, -delta), abs=1e-6)


def test_where_tango_says_pass_too_easily() -> None:
    assert tango_p_values(9, 0, 96, 0.05)[0] == pytest.approx(0.0246, abs=1e-4)
    assert tango_exact_p_values(9, 0, 96, 0.05)[0] > 0.04
    # without a loss it is the binomial tail of the wins
    assert tango_exact_p_values(0, 0, 73, -0.05)[0] == pytest.approx(0.95**73, rel=1e-9)
    assert tango_exact_p_values(0, 0, 72, -0.05)[0] == pytest.approx(0.95**72, rel=1e-9)


@given(tables, st.floats(-0.9, 0.9))
def test_the_sides_are_mirrored(table: tuple[int, int, int], threshold: float) -> None:
    wins, losses, n = table
    p_pass, p_fail = tango_exact_p_values(wins, losses, n, threshold)
    assert tango_exact_p_values(losses, wins, n, -threshold) == (p_fail, p_pass)
    assert 0 <= p_pass <= 1
    if n:
        assert p_pass + p_fail >= 1 - 1e-9  # both hold the observed table


@given(st.integers(100, 400), st.integers(100, 400), st.integers(0, 2000), st.floats(-0.2, 0.2))
def test_with_many_unlike_pairs_the_two_agree(wins: int, losses: int, ties: int, threshold: float) -> None:
    n = wins + losses + ties
    approximate, exact = (
        function(wins, losses, n, threshold)[0] for function in (tango_p_values, tango_exact_p_values)
    )
    assert exact == pytest.approx(approximate, abs=0.03)


@given(tables)
def test_more_wins_never_unprove_it(table: tuple[int, int, int]) -> None:
    wins, losses, n = table
    assume(wins + losses < n)

    def proves(w: int, lost: int) -> bool:
        return max(tango_p_values(w, lost, n, 0.05)[0], tango_exact_p_values(w, lost, n, 0.05)[0]) < 0.025

    if proves(wins, losses):
        assert proves(wins + 1, losses)
        assert not losses or proves(wins, losses - 1)


def test_against_zero_it_stands_beside_mcnemar() -> None:
    for wins, losses, n in ((28, 12, 200), (9, 3, 100), (20, 4, 102)):
        exact = tango_exact_p_values(wins, losses, n, 0.0)[0]
        assert exact == pytest.approx(tango_p_values(wins, losses, n, 0.0)[0], rel=0.2)
        assert exact < mcnemar_exact(wins, losses) / 2  # which looks at nothing but the unlike pairs


def test_a_threshold_outside_and_no_pairs() -> None:
    for threshold in (1.0, -1.0, 1.5):
        assert tango_exact_p_values(3, 1, 9, threshold) == tango_p_values(3, 1, 9, threshold)
    assert tango_exact_p_values(0, 0, 0, 0.1) == (1.0, 1.0)
    with pytest.raises(ValueError, match="pairs"):
        tango_exact_p_values(3, 1, 3, 0.0)


def test_a_million_pairs_are_summed_at_once() -> None:
    low = tango(60_000, 10_000, 10**6).low
    assert low is not None
    p = tango_exact_p_values(60_000, 10_000, 10**6, low)[0]
    assert np.isclose(p, 0.025, rtol=0.01)


@given(st.integers(2000, 6000), st.floats(0.01, 0.4), st.floats(0.01, 0.4), st.floats(-0.05, 0.05))
def test_far_losses_add_nothing(n: int, win: float, loss: float, threshold: float) -> None:
    """Only likely losses are summed: what is left out would be seen where the normal approximation is good."""
    wins, losses = int(n * win), int(n * loss)
    exact, approximate = (function(wins, losses, n, threshold) for function in (tango_exact_p_values, tango_p_values))
    assert exact == pytest.approx(approximate, abs=0.05)
    assert sum(exact) >= 1 - 1e-9
