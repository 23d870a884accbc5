"""What a job will cost before it is run: requests, tokens, money and time, under its endpoints' limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from evalsvc.core.evidence import ArmTotals, FollowUpTotals
from evalsvc.core.records import Arm, ArmSpec, Job, JudgeSpec
from evalsvc.providers.settings import EndpointSettings

#: The usual English text, before a pilot.
CHARS_A_TOKEN = 4.0
#: An answer, where neither a pilot nor a limit in ``params`` says anything.
ANSWER_TOKENS = 256
#: Seconds an answer takes, before a pilot.
ANSWER_S = 2.0
#: Who is asked besides the arms.
JUDGE = "judge"
_PILOT = "pilot"
#: What an API calls the most tokens of an answer.
_MOST_TOKENS = ("max_tokens", "max_completion_tokens", "max_output_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What is usual for an arm, or the judge: characters a token, tokens and seconds an answer; where each is from."""

    chars_a_token: float = CHARS_A_TOKEN
    answer_tokens: float = ANSWER_TOKENS
    answer_s: float = ANSWER_S
    chars_from: str = "assumed"
    tokens_from: str = "assumed"
    seconds_from: str = "assumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beyond:
    """What scores ask one model beyond the answers: requests, characters of their prompts, tokens of the replies."""

    requests: float
    chars: float
    output_tokens: float

    @classmethod
    def sum(cls, rows: Iterable[Beyond]) -> Beyond:
        """All of them together."""
        each = list(rows)
        return cls(
            requests=sum(row.requests for row in each),
            chars=sum(row.chars for row in each),
            output_tokens=sum(row.output_tokens for row in each),
        )


_NOTHING = Beyond(requests=0, chars=0, output_tokens=0)
_NO_BEYOND: Mapping[str, Beyond] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSpend:
    """Requests, tokens and money of one arm, or of the judge; ``cost`` is None where a price is not known.

    ``follow_ups`` of the requests are for scores, beyond the answers.
    """

    requests: int
    follow_ups: int
    input_tokens: float
    output_tokens: float
    cost: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """What a job will cost, ``judge`` included: None where there is none.

    ``bound`` says what keeps it from being faster; None where nothing is asked.
    """

    arms: Mapping[Arm, ArmSpend]
    judge: ArmSpend | None
    seconds: float
    bound: str | None

    @property
    def all(self) -> list[ArmSpend]:
        """Of both arms and the judge."""
        return [*self.arms.values(), *([] if self.judge is None else [self.judge])]

    @property
    def requests(self) -> int:
        """Of both arms and the judge."""
        return sum(each.requests for each in self.all)

    @property
    def cost(self) -> float | None:
        """Of both arms and the judge; None where one is not known."""
        costs = [each.cost for each in self.all]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if len(known) == len(costs) else None


def most_tokens(params: Mapping[str, Any]) -> tuple[float, str]:
    """The tokens that parameters allow an answer, and where that is from; `ANSWER_TOKENS` where they say nothing."""
    for key in _MOST_TOKENS:
        most = params.get(key)
        if isinstance(most, int) and most >= 0:
            return most, f"{key}: at most"
    return ANSWER_TOKENS, "assumed"


def usual_before(spec: ArmSpec | JudgeSpec) -> Usual:
    """What a model is taken to be like before it was asked: where the job limits an answer, it has so many tokens."""
    most, source = most_tokens(spec.params)
    return Usual(answer_tokens=most, tokens_from=source)


def usual_after(before: Usual, totals: ArmTotals, *, chars: int, answer_s: float | None) -> Usual:
    """What a pilot of prompts of ``chars`` characters in all has shown of an arm; what it has not stays as before."""
    usual = before if answer_s is None else replace(before, answer_s=answer_s, seconds_from=_PILOT)
    if not totals.requests or not chars or not totals.input_tokens or totals.output_tokens is None:
        return usual
    return replace(
        usual,
        chars_a_token=chars / totals.input_tokens,
        answer_tokens=totals.output_tokens / totals.requests,
        chars_from=_PILOT,
        tokens_from=_PILOT,
    )


def judge_after(before: Usual, totals: FollowUpTotals | None) -> Usual:
    """What a pilot has shown of the judge: how much it says."""
    if totals is None or not totals.attempts or totals.output_tokens is None:
        return before
    return replace(before, answer_tokens=totals.output_tokens / totals.attempts, tokens_from=_PILOT)


