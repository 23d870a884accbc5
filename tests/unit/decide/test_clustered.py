"""Gates on cases in clusters: the cluster is the unit, n stays cases."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsvc.core.records import GateSpec, Role, Verdict
from evalsvc.decide.clustered import clustered
from evalsvc.decide.compare import compare
from evalsvc.decide.verdict import Settings, against
from evalsvc.stats.clusters import clustered_mean, clustered_t, intraclass_correlation, sign_flip_p_values


def in_clusters(make: Any, pair: tuple[list[float], list[float]], labels: list[int], **other: Any) -> Any:
    return make.table(*pair, cluster=array("q", labels), **other)


def graded(seed: int, clusters: int, each: int, shift: float) -> tuple[tuple[list[float], list[float]], list[int]]:
    """Graded pairs whose clusters differ."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(clusters), each)
    differences = shift + random.normal(0, 0.1, clusters)[labels] + random.normal(0, 0.1, len(labels))
    differences = np.clip(differences, -1, 1)
    return ((0.5 + differences / 2).tolist(), (0.5 - differences / 2).tolist()), labels.tolist()


def test_the_interval_is_t_with_cr1_and_n_stays_cases(make: Any) -> None:
    pair, labels = graded(2, 30, 8, 0.2)
    result = make.judge("target_improvement", make.evidence(in_clusters(make, pair, labels)))
    differences = np.array(pair[0]) - np.array(pair[1])
    wanted = clustered_t(clustered_mean(differences, labels))
    assert (result.method, result.n, result.verdict) == ("cluster-t", 240, Verdict.PASS)
    assert (result.interval.low, result.interval.high) == (wanted.low, wanted.high)
    assert result.extra["clusters"] == {"count": 30, "icc": intraclass_correlation(differences, labels)}
    assert "on 240 target cases in 30 clusters" in result.reason
    alone = make.judge("target_improvement", make.evidence(make.table(*pair)))
    assert alone.interval.low > result.interval.low, "independent cases would have said more"


@pytest.mark.parametrize("count", [1, 2, 5])
def test_fewer_than_six_clusters_settle_nothing(make: Any, count: int) -> None:
    pair = ([1.0] * 300, [0.0] * 300)
    labels = [k % count for k in range(300)]
    for role, gate in ((Role.TARGET, "target_improvement"), (Role.TARGET, "exact_match")):
        result = make.judge(gate, make.evidence(in_clusters(make, pair, labels, role=role)))
        assert result.verdict is Verdict.INCONCLUSIVE
        assert result.n_needed == 300 * 6 / count
        assert "6 clusters" in (result.needs or "")


def test_below_twenty_clusters_the_flips_of_signs_must_agree(make: Any) -> None:
    """Six clusters that agree on the side but not on the size: t may settle at 97.5% what 2 in 64 flips do not."""
    values, labels = np.repeat([0.3, 0.31, 0.29, 0.3, 0.32, -0.001], 4), np.repeat(np.arange(6), 4)
    pair = (0.5 + values / 2).tolist(), (0.5 - values / 2).tolist()
    result = make.judge("target_improvement", make.evidence(in_clusters(make, pair, labels.tolist())), threshold=0.0)
    flips = sign_flip_p_values(np.array(pair[0]) - np.array(pair[1]), labels.tolist(), 0.0)
    assert flips[0] >= 0.025
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.p_pass >= flips[0]


def test_a_bound_the_flips_do_not_settle_is_drawn_out_to_the_threshold() -> None:
    labels = np.repeat(np.arange(7), 3)
    values = np.repeat([0.4, 0.5, 0.45, 0.5, 0.4, 0.5, -0.02], 3)
    asked = Settings(spec=GateSpec(name="g", threshold=0.02))
    alone = compare(np.clip(values, 0, 1), np.clip(-values, 0, 1), 0.02, 0.95)
    found = clustered(values, labels, asked, alone)
    t = clustered_t(clustered_mean(values, labels.tolist()))
    assert t.low is not None
    assert t.low > 0.02 or found.method == "cluster-t"
    if t.low > 0.02 and sign_flip_p_values(values, labels.tolist(), 0.02)[0] >= 0.025:
        assert (found.method, found.interval.low) == ("cluster-flips", 0.02)


