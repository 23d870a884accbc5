"""What the scorers of tool calls share: reading calls from an answer, what a case wants, and comparing the two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call: the function's name, its arguments by name, and how many arguments have none (Python's syntax)."""

    name: str
    arguments: dict[str, Any]
    nameless: int = 0
