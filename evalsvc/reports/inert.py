"""Texts of models and data sets, made harmless to look at.

On a page what cannot be seen is made visible (graders need to see it); in a terminal it is taken out.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from html import escape
from itertools import accumulate
from unicodedata import combining, east_asian_width

import regex

# Format characters reorder or hide text (bidi overrides, tags, zero-width spaces); the two joiners stay, since Persian,
# Indic scripts and many pictographs are spelled with them.
_HIDDEN = regex.compile(r"[[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]--[\n\t\u200c\u200d]]", regex.V1)

# One alternative each, every loop over a class that excludes its own terminator: linear on any input.
_SEQUENCES = regex.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # OSC, DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-~]?"  # every other escape
)


def visible(text: str) -> str:
    """The text with each control, format and lone surrogate character as a picture (``␛``) or code (``⟨U+202E⟩``)."""
    if text.isprintable():
        return text
    return _HIDDEN.sub(_shown, text.replace("\r\n", "\n"))


def _shown(match: regex.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"⟨U+{code:04X}⟩"


def clip(text: str, limit: int) -> tuple[str, int]:
    """The beginning of a text that takes at most ``limit`` bytes in a page, and how many characters are left out."""
    kept = bisect_right(list(accumulate(map(_size, text[:limit]))), limit)
    return text[:kept], len(text) - kept


@lru_cache(maxsize=8192)
def _size(character: str) -> int:
    return len(escape(visible(character)).encode())


def plain(text: str) -> str:
    """The text as one line without escape sequences, control and format characters: safe to print."""
    bare = _SEQUENCES.sub("", text)
    spaced = " ".join(bare.split())
    return _HIDDEN.sub("", spaced)


def cells(text: str) -> int:
    """Columns a plain text takes in a terminal."""
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def fit(text: str, width: int) -> str:
    """The text as one plain line of at most ``width`` columns, ending in ``…`` where it is cut."""
    line = plain(text[: 8 * width + 256])
    if cells(line) <= width and len(text) <= 8 * width + 256:
        return line
    while cells(line) > width - 1:
        line = line[:-1]
    return line + "…"
