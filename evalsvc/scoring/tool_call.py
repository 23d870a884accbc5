"""The scorer `tool_call`: does an answer make the calls a case wants?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from evalsvc.core.records import Case, Score
from evalsvc.scoring.base import scorer
from evalsvc.scoring.calls import Call, bfcl, pairing, strict
from evalsvc.scoring.calls.scorer import CallScorer
from evalsvc.scoring.calls.shown import name
from evalsvc.scoring.calls.wanted import Wanted, lacks, wanted_calls


@scorer("tool_call")
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall(CallScorer):
    """1 if an answer makes exactly the calls in `expected`, parallel ones in any order, else 0.

    `expected` is {"name", "arguments"}, a list of such (parallel calls), or null (no call wanted). Where several values
    of an argument are right, or it may be left out: {function: {argument: [accepted values]}}, with "" among the values
    of what may be left out. Everything is compared by value and type: "-5" is not "5", 5 is not "5", true is not 1; an
    integer may stand for a float of the same value. It misleads where other calls would have done as well.

    Options:
        compat: "bfcl" judges as the checker of the Berkeley Function-Calling Leaderboard does (`calls.bfcl`).
    """

    compat: Literal["bfcl"] | None = None

    def check(self, case: Case) -> str | None:
        """The case needs calls of its tools in `expected`, or tools that should not be called."""
        return lacks(case, bfcl=self.compat == "bfcl")

    def judge(self, calls: list[Call], case: Case) -> Score:
        """Compares call by call; of several each is taken for the wanted one it agrees with."""
        wanted = wanted_calls(case, bfcl=self.compat == "bfcl")
        if len(calls) != len(wanted):
            return Score(value=0.0, explanation=_wrong_count(calls, wanted))
        if not wanted:
            return Score(value=1.0, explanation="no call, as wanted")
        why = self._difference(calls[0], wanted[0]) if len(calls) == 1 else self._unpaired(calls, wanted)
        return Score(value=float(why is None), explanation=why or "called as wanted")

    def unreadable(self, case: Case, why: str) -> Score:
        """0; to BFCL a call that cannot be read is none, which is right where none is wanted."""
        if self.compat == "bfcl" and not wanted_calls(case, bfcl=self.compat == "bfcl"):
            return Score(value=1.0, explanation=f"no call, as wanted: {why}")
        return Score(value=0.0, explanation=why)

    def _difference(self, call: Call, wanted: Wanted) -> str | None:
        return bfcl.difference(call, wanted) if self.compat == "bfcl" else strict.difference(call, wanted)

    def _unpaired(self, calls: Sequence[Call], wanted: Sequence[Wanted]) -> str | None:
        """The first wanted call that none of those made can be taken for, or None."""
        agree = [[self._difference(call, each) is None for call in calls] for each in wanted]
        pairs = (pairing.in_turn if self.compat == "bfcl" else pairing.at_best)(agree)
        missed = next((place for place in range(len(wanted)) if place not in pairs), None)
        if missed is None:
            return None
        left = [call for place, call in enumerate(calls) if place not in pairs.values()]
        near = next((call for call in left if call.name == wanted[missed].name), left[0])
        return f"wanted call {missed + 1} of {len(wanted)}: {self._difference(near, wanted[missed])}"


def _wrong_count(calls: Sequence[Call], wanted: Sequence[Wanted]) -> str:
    made = ", ".join(name(call.name) for call in calls[:2]) + (", …" if calls[2:] else "")
    if not wanted:
        return f"wanted no call, got {made}"
    number = f"wanted {len(wanted)} calls" if wanted[1:] else f"wanted a call of {name(wanted[0].name)}"
    return f"{number}, got {len(calls)}: {made}" if calls else f"{number}, got none"
