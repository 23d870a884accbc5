from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
import pytest

from evalsvc.core.records import Verdict
from evalsvc.stats.quantiles import quantile_ratio_interval

SPREAD = np.random.default_rng(5).lognormal(0.0, 0.3, 1000)


def judged(make: Any, candidate: Any, baseline: Any, mode: str = "interval", missing: tuple[int, int] = (0, 0)) -> Any:
    latency = make.samples(candidate, missing[0]), make.samples(baseline, missing[1])
    return make.judge("latency_p99", make.evidence(latency=latency), mode)


@pytest.mark.parametrize(("factor", "verdict"), [(0.6, "PASS"), (2.0, "INCONCLUSIVE"), (4.0, "FAIL")])
def test_the_ratio_of_p99_decides(make: Any, factor: float, verdict: str) -> None:
    result = judged(make, SPREAD[::-1] * factor, SPREAD)
    assert (result.verdict, result.n, result.n_needed) == (verdict, 1000, None)
    assert result.method == "order-statistics"
    assert result.claim == "p99(candidate) / p99(baseline) < 2"
    assert result.estimate == pytest.approx(factor)
    values = np.sort(SPREAD)
    assert result.interval == quantile_ratio_interval(values * factor, values, 0.99, level=0.95)
    assert result.extra["p95"]["ratio"] == pytest.approx(factor)
    assert result.extra["p95"]["candidate"] == pytest.approx(np.percentile(SPREAD, 95) * factor)


def test_too_few_cases_prove_no_p99(make: Any) -> None:
    result = judged(make, SPREAD[:436] / 100, SPREAD)
    assert (result.verdict, result.n, result.n_needed) == (Verdict.INCONCLUSIVE, 436, 437)
    assert judged(make, SPREAD[:437] / 100, SPREAD).verdict is Verdict.PASS


def test_timeouts_rank_above_everything(make: Any) -> None:
    slow = [inf] * 30 + [0.1] * 970
    assert judged(make, slow, SPREAD).verdict is Verdict.FAIL
    assert judged(make, SPREAD, slow).verdict is Verdict.PASS
    both = judged(make, slow, slow)
    assert (both.verdict, both.estimate) == (Verdict.INCONCLUSIVE, None)
    assert judged(make, slow, SPREAD, "point").verdict is Verdict.FAIL
    assert judged(make, slow, slow, "point").verdict is Verdict.INCONCLUSIVE


def test_the_point_rule_allows_the_threshold_itself(make: Any) -> None:
    assert judged(make, SPREAD[:50] * 2, SPREAD[:50], "point").verdict is Verdict.PASS
    assert judged(make, SPREAD[:50] * 2.01, SPREAD[:50], "point").verdict is Verdict.FAIL


def test_missing_samples_count_at_their_worst(make: Any) -> None:
    """5 of 1000 may all be timeouts: the bound reaches them, and the PASS is gone."""
    complete = judged(make, SPREAD, SPREAD)
    holed = judged(make, SPREAD, SPREAD, missing=(6, 6))
    assert (complete.verdict, holed.verdict) == (Verdict.PASS, Verdict.INCONCLUSIVE)
    assert holed.interval == complete.interval
    assert holed.interval_missing.low < complete.interval.low
    assert holed.interval_missing.high > complete.interval.high
    assert judged(make, SPREAD, SPREAD, missing=(30, 30)).verdict is Verdict.NOT_MEASURED


def test_no_samples_at_all(make: Any) -> None:
    result = judged(make, [], [])
    assert (result.verdict, result.reason) == (Verdict.NOT_MEASURED, "No latency was measured.")
    assert judged(make, [], SPREAD).verdict is Verdict.NOT_MEASURED


def test_one_arm_that_was_not_timed_leaves_nothing_to_compare(make: Any) -> None:
    for candidate, baseline, name in (([], SPREAD, "candidate"), (SPREAD, [], "baseline")):
        result = judged(make, candidate, baseline)
        assert (result.verdict, result.n, result.estimate) == (Verdict.NOT_MEASURED, 0, None)
        assert result.reason == f"No latency of the {name} was measured."
