from __future__ import annotations

from itertools import product

import pytest

from evalsvc.core.states import ENDED, IN_HAND, UNFINISHED, JobState, check_transition
from evalsvc.errors import IllegalTransition

_S = JobState


def allowed(now: JobState, to: JobState) -> bool:
    try:
        check_transition(now, to)
    except IllegalTransition:
        return False
    return True


def test_what_is_final_stays() -> None:
    assert [(now, to) for now, to in product((_S.DONE, _S.CANCELLED), _S) if allowed(now, to)] == []


@pytest.mark.parametrize("state", sorted(IN_HAND))
def test_whoever_has_a_job_in_hand_may_give_it_back_fail_it_or_end_it(state: JobState) -> None:
    assert all(allowed(state, to) for to in (_S.QUEUED, _S.FAILED, _S.CANCELLED))


def test_a_decision_comes_only_of_deciding_and_that_only_of_running() -> None:
    assert [now for now in _S if allowed(now, _S.DONE)] == [_S.DECIDING]
    assert [now for now in _S if allowed(now, _S.DECIDING)] == [_S.RUNNING]


def test_a_failed_job_is_queued_again_or_taken_up_at_once() -> None:
    assert [to for to in _S if allowed(_S.FAILED, to)] == [_S.QUEUED, _S.RUNNING, _S.CANCELLED]


def test_the_sets_agree_with_each_other() -> None:
    assert set() == IN_HAND & ENDED
    assert set(_S) == UNFINISHED | ENDED
    assert {_S.FAILED} == UNFINISHED & ENDED
