"""The longest common subsequence of tokens, token by token: which ones are in it, as ROUGE-Lsum needs it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

_Sentences = Sequence[Sequence[str]]


def union_hits(reference: _Sentences, answer: _Sentences) -> int:
    """How many tokens of a reference the answer's sentences cover between them.

    Each sentence of the reference is held against every sentence of the answer; a token counts if it is in any of the
    longest common subsequences, and no more often than it occurs in either text.

    Source: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004, section 3.2, as the package rouge-score
    computes it (which subsequence counts where several are longest, and the clipping of repeated tokens, are its own).
    """
    left = Counter(token for sentence in answer for token in sentence)
    left &= Counter(token for sentence in reference for token in sentence)
    columns = [_places(sentence) for sentence in answer]
    hits = 0
    for sentence in reference:
        covered: set[int] = set()
        for other, places in zip(answer, columns, strict=True):
            covered |= positions(sentence, other, places)
        for index in sorted(covered):
            if left[sentence[index]] > 0:
                left[sentence[index]] -= 1
                hits += 1
    return hits


def positions(one: Sequence[str], other: Sequence[str], places: dict[str, int] | None = None) -> set[int]:
    """The positions in ``one`` of a longest common subsequence with ``other``: the one that rouge-score settles on.

    Source: Hyyrö, "Bit-Parallel LCS-length Computation Revisited", 2004, section 4.1: a row of the table is one integer
    whose bit j is 0 where the length grows from column j to j + 1, so a length is a count of zeros.
    """
    rows = _rows(one, _places(other) if places is None else places, (1 << len(other)) - 1)
    found: set[int] = set()
    i, j = len(one), len(other)
    upto = (1 << j) - 1
    length = j - rows[i].bit_count()
    while length:
        if one[i - 1] == other[j - 1]:
            found.add(i - 1)
            i, j, upto, length = i - 1, j - 1, upto >> 1, length - 1
        elif j - (rows[i - 1] & upto).bit_count() == length:
            i -= 1
        else:
            j, upto = j - 1, upto >> 1
    return found


def _places(tokens: Sequence[str]) -> dict[str, int]:
    """For each token the set of its positions, as bits."""
    places: dict[str, int] = {}
    for index, token in enumerate(tokens):
        places[token] = places.get(token, 0) | 1 << index
    return places


def _rows(one: Sequence[str], places: dict[str, int], every: int) -> list[int]:
    row = every
    rows = [row]
    for token in one:
        common = row & places.get(token, 0)
        row = ((row + common) | (row - common)) & every
        rows.append(row)
    return rows
