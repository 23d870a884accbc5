from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import multinomial, norm, skew, ttest_1samp
from scipy.stats import t as t_distribution
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.power import TTestPower

from evalsvc.stats.interval import Interval
from evalsvc.stats.paired import (
    cases_to_resolve_mean,
    has_spread,
    mcnemar_exact,
    paired_t,
    paired_t_p_values,
    point_rule_pass_probability,
    t_holds,
    tango,
    tango_p_values,
)

Pairs = tuple[int, int, int]
pairs = st.tuples(st.integers(0, 300), st.integers(0, 300), st.integers(0, 1000)).map(lambda t: (t[0], t[1], sum(t)))


def bounds(interval: Interval) -> tuple[float, float]:
    assert interval.low is not None
    assert interval.high is not None
    return interval.low, interval.high


def textbook_z(wins: int, losses: int, n: int, delta: float) -> float:
    """Tango's Z as the design page writes it, without care for cancellation."""
    a, b = 2 * n, -wins - losses + (2 * n - wins + losses) * delta
    c = -losses * delta * (1 - delta)
    q = ((b * b - 4 * a * c) ** 0.5 - b) / (2 * a)
    return float((wins - losses - n * delta) / (n * (2 * q + delta * (1 - delta))) ** 0.5)


def test_tango_agrees_with_r(vectors: Any) -> None:
    for case in vectors["fixed"]["tango_vs_R_ratesci"]["cases"]:
        n = case["n11"] + case["b"] + case["c"] + case["n00"]
        found = bounds(tango(case["b"], case["c"], n, level=case["level"]))
        assert found == pytest.approx(case["R"], abs=5.1e-4)
        assert found == pytest.approx(case["ours"], abs=5.1e-7)


def test_reference_tables(vectors: Any) -> None:
    for name in ("mcnemar_m1", "mcnemar_m2", "mcnemar_m3", "mcnemar_m4"):
        row = vectors["fixed"][name]
        wins, losses, n = row["b_cand_only"], row["c_base_only"], row["n"]
        assert mcnemar_exact(wins, losses) == pytest.approx(row["p_exact_two"], rel=1e-12)
        assert bounds(tango(wins, losses, n)) == pytest.approx(row["tango95"], abs=1e-11)
        for threshold, key in ((0.0, "0"), (-0.05, "m05"), (0.05, "p05")):
            p_pass, p_fail = tango_p_values(wins, losses, n, threshold)
            assert p_pass == pytest.approx(row[f"tango_p_greater_{key}"], rel=1e-10)
            assert p_pass + p_fail == pytest.approx(1, abs=1e-15)


def test_reference_preferences(vectors: Any) -> None:
    for name in ("pref_p1", "pref_p2", "pref_p3", "pref_p4"):
        row = vectors["fixed"][name]
        counts = row["w"], row["l"], row["n"]
        net = bounds(tango(*counts))
        assert net == pytest.approx(row["tango_net95"], abs=2e-12)
        assert tuple((1 + bound) / 2 for bound in net) == pytest.approx(row["tango_winrate95"], abs=1e-12)
        assert tango_p_values(*counts, 0.2)[0] == pytest.approx(row["tango_p_winrate_gt_0p6"], rel=1e-10)
        if "sign_p_two" in row:
            assert mcnemar_exact(row["w"], row["l"]) == pytest.approx(row["sign_p_two"], rel=1e-12)


def test_tango_without_pairs_knows_nothing() -> None:
    assert tango(0, 0, 0) == Interval(-1.0, 1.0)
    assert tango_p_values(0, 0, 0, 0.0) == (1.0, 1.0)


@pytest.mark.parametrize("n", [1, 3, 50, 10**6])
def test_tango_at_its_edges(n: int) -> None:
    z = float(norm.ppf(0.975))
    low, high = bounds(tango(n, 0, n))
    assert low == pytest.approx((n - z**2) / (n + z**2), abs=1e-12)  # root of n(1-δ)/(1+δ) = z²
    assert high == 1.0
    assert tango(0, n, n) == Interval(-high, -low)
    ties = bounds(tango(0, 0, n))
    assert ties[0] == -ties[1] < 0  # ties alone are no proof of equality


