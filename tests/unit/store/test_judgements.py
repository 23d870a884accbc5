"""What the rows say of a judge."""

from __future__ import annotations

from array import array
from math import log
from typing import Any

import pytest

from evalsvc.core.evidence import CanaryCount
from evalsvc.core.records import Arm, Case, Completion, CountedScore, Outcome, Score, Status
from evalsvc.store.judgements import judgements

pytestmark = pytest.mark.anyio

IDS = [("one", "a"), ("one", "b"), ("two", "c")]


class Rows:
    def __init__(self, filing: Any, *, trials: int = 1) -> None:
        self.filing, self.cases = filing, filing.cases(IDS)
        self.by_id: dict[str, Case] = {case.id: case for _, case in self.cases}
        self.trials = trials
        self.outcomes: list[Outcome] = []

    def answer(self, name: str, arm: Arm, length: int, trial: int = 0, **scores: Score) -> None:
        text = Completion(text="x" * length)
        outcome = self.filing.outcome(self.by_id[name], arm, 1.0, trial=trial, completion=text, scores=scores)
        self.outcomes.append(outcome)

    def follow_up(self, name: str, step: str, **scores: Score) -> None:
        self.outcomes.append(self.filing.outcome(self.by_id[name], "candidate", 1.0, step=step, scores=scores))

    async def read(self, judged: dict[str, list[str]], pass_at: float = 1.0) -> Any:
        await self.filing.file("j", self.filing.job("one", "two", trials=self.trials), self.cases, self.outcomes)
        marks = {(suite, label): pass_at for suite, labels in judged.items() for label in labels}
        return await judgements(self.filing.database, "j", judged, marks)


def score(value: float | None, *parts: float) -> Score:
    return CountedScore(value=value, parts=parts) if parts else Score(value=value)


async def test_canaries_are_counted_by_suite_label_and_name(filing: Any) -> None:
    rows = Rows(filing)
    rows.follow_up("a", "help/canary/dot", help=score(0.0))
    rows.follow_up("b", "help/canary/dot", help=score(1.0))
    rows.follow_up("a", "help/canary/order", help=score(None))
    rows.follow_up("a", "help/judge")
    rows.follow_up("c", "help/canary/dot", help=score(1.0))
    rows.follow_up("a", "help/tone/canary/dot", **{"help/tone": score(1.0)})
    first, second, third = await rows.read({"one": ["help", "help/tone"], "two": ["help"]})
    assert (first.suite, first.label) == ("one", "help")
    assert first.canaries == {
        "dot": CanaryCount(asked=2, answered=2, fooled=1),
        "order": CanaryCount(asked=1, answered=0, fooled=0),
    }
    assert second.canaries == {"dot": CanaryCount(asked=1, answered=1, fooled=1)}
    assert third.canaries == {"dot": CanaryCount(asked=1, answered=1, fooled=1)}


async def test_a_canary_that_passes_has_fooled_the_judge(filing: Any) -> None:
    rows = Rows(filing)
    rows.follow_up("a", "help/canary/dot", help=score(0.0, 0.25))
    rows.follow_up("b", "help/canary/dot", help=score(0.0, 0.0))
    (found,) = await rows.read({"one": ["help"]}, pass_at=0.25)
    assert found.canaries == {"dot": CanaryCount(asked=2, answered=2, fooled=1)}


async def test_every_verdict_counts_once_those_on_canaries_too(filing: Any) -> None:
    rows = Rows(filing)
    rows.follow_up("a", "help/canary/dot", help=score(0.0, 0.0))
    rows.answer("a", Arm.CANDIDATE, 10, help=score(0.5, 0.5), pair=score(0.5, 1.0, 0.0))
    rows.answer("a", Arm.BASELINE, 10, help=score(1.0, 1.0), pair=score(0.5))
    help_, pair = await rows.read({"one": ["help", "pair"]})
    assert help_.verdicts == {0.0: 1, 0.5: 1, 1.0: 1}
    assert pair.verdicts == {0.0: 1, 1.0: 1}


async def test_verdicts_in_both_orders_are_counted_once_a_pair(filing: Any) -> None:
    rows = Rows(filing)
    for name, parts in (("a", (1.0, 0.0)), ("b", (1.0, 1.0))):
        rows.answer(name, Arm.CANDIDATE, 10, pair=score(0.5, *parts))
        rows.answer(name, Arm.BASELINE, 10, pair=score(0.5, *parts))
    (found,) = await rows.read({"one": ["pair"]})
    assert found.orders == {(1.0, 0.0): 1, (1.0, 1.0): 1}


async def test_a_case_counts_once_whatever_its_trials_and_only_where_both_arms_have_a_score(filing: Any) -> None:
    rows = Rows(filing, trials=2)
    rows.answer("a", Arm.CANDIDATE, 20, 0, help=score(1.0))
    rows.answer("a", Arm.BASELINE, 10, 0, help=score(0.5))
    rows.answer("a", Arm.CANDIDATE, 40, 1, help=score(0.5))
    rows.answer("a", Arm.BASELINE, 10, 1, help=score(0.5))
    rows.answer("b", Arm.CANDIDATE, 40, 0, help=score(0.5))
    rows.answer("b", Arm.BASELINE, 10, 0, help=score(None))
    rows.answer("b", Arm.BASELINE, 10, 1, help=score(1.0))
    rows.answer("c", Arm.CANDIDATE, 1, 0, help=score(0.0))
    rows.answer("c", Arm.BASELINE, 3, 0, help=score(1.0))
    one, two = await rows.read({"one": ["help"], "two": ["help"]})
    assert one.delta == array("d", [0.25])
    assert list(one.log_length) == pytest.approx([(log(2) + log(4)) / 2])
    assert (list(two.delta), list(two.log_length)) == ([-1.0], [pytest.approx(-log(3))])


async def test_an_answer_that_failed_says_nothing_of_the_judge(filing: Any) -> None:
    rows = Rows(filing)
    rows.answer("a", Arm.CANDIDATE, 20, help=score(1.0))
    failed = filing.outcome(
        rows.by_id["a"], "baseline", 0.0, status=Status.MODEL_ERROR, kind="refused", scores={"help": score(0.0)}
    )
    rows.outcomes.append(failed)
    (found,) = await rows.read({"one": ["help"]})
    assert (len(found.delta), found.canaries, found.orders) == (0, {}, {})


async def test_without_judged_scorers_nothing_is_read(filing: Any) -> None:
    assert await judgements(filing.database, "none", {}, {}) == ()
