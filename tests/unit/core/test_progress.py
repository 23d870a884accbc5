from evalsvc.core.progress import Listeners, Progress
from evalsvc.core.records import Arm, Case, Outcome, Score, Status
from evalsvc.engine.limits import EndpointLimits


def outcome(arm: Arm, value: float | None) -> Outcome:
    return Outcome(
        case=Case(suite="s", id="c", category="a", input="q"),
        arm=arm,
        trial=0,
        step="answer",
        status=Status.OK,
        kind=None,
        detail=None,
        completion=None,
        scores={"exact_match": Score(value=value)},
        attempts=(),
        since_scheduled_s=0.0,
        finished_at=0.0,
    )


def test_outcomes_are_counted_and_unscored_ones_are_no_zeros() -> None:
    progress = Progress(total=10)
    progress.add([outcome(Arm.CANDIDATE, 1.0), outcome(Arm.CANDIDATE, None), outcome(Arm.BASELINE, 0.5)])
    assert (progress.recorded, progress.statuses[Status.OK]) == (3, 3)
    assert progress.scored == {Arm.CANDIDATE: 1, Arm.BASELINE: 1}
    assert progress.score_sums == {Arm.CANDIDATE: 1.0, Arm.BASELINE: 0.5}


def test_what_comes_after_a_stop_is_never_more_than_all() -> None:
    progress = Progress(total=1)
    progress.add([outcome(Arm.CANDIDATE, 1.0), outcome(Arm.BASELINE, 1.0)])
    assert (progress.recorded, progress.total) == (2, 2)
    assert progress.eta_s(now=1.0) == 0.0


def test_nobody_is_asked_where_answers_were_recorded() -> None:
    progress = Progress(loads={"recorded": EndpointLimits(8), "up": EndpointLimits(4)})
    assert list(progress.asked) == ["up"]


def test_all_listeners_are_told() -> None:
    both = Progress(), Progress()
    Listeners(both).add([outcome(Arm.CANDIDATE, 1.0)])
    assert [each.recorded for each in both] == [1, 1]
