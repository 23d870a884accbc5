"""What changed from one job to another."""

from __future__ import annotations

from array import array
from math import nan
from typing import Any

import numpy as np
import pytest

from evalsvc.core.records import Role
from evalsvc.decide.compare import compare
from evalsvc.decide.two_jobs import Change, Finding, changes


def only(*tables: Any) -> Change:
    (suite,) = changes(tables)
    return suite.whole


def test_a_change_is_second_minus_first_by_the_gates_own_method(make: Any) -> None:
    second, first = make.binary(wins=40, losses=10, both=100, neither=50)
    change = only(make.table(second, first, suite="s"))
    estimate = compare(np.asarray(second), np.asarray(first), 0.0, 0.95)
    assert (change.difference, change.interval, change.method) == (0.15, estimate.interval, estimate.method)
    assert (change.better, change.worse, change.same, change.n, change.cases) == (40, 10, 150, 200, 200)
    assert (change.first, change.second) == (0.55, 0.7)
    assert change.finding is Finding.BETTER
    mirrored = only(make.table(first, second, suite="s"))
    assert (mirrored.difference, mirrored.finding) == (-0.15, Finding.WORSE)
    assert mirrored.p_value == pytest.approx(change.p_value)


def test_cases_in_clusters_are_as_sure_as_their_clusters(make: Any) -> None:
    second, first = make.binary(wins=60, losses=20, both=100, neither=60)
    alone = only(make.table(second, first))
    assert (alone.clusters, alone.finding) == (None, Finding.BETTER)
    own = only(make.table(second, first, cluster=array("q", range(240))))
    assert (own.clusters, own.finding, own.difference) == (240, Finding.BETTER, alone.difference)
    few = only(make.table(second, first, cluster=array("q", [0] * 60 + [1] * 20 + [2] * 100 + [3] * 60)))
    assert (few.clusters, few.finding, few.difference, few.n) == (4, Finding.OPEN, alone.difference, 240)
    assert few.interval.low is None
    wide = only(make.table(second, first, cluster=array("q", [k // 20 for k in range(240)])))
    assert (wide.clusters, wide.difference) == (12, alone.difference)
    assert wide.method.startswith("cluster-")
    assert None not in (wide.interval.low, alone.interval.low)
    assert (wide.interval.low or 0) < (alone.interval.low or 0)


def test_no_difference_is_open_and_never_better(make: Any) -> None:
    change = only(make.table(*make.binary(wins=5, losses=5, both=50, neither=0)))
    assert (change.finding, change.p_value) == (Finding.OPEN, 1.0)
    assert only(make.table(*make.binary(wins=1, losses=0, both=0, neither=0))).finding is Finding.OPEN


def test_a_finding_must_hold_whatever_is_missing(make: Any) -> None:
    second, first = make.binary(wins=12, losses=2, both=286, neither=0)
    assert only(make.table(second, first)).finding is Finding.BETTER
    few = only(make.table([*second, nan, nan, nan, nan], [*first, 1, 1, 1, nan]))
    assert (few.finding, few.missing, few.n, few.cases) == (Finding.OPEN, (1, 4), 300, 304)
    many = only(make.table([*second, *[nan] * 20], [*first, *[1.0] * 20]))
    assert (many.finding, many.missing) == (Finding.NOT_MEASURED, (0, 20))
    none = only(make.table([nan, nan], [1.0, nan]))
    assert (none.finding, none.difference, none.first, none.second, none.p_value) == (
        Finding.NOT_MEASURED, None, None, None, 1.0,
    )  # fmt: skip


def test_one_of_many_looks_has_to_be_surer(make: Any) -> None:
    second, first = make.binary(wins=12, losses=3, both=85, neither=0)
    assert only(make.table(second, first)).finding is Finding.BETTER
    same = make.binary(wins=0, losses=0, both=100, neither=0)
    tables = [make.table(second, first, suite="one")] + [make.table(*same, suite=f"s{k}") for k in range(9)]
    found = {each.whole.suite: each.whole for each in changes(tables)}
    assert found["one"].finding is Finding.OPEN
    assert found["one"].interval.low is not None
    assert found["one"].interval.low > 0  # the interval is not corrected, the finding is


def test_categories_are_corrected_over_all_suites(make: Any) -> None:
    second, first = make.binary(wins=30, losses=0, both=70, neither=0)
    same = make.binary(wins=0, losses=0, both=100, neither=0)
    categories = ["up"] * 100 + ["same"] * 100
    tables = [
        make.table([*second, *same[0]], [*first, *same[1]], suite="s", categories=categories),
        make.table(*same, suite="t", role=Role.GENERAL),
    ]
    one, other = changes(tables)
    assert [(each.category, each.finding, each.n) for each in one.categories] == [
        ("same", Finding.OPEN, 100),
        ("up", Finding.BETTER, 100),
    ]
    assert [(each.suite, each.category, each.role) for each in other.categories] == [("t", "all", Role.GENERAL)]
    alone = changes([make.table(second, first, suite="s")])[0].categories[0]
    assert one.categories[1].p_value == pytest.approx(3 * alone.p_value)


def test_graded_scores_go_by_the_method_of_the_gates(make: Any) -> None:
    second, first = [0.5 + 0.01 * (k % 7) for k in range(60)], [0.4 + 0.02 * (k % 5) for k in range(60)]
    change, estimate = only(make.table(second, first)), compare(np.asarray(second), np.asarray(first), 0.0, 0.95)
    assert (change.method, change.interval, change.finding) == (estimate.method, estimate.interval, Finding.BETTER)


def test_nothing_to_compare_is_nothing_found() -> None:
    assert changes([]) == []
