"""How numbers, times and intervals are written: the same in every report.

Rates are percent with one decimal, deltas are points with a sign, what is not known is an en dash. A number never
rounds onto the threshold it is held against, nor up to 100% or down to 0%: it gets more digits or a ``>`` instead.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

DASH = "–"
MINUS = "\u2212"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

Writer = Callable[..., str]


def number(value: object) -> float | None:
    """A finite number, or None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def dig(value: Any, *keys: str) -> Any:
    """The value under nested keys, or None where one is absent."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def rows(value: object) -> list[Mapping[str, Any]]:
    """The objects of a JSON list; empty for everything else."""
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list | tuple) else []


def texts(value: object) -> tuple[str, ...]:
    """The texts of a JSON list; empty for everything else."""
    return tuple(str(item) for item in value if item is not None) if isinstance(value, list | tuple) else ()


def text(value: object) -> str:
    """A text as it is, another value in JSON's words, an en dash for None."""
    return DASH if value is None else str(value)


def percent(rate: object, *, near: float | None = None) -> str:
    """A rate in [0, 1] as ``87.5%``; ``near`` is a number it must not round onto."""
    value = number(rate)
    if value is None:
        return DASH
    if value < 1 and round(value * 100, 1) == 100 and near != 1:
        return ">99.9%"
    if value > 0 and round(value * 100, 1) == 0 and near != 0:
        return "<0.1%"
    return f"{_apart(value * 100, None if near is None else near * 100, 1)}%"


def points(delta: object, *, near: float | None = None, unit: bool = False) -> str:
    """A difference of two rates as ``+11.9``, with ``unit`` as ``+11.9 points``."""
    value = number(delta)
    if value is None:
        return DASH
    written = _apart(value * 100, None if near is None else near * 100, 1, sign="+")
    return f"{written} points" if unit else written


def ratio(value: object, *, near: float | None = None) -> str:
    """A ratio as ``0.61×``."""
    known = number(value)
    return DASH if known is None else f"{_apart(known, near, 2)}×"


def plain_number(value: object, *, near: float | None = None) -> str:
    """A number of no known unit, three significant digits or more."""
    known = number(value)
    if known is None:
        return DASH
    if near is not None and abs(known) < 1000:
        return _apart(known, near, 3)
    return f"{known:,.0f}" if abs(known) >= 1000 else f"{known:.3g}".replace("-", MINUS)


def _apart(value: float, near: float | None, digits: int, sign: str = "-") -> str:
    """The number with as many more digits as keep it apart from ``near`` (at most three)."""
    more = 0
    while near is not None and value != near and more < 3:
        if round(value, digits + more) != round(near, digits + more):
            break
        more += 1
    rounded = round(value, digits + more)
    if rounded == 0:
        return f"{0:.{digits + more}f}"
    return f"{rounded:{sign}.{digits + more}f}".replace("-", MINUS)


def short(written: str) -> str:
    """A written number without the zeros that end its decimals: ``85%`` for ``85.0%``."""
    return re.sub(r"(?:\.0+|(\.\d*?[1-9])0+)(?=\D*$)", r"\1", written)


def count(value: object) -> str:
    """A whole number with its thousands separated."""
    known = number(value)
    return DASH if known is None else f"{round(known):,}"


def seconds(value: object) -> str:
    """A time: ``520 ms``, ``1.84 s``, ``12.3 s``, ``125 s``; an infinite one (a timeout) is ``∞``."""
    if value == math.inf:
        return "∞"
    known = number(value)
    if known is None:
        return DASH
    if known < 0.9995:
        return f"{known * 1000:.0f} ms" if known >= 0.00995 else f"{known * 1000:.1f} ms"
    digits = 2 if known < 9.995 else 1 if known < 99.95 else 0
    return f"{known:,.{digits}f} s"


def cost(value: object) -> str:
    """An amount in the currency of the configured prices."""
    known = number(value)
    if known is None:
        return DASH
    return f"{known:,.2f}" if known >= 1 or known == 0 else f"{known:.3g}"


def score(value: object) -> str:
    """One case's score: ``1``, ``0``, ``0.43``."""
    known = number(value)
    return DASH if known is None else f"{known:.2f}".rstrip("0").rstrip(".").replace("-", MINUS)


def p_value(value: object) -> str:
    """A p-value, two significant digits down to 0.0001."""
    known = number(value)
    if known is None:
        return DASH
    return "<0.0001" if known < 0.0001 else f"{known:.2g}" if known < 0.9995 else f"{known:.0f}"


def bounds(value: object) -> tuple[float | None, float | None]:
    """The two bounds of a JSON interval, None where one does not exist."""
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2:
        return number(value[0]), number(value[1])
    return None, None


def interval(value: object, write: Writer, *, near: float | None = None) -> str:
    """An interval in words: ``87.7% to 93.0%``, ``0.42× and up``, an en dash where there is none."""
    low, high = bounds(value)
    if low is None and high is None:
        return DASH
    if high is None:
        return f"{write(low, near=near)} and up"
    if low is None:
        return f"up to {write(high, near=near)}"
    return f"{write(low, near=near)} to {write(high, near=near)}"


def moment(value: object) -> datetime | None:
    """An RFC 3339 time, or None."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def date(value: object) -> str:
    """A time as ``23 Nov 2026, 10:03 UTC``."""
    when = moment(value)
    if when is None:
        return DASH
    return f"{when.day} {_MONTHS[when.month - 1]} {when.year}, {when:%H:%M} UTC"


def duration(start: object, end: object) -> str:
    """The time between two moments as ``3 min 12 s``."""
    first, last = moment(start), moment(end)
    if first is None or last is None or last < first:
        return DASH
    minutes, rest = divmod(round((last - first).total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
