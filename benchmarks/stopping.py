"""What `stop = "hybrid"` and `"anytime"` save, and what they risk, beside a design that asks every case: simulated.

``python benchmarks/stopping.py [--runs N] [--cases N] [--every N] [--margin M]``. One gate, "the candidate is better"
(`target_improvement`, with margin 0: at all), on cases of which a share differs between the arms; no server, some 20 s.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from math import ceil, log, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalsvc.core.records import GateSpec, Verdict
from evalsvc.decide.betting import FUTILITY, REACH
from evalsvc.decide.compare import compare
from evalsvc.decide.verdict import Settings, against

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

EFFECTS = (0.0, 0.02, 0.05, 0.10)
DISCORDANCES = (0.2, 0.4)
_STAKES = np.geomspace(0.05, 0.95, 12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Many runs of one gate: ``wins[r, k]`` and ``losses[r, k]`` are run r's counts after ``at[k]`` cases."""

    at: Ints
    wins: Ints
    losses: Ints

    @property
    def ties(self) -> Ints:
        """Cases on which the arms do not differ."""
        ties: Ints = self.at - self.wins - self.losses
        return ties


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """A way of stopping: levels of the looks (None: none are taken) and of the end, and whether it gives up."""

    name: str
    looks: float | None
    end: float | None
    futility: bool = True


