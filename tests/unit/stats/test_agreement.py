import json
from pathlib import Path
from typing import Any

import krippendorff
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import aggregate_raters, cohens_kappa
from statsmodels.stats.inter_rater import fleiss_kappa as statsmodels_fleiss

from evalsvc.stats.agreement import (
    Agreement,
    Scale,
    Weights,
    bootstrap_interval,
    brennan_prediger,
    cohen_kappa,
    fleiss_kappa,
    gwet,
    krippendorff_alpha,
    percent_agreement,
)
from evalsvc.stats.interval import Interval

Floats = NDArray[np.float64]
COEFFICIENTS = (percent_agreement, fleiss_kappa, brennan_prediger, gwet, krippendorff_alpha)


def ratings_of(raters: int, *, missing: bool = False) -> st.SearchStrategy[Floats]:
    rating: st.SearchStrategy[float] = st.integers(1, 4).map(float)
    if missing:
        rating = st.one_of(rating, rating, st.just(np.nan))
    row = st.lists(rating, min_size=raters, max_size=raters)
    return st.lists(row, min_size=2, max_size=25).map(lambda rows: np.array(rows, dtype=np.float64))


def by_rater(rows: list[list[Any]]) -> Floats:
    return np.array([[np.nan if each is None else each for each in row] for row in rows], dtype=np.float64).T


def from_table(table: list[list[int]]) -> Floats:
    """Two raters' ratings from their contingency table."""
    pairs = [(i, j) for i, row in enumerate(table) for j, count in enumerate(row) for _ in range(count)]
    return np.array(pairs, dtype=np.float64)


def from_counts(table: list[list[int]]) -> Floats:
    return np.array([[k for k, count in enumerate(row) for _ in range(count)] for row in table], dtype=np.float64)


def found(agreement: Agreement | None) -> Agreement:
    assert agreement is not None
    return agreement


def test_reference_tables(vectors: Any) -> None:
    for name, key in (("cohen_2x2", "percent_agreement"), ("cohen_paradox", "percent_agreement")):
        row = vectors["fixed"][name]
        kappa = found(cohen_kappa(from_table(row["table"])))
        assert kappa.value == pytest.approx(row["kappa"], rel=1e-10)
        assert (kappa.interval().low, kappa.interval().high) == pytest.approx(row["ci95"], rel=1e-8)
        assert percent_agreement(from_table(row["table"])) == pytest.approx(row[key], rel=1e-12)
    assert found(cohen_kappa(from_table([[20, 5], [10, 15]]))).error == pytest.approx(
        vectors["fixed"]["cohen_2x2"]["se"], rel=1e-10
    )
    toy = vectors["fixed2"]["toy_percent_vs_kappa"]
    assert percent_agreement(from_table(toy["table"])) == pytest.approx(toy["percent"], rel=1e-12)
    assert found(cohen_kappa(from_table(toy["table"]))).value == pytest.approx(toy["kappa"], rel=1e-10)


def test_reference_weights(vectors: Any) -> None:
    row = vectors["fixed"]["cohen_weighted"]
    ratings = by_rater([row["y1"], row["y2"]])
    for weights, key in ((Weights.NONE, "unweighted"), (Weights.LINEAR, "linear"), (Weights.QUADRATIC, "quadratic")):
        assert found(cohen_kappa(ratings, weights=weights)).value == pytest.approx(row[key], rel=1e-10)
    two = vectors["irrCAC"]["two_rater"]
    assert found(gwet(ratings)).value == pytest.approx(two["gwet"]["coefficient_value"], abs=5.1e-6)
    assert found(gwet(ratings)).error == pytest.approx(two["gwet"]["se"], abs=5.1e-6)
    assert found(fleiss_kappa(ratings)).value == pytest.approx(two["fleiss"]["coefficient_value"], abs=5.1e-6)
    assert krippendorff_alpha(ratings) == pytest.approx(two["krippendorff"]["coefficient_value"], abs=5.1e-6)


def test_reference_fleiss(vectors: Any) -> None:
    row = vectors["fixed"]["fleiss_wiki"]
    ratings = from_counts(row["table"])
    assert found(fleiss_kappa(ratings)).value == pytest.approx(row["kappa"], rel=1e-10)
    assert found(brennan_prediger(ratings)).value == pytest.approx(row["randolph"], rel=1e-10)


def test_reference_krippendorff(vectors: Any) -> None:
    row = vectors["fixed"]["krippendorff"]
    ratings = by_rater(row["ratings_by_rater"])
    for scale in Scale:
        assert krippendorff_alpha(ratings, scale=scale) == pytest.approx(row[scale.value], rel=1e-12)


