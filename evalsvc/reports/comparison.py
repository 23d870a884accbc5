"""Two jobs side by side: for a terminal, and as JSON. It tells a difference and never a decision."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evalsvc.core.listing import JobEntry, rfc3339
from evalsvc.core.pairing import ChangedAnswer, Coverage
from evalsvc.core.records import Arm
from evalsvc.core.view import AnswerView
from evalsvc.decide.two_jobs import Change, Finding, SuiteChange
from evalsvc.reports import format as fmt
from evalsvc.reports.inert import cells, fit, plain
from evalsvc.reports.rows import readable

SCHEMA = "evalsvc.comparison/1"
_CODES = {Finding.BETTER: "1;32", Finding.WORSE: "1;31", Finding.OPEN: "2", Finding.NOT_MEASURED: "1;33"}
_WORDS = {
    Finding.BETTER: "second better",
    Finding.WORSE: "second worse",
    Finding.OPEN: "no difference shown",
    Finding.NOT_MEASURED: "too much missing",
}
_MOST_CATEGORIES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One arm of two jobs. ``drift`` is what the other arm changed by, where it is the same model asked the same."""

    first: JobEntry
    second: JobEntry
    records: tuple[Mapping[str, Any], Mapping[str, Any]]
    arm: Arm
    changes: Sequence[SuiteChange]
    drift: Sequence[SuiteChange]
    coverage: Sequence[Coverage]
    notes: Sequence[str]
    flips: Sequence[ChangedAnswer]
    flips_total: int

    def as_json(self) -> dict[str, Any]:
        """Only dicts, lists, str, int, finite float, bool and None."""
        return {
            "schema": SCHEMA,
            "arm": self.arm.value,
            "first": self.first.as_json(),
            "second": self.second.as_json(),
            "notes": list(self.notes),
            "cases": {each.suite: _counts(each) for each in self.coverage},
            "suites": [_suite_json(change) for change in self.changes],
            "drift": [_change_json(change.whole) for change in self.drift],
            "flips": [asdict(flip) for flip in self.flips],
            "flips_total": self.flips_total,
        }


def render(found: Comparison, *, color: bool, width: int = 100) -> str:
    """The comparison in lines of at most ``width`` columns (80 at least)."""
    page = _Page(color=color, width=max(80, width))
    page.head(found)
    for change in found.changes:
        page.suite(change)
    page.drift(found)
    page.arms(found)
    page.flips(found)
    page.say("Asked at two times, so this is no gate: only arms asked side by side, in one job, lead to a decision.", 0)
    return "\n".join(page.lines) + "\n"