def test_three_ties_are_no_proof_of_anything() -> None:
    assert bounds(tango(0, 0, 3)) == pytest.approx((-0.56149703, 0.56149703), abs=1e-8)
    assert tango_p_values(0, 0, 3, -0.05)[0] == pytest.approx(0.3456, abs=5e-5)
    assert tango_p_values(0, 0, 3, 0.0) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("pair", "threshold", "expected"),
    [
        ((3, 1, 9), 1.0, (1.0, 0.0)),
        ((3, 1, 9), -1.0, (0.0, 1.0)),
        ((9, 0, 9), 1.0, (0.5, 0.5)),  # all wins do not prove more than 1
        ((0, 9, 9), -1.0, (0.5, 0.5)),
        ((0, 0, 9), 1.0, (1.0, 0.0)),
        ((9, 0, 9), 1.5, (1.0, 0.0)),
        ((0, 9, 9), -1.5, (0.0, 1.0)),
    ],
)
def test_tango_p_values_are_finite_at_the_edges(pair: Pairs, threshold: float, expected: tuple[float, float]) -> None:
    assert tango_p_values(*pair, threshold) == expected


@pytest.mark.parametrize("threshold", [1e-12, 1e-17, 1e-170, 5e-324])
def test_ties_against_a_threshold_next_to_zero_are_no_proof(threshold: float) -> None:
    for n in (1, 50, 10**6):
        assert tango_p_values(0, 0, n, threshold) == pytest.approx((0.5, 0.5), abs=1e-3)
        assert tango_p_values(0, 0, n, -threshold) == pytest.approx((0.5, 0.5), abs=1e-3)


@given(pairs)
def test_tango_is_symmetric_and_contains_the_estimate(counts: Pairs) -> None:
    wins, losses, n = counts
    low, high = bounds(tango(wins, losses, n))
    assert tango(losses, wins, n) == Interval(-high, -low)
    assert -1 <= low <= high <= 1
    if n:
        assert low <= (wins - losses) / n <= high


@given(pairs, st.floats(-0.99, 0.99))
def test_tango_p_values_say_what_the_interval_says(counts: Pairs, threshold: float) -> None:
    low, high = bounds(tango(*counts))
    assume(counts[2] > 0 and min(abs(threshold - low), abs(threshold - high)) > 1e-12)
    p_pass, p_fail = tango_p_values(*counts, threshold)
    assert (p_pass < 0.025) == (low > threshold)
    assert (p_fail < 0.025) == (high < threshold)


@given(pairs, st.floats(-1, 1))
def test_tango_p_values_are_exactly_symmetric(counts: Pairs, threshold: float) -> None:
    wins, losses, n = counts
    assert tango_p_values(losses, wins, n, -threshold) == tango_p_values(wins, losses, n, threshold)[::-1]


@given(pairs)
def test_tango_is_the_root_of_the_textbook_formula(counts: Pairs) -> None:
    wins, losses, n = counts
    assume(wins > 0 and losses > 0)
    z, estimate = float(norm.ppf(0.975)), (wins - losses) / n
    low, high = bounds(tango(*counts))
    assert low == pytest.approx(brentq(lambda d: textbook_z(*counts, d) - z, -1 + 1e-9, estimate), abs=1e-9)
    assert high == pytest.approx(brentq(lambda d: textbook_z(*counts, d) + z, estimate, 1 - 1e-9), abs=1e-9)


@given(pairs)
def test_mcnemar_agrees_with_statsmodels(counts: Pairs) -> None:
    wins, losses, n = counts
    assume(wins + losses > 0)
    table = [[0, wins], [losses, n - wins - losses]]
    assert mcnemar_exact(wins, losses) == pytest.approx(mcnemar(table, exact=True).pvalue, rel=1e-9, abs=1e-100)
    assert mcnemar_exact(wins, losses) == mcnemar_exact(losses, wins)


def test_mcnemar_without_discordance() -> None:
    assert mcnemar_exact(0, 0) == 1.0


def test_impossible_pairs_are_refused() -> None:
    for wins, losses, n in ((-1, 0, 3), (0, -1, 3), (2, 2, 3)):
        with pytest.raises(ValueError, match="pairs"):
            tango(wins, losses, n)
        with pytest.raises(ValueError, match="pairs"):
            tango_p_values(wins, losses, n, 0.0)
    with pytest.raises(ValueError, match="pairs"):
        mcnemar_exact(-1, 3)


def test_reference_t(vectors: Any) -> None:
    row = vectors["fixed"]["paired_t"]
    d = np.array(row["d"])
    assert bounds(paired_t(d)) == pytest.approx(row["ci95"], rel=1e-10)
    assert paired_t_p_values(d, 0.0)[0] == pytest.approx(row["p_greater_0"], rel=1e-10)
    expected = (row["p_greater_0p05"], row["p_less_0p05"])
    assert paired_t_p_values(d, 0.05) == pytest.approx(expected, rel=1e-10)


