"""The numbers of docs/statistics.md outside its tables: each comes out of the code, or out of the recorded answers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from evalsvc.core.records import Case, Completion, ScorerSpec
from evalsvc.engine.plan import planned_positions
from evalsvc.scoring.base import build
from evalsvc.stats.agreement import cohen_kappa, gwet, percent_agreement
from evalsvc.stats.interval import Interval
from evalsvc.stats.paired import cases_to_resolve_mean, paired_t, point_rule_pass_probability, tango
from evalsvc.stats.quantiles import cases_to_prove_quantile
from evalsvc.stats.samples import newcombe
from evalsvc.stats.sequential import betting_interval, lower_bound
from evalsvc.stats.trials import trial_variance

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "../shared/vectors/statistics.json"
Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def page() -> str:
    return " ".join((ROOT / "docs" / "statistics.md").read_text(encoding="utf-8").split())


@pytest.fixture(scope="module")
def vectors() -> Any:
    if not VECTORS.exists():
        pytest.skip("the shared reference values are not beside this checkout")
    return json.loads(VECTORS.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def scores(shared: Path) -> tuple[Floats, Floats]:
    """Candidate's and baseline's scores of the worked example, in the job's seeded order."""
    items = [json.loads(line) for line in (shared / "data/01_gsm8k/items.jsonl").read_text().splitlines()]
    scorer = build(ScorerSpec(name="numeric", label="numeric"))
    order = np.argsort(np.array(planned_positions({"gsm8k": len(items)}, seed=81, limit=None)["gsm8k"]))

    def of(model: str) -> Floats:
        values = []
        for each in items:
            case = Case(suite="gsm8k", id=each["id"], category="all", input="", expected=each["expected"])
            values.append(cast(Any, scorer.score(case, Completion(text=each["outputs"][model]["output"]))).value)
        return np.array(values)[order]

    return of("6b_verification"), of("6b_finetuning")


def points(value: float) -> str:
    return f"{100 * value:.1f}"


def span(interval: Interval) -> str:
    assert interval.low is not None
    assert interval.high is not None
    return f"{points(interval.low)} to {points(interval.high)}"


def width(interval: Interval) -> float:
    return (interval.high or 0) - (interval.low or 0)


def test_one_set_of_cases_read_in_six_ways(page: str, scores: tuple[Floats, Floats]) -> None:
    candidate, baseline = scores
    d, n = candidate - baseline, candidate.size
    wins, losses = int((d > 0).sum()), int((d < 0).sum())
    assert f"right on {candidate.sum():.0f}, the baseline on {baseline.sum():.0f}" in page
    assert f"wins {wins} cases, loses {losses} and ties {n - wins - losses}" in page
    unpaired = newcombe(int(candidate.sum()), n, int(baseline.sum()), n)
    error = ((wins + losses) / n - d.mean() ** 2) ** 0.5 / n**0.5
    wald = Interval(d.mean() - 1.959964 * error, d.mean() + 1.959964 * error)
    for reading, interval in (
        ("two independent samples (Newcombe)", unpaired),
        ("a normal interval on the pairs (Wald)", wald),
        ("Student's t on the pairs", paired_t(d)),
        ("**Tango's score interval**", tango(wins, losses, n)),
        ("a betting interval", betting_interval(d)),
    ):
        assert f"| {reading} | {points(d.mean())} points | {span(interval)} |" in page
    chance = point_rule_pass_probability(n, (wins + losses) / n, 0.05)
    assert page.count(points(chance) + "%") == 2
    paired = width(tango(wins, losses, n))
    assert f"paired interval is {100 * paired:.0f} points wide, the unpaired one {100 * width(unpaired):.0f}" in page
    assert (width(unpaired) / paired) ** 2 - 1 == pytest.approx(0.7, abs=0.05)


