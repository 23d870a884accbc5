from __future__ import annotations

from functools import partial
from itertools import product
from math import comb, prod
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from statsmodels.stats.power import TTestPower

from evalsvc.stats import power
from evalsvc.stats.binomial import at_least
from evalsvc.stats.enumerated import tango_exact_p_values
from evalsvc.stats.paired import cases_to_resolve_mean, point_rule_pass_probability, tango
from evalsvc.stats.quantiles import quantile_ratio_interval
from evalsvc.stats.rates import cases_to_resolve_rate, clopper_pearson


def test_reference_exact_mcnemar(vectors: Any) -> None:
    for row in vectors["fixed"]["power_mcnemar_exact_onesided025"]["rows"]:
        win, loss = row["p_plus"], row["p_minus"]
        found = power.paired_power(row["n"], win - loss, win + loss, lambda w, x: at_least(w, w + x, 0.5) <= 0.025)
        assert found == pytest.approx(row["power"], abs=1e-10)


def test_reference_exact_binomial(vectors: Any) -> None:
    for row in vectors["fixed"]["power_binom_noninf"]["rows"]:
        found = power.rate_power(row["n"], row["p1"], row["p0"])
        assert found == pytest.approx(row["power_alpha025"], abs=1e-12)


def test_reference_cases_for_a_mean(vectors: Any) -> None:
    for row in vectors["fixed"]["power_paired"]["rows"]:
        delta, sd = row["delta"], row["sd"]
        assert cases_to_resolve_mean(sd**2, delta, 0) == row["n_z"]
        for wanted, key in ((0.8, "n_t"), (0.9, "n_t_power90")):
            found = power.cases_for(partial(power.t_power, distance=delta, sd=sd), wanted, start=2)
            assert found == int(row[key]) + 1  # the reference is a fraction of a case, and a case is whole


def test_reference_smallest_effects(vectors: Any) -> None:
    for row in vectors["fixed"]["mde_n"]["rows"]:
        found = power.smallest_effect(partial(power.t_power, row["n"], sd=row["sd"]), 0.8, 0, 1)
        assert found == pytest.approx(row["mde80_t"], abs=1e-4)


def test_the_figures_of_the_design_page_without_the_file_beside() -> None:
    """statistics.md, section 4: a change of method must not pass where the reference file is absent."""
    assert power.paired_power(500, 0.05, 0.2, lambda w, x: at_least(w, w + x, 0.5) <= 0.025) == pytest.approx(
        0.67637, abs=5e-6
    )
    assert power.rate_power(500, 0.9, 0.85) == pytest.approx(0.91901, abs=5e-6)
    assert power.rate_power(300, 0.93, 0.9) == pytest.approx(0.37822, abs=5e-6)
    assert power.cases_for(lambda n: power.t_power(n, 0.05, 0.5), 0.8, start=2) == 787
    assert power.smallest_effect(lambda d: power.t_power(100, d, 0.45), 0.8, 0, 1) == pytest.approx(0.12731, abs=1e-4)
    assert [round(power.joint_power([0.8] * gates), 2) for gates in (3, 5, 8)] == [0.51, 0.33, 0.17]
    assert [round(power.power_each(0.8, gates), 3) for gates in (3, 5, 8)] == [0.933, 0.96, 0.975]


@given(st.integers(2, 3000), st.floats(0, 0.5), st.floats(0.05, 0.9))
def test_t_power_is_that_of_statsmodels(n: int, distance: float, sd: float) -> None:
    assume(n**0.5 * distance / sd < 8)  # beyond it the reference is NaN at times
    two_sided = TTestPower().power(distance / sd, n, 0.05)
    other_tail = TTestPower().power(-distance / sd, n, 0.025, alternative="larger")
    assert power.t_power(n, distance, sd) == pytest.approx(two_sided - other_tail, abs=1e-6)


