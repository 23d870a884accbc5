"""The name somebody may have meant by one that does not exist."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``did you mean "x"? `` for the known name nearest to ``name``, to stand before a list of them; empty if none is.

    Capitals, and whether parts are joined by ``-``, ``_``, a space or nothing, make no difference.
    """
    by_letters = {_letters(each): each for each in known}
    near = get_close_matches(_letters(name), by_letters, n=1)
    return f'did you mean "{by_letters[near[0]]}"? ' if near else ""


def _letters(name: str) -> str:
    return "".join(name.lower().replace("-", "_").replace(" ", "_").split("_"))
