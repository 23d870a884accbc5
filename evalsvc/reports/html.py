"""The report as one HTML file: no script, no request, nothing of a model's text but text."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from evalsvc.core.view import ReportView
from evalsvc.reports import format as fmt
from evalsvc.reports.cards import flip_cards
from evalsvc.reports.content import content
from evalsvc.reports.inert import visible


def _drawn(value: Any) -> Any:
    """Every text that enters the page: hidden characters made visible (escaping follows, by autoescape)."""
    if value is None:
        return fmt.DASH
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


_TEMPLATES = Environment(
    loader=PackageLoader("evalsvc.reports", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=_drawn,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(view: ReportView) -> str:
    """The whole page. Its style is inline and allowed by hash, everything else the page's policy forbids."""
    style = _TEMPLATES.get_template("report.css.j2").render()
    digest = b64encode(sha256(style.encode()).digest()).decode()
    return _TEMPLATES.get_template("report.html.j2").render(
        report=content(view),
        flips=flip_cards(view.flips),
        flips_total=max(view.flips_total, len(view.flips)),
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
    )