def test_reference_pairing_pays(vectors: Any) -> None:
    """The error of paired differences from those of the arms and their correlation."""
    row = vectors["fixed"]["miller_paired_identity"]
    low, high = bounds(paired_t(np.array(row["a"]) - np.array(row["b"])))
    error = (high - low) / 2 / t_distribution.ppf(0.975, len(row["a"]) - 1)
    assert error == pytest.approx(row["se_paired"], rel=1e-10)
    a, b = row["se_a"], row["se_b"]
    assert error == pytest.approx((a**2 + b**2 - 2 * a * b * row["rho"]) ** 0.5, rel=1e-10)


def test_reference_preference_by_t(vectors: Any) -> None:
    for name in ("pref_p1", "pref_p2"):
        row = vectors["fixed"][name]
        scores = np.repeat([1.0, 0.5, 0.0], [row["w"], row["t"], row["l"]])
        assert bounds(paired_t(scores)) == pytest.approx(row["ci95_t"], rel=1e-10)
        assert paired_t_p_values(scores, 0.6)[0] == pytest.approx(row["p_greater_0p6"], rel=1e-10)


def test_reference_geometric_ratio(vectors: Any) -> None:
    row = vectors["fixed2"]["geo_ratio"]
    logs = np.log(np.array(row["a"]) / np.array(row["b"]))
    assert np.exp(bounds(paired_t(logs))) == pytest.approx(row["ci95"], rel=1e-10)
    assert paired_t_p_values(logs, float(np.log(1.25)))[1] == pytest.approx(row["p_less_1p25"], rel=1e-10)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=50), st.floats(-1, 1))
def test_t_agrees_with_scipy_stats(values: list[float], threshold: float) -> None:
    d = np.array(values)
    assume(np.ptp(d) > 1e-6)
    greater = ttest_1samp(d, threshold, alternative="greater")
    p_pass, p_fail = paired_t_p_values(d, threshold)
    assert p_pass == pytest.approx(greater.pvalue, rel=1e-7, abs=1e-12)
    assert p_pass + p_fail == pytest.approx(1)
    expected = ttest_1samp(d, threshold).confidence_interval(0.95)
    low, high = bounds(paired_t(d))
    assert (low, high) == pytest.approx((expected.low, expected.high), rel=1e-7, abs=1e-9)
    if min(abs(threshold - low), abs(threshold - high)) > 1e-9:
        assert (p_pass < 0.025) == (low > threshold)
        assert (p_fail < 0.025) == (high < threshold)


@pytest.mark.parametrize(
    "values",
    [
        [],
        [0.1],
        [0.0] * 50,
        [0.1] * 10,  # their floating-point mean is not 0.1: a naive variance is tiny, not zero
        [0.3 - 0.2, 0.4 - 0.3, 0.8 - 0.7, 0.1],  # equal up to rounding
        [0.1, float("nan"), 0.2],
        [0.1, float("inf")],
    ],
)
def test_t_refuses_to_speak_without_spread(values: list[float]) -> None:
    d = np.array(values, dtype=np.float64)
    assert not has_spread(d)
    with pytest.raises(ValueError, match="t needs"):
        paired_t(d)
    with pytest.raises(ValueError, match="t needs"):
        paired_t_p_values(d, 0.0)


def spread_like(sd: float, n: int) -> Any:
    """Symmetric differences of exactly this standard deviation."""
    values = norm.ppf((np.arange(n) + 0.5) / n)
    return values / values.std(ddof=1) * sd


@pytest.mark.parametrize(
    ("sd", "n", "holds"),
    [
        (0.3, 100, True),
        (0.3, 20, False),  # 1.3 of 20 cases unseen would move the mean out of the interval
        (0.5, 19, False),  # too few, whatever they say
        (0.5, 20, True),
        (0.1, 300, False),
        (0.1, 400, True),
        (0.01, 10_000, False),
    ],
)
def test_t_holds_where_its_interval_reaches_as_far_as_what_was_not_seen(sd: float, n: int, holds: bool) -> None:
    d = spread_like(sd, n)
    low, high = bounds(paired_t(d))
    assert t_holds(d) is holds
    if n >= 20:
        assert holds == ((high - low) / 2 >= -np.log(0.025) / n)


@pytest.mark.parametrize("n", [100, 1000, 10_000])
def test_t_holds_where_the_differences_are_not_lopsided(n: int) -> None:
    rng = np.random.default_rng(n)
    for p in (0.02, 0.1, 0.3, 0.5):
        d = np.where(np.arange(n) < p * n, -0.9, 0.1) + rng.uniform(-0.05, 0.05, n)
        lopsided = abs(float(skew(d))) / n**0.5 > 0.06
        assert t_holds(d) is not lopsided
        assert t_holds(-d) is not lopsided


