"""What a job will cost before it is run: requests, tokens, money and time, under its endpoints' limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from evalsvc.core.evidence import ArmTotals
from evalsvc.core.records import Arm, ArmSpec, Job
from evalsvc.providers.settings import EndpointSettings

#: The usual English text, before a pilot.
CHARS_A_TOKEN = 4.0
#: An answer, where neither a pilot nor a limit in ``params`` says anything.
ANSWER_TOKENS = 256
#: Seconds an answer takes, before a pilot.
ANSWER_S = 2.0
_PILOT = "pilot"
#: What an API calls the most tokens of an answer.
_MOST_TOKENS = ("max_tokens", "max_completion_tokens", "max_output_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What is usual for one arm: characters a token, tokens and seconds an answer, and where each is from."""

    chars_a_token: float = CHARS_A_TOKEN
    answer_tokens: float = ANSWER_TOKENS
    answer_s: float = ANSWER_S
    chars_from: str = "assumed"
    tokens_from: str = "assumed"
    seconds_from: str = "assumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSpend:
    """Requests, tokens and money of one arm; ``cost`` is None where a price is not known."""

    requests: int
    input_tokens: float
    output_tokens: float
    cost: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """What a job will cost. ``bound`` says what keeps it from being faster; None where nothing is asked."""

    arms: Mapping[Arm, ArmSpend]
    seconds: float
    bound: str | None

    @property
    def requests(self) -> int:
        """Of both arms."""
        return sum(arm.requests for arm in self.arms.values())

    @property
    def cost(self) -> float | None:
        """Of both arms; None where one is not known."""
        costs = [arm.cost for arm in self.arms.values()]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if len(known) == len(costs) else None


def usual_before(spec: ArmSpec) -> Usual:
    """What an arm is taken to be like before it was asked: where the job limits an answer, it has so many tokens."""
    limits = ((key, spec.params.get(key)) for key in _MOST_TOKENS)
    for key, most in limits:
        if isinstance(most, int) and most > 0:
            return Usual(answer_tokens=most, tokens_from=f"{key}: at most")
    return Usual()


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


def prompt_chars(job: Job, arm: Arm, *, cases: int, chars: int) -> int:
    """Characters of all prompts of one arm, its system prompt and trials included."""
    return job.trials * (chars + cases * len(job.arms[arm].system or ""))


def spend(
    job: Job,
    endpoints: Mapping[str, EndpointSettings],
    usual: Mapping[Arm, Usual],
    *,
    cases: int,
    chars: int,
) -> Spend:
    """What ``cases`` whose prompts have ``chars`` characters in all will cost."""
    arms = {}
    for arm, spec in job.arms.items():
        requests = 0 if spec.recorded else cases * job.trials
        prompts = 0 if spec.recorded else prompt_chars(job, arm, cases=cases, chars=chars)
        tokens_in = prompts / usual[arm].chars_a_token
        tokens_out = requests * usual[arm].answer_tokens
        cost = _cost(endpoints.get(spec.endpoint), tokens_in, tokens_out) if requests else 0.0
        arms[arm] = ArmSpend(requests=requests, input_tokens=tokens_in, output_tokens=tokens_out, cost=cost)
    slowest = max(_bounds(job, endpoints, usual, arms), default=(0.0, None))
    return Spend(arms=arms, seconds=slowest[0], bound=slowest[1])


def _bounds(
    job: Job, endpoints: Mapping[str, EndpointSettings], usual: Mapping[Arm, Usual], arms: Mapping[Arm, ArmSpend]
) -> Iterator[tuple[float, str | None]]:
    """Seconds that each limit asks for, with the limit."""
    for name, endpoint in endpoints.items():
        mine = [arm for arm, spec in job.arms.items() if spec.endpoint == name]
        requests = sum(arms[arm].requests for arm in mine)
        tokens = sum(arms[arm].input_tokens + arms[arm].output_tokens for arm in mine)
        busy = sum(arms[arm].requests * usual[arm].answer_s for arm in mine)
        one = max((usual[arm].answer_s for arm in mine if arms[arm].requests), default=0.0)
        yield max(one, busy / endpoint.max_in_flight), f"max_in_flight = {endpoint.max_in_flight} of {name}"
        if endpoint.rpm is not None:
            yield 60 * requests / endpoint.rpm, f"rpm = {endpoint.rpm} of {name}"
        if endpoint.tpm is not None:
            yield 60 * tokens / endpoint.tpm, f"tpm = {endpoint.tpm} of {name}"
    if job.rate is not None:
        yield sum(arm.requests for arm in arms.values()) / job.rate, f"rate = {job.rate:g} of the job"


def _cost(endpoint: EndpointSettings | None, tokens_in: float, tokens_out: float) -> float | None:
    if endpoint is None or endpoint.price_in is None or endpoint.price_out is None:
        return None
    return (tokens_in * endpoint.price_in + tokens_out * endpoint.price_out) / 1e6
