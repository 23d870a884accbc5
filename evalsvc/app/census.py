"""What the cases of a suite look like before they are asked: how many of each category, how long the prompts are."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import orjson

from evalsvc.core.records import Case


@dataclass(slots=True)
class Census:
    """One suite's cases, by place in the data set: eight bytes each.

    ``chars`` are those of a prompt and its tools, the system prompt left out; ``category`` indexes ``codes``;
    ``cluster`` numbers what each case belongs to (empty where the suite's cases come in no clusters).
    """

    chars: array[int] = field(default_factory=lambda: array("I"))
    category: array[int] = field(default_factory=lambda: array("I"))
    codes: dict[str, int] = field(default_factory=dict)
    cluster: array[int] = field(default_factory=lambda: array("I"))
    labels: dict[bytes, int] = field(default_factory=dict)

    def add(self, case: Case, cluster: str | None = None) -> None:
        """Count one more case; ``cluster`` is the key of its metadata that names what it belongs to."""
        if cluster is not None:
            label = orjson.dumps(case.metadata.get(cluster), option=orjson.OPT_SORT_KEYS)
            self.cluster.append(self.labels.setdefault(label, len(self.labels)))
        self.chars.append(_chars(case))
        self.category.append(self.codes.setdefault(case.category, len(self.codes)))

    def taking_part(self, positions: array[int] | None) -> tuple[dict[str, int], int]:
        """Cases by category, and characters of all, at the places whose position in the job is not -1; None: of all."""
        chars, category = self.chars, self.category
        if positions is not None:
            places = [place for place, position in enumerate(positions) if position >= 0]
            chars, category = (array("I", [values[place] for place in places]) for values in (chars, category))
        names = list(self.codes)
        return {names[code]: count for code, count in Counter(category).items()}, sum(chars)

    def cluster_sizes(self, positions: array[int] | None) -> list[int] | None:
        """How many cases each cluster has, of those that `taking_part` counts; None where there are no clusters."""
        if not self.cluster:
            return None
        if positions is None:
            return list(Counter(self.cluster).values())
        return list(Counter(self.cluster[place] for place, at in enumerate(positions) if at >= 0).values())


def _chars(case: Case) -> int:
    tools = len(orjson.dumps(case.tools)) if case.tools else 0
    if isinstance(case.input, str):
        return len(case.input) + tools
    return sum(_text(message.get("content")) for message in case.input) + tools


def _text(content: Any) -> int:
    """Characters of a message's content; parts that are no text (an image) count nothing."""
    if isinstance(content, str):
        return len(content)
    parts = content if isinstance(content, list) else ()
    return sum(len(text) for part in parts if isinstance(part, dict) and isinstance(text := part.get("text"), str))
