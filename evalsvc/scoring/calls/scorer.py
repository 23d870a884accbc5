"""What every scorer of calls does first: read them from the answer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from evalsvc.core.records import Case, Completion, Score
from evalsvc.scoring.calls import Call, reading
from evalsvc.scoring.text import TextScorer


@dataclass(frozen=True, slots=True, kw_only=True)
class CallScorer(TextScorer):
    """A scorer of calls: those in `tool_calls` if an answer has any, else those written in its text."""

    def score(self, case: Case, completion: Completion) -> Score:
        """The score of the calls. `extract` is about the text; where it finds nothing, no call is written."""
        objects = completion.tool_calls
        if objects:
            return self._judged(case, lambda: reading.from_objects(objects))
        text = completion.text if self.extract is None else self._extracted(completion.text, self.extract)
        return self.compare(self.trim(text or ""), case)

    def compare(self, text: str, case: Case) -> Score:
        """The score of the calls written in a text."""
        return self._judged(case, lambda: reading.from_text(text))

    @abstractmethod
    def judge(self, calls: list[Call], case: Case) -> Score:
        """The score of these calls."""

    def unreadable(self, case: Case, why: str) -> Score:  # noqa: ARG002 - a scorer may look at the case
        """The score of an answer that means to call a tool and does not manage to."""
        return Score(value=0.0, explanation=why)

    def _judged(self, case: Case, read: Callable[[], list[Call]]) -> Score:
        try:
            calls = read()
        except reading.Unreadable as fault:
            return self.unreadable(case, str(fault))
        return self.judge(calls, case)