def test_the_first_cases_of_the_order(page: str, scores: tuple[Floats, Floats]) -> None:
    d = scores[0] - scores[1]
    for n in (20, 40, 60, 80, 102):
        seen = d[:n]
        wins, losses = int((seen > 0).sum()), int((seen < 0).sum())
        low, bet = tango(wins, losses, n).low or 0, lower_bound(seen, alpha=0.025)
        row = f"| {n} | {wins} | {losses} | {points(seen.mean())} points | {points(low)} | {points(bet)} |"
        assert row in page


def test_what_few_cases_can_hide(page: str) -> None:
    assert (
        f"for 20 ties it reaches from {points(tango(0, 0, 20).low or 0)} to {points(tango(0, 0, 20).high or 0)}" in page
    )
    assert 1 / 3 < 0.98**50 < 0.37  # "in a third of runs"
    assert f"at least {-np.log(0.025):.1f} / n from the mean (for 100 cases 3.7 points)" in page


def test_numbers_of_cases(page: str) -> None:
    against_margin, against_none = (cases_to_resolve_mean(0.2 - 0.1**2, 0.1, margin) for margin in (0.05, 0.0))
    assert f"takes {against_margin} cases against a margin of 5 points, and {against_none} against none" in page
    assert f"takes [{cases_to_prove_quantile(0.99)} cases]" in page
    assert f"pass together in {0.8**3:.0%}" in page


def test_two_missing_answers(page: str) -> None:
    missing = (tango(72, 12, 500).high or 0) - (tango(71, 13, 500).low or 0)
    assert f"grows by about {points(missing - width(tango(71, 12, 498)))} points" in page


def test_trials(page: str, vectors: Any) -> None:
    row = vectors["fixed"]["k_repeats"]
    found = trial_variance(np.array(row["X"], dtype=np.float64))
    assert f"a mean of {points(found.mean)}% with a standard error of {points(found.error)} points" in page
    assert f"it would seem to be {points(row['se_naive_nK'])}," in page
    whole = found.within + found.between
    assert f"({found.within:.2f} of {whole:.2f})" in page
    assert found.within / whole == pytest.approx(2 / 3, abs=0.01)
    assert found.error_with(cases=16, trials=4) < found.error_with(cases=6, trials=14)


def test_agreement(page: str) -> None:
    def from_table(table: list[list[int]]) -> Floats:
        pairs = [(i, j) for i, row in enumerate(table) for j, count in enumerate(row) for _ in range(count)]
        return np.array(pairs, dtype=np.float64)

    first, second = from_table([[85, 5], [8, 2]]), from_table([[118, 5], [2, 0]])
    kappas = [cohen_kappa(each) for each in (first, second)]
    ac1 = gwet(second)
    assert kappas[0] is not None
    assert kappas[1] is not None
    assert ac1 is not None
    assert f"an agreement of {percent_agreement(first):.0%} and a kappa of {kappas[0].value:.2f}" in page
    assert f"agreement {percent_agreement(second):.0%}, kappa {kappas[1].value:.2f}, Gwet's AC1 {ac1.value:.2f}" in page


def test_what_others_simulated(page: str, vectors: Any) -> None:
    simulations = vectors["simulations"]
    peeking = [simulations["sequential"][f"q={q} D=0.0"]["naive_peek_every50(INVALID)"]["reject"] for q in (0.2, 0.4)]
    assert f"{peeking[0]:.0%} to {peeking[1]:.0%} of candidates that are no better pass" in page
    few, many = (
        simulations["misc2"][f"latency p99 boot cov N={n}"]["1.2% slow-tail mixture vs lognormal .4"]["ucb_below_truth"]
        for n in (100, 1000)
    )
    assert few == pytest.approx(1 / 3, abs=0.01)
    assert f"in a third of runs, with 1,000 cases still in {many:.0%}" in page


def test_the_methods_are_those_of_the_record(page: str) -> None:
    named = set(re.findall(r"`(tango|tango-exact|t|gaffke|betting|clopper-pearson|order-statistics)`:?", page))
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "evalsvc" / "decide").glob("*.py"))
    assert named == set(re.findall(r'"(tango|tango-exact|t|gaffke|betting|clopper-pearson|order-statistics)"', source))