def test_t_power_at_the_edges() -> None:
    assert power.t_power(1, 0.5, 0.4) == 0.0
    assert power.t_power(100, 0.5, 0.0) == 0.0
    assert power.t_power(100, 0.0, 0.4) == pytest.approx(0.025)
    assert power.t_power(100, -0.2, 0.4) < 1e-6
    assert power.t_power(10_000_000, 0.5, 0.4) == 1.0


def trinomial(n: int, win: float, loss: float, wins: int, losses: int) -> float:
    ways = comb(n, wins) * comb(n - wins, losses)
    return float(ways * win**wins * loss**losses * (1 - win - loss) ** (n - wins - losses))


@settings(max_examples=30)
@given(st.integers(1, 14), st.floats(-1, 1), st.floats(0, 1), st.sampled_from([-0.3, -0.05, 0.0, 0.05, 0.3]))
def test_tango_power_is_the_sum_over_all_outcomes(n: int, difference: float, share: float, threshold: float) -> None:
    discordance = abs(difference) + share * (1 - abs(difference))
    win, loss = (discordance + difference) / 2, (discordance - difference) / 2
    expected = sum(
        trinomial(n, win, loss, wins, losses)
        for wins, losses in product(range(n + 1), repeat=2)
        if wins + losses <= n
        and (tango(wins, losses, n).low or -1) > threshold
        and tango_exact_p_values(wins, losses, n, threshold)[0] < 0.025
    )
    assert power.tango_power(n, difference, discordance, threshold) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("n", "discordance", "threshold"), [(50, 0.2, 0.05), (200, 0.4, 0.05), (333, 1.0, 0.1), (60, 0, 0)]
)
def test_paired_power_agrees_with_the_point_rules_own_sum(n: int, discordance: float, threshold: float) -> None:
    found = power.paired_power(n, 0.0, discordance, lambda wins, losses: (wins - losses) / n >= threshold)
    assert found == pytest.approx(point_rule_pass_probability(n, discordance, threshold), abs=1e-10)


@pytest.mark.parametrize("n", [2000, 1_000_000])
def test_a_large_job_is_planned_as_exactly(n: int) -> None:
    difference = 0.05 + 2.8 * (0.2 / n) ** 0.5
    normal = power.t_power(n, difference - 0.05, (0.2 - difference**2) ** 0.5)
    assert power.tango_power(n, difference, 0.2, 0.05) == pytest.approx(normal, abs=0.01)


def test_differences_no_pairs_can_have_are_refused() -> None:
    for difference, discordance in ((0.3, 0.2), (-0.3, 0.2), (0.0, 1.1)):
        with pytest.raises(ValueError, match="no pairs"):
            power.tango_power(10, difference, discordance, 0.0)


@given(st.integers(1, 400), st.just(0.0) | st.floats(1e-9, 1), st.floats(0.01, 0.99))
def test_rate_power_is_the_sum_over_all_passes(n: int, rate: float, threshold: float) -> None:
    passes = [k for k in range(n + 1) if (clopper_pearson(k, n).low or 0) > threshold]
    expected = sum(float(binom.pmf(k, n, rate)) for k in passes)
    assert power.rate_power(n, rate, threshold) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("n", [436, 437, 600, 1000])
def test_quantile_ratio_power_is_how_often_the_gates_interval_proves_it(n: int) -> None:
    rng, spread, runs = np.random.default_rng(7), 0.6, 400
    passed = 0
    for _ in range(runs):
        arms = [np.sort(np.exp(spread * rng.standard_normal(n))) for _ in range(2)]
        high = quantile_ratio_interval(1.1 * arms[0], arms[1], 0.99).high
        passed += high is not None and high < 2.0
    found = power.quantile_ratio_power(n, 0.99, 1.1, spread, 2.0)
    assert found == pytest.approx(passed / runs, abs=4 * (found * (1 - found) / runs) ** 0.5 + 1e-9)


