from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.stats.trials import pass_at_k, trial_variance


def test_reference_repeats(vectors: Any) -> None:
    row = vectors["fixed"]["k_repeats"]
    scores = np.array(row["X"], dtype=np.float64)
    found = trial_variance(scores)
    assert (found.cases, found.trials) == scores.shape
    assert found.mean == pytest.approx(row["mean"], rel=1e-12)
    assert found.error == pytest.approx(row["se_from_item_means"], rel=1e-12)
    assert found.within == pytest.approx(row["within_var_unbiased"], rel=1e-12)
    assert found.between == pytest.approx(row["var_x_hat"], rel=1e-12)
    assert found.error > row["se_naive_nK"]  # counting trials as cases would claim this
    passes = scores.sum(axis=1).astype(int).tolist()
    assert [pass_at_k(each, 4, 2) for each in passes] == pytest.approx(row["pass_at_2"])


@given(st.integers(2, 12), st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_the_parts_give_the_error_back(cases: int, trials: int, seed: int) -> None:
    scores = np.random.default_rng(seed).random((cases, trials))
    found = trial_variance(scores)
    assert found.error == pytest.approx(scores.mean(axis=1).std(ddof=1) / cases**0.5)
    if found.between > 0:
        assert found.error_with(cases=cases, trials=trials) == pytest.approx(found.error)
    assert found.error_with(cases=2 * cases, trials=trials) < found.error_with(cases=cases, trials=2 * trials) + 1e-12


def test_trials_that_explain_everything_leave_nothing_between() -> None:
    found = trial_variance(np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]))
    assert (found.between, found.within) == (0.0, 0.5)


def test_a_variance_needs_two_of_each() -> None:
    for shape in ((1, 4), (4, 1), (0, 0), (4,)):
        with pytest.raises(ValueError, match="at least two"):
            trial_variance(np.zeros(shape))


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_choices_with_a_pass(case: tuple[int, int, int]) -> None:
    passes, trials, k = case
    seen = [True] * passes + [False] * (trials - passes)
    choices = [any(choice) for choice in combinations(seen, k)]
    assert pass_at_k(passes, trials, k) == pytest.approx(sum(choices) / len(choices))


def test_what_cannot_be_is_refused() -> None:
    for passes, trials, k in ((-1, 4, 2), (5, 4, 2), (1, 4, 0), (1, 4, 5), (0, 0, 1)):
        with pytest.raises(ValueError, match="passes in"):
            pass_at_k(passes, trials, k)