#: The design without looks, and the ways of `stop`. ``end`` None: the looks' own rule decides at the end too.
FIXED = Design(name="never", looks=None, end=0.95, futility=False)
HYBRID = Design(name="hybrid", looks=0.99, end=0.96)
ANYTIME = Design(name="anytime", looks=0.95, end=None)
DESIGNS = (FIXED, HYBRID, ANYTIME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What came of each run: its verdict, the cases it was asked, and whether it was given up."""

    passed: NDArray[np.bool_]
    failed: NDArray[np.bool_]
    futile: NDArray[np.bool_]
    cases: Ints


def simulate(rng: np.random.Generator, *, runs: int, cases: int, every: int, effect: float, discordance: float) -> Runs:
    """Runs of so many cases, each a win, a loss or a tie, seen after every ``every`` cases and at the end."""
    draw = rng.random((runs, cases))
    win, loss = (discordance + effect) / 2, (discordance - effect) / 2
    at = np.append(np.arange(every, cases, every), cases)
    wins = np.cumsum(draw < win, axis=1, dtype=np.int64)[:, at - 1]
    losses = np.cumsum(draw >= 1 - loss, axis=1, dtype=np.int64)[:, at - 1]
    return Runs(at=at, wins=wins, losses=losses)


def log_e(wins: Ints, losses: Ints, ties: Ints, threshold: float | Floats) -> Floats:
    """`evalsvc.stats.sequential.log_e_value` of many counts at once."""
    mean = (1 + np.asarray(threshold)) / 2
    wealth = [
        wins * np.log1p(stake * (1 / mean - 1)) + losses * np.log1p(-stake) + ties * np.log1p(stake * (0.5 / mean - 1))
        for stake in _STAKES
    ]
    mixture: Floats = np.logaddexp.reduce(wealth, axis=0) - log(len(_STAKES))
    return mixture


def run(seen: Runs, design: Design, *, margin: float = 0.0) -> Results:
    """Every run through one design, as `evalsvc.decide.sequential` would take it."""
    cases = int(seen.at[-1])
    never = np.full(len(seen.wins), cases + 1)
    when = {"PASS": never, "FAIL": never, "futile": never}
    if design.looks is not None:
        limit = log(2 / (1 - design.looks))
        last = None if design.end is None else -1  # the planned end is no look where it has a rule of its own
        proven = log_e(seen.wins, seen.losses, seen.ties, margin)[:, :last] > limit
        refuted = log_e(seen.losses, seen.wins, seen.ties, -margin)[:, :last] > limit
        when |= {"PASS": _first(proven, seen.at), "FAIL": _first(refuted, seen.at)}
        if design.futility:
            when["futile"] = _first(_futile(seen, margin)[:, :-1], seen.at)
    stopped = np.minimum.reduce(list(when.values()))
    passed, failed = (when[name] == stopped for name in ("PASS", "FAIL"))
    unsettled = stopped > cases
    passed, failed = passed & ~unsettled, failed & ~unsettled
    if design.end is not None:
        for row in np.flatnonzero(unsettled):
            verdict = _at_end(int(seen.wins[row, -1]), int(seen.losses[row, -1]), cases, margin, design.end)
            passed[row], failed[row] = verdict is Verdict.PASS, verdict is Verdict.FAIL
    futile = ~passed & ~failed & ~unsettled
    return Results(passed=passed, failed=failed, futile=futile, cases=np.minimum(stopped, cases))


def _futile(seen: Runs, margin: float) -> NDArray[np.bool_]:
    mean = (seen.wins - seen.losses) / seen.at
    spread = np.sqrt((seen.wins + seen.losses) / seen.at - mean**2)
    reach = REACH * spread / sqrt(seen.at[-1])
    given_up: NDArray[np.bool_] = log_e(seen.losses, seen.wins, seen.ties, -(margin + reach)) >= log(FUTILITY)
    return given_up & (reach > 0) & (mean > margin - reach)


def _first(happened: NDArray[np.bool_], at: Ints) -> Ints:
    """After how many cases something first happened; one more than there are, where it never did."""
    first: Ints = np.where(happened.any(axis=1), at[happened.argmax(axis=1)], at[-1] + 1)
    return first


def _at_end(wins: int, losses: int, cases: int, margin: float, level: float) -> Verdict:
    """The gate's own method on all cases."""
    candidate = np.repeat([1.0, 0.0], [wins, cases - wins])
    baseline = np.repeat([0.0, 1.0, 0.0], [wins, losses, cases - wins - losses])
    estimate = compare(candidate, baseline, margin, level)
    return against(estimate, Settings(spec=GateSpec(name="target_improvement", threshold=margin), level=level))


def table(
    *, runs: int = 2000, cases: int = 1000, every: int | None = None, margin: float = 0.0, seed: int = 81
) -> list[dict[str, Any]]:
    """One row a discordance, effect and design: shares of PASS, FAIL and futile, mean cases, share of them saved.

    ``every`` defaults to the shipped distance of looks, 1% of the cases and at least 10.
    """
    rows = []
    spacing = every or max(10, ceil(cases / 100))
    for discordance in DISCORDANCES:
        for effect in EFFECTS:
            rng = np.random.default_rng([seed, int(1000 * discordance), int(1000 * effect)])
            seen = simulate(rng, runs=runs, cases=cases, every=spacing, effect=effect, discordance=discordance)
            rows += [_row(discordance, effect, design, run(seen, design, margin=margin), cases) for design in DESIGNS]
    return rows


def _row(discordance: float, effect: float, design: Design, found: Results, cases: int) -> dict[str, Any]:
    mean = float(found.cases.mean())
    return {
        "discordance": discordance,
        "effect": effect,
        "stop": design.name,
        "PASS": float(found.passed.mean()),
        "FAIL": float(found.failed.mean()),
        "futile": float(found.futile.mean()),
        "cases": mean,
        "saved": 1 - mean / cases,
    }


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--every", type=int, help="cases between two looks [1% of the cases, at least 10]")
    parser.add_argument("--margin", type=float, default=0.0, help="what the improvement must exceed [0]")
    chosen = parser.parse_args()
    print(f"improvement > {chosen.margin:g}, {chosen.cases} cases, {chosen.runs} runs a cell:")
    print("PASS / FAIL / given up, mean cases asked, share saved\n")
    print("| differ | true effect |" + "".join(f" {design.name} |" for design in DESIGNS))
    print("|---|---|" + "---|" * len(DESIGNS))
    rows = table(runs=chosen.runs, cases=chosen.cases, every=chosen.every, margin=chosen.margin)
    for start in range(0, len(rows), len(DESIGNS)):
        cells = [
            f" {row['PASS']:.3f} / {row['FAIL']:.3f} / {row['futile']:.3f}, {row['cases']:.0f}, {row['saved']:.0%} |"
            for row in rows[start : start + len(DESIGNS)]
        ]
        print(f"| {rows[start]['discordance']:.0%} | {rows[start]['effect']:g} |{''.join(cells)}")


if __name__ == "__main__":
    main()