def test_quantile_ratio_power_under_the_point_rule() -> None:
    assert power.quantile_ratio_power(50, 0.99, 1.0, 0.5, 2.0, point=True) > 0.5
    assert power.quantile_ratio_power(50, 0.99, 2.0, 0.5, 2.0, point=True) == pytest.approx(0.5, abs=1e-3)
    assert power.quantile_ratio_power(50, 0.99, 1.0, 0.5, 2.0) == 0.0


@given(st.integers(2, 5000), st.floats(0.01, 0.99))
def test_cases_for_gives_the_first_case_of_a_climbing_power(first: int, wanted: float) -> None:
    assert power.cases_for(lambda n: wanted if n >= first else 0.0, wanted, start=2) == first
    assert power.cases_for(lambda n: wanted if n >= first else 0.0, wanted, start=10_000) == first


def test_cases_for_gives_up() -> None:
    assert power.cases_for(lambda _: 0.7, 0.8, start=2, most=1000) is None
    assert power.cases_for(lambda n: float(n >= 1000), 0.8, start=2, most=1000) == 1000


@pytest.mark.parametrize(("rate", "threshold"), [(0.9, 0.85), (0.95, 0.9), (0.995, 0.99)])
def test_cases_for_a_rate_agree_with_the_records_own_advice(rate: float, threshold: float) -> None:
    found = power.cases_for(lambda n: power.rate_power(n, rate, threshold), 0.8, start=2)
    advised = cases_to_resolve_rate(rate, threshold)
    assert found is not None
    assert advised is not None
    assert power.rate_power(found, rate, threshold) >= 0.8
    assert found == pytest.approx(advised, rel=0.08)  # the teeth of the exact test


@pytest.mark.parametrize(("discordance", "more"), [(0.05, 1.3), (0.1, 1.08), (0.2, 1.02), (0.4, 1.0)])
def test_cases_for_no_drop_where_few_cases_differ_are_more_than_the_normal_formula_says(
    discordance: float, more: float
) -> None:
    """Simulated: 157 cases at a discordance of 0.05 give 66% in place of 80%, 205 give 81%."""
    found = power.cases_for(lambda n: power.tango_power(n, 0.0, discordance, -0.05), 0.8, start=2)
    normal = cases_to_resolve_mean(discordance, 0.0, -0.05)
    assert found is not None
    assert normal is not None
    assert found / normal == pytest.approx(more, abs=0.02)


def test_the_power_of_no_drop_is_what_a_simulation_gives() -> None:
    rng, n = np.random.default_rng(1), 157
    drawn = rng.multinomial(n, [0.025, 0.025, 0.95], size=2000)
    passed = np.mean([(tango(int(wins), int(losses), n).low or -1) > -0.05 for wins, losses, _ in drawn])
    assert power.tango_power(n, 0.0, 0.05, -0.05) == pytest.approx(passed, abs=0.04)


def test_a_smallest_effect_that_is_none() -> None:
    assert power.smallest_effect(lambda _: 0.79, 0.8, 0, 1) is None
    assert power.smallest_effect(lambda x: float(x > 0.3), 0.8, 0, 1) == pytest.approx(0.3, abs=1e-4)


def test_the_design_effect_of_the_reference_clusters(vectors: Any) -> None:
    icc = vectors["fixed"]["icc_oneway"]["icc"]
    assert power.design_effect(3.0, icc) == pytest.approx(1 + 2 * 0.44338362)
    assert power.design_effect(1.0, icc) == 1.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_joint_power_is_a_product_and_bonferroni_a_promise(powers: list[float]) -> None:
    assert power.joint_power(powers) == pytest.approx(prod(powers))
    each = power.power_each(0.8, len(powers))
    assert 1 - len(powers) * (1 - each) == pytest.approx(0.8)  # whatever the dependence
    assert power.power_each(0.8, 0) == pytest.approx(0.8)
