"""The report as plain text for a terminal: nothing of a model's text but printable characters of one line."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from evalsvc.core.records import Arm
from evalsvc.core.view import FlippedCase, ReportView
from evalsvc.reports import format as fmt
from evalsvc.reports.changes import CategoryRow, SuiteRow
from evalsvc.reports.content import Content, PairRow, content
from evalsvc.reports.gates import GateRow
from evalsvc.reports.inert import cells, fit, plain
from evalsvc.reports.pictures import Forest

_CODES = {"pass": "1;32", "fail": "1;31", "open": "1;33", "none": "2", "bold": "1", "quiet": "2"}
_FLIPS = 5
_MOST_CATEGORIES = 12
_PROSE = 20_000  # characters: a longer reason is cut before it is wrapped


def render(view: ReportView, *, color: bool, width: int = 100) -> str:
    """The report in lines of at most ``width`` columns (60 at least); with ``color``, verdicts in ANSI colours."""
    page = _Page(color=color, width=max(width, 60))
    report = content(view)
    page.warnings(report)
    page.decision(report)
    page.gates(report.gates)
    page.suites(report.suites)
    page.judge(report.judge)
    page.pairs("Latency", report.latency, report.latency_notes)
    page.pairs("Requests", report.spent, ())
    page.flips(view)
    return "\n".join(page.lines) + "\n"


def interval_picture(picture: Forest, width: int) -> str:
    """A forest bar in one line: ``──[━━●━━]──┊──`` (estimate ``●``, threshold ``┊``, zero ``┼``)."""
    line = ["─"] * width

    def place(at: float) -> int:
        return min(width - 1, int(at / 100 * width))

    if picture.zero is not None:
        line[place(picture.zero)] = "┼"
    if picture.interval:
        first, last = place(picture.interval.start), place(picture.interval.end)
        line[first : last + 1] = ["━"] * (last + 1 - first)
        line[first], line[last] = "[", "]"
    if picture.threshold:
        line[place(picture.threshold.at)] = "┊"
    if picture.estimate is not None:
        line[place(picture.estimate)] = "●"
    return "".join(line)


class _Page:
    """Lines of text, written top to bottom."""

    def __init__(self, *, color: bool, width: int) -> None:
        self.lines: list[str] = []
        self._color, self._width = color, width

    def warnings(self, report: Content) -> None:
        if report.simulated:
            self._say(
                "SIMULATED: what models said came from the simulator; nothing here is about a real one.", tone="open"
            )
        if report.warnings:
            self.lines.append(self._paint("WARNINGS", "open"))
            for warning in report.warnings:
                self._say(warning, mark="! ")
        if self.lines:
            self.lines.append("")

    def decision(self, report: Content) -> None:
        rule = self._paint("━" * self._width, report.tone)
        verdict = self._paint(fit(report.decision, 20) + (" (simulated)" if report.simulated else ""), report.tone)
        self.lines += [rule, f"  {verdict}   {report.meaning}", rule]
        self._say(f"{report.job}  ({report.finished})")
        self._say(f"candidate {report.candidate}  against  baseline {report.baseline}")
        if report.sequential:
            self._say(report.sequential)
        if report.reasons:
            self._head("Why")
            for reason in report.reasons:
                self._say(reason, mark="- ")

    def gates(self, gates: Sequence[GateRow]) -> None:
        self._head("Gates")
        for gate in gates:
            self._gate(gate)

    def _gate(self, gate: GateRow) -> None:
        verdict = self._paint(_pad(fit(gate.verdict, 12), 12), "none" if gate.aside else gate.tone)
        self.lines.append(f"{verdict}  {_pad(fit(gate.name, 24), 24)}{fit(gate.words, self._width - 38)}".rstrip())
        room = max(16, self._width - 68)
        numbers = f"{_pad(gate.estimate, 14)} {_pad(gate.range, 21)}"
        picture = interval_picture(gate.picture, room)
        self.lines.append(f"{'':14}{numbers}  {picture} {self._paint(f'vs {gate.threshold}', 'quiet')}")
        needed = f", needs about {gate.n_needed}" if gate.n_needed else ""
        aside = "" if gate.reason.startswith(gate.aside or "") else f"{gate.aside}."
        sentences = [aside, gate.reason, *gate.notes, f"n = {gate.n}{needed}"]
        self._say("  ".join(s for s in sentences if s), indent=14)

    def suites(self, suites: Sequence[SuiteRow]) -> None:
        for suite in suites:
            read = f", read as {fit(suite.format, 16)}" if suite.format else ""
            self._head(f"Suite {fit(suite.name, 40)}  ({fit(suite.role, 12)}, {suite.cases} cases{read})")
            for score in suite.scores:
                label = _pad(fit(score.label + (" (primary)" if score.primary else ""), 30), 30)
                self.lines.append(
                    f"  {label} candidate {score.candidate:>7}  baseline {score.baseline:>7}  delta {score.delta:>6}"
                )
            sorts = zip(("candidate better", "ties", "baseline better"), suite.won, suite.rates, strict=True)
            self.lines.append(f"  {', '.join(f'{sort} {count} ({rate})' for sort, count, rate in sorts)}")
            for note in suite.notes:
                self._say(note, indent=2)
            self._categories(suite.categories)

    def judge(self, lines: Sequence[str]) -> None:
        if lines:
            self._head("Judge")
        for line in lines:
            self._say(line, indent=2)

    def _categories(self, rows: Sequence[CategoryRow]) -> None:
        if rows:
            columns = f"{'category':20} {'cases':>5} {'candidate':>9} {'baseline':>8} {'delta':>6}  95% interval"
            self.lines.append(self._paint(f"  {columns}", "quiet"))
        for row in rows[:_MOST_CATEGORIES]:
            self.lines.append(self._category(row))
        if len(rows) > _MOST_CATEGORIES:
            rest = len(rows) - _MOST_CATEGORIES
            self.lines.append(f"  {rest} more categories, all better than these for the candidate")

    def _category(self, row: CategoryRow) -> str:
        room = max(0, self._width - 87)
        picture = f"  {interval_picture(row.picture, room)}" if room >= 12 else ""
        verdict = f" {self._paint(fit(row.verdict, 12), row.tone)}" if row.verdict else ""
        name, means = _pad(fit(row.name, 20), 20), f"{row.candidate:>9} {row.baseline:>8}"
        return f"  {name} {row.cases:>5} {means} {row.delta:>6}  {_pad(row.range, 16)}{picture}{verdict}".rstrip()

    def pairs(self, title: str, table: Sequence[PairRow], notes: Sequence[str]) -> None:
        if not table:
            return
        self._head(title)
        wide = [max(12, *(min(30, cells(plain(side(row)))) for row in table)) for side in (_candidate, _baseline)]
        self.lines.append(self._paint(f"  {'':18}{'candidate':>{wide[0]}}  {'baseline':>{wide[1]}}", "quiet"))
        for row in table:
            one, other = fit(row.candidate, 30), fit(row.baseline, 30)
            ratio = f"  {row.ratio}" if row.ratio else ""
            self.lines.append(f"  {row.label:<18}{one:>{wide[0]}}  {other:>{wide[1]}}{ratio}")
        for note in notes:
            self._say(note, indent=2)

    def flips(self, view: ReportView) -> None:
        if not view.flips:
            return
        shown = view.flips[:_FLIPS]
        total = max(view.flips_total, len(view.flips))
        self._head(f"Flipped cases, worst for the candidate first ({len(shown)} of {total:,})")
        for flip in shown:
            self.lines += self._flip(flip)

    def _flip(self, flip: FlippedCase) -> Iterator[str]:
        room = self._width - 15
        place = fit(f"{flip.suite} / {flip.category} / {flip.case_id}", self._width - 11)
        yield f"  {_signed(flip.delta):>6}  {self._paint(place, 'bold')}"
        yield f"    input     {fit(flip.input, room)}".rstrip()
        yield f"    expected  {fit(flip.expected, room)}".rstrip()
        for arm in Arm:
            if arm in flip.answers:
                answer = flip.answers[arm]
                said = answer.text or (answer.kind or answer.status)
                yield f"    {arm:<9} {fit(f'[{fmt.score(answer.score)}] {said}', room)}".rstrip()

    def _head(self, title: str) -> None:
        self.lines += ["", self._paint(title, "bold")]

    def _say(self, sentence: str, *, mark: str = "", indent: int = 0, tone: str | None = None) -> None:
        """A sentence of any origin, made plain and wrapped."""
        first, later = " " * indent + mark, " " * (indent + len(mark))
        for line in textwrap.wrap(plain(sentence[:_PROSE]), self._width, initial_indent=first, subsequent_indent=later):
            self.lines.append(self._paint(line, tone) if tone else line)

    def _paint(self, words: str, tone: str) -> str:
        return f"\x1b[{_CODES[tone]}m{words}\x1b[0m" if self._color else words


def _candidate(row: PairRow) -> str:
    return row.candidate


def _baseline(row: PairRow) -> str:
    return row.baseline


def _pad(words: str, width: int) -> str:
    return words + " " * max(0, width - cells(words))


def _signed(delta: float) -> str:
    return fmt.score(delta) if delta < 0 else f"+{fmt.score(delta)}"