def test_t_is_asked_for_more_where_more_is_promised() -> None:
    d = spread_like(0.2, 100)
    assert t_holds(d)
    assert not t_holds(d, level=0.999)


@pytest.mark.parametrize("values", [[], [0.1], [0.1] * 50, [0.1, float("nan")] * 30])
def test_t_never_holds_without_spread(values: list[float]) -> None:
    assert not t_holds(np.array(values, dtype=np.float64))


def test_reference_cases_to_resolve_a_mean(vectors: Any) -> None:
    for row in vectors["fixed"]["power_paired"]["rows"]:
        n = cases_to_resolve_mean(row["sd"] ** 2, row["delta"], 0.0)
        assert n is not None
        assert n == row["n_z"]
        assert cases_to_resolve_mean(row["sd"] ** 2, 0.1 - row["delta"], 0.1) in (n, n + 1)
        t_exact = TTestPower().solve_power(effect_size=row["delta"] / row["sd"], power=0.8, alpha=0.05)
        assert n == pytest.approx(t_exact, rel=0.01)


def test_cases_to_resolve_a_binary_improvement() -> None:
    # the two readings of "improvement ≥ 5%" at discordance 0.2
    assert cases_to_resolve_mean(0.2 - 0.05**2, 0.05, 0.0) == 621
    assert cases_to_resolve_mean(0.2 - 0.08**2, 0.08, 0.05) == 1689
    assert cases_to_resolve_mean(0.2 - 0.10**2, 0.10, 0.05) == 597
    # preference .65 against .60 with a fifth of ties, as net preference
    assert cases_to_resolve_mean(0.8 - 0.3**2, 0.3, 0.2) == 558


def test_a_mean_that_cannot_be_resolved_has_no_number() -> None:
    assert cases_to_resolve_mean(0.2, 0.05, 0.05) is None
    assert cases_to_resolve_mean(0.0, 0.1, 0.05) is None
    assert cases_to_resolve_mean(0.2, 0.05 + 1e-17 + 1e-9, 0.05) is None
    assert cases_to_resolve_mean(0.2, 1e-308, 0.0) is None
    assert cases_to_resolve_mean(1e-9, 1.0, 0.0) == 2


def test_reference_point_rule(vectors: Any) -> None:
    table = vectors["simulations"]["misc"]["toy_ship_prob mean diff>=.05"]
    rows = [key for key in table if key.endswith("true=0.0")]
    assert len(rows) == 10
    for key in rows:
        n, discordance, _ = (float(part.split("=")[1]) for part in key.split(","))
        assert point_rule_pass_probability(int(n), discordance, 0.05) == pytest.approx(table[key], abs=0.004)


@pytest.mark.parametrize("n", [1, 2, 7, 20])
@pytest.mark.parametrize("discordance", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("threshold", [-1.0, -0.05, 0.0, 0.05, 0.15, 1.0, 1.5, -2.0])
def test_point_rule_by_enumeration(n: int, discordance: float, threshold: float) -> None:
    chances = [discordance / 2, discordance / 2, 1 - discordance]
    expected = sum(
        float(multinomial.pmf([wins, losses, n - wins - losses], n, chances))
        for wins in range(n + 1)
        for losses in range(n + 1 - wins)
        if (wins - losses) / n >= threshold
    )
    assert point_rule_pass_probability(n, discordance, threshold) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_point_rule_goes_over_into_the_normal_smoothly() -> None:
    for threshold in (-0.01, 0.0, 0.004, 0.01):
        exact = point_rule_pass_probability(2000, 0.3, threshold)
        surplus = round(2000 * threshold)
        assert exact == pytest.approx(norm.sf((surplus - 0.5) / (2000 * 0.3) ** 0.5), abs=1e-3)
        normal = point_rule_pass_probability(2500, 0.3, threshold)
        assert normal == pytest.approx(norm.sf((round(2500 * threshold) - 0.5) / (2500 * 0.3) ** 0.5), rel=1e-9)
    assert point_rule_pass_probability(10**7, 0.3, 0.05) < 1e-12


def test_point_rule_compares_as_the_rule_does() -> None:
    # 140 * 0.05 is 7.000000000000001 in floating point, yet 7/140 >= 0.05 holds
    assert point_rule_pass_probability(140, 0.2, 0.05) > point_rule_pass_probability(140, 0.2, 0.051)
    assert point_rule_pass_probability(0, 0.2, -1.0) == 0.0
    for n, discordance in ((-1, 0.5), (10, -0.1), (10, 1.1)):
        with pytest.raises(ValueError, match="discordance"):
            point_rule_pass_probability(n, discordance, 0.0)
