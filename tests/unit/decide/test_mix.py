"""Do the categories say the same, and does what they say hinge on how many cases each has?"""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import pytest

from evalsvc.core.records import Role, Verdict
from evalsvc.stats.samples import pooled


def general(make: Any, groups: dict[str, tuple[int, int, int]], **other: Any) -> Any:
    """Per category wins, losses, ties."""
    pair: tuple[list[float], list[float]] = ([], [])
    names: list[str] = []
    for name, (wins, losses, ties) in groups.items():
        candidate, baseline = make.binary(wins, losses, ties, 0)
        pair[0].extend(candidate)
        pair[1].extend(baseline)
        names += [name] * len(candidate)
    return make.table(*pair, role=Role.GENERAL, categories=names, **other)


SIMPSON = {"big": (90, 40, 870), "small": (2, 22, 76), "tiny": (1, 13, 36)}


def test_opposite_signs_of_the_whole_and_of_categories_weighted_alike_are_warned_of(make: Any) -> None:
    result = make.judge("general_regression", make.evidence(general(make, SIMPSON)), threshold=-0.5)
    mix = result.extra["heterogeneity"]
    assert (mix["categories"], result.verdict) == (3, Verdict.PASS)
    assert result.estimate > 0 > mix["weighted_alike"]
    assert mix["weighted_alike"] == pytest.approx((0.05 - 0.2 - 0.24) / 3)
    assert mix["p"] < 1e-6
    warning = next(each for each in result.warnings if "hinges" in each)
    assert "better by 1.6 points over all cases, worse by 13.0 points with every category weighted alike" in warning


def test_the_numbers_are_those_of_dersimonian_and_laird(make: Any) -> None:
    mix = make.judge("general_regression", make.evidence(general(make, SIMPSON))).extra["heterogeneity"]
    groups = [np.array([1.0] * w + [-1.0] * lost + [0.0] * t) for w, lost, t in SIMPSON.values()]
    within = sum(float(((g - g.mean()) ** 2).sum()) for g in groups) / (sum(map(len, groups)) - 3)
    found = pooled(np.array([g.mean() for g in groups]), np.array([within / len(g) for g in groups]))
    assert (mix["q"], mix["p"], mix["between"]) == pytest.approx((found.q, found.p_alike, found.between))
    assert mix["random"] == pytest.approx(found.random)


def test_categories_that_agree_are_not_warned_of(make: Any) -> None:
    alike = {"a": (12, 10, 178), "b": (3, 4, 93), "c": (2, 2, 46)}
    result = make.judge("general_regression", make.evidence(general(make, alike)))
    assert result.extra["heterogeneity"]["p"] > 0.05
    assert not result.warnings


@pytest.mark.parametrize(
    "groups",
    [{"only": (5, 5, 90)}, {"a": (0, 0, 50), "b": (0, 0, 50)}, {str(k): (k % 2, 0, 1 - k % 2) for k in range(9)}],
)
def test_where_nothing_can_be_told_nothing_is(make: Any, groups: dict[str, tuple[int, int, int]]) -> None:
    """One category, no spread, one case each."""
    result = make.judge("general_regression", make.evidence(general(make, groups)))
    assert result.extra["heterogeneity"] is None


def test_clusters_are_left_out(make: Any) -> None:
    table = general(make, SIMPSON, cluster=array("q", [k // 5 for k in range(1150)]))
    result = make.judge("general_regression", make.evidence(table))
    assert result.extra["heterogeneity"] is None


def test_categories_that_differ_in_size_only_are_not_warned_of(make: Any) -> None:
    unlike = {"a": (90, 10, 300), "b": (12, 10, 378)}
    result = make.judge("general_regression", make.evidence(general(make, unlike)))
    assert result.extra["heterogeneity"]["p"] < 0.001
    assert not result.warnings
