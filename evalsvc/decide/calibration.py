"""One model against itself through a job's own gates: how often suite, scorers and gates flip where nothing differs.

The repeats of a case are exchangeable: which of them a model gave "as candidate" and which "as baseline" is a matter of
names. So they are dealt out to the two arms at random, case by case, and everything is judged as in any job; done many
times over that is the distribution of verdicts when the truth is no difference (Fisher 1935; Good 2005, Permutation,
Parametric and Bootstrap Tests of Hypotheses, chapter 3).
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalsvc.core import canonical
from evalsvc.core.evidence import ArmScores, Evidence, LatencySamples, ScoreTable
from evalsvc.core.records import Arm, Decision, Job, Verdict
from evalsvc.core.repeats import Repeats, RepeatTable
from evalsvc.decide.cases import Floats
from evalsvc.decide.decision import decide, judge_all
from evalsvc.decide.verdict import NOISE
from evalsvc.decide.words import percent

#: Share of deals in which a model may pass as an improvement on itself: twice what a gate at 95% allows.
MAX_FALSE_PASS = 0.05
#: Fewer deals than this tell too little about such a share.
FEWEST_RESAMPLES = 200
#: More are never made, and no job has more trials of a case.
MAX_RESAMPLES = 100_000
MAX_TRIALS = 10_000
#: The gate that no model passes against itself, unless it errs.
_IMPROVEMENT = "target_improvement"

_Places = NDArray[np.intp]


def calibrate(job: Job, repeats: Repeats, *, resamples: int, seed: int) -> dict[str, Any]:
    """Deal the repeats to the arms ``resamples`` times and judge each deal.

    Args:
        job: whose gates judge; a job that may stop early is judged as one that is asked whole.
        repeats: of the baseline, at least two of each case. An arm gets half of them, rounded down.
        resamples: how many deals.
        seed: of the deals.

    Returns:
        JSON-ready: ``resamples``, ``seed``, ``repeats``, ``trials`` (an arm's share), ``cases``, ``gates`` and
        ``decisions`` (shares of the deals), ``flips`` (by suite the chance that two repeats of a case are scored
        unlike), ``false_pass`` (share of deals that pass as an improvement; None where none was measured).
    """
    whole = replace(job, stop="never", calibration="optional")
    random = np.random.default_rng(seed)
    verdicts: dict[str, Counter[Verdict]] = {}
    decisions: Counter[Decision] = Counter()
    for _ in range(resamples):
        results = judge_all(_dealt(repeats, random), whole, glance=True)
        for result in results:
            verdicts.setdefault(result.name, Counter())[result.verdict] += 1
        decisions[decide(results).decision] += 1
    counted = {spec.name: spec.required and spec.waived is None for spec in job.gates}
    return {
        "resamples": resamples,
        "seed": seed,
        "repeats": repeats.each,
        "trials": repeats.each // 2,
        "cases": sum(len(table.category) for table in repeats.tables if table.primary),
        "left_out": repeats.left_out,
        "gates": [
            {"name": name, "required": counted[name], **{each.value: seen[each] / resamples for each in Verdict}}
            for name, seen in verdicts.items()
        ],
        "decisions": {each.value: decisions[each] / resamples for each in Decision},
        "flips": [_flips(table, repeats.each) for table in repeats.tables if table.primary],
        "false_pass": _false_pass(verdicts.get(_IMPROVEMENT, Counter()), resamples),
    }


def key_of(document: str) -> str:
    """What a calibration is filed under: whose it is, and what it says something about.

    SHA-256 over the baseline, the judge, the suites with the hashes of their files, the gates, trials and limit of a
    filed job's document. Its name, its candidate and whether it asks for a calibration make no difference.
    """
    filed: dict[str, Any] = json.loads(document)
    job, files = filed["job"], filed["files"]
    examples = {prompt.get("examples") for suite in job["suites"] if (prompt := suite.get("prompt"))}
    others = {suite["dataset"] for suite in job["suites"]} | examples | {job["baseline"].get("outputs")}
    candidates = {job["candidate"].get("outputs")} - others
    gates = {name: gate for name, gate in job["gates"].items() if name != "calibration"}
    spec = {
        "baseline": job["baseline"],
        "judge": job.get("judge"),
        "suites": job["suites"],
        "gates": gates,
        "trials": job["trials"],
        "files": {name: digest for name, digest in files.items() if name not in candidates},
        "limit": filed["limit"],
        # which cases those are, and which examples are shown, hangs on the seed
        "seed": job["seed"] if filed["limit"] or examples else None,
    }
    return sha256(canonical.dumps(spec)).hexdigest()


def objections(job: Job, calibration: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Why a job that demands a calibration must not ship, and what would help; nothing where it may."""
    if job.calibration != "required":
        return ()
    if calibration is None:
        lacking = "a calibration is required and none of this baseline and judge, these suites and gates is stored"
        return (f"{lacking}; `evalsvc calibrate` with this job and database would add it",)
    resamples, share = calibration["resamples"], calibration["false_pass"]
    if resamples < FEWEST_RESAMPLES:
        said = f"the calibration was made with {resamples} resamples, too few to tell"
        return (f"{said}; one with at least {FEWEST_RESAMPLES} would",)
    if share is None:
        return ("the calibration did not measure target_improvement; one in which it is measured would do",)
    if share > MAX_FALSE_PASS:
        said = f"the baseline passes as an improvement on itself in {percent(share)} of {resamples} resamples"
        helps = 'gates judged by intervals (evidence = "interval"), or more cases, would bring it down'
        return (f"{said}, more than {percent(MAX_FALSE_PASS)}; {helps}",)
    return ()


def said_of_gate(row: Mapping[str, Any]) -> str:
    """One sentence on what a gate's shares mean."""
    passes, fails, open_ = (float(row[each.value]) for each in (Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE))
    name = row["name"]
    if row[Verdict.NOT_MEASURED.value] == 1:
        return "Never measured here."
    if name == _IMPROVEMENT:
        return f"A PASS is false here: {percent(passes)}, and at most 2.5% is what a 95% interval allows."
    if name in {"general_regression", "latency_p99"}:
        return f"A FAIL is false here: {percent(fails)}; identical models are cleared in {percent(passes)}."
    flips = 1 - max(passes, fails, open_, float(row[Verdict.NOT_MEASURED.value]))
    if not flips:
        return "The same verdict every time: which answers a model happens to give does not turn it."
    return f"Chance alone gives another verdict than the usual one in {percent(flips)}."


def said_of_decisions(found: Mapping[str, Any]) -> str:
    """One sentence on what the shares of decisions mean."""
    ship = percent(found["decisions"][Decision.SHIP.value])
    return f"Identical models ship in {ship} of {found['resamples']} resamples; every one of those is a false SHIP."


def said_of_flips(row: Mapping[str, Any]) -> str:
    """One sentence on how often a suite's cases flip."""
    if row["rate"] is None:
        return "No case has two scores."
    return f"Asked twice, the same model is scored unlike on {percent(row['rate'])} of {row['cases']} cases."


def _dealt(repeats: Repeats, random: np.random.Generator) -> Evidence:
    sizes = {table.suite: len(table.category) for table in repeats.tables}
    places = {name: _shuffled(size, repeats.each, random) for name, size in sizes.items()}
    half = repeats.each // 2
    latency = {
        arm: _samples(
            [_first(repeats.seconds[name], order, start) for name, order in places.items() if name in repeats.seconds]
        )
        for arm, start in ((Arm.CANDIDATE, 0), (Arm.BASELINE, half))
    }
    tables = tuple(_table(table, places[table.suite], half) for table in repeats.tables)
    return Evidence(tables=tables, latency=latency, totals={}, outcomes=0, simulated=False)


def _shuffled(cases: int, each: int, random: np.random.Generator) -> _Places:
    """Row by row an order of the repeats."""
    return random.permuted(np.tile(np.arange(each), (cases, 1)), axis=1)


def _table(table: RepeatTable, places: _Places, half: int) -> ScoreTable:
    scores = np.take_along_axis(np.asarray(table.scores).reshape(places.shape), places, axis=1)
    return ScoreTable(
        suite=table.suite,
        role=table.role,
        label=table.label,
        scorer=table.scorer,
        primary=table.primary,
        pass_at=table.pass_at,
        categories=table.categories,
        category=table.category,
        cluster=table.cluster,
        arms={Arm.CANDIDATE: _arm(scores[:, :half]), Arm.BASELINE: _arm(scores[:, half : 2 * half])},
    )


def _arm(scores: Floats) -> ArmScores:
    lacking = np.isnan(scores).sum(axis=1) / scores.shape[1]
    low = np.nansum(scores, axis=1) / scores.shape[1]
    if not lacking.any():
        mean = _doubles(low)
        return ArmScores(mean=mean, low=mean, high=mean)
    return ArmScores(mean=_doubles(np.where(lacking > 0, np.nan, low)), low=_doubles(low), high=_doubles(low + lacking))


def _first(seconds: array[float], places: _Places, trial: int) -> Floats:
    """One latency a case: that of the first repeat an arm was dealt."""
    dealt: Floats = np.asarray(seconds).reshape(places.shape)[np.arange(len(places)), places[:, trial]]
    return dealt


def _samples(parts: Sequence[Floats]) -> LatencySamples:
    seconds = np.concatenate([np.empty(0), *parts])
    known = _doubles(np.sort(seconds[~np.isnan(seconds)]))
    return LatencySamples(seconds=known, scheduled=known, first_token=array("d"), missing=int(np.isnan(seconds).sum()))


def _doubles(values: Floats) -> array[float]:
    return array("d", values.tobytes())


def _flips(table: RepeatTable, each: int) -> dict[str, Any]:
    """The chance that two repeats of a case are scored unlike: the share of all such pairs, case by case."""
    scores = np.asarray(table.scores).reshape(-1, each)
    pairs = [(one, other) for other in range(each) for one in range(other)]
    unlike = np.array([np.abs(scores[:, one] - scores[:, other]) for one, other in pairs])
    known = ~np.isnan(unlike)
    shares = (unlike > NOISE).sum(axis=0)[known.any(axis=0)] / known.sum(axis=0)[known.any(axis=0)]
    return {"suite": table.suite, "cases": len(shares), "rate": float(shares.mean()) if len(shares) else None}


def _false_pass(seen: Counter[Verdict], resamples: int) -> float | None:
    return None if seen[Verdict.NOT_MEASURED] == resamples or not seen else seen[Verdict.PASS] / resamples
