from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from evalsvc.stats.multiplicity import bh, e_bh, holm

p_lists = st.lists(st.floats(1e-12, 1), min_size=1, max_size=30)


def test_reference_p_values(vectors: Any) -> None:
    row = vectors["fixed"]["multitest"]
    assert holm(row["p"]) == pytest.approx(row["holm"], rel=1e-12)
    assert bh(row["p"]) == pytest.approx(row["fdr_bh"], rel=1e-12)
    gaming = vectors["fixed2"]["gaming_iut"]
    assert holm(gaming["p_iut"]) == pytest.approx(gaming["holm"], rel=1e-12)


def test_reference_e_values(vectors: Any) -> None:
    row = vectors["fixed"]["e_bh"]
    assert e_bh(row["e"], alpha=row["alpha"]) == row["rejected"]
    inverse = vectors["fixed"]["e_holm"]
    assert holm([min(1.0, 1 / e) for e in inverse["e"]]) == pytest.approx(inverse["holm_on_inv"], rel=1e-12)


@settings(max_examples=25)  # statsmodels takes its time
@given(p_lists)
def test_adjusted_p_values_are_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]), rel=1e-12)
    assert bh(p_values) == pytest.approx(list(multipletests(p_values, method="fdr_bh")[1]), rel=1e-12)


@given(p_lists, st.randoms(use_true_random=False))
def test_answers_stand_in_the_order_of_the_questions(p_values: list[float], random: Any) -> None:
    order = list(range(len(p_values)))
    random.shuffle(order)
    for adjust in (holm, bh):
        adjusted = adjust(p_values)
        assert adjust([p_values[i] for i in order]) == [adjusted[i] for i in order]


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=20))
def test_e_bh_is_bh_on_inverses(e_values: list[float]) -> None:
    adjusted = bh([1 / e for e in e_values])
    if all(abs(p - 0.05) > 1e-9 for p in adjusted):
        assert e_bh(e_values, alpha=0.05) == [p < 0.05 for p in adjusted]


def test_empty_and_single() -> None:
    assert holm([]) == []
    assert bh([]) == []
    assert e_bh([], alpha=0.05) == []
    assert holm([0.03]) == [0.03]
    assert e_bh([20.0], alpha=0.05) == [True]
    assert e_bh([19.9], alpha=0.05) == [False]
    assert e_bh([float("inf"), 0.0], alpha=0.05) == [True, False]
