"""Parts of corpus scores, summed over the cases that both arms have answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from evalsvc.core.records import Arm, Case, CountedScore, Outcome, Score
from evalsvc.store.outcomes import OutcomeStore
from evalsvc.store.views import Views

pytestmark = pytest.mark.anyio

NOTHING = 2**62
IDS = [("one", "a"), ("two", "b"), ("one", "c"), ("one", "d")]


def counted(*parts: float) -> dict[str, Score]:
    return {"exact_match": Score(value=1.0), "bleu": CountedScore(value=0.5, parts=parts)}


async def file(filing: Any, trials: int, rows: Mapping[tuple[str, str, int], Mapping[str, Score] | None]) -> None:
    """Files a job; ``rows`` are (case id, arm, trial) → scores, None: no answer came."""
    cases = filing.cases(IDS)
    by_id: dict[str, Case] = {case.id: case for _, case in cases}
    outcomes: list[Outcome] = [
        filing.outcome(by_id[name], arm, None if scores is None else 1.0, trial=trial, scores=scores or {})
        for (name, arm, trial), scores in rows.items()
    ]
    await filing.file("j", filing.job("one", "two", trials=trials), cases)
    await OutcomeStore(filing.database).add("j", outcomes)


async def test_parts_are_summed_over_complete_pairs(filing: Any) -> None:
    await file(
        filing,
        1,
        {
            ("a", "candidate", 0): counted(1, 10),
            ("a", "baseline", 0): counted(1, 20),
            ("b", "candidate", 0): counted(1, 1000),
            ("b", "baseline", 0): counted(1, 1000),
            ("c", "candidate", 0): counted(1, 500),
            ("c", "baseline", 0): None,
            ("d", "candidate", 0): counted(1, 1),
            ("d", "baseline", 0): counted(1, 2.5),
        },
    )
    views = Views(filing.database)
    found = await views.parts("j", "one", ["bleu", "exact_match"], trials=1, until=NOTHING)
    assert found["bleu"].cases == 2
    assert found["bleu"].sums == {Arm.CANDIDATE: [2, 11], Arm.BASELINE: [2, 22.5]}
    assert (found["exact_match"].cases, found["exact_match"].sums) == (0, {})
    before = await views.parts("j", "one", ["bleu"], trials=1, until=3)
    assert (before["bleu"].cases, before["bleu"].sums[Arm.BASELINE]) == (1, [1, 20])
    assert (await views.parts("j", "two", ["bleu"], trials=1, until=NOTHING))["bleu"].cases == 1


async def test_every_trial_counts_and_none_may_be_missing(filing: Any) -> None:
    unscored = {"bleu": Score(value=None, explanation="scoring error")}
    await file(
        filing,
        2,
        {
            **{("a", arm, trial): counted(1, 10 + trial) for arm in Arm for trial in (0, 1)},
            **{("c", arm, 0): counted(1, 100) for arm in Arm},
            **{("d", arm, 0): counted(1, 1000) for arm in Arm},
            ("d", "candidate", 1): counted(1, 1000),
            ("d", "baseline", 1): unscored,
        },
    )
    found = await Views(filing.database).parts("j", "one", ["bleu"], trials=2, until=NOTHING)
    assert found["bleu"].cases == 1
    assert found["bleu"].sums == {arm: [2, 21] for arm in Arm}


@pytest.mark.parametrize("parts", [(1, "x"), (1,), "12", {"a": 1}])
async def test_parts_that_are_none_are_an_error(filing: Any, parts: Any) -> None:
    garbled = {"bleu": CountedScore(value=0.5, parts=parts)}
    await file(
        filing,
        1,
        {
            ("a", "candidate", 0): counted(1, 10),
            ("a", "baseline", 0): counted(1, 20),
            ("c", "candidate", 0): garbled,
            ("c", "baseline", 0): counted(1, 20),
        },
    )
    with pytest.raises((ValueError, TypeError)):
        await Views(filing.database).parts("j", "one", ["bleu"], trials=1, until=NOTHING)
