"""What a decided job leaves behind."""

from __future__ import annotations

import json
from pathlib import Path

from evalsvc.core.view import ReportView
from evalsvc.reports import html, text


def write_results(view: ReportView, folder: Path) -> None:
    """Write ``decision.json`` and ``report.html``; each appears whole or not at all. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_whole(folder / "decision.json", json.dumps(view.record, indent=1) + "\n")
    _write_whole(folder / "report.html", html.render(view))


def _write_whole(path: Path, content: str) -> None:
    half = path.with_name(f".{path.name}.part")
    half.write_text(content, encoding="utf-8")
    half.replace(path)


def report_text(view: ReportView, *, color: bool, width: int) -> str:
    """The report for a terminal."""
    return text.render(view, color=color, width=width)
