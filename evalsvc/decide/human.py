"""The gate on people's blind votes. No job gathers votes yet: the gate stands in every record, unmeasured."""

from __future__ import annotations

from evalsvc.core.evidence import Evidence
from evalsvc.decide.conclude import unmeasured
from evalsvc.decide.verdict import GateResult, Settings, gates
from evalsvc.decide.words import number


@gates.register("human_preference")
def human_preference(evidence: Evidence, settings: Settings) -> GateResult:  # noqa: ARG001 - evidence holds no votes
    """Preference for the candidate > threshold, ties half."""
    return unmeasured(
        settings,
        claim=f"preference > {number(settings.threshold)}",
        method="tango",
        why="There are no votes",
        needs="blind pairwise votes of people would measure it",
    )
