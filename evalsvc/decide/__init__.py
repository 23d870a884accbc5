"""The deciding room, pure: evidence → gate verdicts → decision → record.

Importing it registers the seven gates; another one is a new file that registers itself in `gates`.
"""

from evalsvc.decide import human, latency, paired, rates, record
from evalsvc.decide.decision import DecisionResult, decide, judge_all
from evalsvc.decide.verdict import Gate, GateResult, Settings, gates

__all__ = [
    "DecisionResult",
    "Gate",
    "GateResult",
    "Settings",
    "decide",
    "gates",
    "human",
    "judge_all",
    "latency",
    "paired",
    "rates",
    "record",
]
