"""What must be alike where two jobs are compared: the questions, how they were put, how answers were scored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any

from evalsvc.core.pairing import Coverage, Difference
from evalsvc.core.records import Arm, ArmSpec, Job, ScorerSpec

#: What may differ between two arms that are compared: who answered, and how the answer travelled.
_WHO = {"endpoint", "model", "stream", "outputs"}
#: What may differ between two jobs: it changes neither a question nor the score of an answer. Whatever else a job may
#: come to hold has to be alike.
_JOB = {
    "name", "seed", "trials", "rate", "stop", "arms", "suites", "gates", "evidence", "calibration", "limit",
    "spec_sha256",
}  # fmt: skip
_SCORER = {"label"}
#: Scorers whose scores are of both arms together: those of an arm mean the same only beside the same other arm.
_PAIRED = frozenset({"judge_pair"})


def differences(first: Job, second: Job, arm: Arm, *, simulated: tuple[bool, bool]) -> list[Difference]:
    """What differs between the jobs that has to be alike, the cases themselves apart; ``simulated`` is of each."""
    found = list(_fields("job", first, second, _JOB))
    found += _fields(arm.value, first.arms[arm], second.arms[arm], _WHO)
    scorers = {suite.name: suite.scorers[0] for suite in second.suites}
    for suite in first.suites:
        if suite.name in scorers:
            found += _fields(f"{suite.name}.scorer", suite.scorers[0], scorers[suite.name], _SCORER)
    if any(suite.scorers[0].name in _PAIRED for suite in first.suites):
        other = next(each for each in Arm if each is not arm)
        found += _fields(other.value, first.arms[other], second.arms[other], set())
    if simulated[0] != simulated[1]:
        words = {True: "simulated", False: "real"}
        found.append(Difference(what="answers", first=words[simulated[0]], second=words[simulated[1]]))
    return found


def uncovered(coverage: Coverage) -> str:
    """Which cases of a suite the jobs do not share, in words; empty when they share them all."""
    counts = {
        "only in the first job": coverage.only_first,
        "only in the second job": coverage.only_second,
        "with one id and another content": coverage.changed,
        "not asked in both": coverage.unasked,
    }
    return ", ".join(f"{count:,} {said}" for said, count in counts.items() if count)


def same_asked(first: ArmSpec, second: ArmSpec) -> bool:
    """Whether two arms are one model asked in one way: what differs between their answers is not the model's doing."""
    return first == second


def _fields(
    place: str, first: Job | ArmSpec | ScorerSpec, second: Job | ArmSpec | ScorerSpec, free: set[str]
) -> Iterator[Difference]:
    one, other = asdict(first), asdict(second)
    for name in (field.name for field in fields(first)):
        if name not in free and one[name] != other[name]:
            yield Difference(what=f"{place}.{name}", first=_shown(one[name]), second=_shown(other[name]))


def _shown(value: Any) -> str:
    return "none" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
