"""The report as Markdown for a pull request or a CI step summary (GitHub's dialect).

Names and texts come from models and data sets. They stand in code spans and fences only, where Markdown, HTML, links
and mentions of people mean nothing; `span` and `fence` see to it that none can end its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from evalsvc.core.records import Arm
from evalsvc.core.view import FlippedCase, ReportView
from evalsvc.reports import format as fmt
from evalsvc.reports.changes import SuiteRow
from evalsvc.reports.content import Content, PairRow, content
from evalsvc.reports.gates import TONES, GateRow
from evalsvc.reports.inert import visible

#: A comment on GitHub may hold 65,536 characters.
MOST = 60_000
_FLIPS = 10
_CATEGORIES = 30
_TEXT, _SPAN, _SENTENCE = 600, 120, 2_000
_SIGNS = {"pass": "✅", "fail": "❌", "open": "❔", "none": "➖"}
#: A word that Markdown leaves alone: letters and digits, a sign before and punctuation after it, no number of a list.
_WORD = re.compile(r"(?!\d+[.)]+$)[(\"'“]?[+\u2212-]?[^\W_]+(?:[.,][0-9]+|['’-][^\W_]+)*[%×)\"'”.,;:!?]*|[–—·→/=≥≤]")


def render(view: ReportView) -> str:
    """The report in at most `MOST` characters; what does not fit is left out from the end, and said to be."""
    report = content(view)
    parts = [
        _head(report),
        _gates(report.gates),
        _suites(report.suites),
        _judge(report.judge),
        _pairs(report),
        *_flips(view),
    ]
    kept, room = [], MOST - 200
    for part in parts:
        if len(part) > room:
            kept.append("_Left out here, for length: the rest is in the HTML report._\n")
            break
        kept.append(part)
        room -= len(part) + 1
    return "\n".join(kept)


def span(text: object) -> str:
    """A text of any origin as one code span that fits into a table's cell."""
    line = " ".join(visible(_cut(fmt.text(text), _SPAN)).split())
    # A backtick would end the span and a bar the cell; neither can be escaped inside a span in a cell.
    return f"`{line.replace('`', 'ˋ').replace('|', '¦') or ' '}`"


def prose(sentence: str) -> str:
    """A sentence of ours that may quote names of any origin: every word that is not a plain one becomes a code span."""
    words = visible(_cut(sentence, _SENTENCE)).split()
    return " ".join(word if _WORD.fullmatch(word) and "www" not in word.lower() else span(word) for word in words)


def fence(text: str) -> str:
    """A text of any origin as a code block."""
    shown = visible(_cut(text, _TEXT))
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}text\n{shown}\n{ticks}\n"


def _head(report: Content) -> str:
    simulated = " (simulated)" if report.simulated else ""
    lines = [f"## {_SIGNS[report.tone]} {_known(report.decision)}{simulated}: {span(report.job)}", ""]
    lines += [f"{report.meaning} Candidate {span(report.candidate)} against baseline {span(report.baseline)}.", ""]
    if report.simulated:
        lines += ["> **Simulated**: nothing here is about a real model.", ""]
    lines += [f"> ⚠️ {prose(warning)}\n" for warning in report.warnings]
    lines += [f"- {prose(reason)}" for reason in report.reasons]
    return "\n".join(lines) + "\n"


def _gates(gates: Sequence[GateRow]) -> str:
    lines = ["| gate | verdict | estimate | 95% interval | threshold | n |", "|---|---|---:|---:|---:|---:|"]
    for gate in gates:
        aside = " (does not count)" if gate.aside else ""
        verdict = f"{_SIGNS['none' if gate.aside else gate.tone]} {_known(gate.verdict)}{aside}"
        lines.append(
            f"| {span(gate.name)} | {verdict} | {gate.estimate} | {gate.range} | {gate.threshold} | {gate.n} |"
        )
    asides = [f"- {span(gate.name)}: {prose(gate.aside)}" for gate in gates if gate.aside]
    return "\n".join([*lines, *([""] if asides else []), *asides]) + "\n"