def test_clusters_that_all_agree_are_no_certainty(make: Any) -> None:
    """300 ties in 10 clusters are ten observations: t would claim to know everything."""
    pair, labels = ([1.0] * 300, [1.0] * 300), [k % 10 for k in range(300)]
    result = make.judge("general_regression", make.evidence(in_clusters(make, pair, labels, role=Role.GENERAL)))
    assert (result.method, result.verdict) == ("cluster-gaffke", Verdict.INCONCLUSIVE)
    assert result.n_needed is not None
    assert result.n_needed > 300
    many = [k % 150 for k in range(300)]
    result = make.judge("general_regression", make.evidence(in_clusters(make, pair, many, role=Role.GENERAL)))
    assert result.verdict is Verdict.PASS


def test_one_bad_cluster_among_good_ones_is_lopsided(make: Any) -> None:
    candidate = [1.0] * 290 + [0.0] * 10
    labels = [k // 10 for k in range(300)]
    table = in_clusters(make, (candidate, [1.0] * 300), labels, role=Role.GENERAL)
    result = make.judge("general_regression", make.evidence(table))
    assert (result.method, result.verdict) == ("cluster-gaffke", Verdict.INCONCLUSIVE)


def test_a_rate_over_clusters_is_wider_than_over_cases(make: Any) -> None:
    labels = [k // 10 for k in range(400)]
    bad = {3, 11, 20, 33}
    candidate = [0.0 if k // 10 in bad and k % 10 < 7 else 1.0 for k in range(400)]
    alone = make.judge("exact_match", make.evidence(make.table(candidate, candidate)))
    result = make.judge("exact_match", make.evidence(in_clusters(make, (candidate, candidate), labels)))
    assert (result.n, result.estimate) == (alone.n, alone.estimate)
    assert result.interval.low < alone.interval.low
    assert (alone.verdict, result.verdict) == (Verdict.PASS, Verdict.INCONCLUSIVE)
    assert result.extra["wilson"] is None


def test_compliance_is_proven_over_clusters(make: Any) -> None:
    ones = [1.0] * 400
    few = make.schema_table(ones, ones, cluster=array("q", [k // 40 for k in range(400)]))
    own = make.schema_table(ones, ones, cluster=array("q", range(400)))
    assert make.judge("schema_compliance", make.evidence(make.schema_table(ones, ones))).verdict is Verdict.PASS
    assert make.judge("schema_compliance", make.evidence(few)).verdict is Verdict.INCONCLUSIVE
    alone = make.judge("schema_compliance", make.evidence(own))
    assert "400 cases in 400 clusters" in alone.reason
    assert alone.verdict is Verdict.PASS, "clusters of one case are cases"
    outside = make.schema_table([0.0, *ones[1:]], ones, cluster=array("q", [k // 40 for k in range(400)]))
    assert make.judge("schema_compliance", make.evidence(outside)).verdict is Verdict.FAIL


def test_suites_without_clusters_stand_beside_those_with(make: Any) -> None:
    pair, labels = graded(3, 10, 6, 0.3)
    with_them = in_clusters(make, pair, labels, suite="a")
    without = make.table(pair[0][:20], pair[1][:20], suite="b")
    result = make.judge("target_improvement", make.evidence(with_them, without))
    assert (result.n, result.extra["clusters"]["count"]) == (80, 30)
    again = make.judge("target_improvement", make.evidence(with_them, in_clusters(make, pair, labels, suite="b")))
    assert again.extra["clusters"]["count"] == 20, "a cluster never reaches over two suites"


def test_missing_answers_are_bounded_in_clusters_too(make: Any) -> None:
    pair, labels = graded(5, 30, 8, 0.2)
    candidate = [make.nan, *pair[0][1:]]
    result = make.judge("target_improvement", make.evidence(in_clusters(make, (candidate, pair[1]), labels)))
    assert result.n == 239
    assert result.interval_missing.low < result.interval.low


def test_categories_are_judged_by_their_clusters(make: Any) -> None:
    """One document of a category got all questions wrong: cases alone would call the category failed."""
    labels = [k // 20 for k in range(200)]
    candidate = [0.0 if k < 20 else 1.0 for k in range(200)]
    names = ["a" if k < 100 else "b" for k in range(200)]
    alone = make.table(candidate, [1.0] * 200, role=Role.GENERAL, categories=names)
    result = make.judge("general_regression", make.evidence(alone))
    assert Verdict.FAIL in {each.verdict for each in result.categories}
    clustered_ = make.table(candidate, [1.0] * 200, role=Role.GENERAL, categories=names, cluster=array("q", labels))
    result = make.judge("general_regression", make.evidence(clustered_))
    assert {each.verdict for each in result.categories} == {Verdict.INCONCLUSIVE}


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=1, max_size=60),
    clusters=st.integers(1, 30),
    threshold=st.sampled_from([-0.1, -0.05, 0.0, 0.05]),
)
def test_clusters_never_settle_what_lone_cases_leave_open(values: list[float], clusters: int, threshold: float) -> None:
    differences = np.array(values)
    candidate, baseline = np.clip(differences, 0, 1), np.clip(-differences, 0, 1)
    asked = Settings(spec=GateSpec(name="g", threshold=threshold))
    alone = compare(candidate, baseline, threshold, 0.95)
    labels = np.arange(len(values)) % clusters
    found = clustered(differences, labels, asked, alone)
    assert found.n == len(values)
    assert found.value == alone.value
    if found.method in {"cluster-t", "cluster-flips"}:
        both = found.interval, alone.interval
        lows, highs = [each.low or 0.0 for each in both], [each.high or 0.0 for each in both]
        assert lows[0] <= lows[1]
        assert highs[0] >= highs[1]
    mirrored = clustered(
        -differences,
        labels,
        Settings(spec=GateSpec(name="g", threshold=-threshold)),
        compare(baseline, candidate, -threshold, 0.95),
    )
    if found.interval.low is not None:
        assert mirrored.interval.high == pytest.approx(-found.interval.low, abs=1e-5)
    assert (mirrored.p_pass, mirrored.p_fail) == pytest.approx((found.p_fail, found.p_pass), abs=1e-6)


@pytest.mark.parametrize(("clusters", "threshold"), [(7, 0.0), (12, -0.05), (30, 0.05)])
def test_at_the_threshold_hardly_any_run_passes(clusters: int, threshold: float) -> None:
    """Wins and losses that come in clusters, the truth exactly on the threshold: 2.5% may pass, cases alone let 9%."""
    random = np.random.default_rng(clusters)
    asked = Settings(spec=GateSpec(name="g", threshold=threshold))
    passes = {"clusters": 0, "alone": 0}
    for _ in range(400):
        labels = np.repeat(np.arange(clusters), random.integers(1, 16, clusters))
        win = (0.4 + threshold + random.normal(0, 0.25, clusters)[labels]) / 2
        drawn = random.random(len(labels))
        differences = np.where(drawn < win, 1.0, np.where(drawn > 0.6 + win, -1.0, 0.0))
        alone = compare(np.clip(differences, 0, 1), np.clip(-differences, 0, 1), threshold, 0.95)
        passes["alone"] += against(alone, asked) is Verdict.PASS
        passes["clusters"] += against(clustered(differences, labels, asked, alone), asked) is Verdict.PASS
    assert passes["clusters"] <= 0.045 * 400
    assert passes["alone"] > 0.06 * 400, "else clusters would make no difference here"


def test_the_point_rule_does_not_pass_too_few_clusters(make: Any) -> None:
    table = in_clusters(make, make.binary(50, 0, 0, 0), [0] * 50)
    result = make.judge("target_improvement", make.evidence(table), "point")
    assert (result.estimate, result.verdict) == (1.0, Verdict.INCONCLUSIVE)
    assert "point_rule_false_pass" not in result.extra
