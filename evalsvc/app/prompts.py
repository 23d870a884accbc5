"""What a job's cases ask, as numbers: who asks the same twice, and what the model may have seen in training."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from evalsvc.core.records import Case, Role


class Prompts:
    """Hashes of what the cases of each role ask: 16 bytes a case, no text."""

    def __init__(self) -> None:
        self._exact = {role: array("q") for role in Role}
        self._loose = {role: array("q") for role in Role}

    def add(self, role: Role, case: Case) -> None:
        """Note a case."""
        self._exact[role].append(hash(case.input if isinstance(case.input, str) else str(case.input)))
        self._loose[role].append(hash(_asked(case)))

    def warnings(self) -> Iterator[str]:
        """What could explain a verdict away."""
        for role, hashes in self._exact.items():
            yield from _repeated(role, hashes)
        trained = np.frombuffer(self._loose[Role.TRAIN], dtype=np.int64)
        for role, hashes in self._loose.items():
            seen = 0 if role is Role.TRAIN else int(np.isin(np.frombuffer(hashes, dtype=np.int64), trained).sum())
            if seen:
                asks = f"{seen} of {len(hashes)} {role} cases ask what a training case asks"
                yield f"{asks}: memory can look like skill there"


def _repeated(role: Role, hashes: array[int]) -> Iterator[str]:
    """A warning when cases of one role ask the same: each counts as if it were evidence of its own."""
    ordered = np.sort(np.frombuffer(hashes, dtype=np.int64))
    repeats = int((ordered[1:] == ordered[:-1]).sum())
    if repeats:
        yield f"{repeats} of {len(hashes)} {role} cases repeat the input of another one, and count as if they did not"


def _asked(case: Case) -> str:
    """The text of a case without what differs between a training file and a suite: case, spaces, system prompts."""
    if isinstance(case.input, str):
        return " ".join(case.input.casefold().split())
    texts = (_text(message) for message in case.input if message.get("role") not in ("system", "developer"))
    return " ".join(" ".join(texts).casefold().split())


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(part["text"] for part in content if isinstance(part.get("text"), str))
    return content if isinstance(content, str) else ""
