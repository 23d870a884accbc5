from __future__ import annotations

from typing import Any

import pytest

from evalsvc import decide
from evalsvc.core.records import GATES, Decision, Role, Verdict


def shippable(make: Any, **tables: Any) -> Any:
    target = make.table(*make.binary(150, 10, 450, 20))
    general = make.table(*make.binary(20, 20, 500, 60), role=Role.GENERAL)
    adversarial = make.table([1.0] * 200, [1.0] * 200, role=Role.ADVERSARIAL)
    schema = make.schema_table([1.0] * 630, [1.0] * 630)
    latency = make.samples([1.0] * 500), make.samples([1.0] * 500)
    parts = {"target": target, "general": general, "adversarial": adversarial, "schema": schema, **tables}
    return make.evidence(*parts.values(), latency=latency)


WAIVED = {"human_preference": {"waived": "no annotators for this internal tool"}}


def decided(evidence: Any, job: Any) -> Any:
    return decide.decide(decide.judge_all(evidence, job))


def test_everything_proven_ships_and_says_why(make: Any) -> None:
    result = decided(shippable(make), make.job(**WAIVED))
    assert result.decision is Decision.SHIP
    assert len(result.reasons) == 7
    assert result.reasons[0].startswith("target_improvement holds: Better by 22.2 points (")
    assert [reason.split(" (")[0] for reason in result.reasons if "holds" not in reason] == [
        "human_preference had no say"
    ], "nobody takes it for proven"
    assert result.reasons[-1].endswith("): NOT_MEASURED")


def test_an_unmeasured_gate_holds(make: Any) -> None:
    result = decided(shippable(make), make.job())
    assert result.decision is Decision.HOLD
    assert result.reasons == (
        "human_preference is open: There are no votes; blind pairwise votes of people would measure it",
    )


def test_an_open_gate_holds_and_says_what_is_missing(make: Any) -> None:
    few = make.table([1.0] * 186 + [0.0] * 14, [1.0] * 200, role=Role.ADVERSARIAL)
    result = decided(shippable(make, adversarial=few), make.job(**WAIVED))
    assert result.decision is Decision.HOLD
    (reason,) = result.reasons
    assert reason.startswith("adversarial_robustness is open: 186 of 200 adversarial cases pass, 93.0%")
    assert reason.endswith("more cases would settle it if the rate stays")


def test_a_failed_gate_iterates_before_anything_open(make: Any) -> None:
    bad = make.table([1.0] * 100 + [0.0] * 100, [1.0] * 200, role=Role.ADVERSARIAL)
    result = decided(shippable(make, adversarial=bad), make.job())
    assert result.decision is Decision.ITERATE
    assert [reason.split(":")[0] for reason in result.reasons] == [
        "adversarial_robustness fails",
        "human_preference is open",
    ]


@pytest.mark.parametrize("change", [{"waived": "known"}, {"required": False}])
def test_waived_or_optional_gates_keep_their_verdict_and_lose_their_say(make: Any, change: dict[str, Any]) -> None:
    bad = make.table([1.0] * 100 + [0.0] * 100, [1.0] * 200, role=Role.ADVERSARIAL)
    results = decide.judge_all(shippable(make, adversarial=bad), make.job(**WAIVED, adversarial_robustness=change))
    assert decide.decide(results).decision is Decision.SHIP
    gate = results[GATES.index("adversarial_robustness")]
    assert gate.verdict is Verdict.FAIL
    assert gate.required == ("waived" in change)
    assert gate.reason.startswith("Waived: known. 100 of 200" if "waived" in change else "100 of 200")


def test_no_required_gate_holds(make: Any) -> None:
    result = decided(shippable(make), make.job(**{name: {"required": False} for name in GATES}))
    assert (result.decision, len(result.reasons)) == (Decision.HOLD, 1)
    assert decide.decide([]).decision is Decision.HOLD
