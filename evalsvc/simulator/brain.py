"""What the simulator answers, decided by hashing alone.

Everything a request gets is drawn from BLAKE2b over (seed, model, prompt, ordinal), where tools that are offered belong
to the prompt, and the ordinal counts how often this server was asked it for this model. So nothing depends on the order
in which requests arrive:

- right or wrong, cut off, refused or empty: settled once per (model, prompt), the same for every attempt and trial,
  unless the model is ``flaky``, then that share of asks is drawn afresh;
- 429, 5xx, hang, malformed body and the latency: drawn anew for each attempt, so that a retry can succeed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from struct import unpack
from typing import Any, Protocol

from evalsvc.simulator.answers import NO_CALL, AnswerBook, prompt_key
from evalsvc.simulator.judging import verdict_on
from evalsvc.simulator.profile import ModelProfile, Profile
from evalsvc.simulator.tool_calls import Call

Tools = list[Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What one HTTP attempt gets, ``latency_s`` seconds after it was asked.

    ``fault`` is None for an answer, else ``rate_limited``, ``server``, ``hang`` or ``malformed``; ``variant`` chooses
    among the shapes of a fault.
    """

    id: str
    latency_s: float = 0.0
    text: str = ""
    calls: Sequence[Call] = ()
    finish_reason: str = "stop"
    refusal: str | None = None
    fault: str | None = None
    variant: int = 0
    retry_after_s: float = 0.0


class Brain(Protocol):
    """What the server asks for replies."""

    models: tuple[str, ...]
    fingerprint: str

    def reply(self, model: str, prompt: str, tools: Tools = None) -> Reply:
        """The reply to one attempt. Raises LookupError for a prompt it has no answer to."""

    def unask(self, model: str, prompt: str, tools: Tools = None) -> None:
        """The last reply was not given: a quota refused the request."""


class SkilledBrain:
    """Plays a profile's models; counts its asks, otherwise pure."""

    def __init__(self, profile: Profile, book: AnswerBook) -> None:
        self.models = tuple(profile.models)
        self.fingerprint = f"fp_sim_{profile.seed}"
        self._profile = profile
        self._book = book
        self._asked: dict[str, Counter[int]] = {model: Counter() for model in self.models}

    def reply(self, model: str, prompt: str, tools: Tools = None) -> Reply:
        """The reply to the next ask of this prompt."""
        asked, key = self._asked[model], prompt_key(prompt, tools)
        asked[key] += 1
        return self.nth_reply(model, prompt, asked[key] - 1, tools)

    def unask(self, model: str, prompt: str, tools: Tools = None) -> None:
        """The next ask gets that reply again: what a request is answered does not depend on when it was refused."""
        self._asked[model][prompt_key(prompt, tools)] -= 1

    def nth_reply(self, model: str, prompt: str, ordinal: int, tools: Tools = None) -> Reply:
        """The reply to the ``ordinal``-th ask (0-based) of this prompt."""
        played = self._profile.models[model]
        asked = prompt_key(prompt, tools)
        key = f"{self._profile.seed}|{model}|{asked}"
        fault_at, variant_at, latency_at, flaky_at = _uniforms(f"{key}|attempt|{ordinal}")
        id_ = f"chatcmpl-sim-{prompt_key(key):016x}-{ordinal}"
        latency_s = played.latency.at(latency_at)
        fault = _pick(fault_at, played.errors.attempt_faults())
        if fault == "rate_limited":
            return Reply(id=id_, fault=fault, retry_after_s=played.errors.retry_after_s)
        if fault:
            return Reply(id=id_, fault=fault, latency_s=latency_s, variant=int(variant_at * 12) + ordinal)
        settled = f"{key}|case" if flaky_at >= played.flaky else f"{key}|again|{ordinal}"
        behaviour_at, *answer_at = _uniforms(settled)
        reply = self._answer(played, prompt, asked, answer_at)
        return replace(_behave(_pick(behaviour_at, played.errors.model_faults()), reply), id=id_, latency_s=latency_s)

    def _answer(self, played: ModelProfile, prompt: str, asked: int, at: Sequence[float]) -> Reply:
        """Text or calls: the right ones, wrong ones, or an echo of what is not known."""
        skill_at, wrong_at, _ = at
        if played.judge is not None:
            return Reply(id="", text=verdict_on(prompt, played, self._book, at))
        known = self._book.find(asked)
        if known is None:
            return Reply(id="", text=prompt)
        right = skill_at < played.skill(known.category)
        if known.calls is None:
            return Reply(id="", text=known.right if right else known.wrong(wrong_at))
        calls = known.calls.right if right else known.calls.wrong(wrong_at)
        return Reply(id="", calls=calls, text="" if calls else NO_CALL)


def _behave(fault: str | None, reply: Reply) -> Reply:
    match fault:
        case "truncated":
            cut = reply.text[: max(1, len(reply.text) // 2)]
            return replace(reply, text=cut, finish_reason="length")
        case "refused":
            return Reply(id="", refusal="I cannot help with that request.")
        case "empty":
            return Reply(id="")
        case _:
            return reply


def _uniforms(what: str) -> tuple[float, ...]:
    # 52 bits and a half: exactly representable, never 0 and never 1, as the normal quantile wants it
    numbers = unpack("<4Q", blake2b(what.encode(), digest_size=32).digest())
    return tuple(((number >> 12) + 0.5) / 2**52 for number in numbers)


def _pick(at: float, shares: Iterable[tuple[str, float]]) -> str | None:
    for name, share in shares:
        if at < share:
            return name
        at -= share
    return None
