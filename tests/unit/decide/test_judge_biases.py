"""What sways a judge is said with its figure, what it means, and what to do."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

from evalsvc.core.evidence import JudgedScores
from evalsvc.decide.judge_biases import bias_warnings


def judged(
    orders: Mapping[tuple[float, float], int] | None = None,
    delta: Sequence[float] = (),
    log_length: Sequence[float] = (),
) -> JudgedScores:
    return JudgedScores(
        suite="target-suite",
        label="exact",
        canaries={},
        verdicts={},
        orders=orders or {},
        delta=array("d", delta),
        log_length=array("d", log_length),
    )


def test_a_judge_that_hangs_on_the_order_is_warned_of() -> None:
    orders = {(1.0, 1.0): 60, (1.0, 0.0): 36, (0.5, 1.0): 4}
    (said,) = bias_warnings(judged(orders=orders))
    assert "contradicts itself on 40 of 100 pairs" in said
    assert not list(bias_warnings(judged(orders={(1.0, 1.0): 65, (1.0, 0.0): 35})))


def test_a_judge_that_goes_by_length_is_warned_of() -> None:
    log_length = [0.1 * n for n in range(-3, 27)]
    delta = [min(1.0, max(-1.0, value)) for value in log_length]
    said = list(bias_warnings(judged(delta=delta, log_length=log_length)))
    assert (
        "suite target-suite, scorer exact: the judge preferred the longer answer in 29 of 29 decided pairs (100%): it "
        "may pay for length and not for quality, so ask people about some of these cases before you ship by it"
    ) in said
    steady = [0.3 + 0.01 * (n % 3) for n in range(30)]
    assert list(bias_warnings(judged(delta=steady, log_length=[-0.1, 0.1] * 15))) == []


def test_an_effect_that_length_explains_is_said_to_be() -> None:
    delta = [0.3, 0.1, 0.4, -0.1, 0.2, 0.5, 0, 0.3, 0.1, 0.2]
    log_length = [0.5, 0.1, 0.6, -0.2, 0.1, 0.9, 0, 0.4, 0.2, 0.1]
    said = list(bias_warnings(judged(delta=delta, log_length=log_length)))
    assert (
        "suite target-suite, scorer exact: length explains what the judge prefers: a difference of +0.200, and +0.057 "
        "(not proven) between answers of equal length: nothing shows that the better model is more than the wordier "
        "one, so ask people about some of these cases before you ship by it"
    ) in said