def prompt_chars(job: Job, arm: Arm, *, cases: int, chars: int) -> int:
    """Characters of all prompts of one arm, its system prompt and trials included."""
    return job.trials * (chars + cases * len(job.arms[arm].system or ""))


def spend(
    job: Job,
    endpoints: Mapping[str, EndpointSettings],
    usual: Mapping[str, Usual],
    *,
    cases: int,
    chars: int,
    beyond: Mapping[str, Beyond] = _NO_BEYOND,
) -> Spend:
    """What ``cases`` whose prompts have ``chars`` characters in all will cost.

    ``usual`` and ``beyond`` (what scores ask besides the answers) are by arm, or `JUDGE`.
    """
    arms = {}
    for arm, spec in job.arms.items():
        requests = 0 if spec.recorded else cases * job.trials
        prompts = 0 if spec.recorded else prompt_chars(job, arm, cases=cases, chars=chars)
        answers = Beyond(requests=requests, chars=prompts, output_tokens=requests * usual[arm].answer_tokens)
        asked = _NOTHING if spec.recorded else beyond.get(arm, _NOTHING)
        arms[arm] = _spent(endpoints.get(spec.endpoint), usual[arm], answers, asked)
    judge = None
    if job.judge is not None:
        asked = beyond.get(JUDGE, _NOTHING)
        system = Beyond(requests=0, chars=asked.requests * len(job.judge.system or ""), output_tokens=0)
        judge = _spent(endpoints.get(job.judge.endpoint), usual[JUDGE], _NOTHING, Beyond.sum([asked, system]))
    slowest = max(_bounds(job, endpoints, usual, arms, judge), default=(0.0, None))
    return Spend(arms=arms, judge=judge, seconds=slowest[0], bound=slowest[1])


def _spent(endpoint: EndpointSettings | None, usual: Usual, answers: Beyond, follow_ups: Beyond) -> ArmSpend:
    whole = Beyond.sum([answers, follow_ups])
    tokens_in = whole.chars / usual.chars_a_token
    return ArmSpend(
        requests=round(whole.requests),
        follow_ups=round(follow_ups.requests),
        input_tokens=tokens_in,
        output_tokens=whole.output_tokens,
        cost=_cost(endpoint, tokens_in, whole.output_tokens) if whole.requests else 0.0,
    )


def _bounds(
    job: Job,
    endpoints: Mapping[str, EndpointSettings],
    usual: Mapping[str, Usual],
    arms: Mapping[Arm, ArmSpend],
    judge: ArmSpend | None,
) -> Iterator[tuple[float, str | None]]:
    """Seconds that each limit asks for, with the limit; the job's rate is that of answers alone."""
    asked = [(job.arms[arm].endpoint, each, usual[arm].answer_s) for arm, each in arms.items()]
    if job.judge is not None and judge is not None:
        asked.append((job.judge.endpoint, judge, usual[JUDGE].answer_s))
    for name, endpoint in endpoints.items():
        mine = [(each, answer_s) for whose, each, answer_s in asked if whose == name]
        requests = sum(each.requests for each, _ in mine)
        tokens = sum(each.input_tokens + each.output_tokens for each, _ in mine)
        busy = sum(each.requests * answer_s for each, answer_s in mine)
        one = max((answer_s for each, answer_s in mine if each.requests), default=0.0)
        yield max(one, busy / endpoint.max_in_flight), f"max_in_flight = {endpoint.max_in_flight} of {name}"
        if endpoint.rpm is not None:
            yield 60 * requests / endpoint.rpm, f"rpm = {endpoint.rpm} of {name}"
        if endpoint.tpm is not None:
            yield 60 * tokens / endpoint.tpm, f"tpm = {endpoint.tpm} of {name}"
    if job.rate is not None:
        answers = sum(arm.requests - arm.follow_ups for arm in arms.values())
        yield answers / job.rate, f"rate = {job.rate:g} of the job"


def _cost(endpoint: EndpointSettings | None, tokens_in: float, tokens_out: float) -> float | None:
    if endpoint is None or endpoint.price_in is None or endpoint.price_out is None:
        return None
    return (tokens_in * endpoint.price_in + tokens_out * endpoint.price_out) / 1e6