def test_reference_four_raters(vectors: Any) -> None:
    reference = vectors["irrCAC"]
    ratings = by_rater(np.array(reference["raw4_data"], dtype=object).T.tolist())
    for key, agreement in (
        ("raw4_gwet", gwet(ratings)),
        ("raw4_fleiss", fleiss_kappa(ratings)),
        ("raw4_bp", brennan_prediger(ratings)),
        ("raw4_gwet_quadratic_AC2", gwet(ratings, weights=Weights.QUADRATIC)),
        ("raw4_gwet_ordinal_AC2", gwet(ratings, weights=Weights.ORDINAL)),
    ):
        row, seen = reference[key], found(agreement)
        assert (seen.value, seen.error) == pytest.approx((row["coefficient_value"], row["se"]), abs=5.1e-6)
        interval = seen.interval()
        assert (interval.low, interval.high) == pytest.approx(row["confidence_interval"], abs=5.1e-6)
    assert krippendorff_alpha(ratings) == pytest.approx(reference["raw4_krippendorff"]["coefficient_value"], abs=5.1e-6)
    assert percent_agreement(ratings) == pytest.approx(reference["raw4_gwet"]["pa"], abs=5.1e-6)


def test_reference_paradox(vectors: Any) -> None:
    """94% agree, and kappa is below 0: one category is far more frequent than the other."""
    row = vectors["irrCAC"]["paradox"]["gwet"]
    ac1 = found(gwet(from_table([[118, 5], [2, 0]])))
    assert (ac1.value, ac1.error) == pytest.approx((row["coefficient_value"], row["se"]), abs=5.1e-6)
    assert (ac1.interval().low, ac1.interval().high) == pytest.approx(row["confidence_interval"], abs=5.1e-6)


def test_ratings_that_are_all_the_same_leave_kappa_undefined(vectors: Any) -> None:
    same = np.full((5, 2), 3.0)
    assert cohen_kappa(same) is None
    assert fleiss_kappa(same) is None
    assert brennan_prediger(same) is None
    assert krippendorff_alpha(same) is None
    assert percent_agreement(same) == 1.0
    ac1 = found(gwet(same))
    assert (ac1.value, ac1.error) == (vectors["irrCAC"]["allsame"]["gwet"]["coefficient_value"], 0.0)


@pytest.mark.parametrize(
    "ratings",
    [np.empty((0, 2)), np.full((4, 2), np.nan), np.array([[1.0, np.nan], [np.nan, 2.0]]), np.array([[1.0], [2.0]])],
    ids=["no items", "no ratings", "nobody rated the same", "one rater"],
)
def test_without_two_ratings_of_an_item_nothing_is_told(ratings: Floats) -> None:
    assert [coefficient(ratings) for coefficient in COEFFICIENTS] == [None] * len(COEFFICIENTS)
    if ratings.shape[1] == 2:
        assert cohen_kappa(ratings) is None


def test_one_item_has_no_interval() -> None:
    one = found(gwet(np.array([[1.0, 2.0, 1.0]])))
    assert one.interval() == Interval(None, None)


@given(ratings_of(2), st.sampled_from([Weights.NONE, Weights.LINEAR, Weights.QUADRATIC]))
def test_cohen_agrees_with_scikit_learn_and_statsmodels(ratings: Floats, weights: Weights) -> None:
    assume(np.unique(ratings).size > 1)
    kappa = cohen_kappa(ratings, weights=weights)
    labels = np.unique(ratings)
    table = np.array([[((ratings[:, 0] == a) & (ratings[:, 1] == b)).sum() for b in labels] for a in labels])
    if kappa is None:
        return
    expected = cohen_kappa_score(*ratings.T, weights=None if weights is Weights.NONE else weights.value)
    assert kappa.value == pytest.approx(expected, abs=1e-9)
    wt = {Weights.NONE: None, Weights.LINEAR: "linear", Weights.QUADRATIC: "quadratic"}[weights]
    with np.errstate(all="ignore"):  # the oracle divides by its error, which may be 0
        oracle = cohens_kappa(table, wt=wt)
    # where the variance is 0 the oracle's may come out below it, and its root as NaN
    assert kappa.error == pytest.approx(np.nan_to_num(oracle.std_kappa), abs=1e-7)


@given(ratings_of(4))
def test_fleiss_agrees_with_statsmodels(ratings: Floats) -> None:
    assume(np.unique(ratings).size > 1)
    table, _ = aggregate_raters(ratings)
    assert found(fleiss_kappa(ratings)).value == pytest.approx(statsmodels_fleiss(table), abs=1e-9)
    assert found(brennan_prediger(ratings)).value == pytest.approx(statsmodels_fleiss(table, "randolph"), abs=1e-9)


@given(ratings_of(3, missing=True), st.sampled_from(list(Scale)))
def test_alpha_agrees_with_krippendorff(ratings: Floats, scale: Scale) -> None:
    alpha = krippendorff_alpha(ratings, scale=scale)
    paired = ratings[(~np.isnan(ratings)).sum(axis=1) >= 2]
    if np.unique(paired[~np.isnan(paired)]).size < 2:
        assert alpha is None
    else:
        expected = krippendorff.alpha(reliability_data=paired.T, level_of_measurement=scale.value)
        assert alpha == pytest.approx(expected, abs=1e-9)


