"""What the rows of a job say of its judge: its canaries, its verdicts in either order, how long is what it likes."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log
from typing import Any

import orjson

from evalsvc.core.evidence import CanaryCount, JudgedScores
from evalsvc.core.records import Arm
from evalsvc.store.database import Reader
from evalsvc.store.follow_ups import CANARY, Labels, label_of

_CANARIES = """
SELECT suite, step, scores FROM outcomes
WHERE job_id = ? AND step <> 'answer' AND instr(step, ?) > 0 ORDER BY position, arm, trial, step"""
_ANSWERS = """
SELECT suite, position, trial, arm, scores, length(text) FROM outcomes
WHERE job_id = ? AND step = 'answer' AND status = 'ok' ORDER BY position, trial, arm"""
_VERDICTS = (0.0, 0.5, 1.0)

#: (suite, label)
_Place = tuple[str, str]
#: The score an answer has by a label, and how long it is.
_Scored = tuple[float, int]


async def judgements(
    reader: Reader, job_id: str, judged: Labels, pass_at: Mapping[tuple[str, str], float]
) -> tuple[JudgedScores, ...]:
    """What is to be known of every judged scorer of a job, in the order of ``judged`` (by suite, the labels).

    ``pass_at`` is, by suite and label, the score from which on a case passes: a canary that does has fooled the judge.

    Raises:
        ValueError, TypeError, LookupError: rows that evalsvc cannot have written.
    """
    gather = {(suite, label): _Gatherer(pass_at[suite, label]) for suite, labels in judged.items() for label in labels}
    if not gather:
        return ()
    for suite, step, scores in await reader.rows(_CANARIES, (job_id, CANARY)):
        label = label_of(step, judged.get(suite, ()))
        given = orjson.loads(scores).get(label) if label is not None else None
        if label is not None and given is not None:
            name = step.removeprefix(f"{label}{CANARY}").partition("/")[0]
            gather[suite, label].canary(name, given)
    async for chunk in reader.stream(_ANSWERS, (job_id,)):
        for suite, position, trial, arm, scores, length in chunk:
            given = orjson.loads(scores)
            for label in judged.get(suite, ()):
                gather[suite, label].answer((position, trial), Arm(arm), given.get(label, {}), length or 0)
    return tuple(each.result(*place) for place, each in gather.items())


@dataclass(slots=True)
class _Case:
    """Sums over the trials of one case in which both arms have a score."""

    delta: float = 0.0
    log_length: float = 0.0
    trials: int = 0


@dataclass(slots=True)
class _Gatherer:
    """Takes the rows of one judged scorer; answers come by case, trial and arm."""

    pass_at: float
    canaries: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    verdicts: Counter[float] = field(default_factory=Counter)
    orders: Counter[tuple[float, float]] = field(default_factory=Counter)
    cases: dict[int, _Case] = field(default_factory=dict)
    place: tuple[int, int] | None = None
    arms: dict[Arm, _Scored] = field(default_factory=dict)

    def canary(self, name: str, given: Mapping[str, Any]) -> None:
        value: float | None = given["value"]
        worth: Sequence[float] = given.get("parts") or ()
        fooled = (value or 0) > 0.5 or any(part >= self.pass_at for part in worth)
        self.canaries[name].update(asked=1, answered=int(value is not None), fooled=int(fooled))
        self.verdicts.update(worth)

    def answer(self, place: tuple[int, int], arm: Arm, given: Mapping[str, Any], length: int) -> None:
        if place != self.place:
            self.place, self.arms = place, {}
        value: float | None = given.get("value")
        parts: Sequence[float] = given.get("parts") or ()
        if value is None:
            return
        self.arms[arm] = value, max(1, length)
        if arm is Arm.CANDIDATE or len(parts) == 1:  # the verdicts on a pair stand with both its answers
            self.verdicts.update(parts)
        if arm is Arm.CANDIDATE and _both_verdicts(parts):
            self.orders[parts[0], parts[1]] += 1
        if len(self.arms) == len(Arm):
            self._pair(place[0])

    def _pair(self, position: int) -> None:
        (score, length), (other, other_length) = self.arms[Arm.CANDIDATE], self.arms[Arm.BASELINE]
        case = self.cases.setdefault(position, _Case())
        case.delta += score - other
        case.log_length += log(length / other_length)
        case.trials += 1

    def result(self, suite: str, label: str) -> JudgedScores:
        return JudgedScores(
            suite=suite,
            label=label,
            canaries={name: CanaryCount(**self.canaries[name]) for name in sorted(self.canaries)},
            verdicts={worth: self.verdicts[worth] for worth in sorted(self.verdicts)},
            orders={pair: self.orders[pair] for pair in sorted(self.orders)},
            delta=_means((case.delta, case.trials) for case in self.cases.values()),
            log_length=_means((case.log_length, case.trials) for case in self.cases.values()),
        )


def _both_verdicts(parts: Sequence[float]) -> bool:
    return len(parts) == 2 and all(part in _VERDICTS for part in parts)


def _means(sums: Iterable[tuple[float, int]]) -> array[float]:
    return array("d", (total / trials for total, trials in sums))
