from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.core.records import GateSpec, Verdict
from evalsvc.decide.betting import bet, bet_on_rate, cases_to_bet_rate
from evalsvc.decide.verdict import NOTHING, Settings, against
from evalsvc.stats.sequential import betting_interval, rate_log_e_value

counts = st.integers(0, 120)


def settings(threshold: float, level: float = 0.99, planned: int | None = None) -> Settings:
    return Settings(spec=GateSpec(name="g", threshold=threshold), level=level, anytime=True, planned=planned)


def differences(wins: int, losses: int, ties: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.repeat([1.0, -1.0, 0.0], [wins, losses, ties])


def test_nothing_is_known_without_a_case() -> None:
    for found in (bet(differences(0, 0, 0), settings(0.0)), bet_on_rate(0, 0, settings(0.9))):
        assert (found.n, found.value, found.interval, found.futile) == (0, None, NOTHING, False)


def test_it_is_the_interval_of_the_statistics() -> None:
    found = bet(differences(55, 20, 25), settings(0.05))
    assert (found.n, found.value, found.method) == (100, 0.35, "betting")
    assert found.interval == betting_interval(differences(55, 20, 25), level=0.99)


@given(counts, counts, counts, st.sampled_from([-0.05, 0.0, 0.05]), st.sampled_from([0.95, 0.99]))
def test_a_glance_says_what_the_interval_says(
    wins: int, losses: int, ties: int, threshold: float, level: float
) -> None:
    whole = settings(threshold, level)
    at_a_glance = replace(whole, glance=True)
    values = differences(wins, losses, ties)
    assert against(bet(values, at_a_glance), at_a_glance) is against(bet(values, whole), whole)


def test_a_glance_turns_where_the_interval_does() -> None:
    whole = settings(0.0)
    at_a_glance = replace(whole, glance=True)
    verdicts = [[against(bet(differences(wins, 5, 50), by), by) for wins in range(60)] for by in (whole, at_a_glance)]
    assert verdicts[0] == verdicts[1]
    assert set(verdicts[0]) == {Verdict.INCONCLUSIVE, Verdict.PASS}


@given(counts, counts, st.sampled_from([0.5, 0.85, 0.99]))
def test_a_rate_is_judged_as_its_passes_and_failures(passes: int, failures: int, threshold: float) -> None:
    n, held = passes + failures, settings(threshold)
    found = bet_on_rate(passes, n, held)
    if n < 2:
        return
    low, high = found.interval.low, found.interval.high
    assert low is not None
    assert high is not None
    assert 0 <= low <= passes / n <= high <= 1
    proven = rate_log_e_value(passes, n, threshold) > np.log(200)
    assert (against(found, held) is Verdict.PASS) == proven
    refuted = rate_log_e_value(failures, n, 1 - threshold) > np.log(200)
    assert (against(found, held) is Verdict.FAIL) == refuted


@pytest.mark.parametrize(("threshold", "level"), [(0.85, 0.95), (0.9, 0.99), (0.99, 0.99)])
def test_the_fewest_passes_that_prove_a_rate(threshold: float, level: float) -> None:
    n = cases_to_bet_rate(threshold, level=level)
    assert n is not None
    held = settings(threshold, level)
    assert against(bet_on_rate(n, n, held), held) is Verdict.PASS
    assert against(bet_on_rate(n - 1, n - 1, held), held) is Verdict.INCONCLUSIVE


def test_a_rate_of_one_is_never_proven() -> None:
    assert cases_to_bet_rate(1.0, level=0.95) is None


def test_futile_is_what_the_planned_cases_could_not_show() -> None:
    # 300 cases, a fifth of them different, no effect: 1,000 cases could show some 4 points, and 4 are refuted
    seen = differences(30, 30, 240)
    assert bet(seen, settings(0.0, planned=1000)).futile is False
    assert bet(differences(25, 36, 239), settings(0.0, planned=1000)).futile is True
    # such a loss, if it stays, is what 1,000 cases could prove
    assert bet(differences(25, 45, 230), settings(0.0, planned=1000)).futile is False
    assert bet(differences(25, 36, 239), settings(0.0)).futile is False  # nobody asked
    # five points are out of reach, but that they are is what 1,000 cases could prove; 300 could not
    assert bet(seen, settings(0.05, planned=1000)).futile is False
    assert bet(seen, settings(0.05, planned=300)).futile is True
    # with a million cases even a tiny effect is in reach
    assert bet(seen, settings(-0.05, planned=1000)).futile is False
    assert bet(differences(44, 44, 312), settings(-0.01, planned=1_000_000)).futile is False


def test_ties_alone_are_never_futile() -> None:
    assert bet(differences(0, 0, 500), settings(-0.05, planned=1000)).futile is False
    assert bet_on_rate(50, 50, settings(0.9, planned=1000)).futile is False
