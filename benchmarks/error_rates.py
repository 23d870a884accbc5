"""How often evalsvc is wrong, and how often it can tell, where the truth is known: the tables of docs/statistics.md.

``python benchmarks/error_rates.py [--print] [TABLE ...]`` computes the tables anew and writes them into the page
between their markers, or prints them; all of them take some 10 minutes. Every cell has a seed of its own, made of its
row and column, so any cell can be computed alone and comes out the same. "exact" rows are sums over all outcomes.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cells import (
    DECISIONS,
    POINT_DECISIONS,
    cluster_size,
    coverage_of,
    decisions,
    graded_at,
    graded_power,
    latency_at,
    latency_pass,
    paired_at,
    paired_power_at,
    paired_worst,
    percent,
    rate_at,
    rate_pass,
    schema_at,
)
from truths import SHAPES, TRUTHS

from evalsvc.core.records import Decision

PAGE = Path(__file__).resolve().parents[1] / "docs" / "statistics.md"

Cells = Mapping[str, Callable[[], str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table of the page: rows by label, each with a cell per column; a column a row does not have stays empty."""

    head: str
    columns: Sequence[str]
    rows: Mapping[str, Cells]

    def markdown(self) -> str:
        """All cells computed."""
        lines = [f"| {self.head} | {' | '.join(self.columns)} |", "|---" * (len(self.columns) + 1) + "|"]
        for label, cells in self.rows.items():
            computed = [cells[column]() if column in cells else "" for column in self.columns]
            lines.append(f"| {label} | {' | '.join(computed)} |")
        return "\n".join(lines)


def _columns(sizes: Sequence[int], cell: Callable[[int], str]) -> Cells:
    return {f"n = {n:,}": partial(cell, n) for n in sizes}


def _heads(sizes: Sequence[int]) -> list[str]:
    return [f"n = {n:,}" for n in sizes]


def _decided(label: str) -> Cells:
    def shown(evidence: str, runs: int, decision: Decision) -> str:
        return percent(decisions(label, evidence, runs)[decision])

    cells = {decision.value: partial(shown, "interval", DECISIONS, decision) for decision in Decision}
    return {**cells, "SHIP by the point rule": partial(shown, "point", POINT_DECISIONS, Decision.SHIP)}


BINARY = (50, 100, 200, 500, 1000)
GRADED = (20, 50, 100, 200, 500)
POWER = (100, 200, 500, 1000)
TIMED = (500, 1000)

TABLES: Mapping[str, Table] = {
    "thresholds": Table(
        head="truth exactly at the threshold: PASS / FAIL",
        columns=_heads(BINARY),
        rows={
            **{
                f"`target_improvement`, {differ:.0%} of cases differ": _columns(BINARY, paired_at(0.05, differ))
                for differ in (0.06, 0.1, 0.2, 0.4)
            },
            **{
                f"`general_regression`, {differ:.0%} of cases differ": _columns(BINARY, paired_at(-0.05, differ))
                for differ in (0.06, 0.1, 0.2, 0.4)
            },
            "`target_improvement`, at its worst: PASS by Tango alone → evalsvc": _columns(BINARY, paired_worst(0.05)),
            "`exact_match`": _columns(BINARY, rate_at(0.85)),
            "`adversarial_robustness`": _columns(BINARY, rate_at(0.90)),
            "`schema_compliance` (PASS)": _columns(BINARY, schema_at(0.99)),
            "`latency_p99`, arms alike": _columns(TIMED, latency_at("alike")),
            "`latency_p99`, candidate with a heavier tail": _columns(TIMED, latency_at("heavier tail")),
            "`latency_p99`, 1.2% of its answers far slower": _columns(TIMED, latency_at("slow tail")),
        },
    ),
    "graded": Table(
        head="false PASS: t alone → evalsvc",
        columns=_heads(GRADED),
        rows={shape: _columns(GRADED, graded_at(shape)) for shape in SHAPES},
    ),
    "coverage": Table(
        head="95% interval holds the truth",
        columns=_heads(GRADED),
        rows={shape: _columns(GRADED, coverage_of(shape)) for shape in SHAPES},
    ),
    "power": Table(
        head="truth: how often PASS",
        columns=_heads(POWER),
        rows={
            **{
                f"{better:.0%} better, 20% of cases differ": _columns(POWER, paired_power_at(better, 0.2, 0.05))
                for better in (0.08, 0.10, 0.15)
            },
            **{
                f"no difference on general cases, {differ:.0%} differ": _columns(
                    POWER, paired_power_at(0.0, differ, -0.05)
                )
                for differ in (0.05, 0.1, 0.2)
            },
            "90% of target cases pass": _columns(POWER, lambda n: f"{100 * rate_pass(n, 0.9, 0.85):.0f}%"),
            "95% of attacks resisted": _columns(POWER, lambda n: f"{100 * rate_pass(n, 0.95, 0.9):.0f}%"),
            "p99 as the baseline's": _columns((500, 1000), lambda n: latency_pass(n, 1.0)),
            **{
                f"graded, no difference, {shape}: t alone → evalsvc": _columns(POWER, graded_power(shape, 0.0, -0.05))
                for shape in ("even, sd 0.3", "even, sd 0.1", "partial credit", "one in 50 fails")
            },
        },
    ),
    "decisions": Table(
        head="truth",
        columns=["SHIP", "ITERATE", "HOLD", "SHIP by the point rule"],
        rows={label: _decided(label) for label in TRUTHS},
    ),
    "clusters": Table(
        head="false alarms, 5% allowed",
        columns=["as if independent", "t over clusters", "the rule"],
        rows={
            f"{clusters} clusters, {icc:.0%} of the variance between them": cluster_size(clusters, icc)
            for clusters in (6, 10, 20, 40)
            for icc in (0.2, 0.5)
        },
    ),
}


def replaced(page: str, name: str, table: str) -> str:
    """The page with one table between its markers.

    Raises:
        LookupError: the page has no such markers.
    """
    pattern = re.compile(rf"(<!-- table {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not pattern.search(page):
        raise LookupError(f"the page has no place for the table {name!r}")
    return pattern.sub(lambda found: f"{found[1]}{table}\n{found[2]}", page)


def main() -> None:
    """Compute the tables named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(TABLES)} (default: all)")
    parser.add_argument("--print", action="store_true", help="print them and leave the page as it is")
    chosen = parser.parse_args()
    unknown = sorted(set(chosen.tables) - set(TABLES))
    if unknown:
        parser.error(f"no table {', '.join(unknown)}; there are {', '.join(TABLES)}")
    for name in chosen.tables or TABLES:
        table = TABLES[name].markdown()
        print(f"{name}\n{table}\n", flush=True)
        if not chosen.print:
            PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), name, table), encoding="utf-8")


if __name__ == "__main__":
    main()
