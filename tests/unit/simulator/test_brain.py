from collections.abc import Iterable

import pytest

from evalsvc.core.records import Case
from evalsvc.simulator.answers import AnswerBook
from evalsvc.simulator.brain import Reply, SkilledBrain
from evalsvc.simulator.profile import Errors, Latency, ModelProfile, Profile

N = 2000
PROMPTS = [f"question {number}" for number in range(N)]


def brain(seed: int = 1, **models: ModelProfile) -> SkilledBrain:
    cases = (
        Case(suite="s", id=prompt, category="hard" if place % 2 else "easy", input=prompt, expected=f"answer {place}")
        for place, prompt in enumerate(PROMPTS)
    )
    return SkilledBrain(Profile(seed=seed, models=models), AnswerBook.from_cases(cases))


def right(replies: Iterable[Reply]) -> list[bool]:
    return [reply.text == f"answer {place}" for place, reply in enumerate(replies)]


def first_replies(played: SkilledBrain, model: str) -> list[Reply]:
    return [played.nth_reply(model, prompt, 0) for prompt in PROMPTS]


def test_the_accuracy_of_each_category_is_as_the_profile_says() -> None:
    played = brain(m=ModelProfile(accuracy=0.9, categories={"hard": 0.3}))
    passed = right(first_replies(played, "m"))
    assert sum(passed[::2]) / (N / 2) == pytest.approx(0.9, abs=0.03)
    assert sum(passed[1::2]) / (N / 2) == pytest.approx(0.3, abs=0.045)


@pytest.mark.parametrize(("accuracy", "share"), [(0.0, 0), (1.0, N)])
def test_the_ends_of_accuracy_are_exact(accuracy: float, share: int) -> None:
    assert sum(right(first_replies(brain(m=ModelProfile(accuracy=accuracy)), "m"))) == share


def test_models_of_one_skill_differ_by_case_and_seeds_differ_too() -> None:
    skill = ModelProfile(accuracy=0.5)
    one, other = (right(first_replies(brain(a=skill, b=skill), model)) for model in "ab")
    reseeded = right(first_replies(brain(seed=2, a=skill), "a"))
    for pattern in (other, reseeded):
        assert sum(x != y for x, y in zip(one, pattern, strict=True)) == pytest.approx(N / 2, abs=120)


def test_replies_do_not_depend_on_the_order_of_asking() -> None:
    troubled = ModelProfile(
        accuracy=0.6, flaky=0.3, latency=Latency(median_s=0.1, sigma=0.5), errors=Errors(rate_429=0.2, rate_5xx=0.2)
    )
    forward, backward = brain(a=troubled, b=troubled), brain(a=troubled, b=troubled)
    asks = [(model, prompt) for prompt in PROMPTS[:200] for model in "ab"] * 3
    ours = [(*ask, forward.reply(*ask)) for ask in asks]
    theirs = [(*ask, backward.reply(*ask)) for ask in reversed(asks)]
    assert sorted(ours, key=str) == sorted(theirs, key=str)


def test_the_answer_is_settled_while_faults_and_latency_are_drawn_per_attempt() -> None:
    played = brain(m=ModelProfile(accuracy=0.5, latency=Latency(median_s=0.1, sigma=0.5), errors=Errors(rate_5xx=0.3)))
    for prompt in PROMPTS[:100]:
        replies = [played.reply("m", prompt) for _ in range(20)]
        assert len({reply.text for reply in replies if reply.fault is None}) == 1
        assert len({reply.latency_s for reply in replies}) == 20
        assert {reply.fault for reply in replies} == {None, "server"}


def test_a_flaky_model_keeps_its_accuracy_and_varies_between_asks() -> None:
    steady, flaky = ModelProfile(accuracy=0.7), ModelProfile(accuracy=0.7, flaky=1)
    played = brain(steady=steady, flaky=flaky)
    first = first_replies(played, "flaky")
    again = [played.nth_reply("flaky", prompt, 1) for prompt in PROMPTS]
    assert sum(right(first)) / N == pytest.approx(0.7, abs=0.035)
    changed = sum(x != y for x, y in zip(right(first), right(again), strict=True))
    assert changed / N == pytest.approx(2 * 0.7 * 0.3, abs=0.04)


def test_faults_come_at_their_rates() -> None:
    rates = Errors(rate_429=0.1, rate_5xx=0.2, rate_hang=0.05, rate_malformed=0.15)
    played = brain(m=ModelProfile(accuracy=1, latency=Latency(median_s=1), errors=rates))
    replies = first_replies(played, "m")
    shares = {"rate_limited": 0.1, "server": 0.2, "hang": 0.05, "malformed": 0.15}
    for fault, share in shares.items():
        assert sum(reply.fault == fault for reply in replies) / N == pytest.approx(share, abs=0.03)
    assert {reply.latency_s for reply in replies if reply.fault == "rate_limited"} == {0}
    assert all(reply.latency_s == 1 for reply in replies if reply.fault != "rate_limited")


def test_the_models_own_failures_last_through_every_attempt() -> None:
    errors = Errors(rate_truncated=0.3, rate_refused=0.3, rate_empty=0.4)
    played = brain(m=ModelProfile(accuracy=1, errors=errors))
    for prompt in PROMPTS[:50]:
        first, second = (played.nth_reply("m", prompt, ordinal) for ordinal in (0, 1))
        assert (first.text, first.refusal, first.finish_reason) == (second.text, second.refusal, second.finish_reason)
    replies = first_replies(played, "m")
    truncated = [place for place, reply in enumerate(replies) if reply.finish_reason == "length"]
    assert len(truncated) / N == pytest.approx(0.3, abs=0.04)
    for place in truncated:
        assert f"answer {place}".startswith(replies[place].text)
        assert 0 < len(replies[place].text) < len(f"answer {place}")
    assert sum(reply.refusal is not None for reply in replies) / N == pytest.approx(0.3, abs=0.04)


def test_what_is_not_known_is_echoed() -> None:
    assert brain(m=ModelProfile(accuracy=0)).reply("m", "never heard of").text == "never heard of"


def test_ids_are_unique_per_attempt() -> None:
    played = brain(a=ModelProfile(accuracy=1), b=ModelProfile(accuracy=1))
    ids = [played.reply(model, prompt).id for model in "ab" for prompt in PROMPTS[:50] for _ in range(3)]
    assert len(set(ids)) == 300
