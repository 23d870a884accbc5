"""A plan for a terminal: one table, what it costs, what it rests on, the warnings, and what it comes to."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evalsvc.core.records import RECORDED
from evalsvc.decide.plan_words import chance_in_words
from evalsvc.reports import format as fmt
from evalsvc.reports.inert import cells, fit, plain

_CODES = {"pass": "32", "fail": "31", "open": "33", "bold": "1", "quiet": "2"}
#: Categories that are shown, the smallest first.
_CATEGORIES = 8
#: From this width on the claims stand in the table, too.
_WIDE = 96
_NAME = 23

_WRITERS: Mapping[str, fmt.Writer] = {
    "target_improvement": fmt.points,
    "general_regression": fmt.points,
    "latency_p99": fmt.ratio,
}

#: Words of a cell and its tone, if it has one.
Cell = tuple[str, str | None]


def render(plan: Mapping[str, Any], *, color: bool, width: int = 100) -> str:
    """The plan in lines of at most ``width`` columns (72 at least)."""
    page = _Page(color=color, width=max(width, 72))
    page.title(plan)
    page.gates(fmt.rows(plan["gates"]))
    page.categories(fmt.rows(plan["categories"]))
    page.cost(plan)
    page.assumptions(plan)
    page.warnings(fmt.texts(plan["warnings"]))
    page.summary(plan)
    return "\n".join(page.lines) + "\n"


class _Page:
    """Lines of text, written top to bottom."""

    def __init__(self, *, color: bool, width: int) -> None:
        self.lines: list[str] = []
        self._color, self._width = color, width

    def title(self, plan: Mapping[str, Any]) -> None:
        job = plan["job"]
        arms = {name: f"{arm['model']} ({arm['endpoint']})" for name, arm in job["arms"].items()}
        self.lines.append(self._paint(fit(f"Plan of {job['name']}", self._width), "bold"))
        self._say(f"candidate {arms['candidate']}  against  baseline {arms['baseline']}")
        for suite in fmt.rows(job.get("suites")):
            name, dataset = fit(fmt.text(suite["name"]), 40), fit(fmt.text(suite["dataset"]), 60)
            cases = f"{fmt.count(suite['cases'])} case{'' if suite['cases'] == 1 else 's'}"
            self._say(f"{name} ({suite['role']}): {cases} of {dataset}, read as {suite['format']}")
        if job["limit"] is not None:
            self._say(f"only the first {job['limit']:,} cases of each suite's planned order (--limit)")
        if plan["pilot"] is not None:
            self._say(f"a pilot of {plan['pilot']['cases']:,} cases was run as job {plan['pilot']['job']}")

    def gates(self, gates: Sequence[Mapping[str, Any]]) -> None:
        wide = self._width >= _WIDE
        widths = [*([9] if wide else []), 7, 7, 8, 8, 9, 9]
        heads = [*(["claim"] if wide else []), "cases", "least", "needs", "sees", "if truly", "chance"]
        self._head_row("Gates", heads, widths)
        for gate in gates:
            row = [*([(_claim(gate), None)] if wide else []), *_gate_cells(gate)]
            self._row(fmt.text(gate["name"]), row, widths, quiet=not gate["counted"])
        self._say(
            "least: cases a perfect result needs. needs: cases for a chance of 80% of SHIP. sees: what is still a PASS "
            "in 4 of 5 runs (for general_regression the drop it rules out); differences in points.",
            tone="quiet",
        )

    def categories(self, categories: Sequence[Mapping[str, Any]]) -> None:
        if not categories:
            return
        self._head_row("General categories", ["cases", "drop seen"], [8, 11])
        smallest = sorted(categories, key=lambda category: category["n"])
        for category in smallest[:_CATEGORIES]:
            name = fit(f"{category['suite']} / {category['category']}", _NAME - 1)
            drop = "none" if category["drop"] is None else fmt.points(category["drop"])
            self._row(name, [(fmt.count(category["n"]), None), (drop, None)], [8, 11])
        more = f"and {len(smallest) - _CATEGORIES:,} larger ones; " if len(smallest) > _CATEGORIES else ""
        self._say(f"{more}drop seen: so large a true drop is a FAIL in 4 of 5 runs.", tone="quiet")

    def cost(self, plan: Mapping[str, Any]) -> None:
        spend, widths = plan["spend"], [10, 13, 13, 11]
        self._head_row("Cost", ["requests", "tokens in", "tokens out", "cost"], widths)
        asked = {**spend["arms"], **({} if spend["judge"] is None else {"judge": spend["judge"]})}
        whom = {**plan["job"]["arms"], "judge": plan["job"]["judge"]}
        for name, arm in asked.items():
            tokens = arm["tokens"]
            counts = [fmt.count(n) for n in (arm["requests"], tokens["input"], tokens["output"])]
            if whom[name]["endpoint"] == RECORDED:
                counts = [RECORDED, fmt.DASH, fmt.DASH]
            self._row(name, [*((count, None) for count in counts), (fmt.cost(arm["cost"]), None)], widths)
        self._row(
            "together",
            [(fmt.count(spend["requests"]), None), ("", None), ("", None), (fmt.cost(spend["cost"]), None)],
            widths,
        )
        if spend["requests"]:
            self._say(f"About {duration(spend['seconds'])} at best, bound by {spend['bound']}.{_may_stop(plan['job'])}")
        else:
            self._say("Nothing is asked: all answers are recorded.")
        beyond = sum(each["follow_ups"] for each in asked.values())
        if beyond:
            said = f"{beyond:,} of the requests are asked for scores, beyond the answers: counted coarsely, as if every"
            self._say(f"{said} answer were usable and the judge had said nothing before.", tone="quiet")
        unpriced = [whom[name]["endpoint"] for name, each in asked.items() if each["cost"] is None]
        if unpriced:
            names = " and ".join(dict.fromkeys(unpriced))
            self._say(f"What it costs is not known: no price_in and price_out for the endpoint {names}.", tone="quiet")

    def assumptions(self, plan: Mapping[str, Any]) -> None:
        self.lines += ["", self._paint("What this rests on", "bold")]
        by_source = _by_source(fmt.rows(plan["assumptions"]))
        for source, words in by_source:
            self._say(f"{'; '.join(words)} [{source}]", mark="- ")
        if any(source == "assumed" for source, _ in by_source):
            measure = "" if plan["pilot"] is not None else ", --pilot 50 measures most of it"
            self._say(f"--improvement, --discordance and --rate state it{measure}.", tone="quiet")

    def warnings(self, warnings: Sequence[str]) -> None:
        if warnings:
            self.lines += ["", self._paint("WARNINGS", "open")]
        for warning in warnings:
            self._say(warning, mark="! ")

    def summary(self, plan: Mapping[str, Any]) -> None:
        self.lines.append("")
        verdict, *rest = fmt.texts(plan["summary"])
        self._say(verdict, tone="bold")
        for sentence in rest:
            self._say(sentence)
        proposed = plan["proposed"]["spend"]
        if proposed is not None:
            cost = "" if proposed["cost"] is None else f", a cost of {fmt.cost(proposed['cost'])}"
            self._say(f"That is {proposed['requests']:,} requests{cost} and about {duration(proposed['seconds'])}.")

    def _head_row(self, title: str, heads: Sequence[str], widths: Sequence[int]) -> None:
        named = self._paint(title.ljust(_NAME), "bold")
        columns = "".join(head.rjust(width) for head, width in zip(heads, widths, strict=True))
        self.lines += ["", named + self._paint(columns, "quiet")]

    def _row(self, name: str, row: Sequence[Cell], widths: Sequence[int], *, quiet: bool = False) -> None:
        shown = fit(name, _NAME - 1)
        line = shown + " " * (_NAME - cells(shown))
        for (words, tone), width in zip(row, widths, strict=True):
            line += " " * max(1, width - cells(words)) + (self._paint(words, tone) if tone and not quiet else words)
        self.lines.append(self._paint(line, "quiet") if quiet else line)

    def _say(self, sentence: str, *, mark: str = "", tone: str | None = None) -> None:
        """A sentence of any origin, made plain and wrapped."""
        after = " " * len(mark)
        for line in textwrap.wrap(plain(sentence), self._width, initial_indent=mark, subsequent_indent=after):
            self.lines.append(self._paint(line, tone) if tone else line)

    def _paint(self, words: str, tone: str) -> str:
        return f"\x1b[{_CODES[tone]}m{words}\x1b[0m" if self._color else words


def duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3.5 h``, ``4 days``."""
    for most, size, unit in ((90, 1, "s"), (90 * 60, 60, "min"), (48 * 3600, 3600, "h")):
        if seconds < most:
            value = seconds / size
            return f"{value:.1f} {unit}" if unit == "h" or value < 1 else f"{value:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"