@given(ratings_of(3, missing=True))
def test_the_order_of_items_and_raters_does_not_matter(ratings: Floats) -> None:
    for coefficient in (gwet, fleiss_kappa):
        there, back = coefficient(ratings), coefficient(ratings[::-1, ::-1])
        assert (there is None) == (back is None)
        if there is not None and back is not None:
            assert (there.value, there.error) == pytest.approx((back.value, back.error), abs=1e-9)


def test_a_category_nobody_used_counts_where_it_is_named() -> None:
    ratings = by_rater([[1, 2, 4, 4, 2], [1, 2, 4, 2, 2]])
    whole = found(gwet(ratings, weights=Weights.QUADRATIC, categories=(1, 2, 3, 4)))
    seen_only = found(gwet(ratings, weights=Weights.QUADRATIC))
    assert whole.value != pytest.approx(seen_only.value)
    # kappa with positions 1, 2, 4 of four is quadratic in the codes themselves
    expected = cohen_kappa_score(*ratings.T, weights="quadratic", labels=[1, 2, 3, 4])
    assert found(cohen_kappa(ratings, weights=Weights.QUADRATIC, categories=(1, 2, 3, 4))).value == pytest.approx(
        expected
    )


def test_the_bootstrap_is_seeded_and_about_as_wide_as_the_formula() -> None:
    rng = np.random.default_rng(5)
    first = rng.integers(1, 4, 150)
    ratings = np.stack([first, np.where(rng.random(150) < 0.75, first, rng.integers(1, 4, 150))], axis=1).astype(float)

    def kappa(resample: Floats) -> float | None:
        agreement = cohen_kappa(resample)
        return None if agreement is None else agreement.value

    there, again = (bootstrap_interval(ratings, kappa, np.random.default_rng(9), repeats=500) for _ in range(2))
    assert there == again
    formula = found(cohen_kappa(ratings)).interval()
    assert (there.low, there.high) == pytest.approx((formula.low, formula.high), abs=0.03)


def test_the_bootstrap_of_what_is_hardly_defined_has_no_bounds() -> None:
    almost_same = np.array([[1.0, 1.0]] * 30 + [[1.0, 2.0]])
    rng = np.random.default_rng(1)
    assert bootstrap_interval(almost_same, krippendorff_alpha, rng, repeats=200) == Interval(None, None)
    assert bootstrap_interval(almost_same[:1], percent_agreement, rng) == Interval(None, None)


def test_wrong_ratings_are_refused() -> None:
    with pytest.raises(ValueError, match="two raters"):
        cohen_kappa(np.ones((3, 3)))
    with pytest.raises(ValueError, match="ratio"):
        krippendorff_alpha(np.array([[-1.0, 2.0]]), scale=Scale.RATIO)


def test_published_examples(shared: Path) -> None:
    cases = [
        json.loads(line) for line in (shared / "data/12_metric_vectors/agreement_cases.jsonl").read_text().splitlines()
    ]
    assert len(cases) == 3
    for case in cases:
        ratings = (
            by_rater(case["raters_x_items"])
            if "raters_x_items" in case
            else from_counts(case["items_x_category_counts"])
        )
        for key, expected in case["expected"].items():
            name = key.removeprefix("krippendorff_alpha_")
            seen = {
                "fleiss_kappa": lambda r: found(fleiss_kappa(r)).value,
                "randolph_kappa": lambda r: found(brennan_prediger(r, categories=(0, 1, 2))).value,
            }.get(key, lambda r, name=name: krippendorff_alpha(r, scale=Scale(name)))(ratings)
            assert seen == pytest.approx(expected, abs=case["tolerance"]), (case["name"], key)


def test_three_people_on_a_hundred_pairs(shared: Path) -> None:
    """Recorded votes of PandaLM: three people, first, second or tie."""
    rows = [
        json.loads(line) for line in (shared / "data/03_human_pairwise/pandalm_subset.jsonl").read_text().splitlines()
    ]
    known = json.loads((shared / "data/KNOWN.json").read_text())["pandalm_shareable"]
    codes = {"A": 0.0, "B": 1.0, "tie": 2.0}
    ratings = np.array([[codes[each["label"]] for each in row["ratings"]] for row in rows])
    assert found(fleiss_kappa(ratings)).value == pytest.approx(known["fleiss_kappa"], rel=1e-9)
    assert krippendorff_alpha(ratings) == pytest.approx(known["krippendorff_alpha_nominal"], rel=1e-9)
    for pair, kappa in known["cohen_kappa"].items():
        first, second = (int(each) - 1 for each in pair.split("-"))
        chosen = ratings[:, [first, second]]
        assert found(cohen_kappa(chosen)).value == pytest.approx(kappa, rel=1e-9)
        assert percent_agreement(chosen) == pytest.approx(known["percent_agreement"][pair], rel=1e-12)
