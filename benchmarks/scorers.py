"""What a score costs: microseconds of one thread per scorer, for an ordinary answer and for a long one.

``scorers.py [NAME ...]``; without names all scorers that are registered and have an example below.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

import evalsvc.scoring  # noqa: F401 - importing the package registers its scorers
from evalsvc.core.records import Case, Completion, ScorerSpec
from evalsvc.scoring.base import SCORERS, build

SENTENCE = "The parcel was lost on its way to the depot, and the customer would like a refund by Friday. "
OTHER = "The customer asks for a refund because the parcel never arrived at the depot on Friday. "
ORDER = {"id": 7, "items": [{"name": f"part {i}", "price": i / 4} for i in range(5)], "paid": True}
PRICE = {"type": "number", "minimum": 0}
ITEM = {"type": "object", "properties": {"name": {"type": "string"}, "price": PRICE}, "required": ["name"]}
SCHEMA = {
    "type": "object",
    "properties": {"id": {"type": "integer"}, "items": {"type": "array", "items": ITEM}, "paid": {"type": "boolean"}},
    "required": ["id", "items"],
}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]

TEXTS = (3 * SENTENCE, 3 * OTHER)  # about 50 words: expected, answered
LONG = (3 * SENTENCE, 100 * OTHER)
#: Scorer → (expected, an ordinary answer, a long one).
EXAMPLES: dict[str, tuple[Any, str, str]] = {
    **dict.fromkeys(
        ("f1", "rouge_1", "rouge_2", "rouge_l", "rouge_lsum", "bleu", "chrf", "edit_similarity"), (*TEXTS, LONG[1])
    ),
    "exact_match": ("billing", "billing", LONG[1]),
    "contains": ("refund", TEXTS[1], LONG[1]),
    "regex": (r"\brefund\b", TEXTS[1], LONG[1]),
    "numeric": ("18", f"{TEXTS[1]} So the answer is 18.", f"{LONG[1]} So the answer is 18."),
    "choice": ("B", f"{TEXTS[1]} The answer is (B).", f"{LONG[1]} The answer is (B)."),
    "json_schema": (None, json.dumps(ORDER), json.dumps({**ORDER, "items": 40 * ORDER["items"]})),  # type: ignore[operator]
    "json_match": (ORDER, json.dumps(ORDER), json.dumps({**ORDER, "items": 40 * ORDER["items"]})),  # type: ignore[operator]
    "tool_call": ({"name": "weather", "arguments": {"city": "Rome"}}, 'weather(city="Rome")', LONG[1]),
    "tool_schema": (None, 'weather(city="Rome")', LONG[1]),
}


def microseconds(work: Callable[[], object], seconds: float = 0.3) -> float:
    """The least of five batches: what is above it is other people's work."""
    work()
    begun = perf_counter()
    work()
    batch = max(1, int(seconds / 5 / max(perf_counter() - begun, 1e-7)))
    best = float("inf")
    for _ in range(5):
        begun = perf_counter()
        for _ in range(batch):
            work()
        best = min(best, (perf_counter() - begun) / batch)
    return 1e6 * best


def measure(name: str) -> tuple[float, float, int, bool]:
    """µs of the ordinary answer and of the long one, the latter's characters, and whether it leaves the event loop."""
    expected, ordinary, long = EXAMPLES[name]
    scorer = build(ScorerSpec(name=name, label=name))
    case = Case(suite="s", id="1", category="c", input="?", expected=expected, schema=SCHEMA, tools=TOOLS)
    assert scorer.check(case) is None, name
    short, costly = (microseconds(lambda t=text: scorer.score(case, Completion(text=t))) for text in (ordinary, long))  # type: ignore[misc]
    return short, costly, len(long), scorer.offload


def main(names: list[str]) -> None:
    chosen = names or [name for name in SCORERS if name in EXAMPLES]
    print(f"{'scorer':<18}{'µs, ordinary':>14}{'µs, long':>12}{'characters':>12}  thread")
    for name in chosen:
        short, costly, characters, offload = measure(name)
        print(f"{name:<18}{short:>14.1f}{costly:>12.1f}{characters:>12,}  {'worker' if offload else 'loop'}")


if __name__ == "__main__":
    main(sys.argv[1:])