class _Page:
    def __init__(self, *, color: bool, width: int) -> None:
        self.lines: list[str] = []
        self._color, self._width = color, width

    def say(self, sentence: str, indent: int, mark: str = "") -> None:
        first, later = " " * indent + mark, " " * (indent + len(mark))
        words = plain(sentence[:20_000])
        self.lines += textwrap.wrap(words, self._width, initial_indent=first, subsequent_indent=later)

    def head(self, found: Comparison) -> None:
        if found.first.simulated:
            self.lines.append(self._paint("SIMULATED: nothing here is about a real model.", "1;33"))
        for note in found.notes:
            self.say(note, 0, "! ")
        if self.lines:
            self.lines.append("")
        for label, entry in (("first", found.first), ("second", found.second)):
            when = fmt.date(rfc3339(entry.started_at))
            self.say(f"{label:<7} {found.arm.value} {entry.models[found.arm]}", 0)
            self.say(f"{entry.id}  {entry.name}  ({when})", 8)

    def suite(self, change: SuiteChange) -> None:
        whole = change.whole
        among = "" if whole.clusters is None else f" in {whole.clusters:,} clusters"
        self._heading(f"Suite {fit(whole.suite, 40)}  ({whole.role.value}, {whole.cases:,} shared cases{among})")
        self.lines.append(self._change("all", whole))
        counts = f"second better on {whole.better:,}, the same on {whole.same:,}, worse on {whole.worse:,}"
        if any(whole.missing):
            counts += f"; scores missing: first {whole.missing[0]:,}, second {whole.missing[1]:,}"
        self.say(counts, 2)
        if len(change.categories) > 1:
            ordered = sorted(change.categories, key=lambda each: (each.difference is None, each.difference or 0.0))
            self.lines += [self._change(each.category or "", each) for each in ordered[:_MOST_CATEGORIES]]
            if len(ordered) > _MOST_CATEGORIES:
                self.say(f"{len(ordered) - _MOST_CATEGORIES} more categories, all better than these for the second", 2)

    def drift(self, found: Comparison) -> None:
        if not found.drift:
            return
        other = Arm.BASELINE if found.arm is Arm.CANDIDATE else Arm.CANDIDATE
        self._heading(f"Drift: the {other.value}, the same model asked alike in both jobs")
        self.lines += [self._change(change.whole.suite, change.whole) for change in found.drift]

    def arms(self, found: Comparison) -> None:
        self._heading("Answers")
        arms = [fmt.dig(record, "arms", found.arm.value) for record in found.records]
        table = [("", "first", "second")]
        for label, keys, write in (
            ("ok", ("ok",), fmt.count),
            ("model_error", ("model_error",), fmt.count),
            ("infra_error", ("infra_error",), fmt.count),
            ("latency p50", ("latency", "p50"), fmt.seconds),
            ("latency p99", ("latency", "p99"), fmt.seconds),
            ("output tokens", ("tokens", "output"), fmt.count),
            ("cost", ("cost",), fmt.cost),
        ):
            table.append((label, write(fmt.dig(arms[0], *keys)), write(fmt.dig(arms[1], *keys))))
        self.lines += [f"  {label:<14} {one:>12}  {other:>12}" for label, one, other in table]

    def flips(self, found: Comparison) -> None:
        if found.flips:
            count = f"{len(found.flips)} of {found.flips_total:,}"
            self._heading(f"Cases with another score, worst for the second first ({count})")
        for flip in found.flips:
            self.lines += self._flip(flip)
        self.lines.append("")

    def _flip(self, flip: ChangedAnswer) -> Iterator[str]:
        room = self._width - 15
        place = fit(f"{flip.suite} / {flip.category} / {flip.case_id}", self._width - 11)
        sign = "" if flip.delta < 0 else "+"
        yield f"  {sign + fmt.score(flip.delta):>6}  {self._paint(place, '1')}"
        yield f"    input     {fit(readable(flip.input), room)}".rstrip()
        if flip.expected is not None:
            yield f"    expected  {fit(readable(flip.expected), room)}".rstrip()
        for label, answer in (("first", flip.first), ("second", flip.second)):
            yield f"    {label:<9} {fit(_said(answer), room)}".rstrip()

    def _change(self, name: str, change: Change) -> str:
        label = fit(name, 22)
        means = f"{fmt.percent(change.first):>7} → {fmt.percent(change.second):>6}"
        numbers = f"{fmt.points(change.difference, near=0.0):>6}  {_interval(change):<17}"
        words = self._paint(_WORDS[change.finding], _CODES[change.finding])
        return f"  {label}{' ' * (22 - cells(label))} {change.n:>7,}  {means}  {numbers} {words}".rstrip()

    def _heading(self, title: str) -> None:
        self.lines += ["", self._paint(title, "1")]

    def _paint(self, words: str, code: str) -> str:
        return f"\x1b[{code}m{words}\x1b[0m" if self._color else words


def _said(answer: AnswerView) -> str:
    return f"[{fmt.score(answer.score)}] {answer.text or answer.kind or answer.status}"


def _interval(change: Change) -> str:
    return fmt.interval([change.interval.low, change.interval.high], fmt.points, near=0.0)


def _counts(coverage: Coverage) -> dict[str, int]:
    return {key: value for key, value in asdict(coverage).items() if key != "suite"}


def _suite_json(change: SuiteChange) -> dict[str, Any]:
    return {**_change_json(change.whole), "categories": [_change_json(each) for each in change.categories]}


def _change_json(change: Change) -> dict[str, Any]:
    return {
        "suite": change.suite,
        "role": change.role.value,
        "category": change.category,
        "cases": change.cases,
        "n": change.n,
        "first": change.first,
        "second": change.second,
        "difference": change.difference,
        "interval": None if change.interval.low is None else [change.interval.low, change.interval.high],
        "method": change.method,
        "better": change.better,
        "worse": change.worse,
        "same": change.same,
        "missing": {"first": change.missing[0], "second": change.missing[1]},
        "clusters": change.clusters,
        "finding": change.finding.value,
        "p_value": change.p_value,
    }