def _suites(suites: Sequence[SuiteRow]) -> str:
    lines = [
        "| suite | role | cases | read as | candidate | baseline | delta | won / tied / lost |",
        "|---|---|---:|---|---:|---:|---:|---:|",
    ]
    for suite in suites:
        scores = next((score for score in suite.scores if score.primary), None)
        means = f"{scores.candidate} | {scores.baseline} | {scores.delta}" if scores else "– | – | –"
        won = " / ".join(f"{count} ({rate})" for count, rate in zip(suite.won, suite.rates, strict=True))
        read = span(suite.format) if suite.format else ""
        lines.append(f"| {span(suite.name)} | {span(suite.role)} | {suite.cases} | {read} | {means} | {won} |")
    notes = [f"{suite.name}: {note}" for suite in suites for note in suite.notes]
    lines += ["", fence("\n".join(notes))] if notes else []  # a code span would change the bars of a signature
    return "\n".join([*lines, "", *(_categories(suite) for suite in suites if len(suite.categories) > 1)])


def _judge(lines: Sequence[str]) -> str:
    return "\n".join(["### Judge", "", *(f"- {prose(line)}" for line in lines), ""]) if lines else ""


def _categories(suite: SuiteRow) -> str:
    lines = [
        "| category | cases | candidate | baseline | delta | 95% interval | verdict |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for row in suite.categories[:_CATEGORIES]:
        numbers = f"{row.cases} | {row.candidate} | {row.baseline} | {row.delta} | {row.range}"
        lines.append(f"| {span(row.name)} | {numbers} | {_known(row.verdict) if row.verdict else ''} |")
    left = len(suite.categories) - _CATEGORIES
    more = f"\n{left} more categories, all better than these for the candidate.\n" if left > 0 else ""
    return _details(f"Categories of {_summary(suite.name)}, worst for the candidate first", "\n".join(lines) + more)


def _pairs(report: Content) -> str:
    def table(rows: Sequence[PairRow]) -> str:
        lines = ["| | candidate | baseline | ratio |", "|---|---:|---:|---:|"]
        lines += [f"| {row.label} | {span(row.candidate)} | {span(row.baseline)} | {row.ratio or ''} |" for row in rows]
        return "\n".join(lines)

    return _details("Latency, requests, cost", "\n\n".join(table(rows) for rows in (report.latency, report.spent)))


def _flips(view: ReportView) -> Iterator[str]:
    shown = view.flips[:_FLIPS]
    if shown:
        total = max(view.flips_total, len(view.flips))
        yield f"### Flipped cases, worst for the candidate first ({len(shown)} of {total:,})\n"
    for flip in shown:
        place = f"{flip.suite} / {flip.category} / {flip.case_id}"
        yield _details(f"{_signed(flip.delta)} {_summary(place)}", "\n".join(_flip(flip)))


def _flip(flip: FlippedCase) -> Iterator[str]:
    yield f"Input\n\n{fence(flip.input)}"
    if flip.expected:
        yield f"Expected\n\n{fence(flip.expected)}"
    for arm in Arm:
        if arm in flip.answers:
            answer = flip.answers[arm]
            said = fence(answer.text or answer.kind or "")
            yield f"{arm.value.capitalize()}, score {fmt.score(answer.score)}\n\n{said}"


def _known(verdict: str) -> str:
    return verdict.replace("_", " ") if verdict in TONES else span(verdict)


def _details(summary: str, body: str) -> str:
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>\n"


def _summary(text: str) -> str:
    """A text of any origin inside `<summary>`, where Markdown's own marks may not work: HTML's are used."""
    line = " ".join(visible(_cut(text, _SPAN)).split())
    return "<code>" + "".join(c if c.isalnum() or c == " " else f"&#{ord(c)};" for c in line) + "</code>"


def _signed(delta: float) -> str:
    return fmt.score(delta) if delta < 0 else f"+{fmt.score(delta)}"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"
