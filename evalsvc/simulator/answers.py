"""What the simulator knows of a job's cases: per prompt the right answer and plausible wrong ones.

A prompt is the text of the last user message, whatever system message an arm puts before it, together with the tools
that are offered, if any. The prompts themselves are not kept, only their hashes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from evalsvc.core.records import Case
from evalsvc.simulator.tool_calls import KnownCalls

#: Distinct wrong answers kept per group of like cases: enough variety, bounded memory.
POOL_SIZE = 64
#: What is said where tools are offered and none is called.
NO_CALL = "None of these tools can do that."


def text_of(content: Any) -> str:
    """The text of a message's content: a string, or the text parts of a list of parts joined."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") for part in parts if isinstance(part, dict) and part.get("type") == "text")
    return "".join(text for text in texts if isinstance(text, str))


def last_user_text(messages: str | list[Any]) -> str | None:
    """The prompt of chat messages: the text of the last user message, or None without one. A text is its own prompt."""
    if isinstance(messages, str):
        return messages
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            return text_of(message.get("content"))
    return None


def prompt_key(prompt: str, tools: list[Any] | None = None) -> int:
    """The 64-bit hash of a prompt and the tools offered with it, the same on every machine."""
    whole = f"{prompt}\0{_canonical(tools)}" if tools else prompt
    return int.from_bytes(blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One case: its category, the right answer, all accepted ones and where to look for wrong ones, nearest first.

    ``calls`` is what to call instead, where the case has tools.
    """

    category: str
    right: str
    accepted: tuple[str, ...]
    pools: tuple[list[str], ...]
    calls: KnownCalls | None = None

    def wrong(self, pick: float) -> str:
        """An answer that is not accepted; ``pick`` in [0, 1) chooses it.

        It is the right answer of a like case (same suite and schema, if possible same category), so that it keeps
        the form that is asked for.
        """
        for pool in self.pools:
            start = int(pick * len(pool))
            for answer in pool[start:] + pool[:start]:
                if answer not in self.accepted:
                    return answer
        return "unknown" if "unknown" not in self.accepted else "none"


class AnswerBook:
    """The known cases by prompt."""

    def __init__(self) -> None:
        self._known: dict[int, Known] = {}
        self._pools: dict[tuple[Any, ...], list[str]] = {}

    @classmethod
    def from_cases(cls, cases: Iterable[Case]) -> AnswerBook:
        """A book over cases, read once.

        Of two cases with one prompt the first counts. Cases without ``expected`` or without a user message are left
        out: their answer is an echo.
        """
        book = cls()
        for case in cases:
            book._add(case)
        return book

    def find(self, key: int) -> Known | None:
        """The case whose prompt has that `prompt_key`, or None."""
        return self._known.get(key)

    def __len__(self) -> int:
        return len(self._known)

    def _add(self, case: Case) -> None:
        prompt, accepted, calls = last_user_text(case.input), _accepted(case.expected), KnownCalls.of(case)
        if prompt is None or not (accepted or calls):
            return
        accepted = accepted or (NO_CALL,)
        wide = (case.suite, _digest(case.schema))
        pools = tuple(self._file(group, accepted[0]) for group in ((*wide, case.category), wide))
        known = Known(category=case.category, right=accepted[0], accepted=accepted, pools=pools, calls=calls)
        self._known.setdefault(prompt_key(prompt, case.tools), known)

    def _file(self, group: tuple[Any, ...], answer: str) -> list[str]:
        pool = self._pools.setdefault(group, [])
        if len(pool) < POOL_SIZE and answer not in pool:
            pool.append(answer)
        return pool


def _accepted(expected: Any) -> tuple[str, ...]:
    if expected is None:
        return ()
    if isinstance(expected, str):
        return (expected,)
    if isinstance(expected, list) and all(isinstance(one, str) for one in expected):
        return tuple(expected)
    return (_canonical(expected),)


def _digest(schema: Any) -> int | None:
    return None if schema is None else prompt_key(_canonical(schema))


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
