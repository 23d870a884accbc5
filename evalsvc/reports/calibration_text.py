"""A calibration for a terminal: shares of verdicts, of decisions, and what they mean."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from evalsvc.core.records import Decision, Verdict
from evalsvc.decide.calibration import MAX_FALSE_PASS, said_of_decisions, said_of_flips, said_of_gate
from evalsvc.reports import format as fmt
from evalsvc.reports.inert import fit, plain

_NAME = 24
_COLUMN = 14


def render(found: Mapping[str, Any], *, color: bool, width: int = 100) -> str:
    """The calibration in lines of at most ``width`` columns (84 at least)."""
    width = max(width, 84)
    title = fit(f"Calibration of {plain(found['name'])}: {plain(found['baseline'])} against itself", width)
    lines = [f"\x1b[1m{title}\x1b[0m" if color else title]
    cases, each = fmt.count(found["cases"]), fmt.count(found["repeats"])
    lines.append(
        f"{fmt.count(found['resamples'])} resamples of {cases} cases, {each} answers of each (job {found['job']})"
    )
    if found["left_out"]:
        lines.append(f"left out: {fmt.count(found['left_out'])} cases with fewer answers")
    lines += ["", _row("gate", [each.value for each in Verdict])]
    for row in found["gates"]:
        name = row["name"] if row["required"] else f"({row['name']})"
        lines.append(_row(plain(name), [_share(row[each.value]) for each in Verdict]))
        lines += _said(said_of_gate(row), width)
    lines += ["", _row("decision", [each.value for each in Decision])]
    lines.append(_row("", [_share(found["decisions"][each.value]) for each in Decision]))
    lines += _said(said_of_decisions(found), width)
    lines += ["", "single cases"]
    for row in found["flips"]:
        lines.append(f"  {fit(plain(row['suite']), _NAME)}")
        lines += _said(said_of_flips(row), width)
    return "\n".join([*lines, "", *textwrap.wrap(_verdict(found), width)]) + "\n"


def _verdict(found: Mapping[str, Any]) -> str:
    share, limit = found["false_pass"], fmt.percent(MAX_FALSE_PASS)
    if share is None:
        return "target_improvement was never measured: nothing is said of how often it errs."
    said = f"target_improvement passes a model against itself in {fmt.percent(share)} of resamples"
    if share > MAX_FALSE_PASS:
        return f'{said}, more than the {limit} that calibration = "required" allows: do not trust these gates to ship.'
    return f'{said}; calibration = "required" allows {limit}.'


def _row(name: str, cells: list[str]) -> str:
    return (f"{fit(name, _NAME):<{_NAME}}" + "".join(f"{cell:>{_COLUMN}}" for cell in cells)).rstrip()


def _share(value: float) -> str:
    return fmt.percent(value) if value else "-"


def _said(sentence: str, width: int) -> list[str]:
    return textwrap.wrap(sentence, width, initial_indent="    ", subsequent_indent="    ")