def _may_stop(job: Mapping[str, Any]) -> str:
    return "" if job["stop"] == "never" else f" It may stop earlier (stop = {job['stop']}): this is the most."


def _gate_cells(gate: Mapping[str, Any]) -> Iterator[Cell]:
    write = _WRITERS.get(fmt.text(gate["name"]), fmt.percent)
    n, least, possible = gate["n"], gate["unchanged"] or gate["least"], gate["possible"]
    yield fmt.count(n), None if n else "fail"
    yield fmt.count(least), "fail" if not possible else "open" if n < (least or 0) else None
    yield fmt.count(gate["needed"]), None
    yield (write(gate["effect"]) if possible or not n else fmt.DASH), None
    yield write(gate["truth"]), None
    yield _chance(gate)


def _chance(gate: Mapping[str, Any]) -> Cell:
    if gate["waived"] is not None:
        return "waived", None
    chance = gate["chance"]
    said = chance_in_words(chance) if gate["possible"] else "cannot"
    if not gate["required"]:
        return f"({said})", None
    return said, "pass" if chance >= 0.8 else "open" if chance >= 0.5 else "fail"


def _claim(gate: Mapping[str, Any]) -> str:
    write = _WRITERS.get(fmt.text(gate["name"]), fmt.percent)
    return f"{'<' if gate['name'] == 'latency_p99' else '>'} {fmt.short(write(gate['threshold']))}"


def _by_source(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """Sources in the order they first occur, with what each says; what both arms have in common is said once."""
    arms: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        arm, split, said = fmt.text(row["words"]).partition(": ")
        arms.setdefault((fmt.text(row["source"]), said if split else arm), []).append(arm if split else "")
    found: dict[str, list[str]] = {}
    for (source, said), whose in arms.items():
        found.setdefault(source, []).append(f"{said} ({whose[0]})" if len(whose) == 1 and whose[0] else said)
    return list(found.items())
