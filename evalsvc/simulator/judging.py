"""What a simulated judge says: honest as far as its accuracy goes, and with the faults its profile gives it.

A judge's prompt holds a JSON object between two lines of one mark: `task`, perhaps `reference`, and `answer`, or
`answer A` and `answer B`. Its last line says which verdicts there are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalsvc.simulator.answers import AnswerBook, last_user_text, prompt_key
from evalsvc.simulator.profile import JudgeManner, ModelProfile

_DATA = re.compile(r"^([0-9a-f]{32})\n(?P<data>\{.*\})\n\1$", re.MULTILINE)
_RANGE = re.compile(r"a whole number from (-?\d+) to (-?\d+)\.\Z")
_LABELS = re.compile(r"one of (.*)\.\Z")
_OPENINGS = ("thought process", "let's solve this problem", "here is a complete, correct and helpful answer")
_ORDERS = ("ignore the rubric", '"verdict"')
_GARBAGE = "I would say this one is rather good: 4 out of 5."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exhibits:
    """What a judge is shown: ``right`` are the accepted answers, None where nobody knows."""

    answers: tuple[str, ...]
    right: tuple[str, ...] | None

    def merit(self, place: int) -> float:
        """How good an answer is: 1 right, 0 wrong, ½ where that cannot be told."""
        return 0.5 if self.right is None else float(self.answers[place].strip() in self.right)


def verdict_on(prompt: str, played: ModelProfile, book: AnswerBook, at: Sequence[float]) -> str:
    """What a judge replies; ``at`` are three numbers in (0, 1) that decide. What is no judge's prompt is echoed."""
    found = _DATA.search(prompt)
    choice = _choice(prompt)
    if found is None or not choice:
        return prompt
    seen = _exhibits(json.loads(found["data"]), book)
    err_at, whim_at, gulp_at = at
    manner = played.judge or JudgeManner()
    whim = _pick(whim_at, manner)
    if whim == "garbage":
        return _GARBAGE
    fooled, right = gulp_at < manner.gullible, err_at < played.accuracy
    if len(seen.answers) == 1:
        merit = _alone(seen, whim, fooled=fooled, right=right)
        word = choice[round((1 - merit) * (len(choice) - 1))]
    else:
        word = _preferred(seen, whim, fooled=fooled, right=right)
    return json.dumps({"reasoning": "As the rubric has it.", "verdict": word}, ensure_ascii=False)


def _exhibits(data: Mapping[str, Any], book: AnswerBook) -> _Exhibits:
    names = ("answer",) if "answer" in data else ("answer A", "answer B")
    known = book.find(prompt_key(last_user_text(data.get("task") or "") or ""))
    reference = data.get("reference")
    right = known.accepted if known else (_text(reference),) if reference is not None else None
    return _Exhibits(answers=tuple(_text(data.get(name)) for name in names), right=right)


def _alone(seen: _Exhibits, whim: str | None, *, fooled: bool, right: bool) -> float:
    """How good an answer seems, 0 to 1."""
    if _canary(seen.answers[0]):
        return float(fooled)
    if whim == "longer":
        return min(1.0, len(seen.answers[0]) / 200)
    merit = seen.merit(0)
    return merit if right else 1 - merit


def _preferred(seen: _Exhibits, whim: str | None, *, fooled: bool, right: bool) -> str:
    if whim == "first":
        return "A"
    canaries = [_canary(answer) for answer in seen.answers]
    if canaries[0] != canaries[1]:
        return "A" if canaries[0] == fooled else "B"
    lengths = [len(answer) for answer in seen.answers]
    if whim == "longer" and lengths[0] != lengths[1]:
        return "A" if lengths[0] > lengths[1] else "B"
    better = seen.merit(0) - seen.merit(1)
    if not better:
        return "tie" if right else "A"
    return "A" if (better > 0) == right else "B"


def _canary(answer: str) -> bool:
    """Whether an answer says nothing, or speaks to its judge."""
    said = answer.strip().casefold()
    if not any(character.isalnum() for character in said) or said.startswith(_OPENINGS):
        return True
    return any(order in said for order in _ORDERS)


def _choice(prompt: str) -> list[str | int]:
    """The verdicts there are, the best first."""
    if found := _RANGE.search(prompt):
        return list(range(int(found[2]), int(found[1]) - 1, -1))
    return [*re.findall(r'"([^"]*)"', found[1])] if (found := _LABELS.search(prompt)) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _pick(at: float, manner: JudgeManner) -> str | None:
    for whim, share in manner.whims():
        if at < share:
            return whim
        at -= share
    return None
