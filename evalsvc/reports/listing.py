"""Jobs as a table and one job in some lines, for a terminal; names are made plain."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from evalsvc.core.listing import JobEntry, rfc3339
from evalsvc.core.records import Arm
from evalsvc.core.states import JobState
from evalsvc.reports import format as fmt
from evalsvc.reports.inert import cells, fit, plain

_WORKING = {JobState.RUNNING, JobState.DECIDING, JobState.PAUSED}
_CODES = {"SHIP": "1;32", "ITERATE": "1;31", "HOLD": "1;33", "failed": "1;31", "interrupted": "1;33"}
_HEADS = ("ID", "NAME", "STATE", "PROGRESS", "DECISION", "AGE")
_GAP = "  "
_SHORTEST_NAME = 12
_PROSE = 2_000  # characters: a longer reason is cut before it is wrapped


def table(
    entries: Sequence[JobEntry], *, count: int, held: bool | None, now: float, color: bool, width: int = 100
) -> str:
    """The jobs given, one a line, then why those wait or failed that do.

    ``count`` jobs there are in all; ``held``: a process is at work on the database.
    """
    if not entries:
        return "no jobs in this database; --url shows those of a daemon (`evalsvc serve`)\n"
    rows = [_row(entry, held, now) for entry in entries]
    widths = [max(cells(row[column]) for row in [_HEADS, *rows]) for column in range(len(_HEADS))]
    others = sum(widths) - widths[1] + len(_GAP) * (len(_HEADS) - 1)
    widths[1] = min(widths[1], max(_SHORTEST_NAME, width - others))
    lines = [_line(_HEADS, widths, color=False), *(_line(row, widths, color=color) for row in rows)]
    whys = ((entry, why(entry, held)) for entry in entries)
    lines += [f"{plain(entry.id)} {state(entry, held)}: {plain(said[:_PROSE])}" for entry, said in whys if said]
    if count > len(entries):
        lines.append(f"older jobs not shown: {count - len(entries):,} (--limit)")
    if any(row[2] == "interrupted" for row in rows):
        go_on = "the same `evalsvc run` goes on with it (`evalsvc serve`, if it was submitted; --url asks a daemon)"
        lines.append(f"interrupted: no process is at work on it; {go_on}")
    return "\n".join(lines) + "\n"


def detail(
    entry: JobEntry,
    tallies: Sequence[tuple[Arm, str, str | None, int]],
    record: Mapping[str, Any] | None,
    *,
    held: bool | None,
    now: float,
    width: int = 100,
) -> str:
    """One job: what it compares, how far it is, what went wrong, what was decided."""
    shown, said = state(entry, held), why(entry, held)
    facts = [
        ("job", f"{entry.id}  {entry.name}"),
        ("state", f"{shown}: {said}" if said else shown),
        *((arm.value, model) for arm, model in entry.models.items()),
        ("progress", f"{entry.recorded:,} of {entry.total:,} answers{_share(entry)}"),
        *((f"  {arm.value}", _tally(tallies, arm)) for arm in Arm if any(row[0] is arm for row in tallies)),
        ("filed", f"{fmt.date(rfc3339(entry.created_at))} ({ago(now - entry.created_at)} ago)"),
    ]
    if entry.finished_at is not None:
        facts.append(("took", fmt.duration(rfc3339(entry.started_at), rfc3339(entry.finished_at))))
    if record is not None:
        facts.append(("decision", fmt.text(record.get("decision")) + (" (simulated)" if entry.simulated else "")))
        facts += [("warning", warning) for warning in fmt.texts(record.get("warnings"))]
        facts += [("why", reason) for reason in fmt.texts(record.get("reasons"))]
    return "".join(f"{line}\n" for label, said in facts for line in _fact(label, said, width))


def state(entry: JobEntry, held: bool | None) -> str:
    """The job's state; ``interrupted`` where it should be at work and no process is."""
    return "interrupted" if held is False and entry.state in _WORKING else entry.state.value


def why(entry: JobEntry, held: bool | None) -> str | None:
    """Why a job waits or failed, as far as its database knows; None where it is decided, or about to be."""
    if entry.decision is not None:
        return None
    if entry.reason is None and entry.state is JobState.QUEUED and held is not None:
        return "waits for the process that has the database in hand" if held else "no process is at work on it"
    return entry.reason


def ago(seconds: float) -> str:
    """An age in its largest unit: ``12 s``, ``3 min``, ``5 h``, ``12 days``."""
    whole = max(0, round(seconds))
    for size, unit in ((86_400, "day"), (3_600, "h"), (60, "min")):
        if whole >= size:
            number = whole // size
            return f"{number:,} {unit}{'s' if unit == 'day' and number > 1 else ''}"
    return f"{whole} s"


def _fact(label: str, said: str, width: int) -> list[str]:
    words = plain(said[:_PROSE])
    return textwrap.wrap(words, max(40, width), initial_indent=f"{label:<12}", subsequent_indent=" " * 12)


def _row(entry: JobEntry, held: bool | None, now: float) -> tuple[str, ...]:
    progress = f"{entry.recorded:,}/{entry.total:,}{_share(entry)}"
    decision = plain(entry.decision or fmt.DASH) + (" (simulated)" if entry.simulated else "")
    return (plain(entry.id), fit(entry.name, 60), state(entry, held), progress, decision, ago(now - entry.created_at))


def _share(entry: JobEntry) -> str:
    if not 0 < entry.recorded < entry.total:
        return ""
    return f" ({min(99, 100 * entry.recorded // entry.total)}%)"


def _line(row: Sequence[str], widths: Sequence[int], *, color: bool) -> str:
    padded = []
    for words, width in zip(row, widths, strict=True):
        cut = words if cells(words) <= width else fit(words, width)
        code = _CODES.get(words.split(" ")[0]) if color else None
        painted = f"\x1b[{code}m{cut}\x1b[0m" if code else cut
        padded.append(painted + " " * (width - cells(cut)))
    return _GAP.join(padded).rstrip()


def _tally(tallies: Sequence[tuple[Arm, str, str | None, int]], arm: Arm) -> str:
    by_status: dict[str, list[str]] = {}
    counts: dict[str, int] = {}
    for whose, status, kind, count in tallies:
        if whose is arm:
            counts[status] = counts.get(status, 0) + count
            if kind:
                by_status.setdefault(status, []).append(f"{kind} {count:,}")
    kinds = {status: f" ({', '.join(found)})" for status, found in by_status.items()}
    return ", ".join(f"{status} {count:,}{kinds.get(status, '')}" for status, count in counts.items())
